import { defineConfig } from 'vitest/config';
import e2e from './vitest.e2e.config.js';

/** Clients of NuGet against the built server: each is one thread that waits a lot, so two files run side by side. */
export default defineConfig({
  test: {
    ...e2e.test,
    include: ['e2e/nuget/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    fileParallelism: true,
    maxWorkers: 2,
  },
});
