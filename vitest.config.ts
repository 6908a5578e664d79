import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    // Tests run on the sources of every package, not on what was built last.
    alias: [
      { find: /^@granary\/([a-z-]+)$/, replacement: source('./packages/$1/src/index.ts') },
      { find: /^@granary\/([a-z-]+)\/([a-z-]+)$/, replacement: source('./packages/$1/src/$2/index.ts') },
      { find: /^granary$/, replacement: source('./packages/granary/src/index.ts') },
    ],
  },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'scripts/**/*.test.mjs', 'examples/**/*.test.mjs'],
    testTimeout: 30_000,
    // Most tests wait for disks, sockets and other processes more than they compute.
    maxWorkers: availableParallelism() + 1,
    // Servers that tests start must not fill the cache of whoever runs them.
    env: { NODE_DISABLE_COMPILE_CACHE: '1' },
    coverage: { provider: 'v8', include: ['packages/*/src/**/*.ts'], exclude: ['**/*.test.ts', '**/gen/**'] },
  },
});
