import { defineConfig } from 'vitest/config';

/** Real clients against the built server: one file after the other, since each keeps both cores busy. */
export default defineConfig({
  test: {
    include: ['e2e/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'e2e/nuget/**'],
    fileParallelism: false,
    // Servers that tests start must not fill the cache of whoever runs them.
    env: { NODE_DISABLE_COMPILE_CACHE: '1' },
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
});
