import { defineConfig } from 'vitest/config';

/** Real clients against the built server: two files side by side, since each waits for other processes a lot. */
export default defineConfig({
  test: {
    include: ['e2e/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    maxWorkers: 2,
    // Servers that tests start must not fill the cache of whoever runs them.
    env: { NODE_DISABLE_COMPILE_CACHE: '1' },
    testTimeout: 240_000,
    // As for the tests of the packages: what passes only then is named at the end.
    retry: process.env.CI ? 1 : 0,
    hookTimeout: 240_000,
  },
});
