import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const TESTS = ['packages/*/src/**/*.test.ts', 'scripts/**/*.test.mjs', 'examples/**/*.test.mjs'];

/** What looks at the whole process, fills its heap or its disk, ends other processes, or measures how long it takes. */
const ALONE = [
  'packages/**/*.{leak,model}.test.ts',
  'packages/**/*{crash,faults,processes}*.test.ts',
  'packages/**/{disk,hosted,profiling,redis,tiered,tiers,zstd}/**/*.test.ts',
  'packages/granary/src/{admin,cli}/**/*.test.ts',
  'packages/resilience/src/limiter/**/*.test.ts',
  'packages/telemetry/src/{logging,setup,tracing}/**/*.test.ts',
  'packages/blobs/src/contract.test.ts',
];

/** What a run leaves out besides, by spaces: an `--exclude` of the command line reaches no project that has its own. */
const LEFT_OUT = process.env.TESTS_LEFT_OUT?.split(' ') ?? [];

/** The long ones first: what is quick fills the gaps at the end, and each worker keeps what it has loaded. */
class AloneFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isAlone = ({ project }: TestSpecification) => project.name === 'alone';
    return [...sorted.filter(isAlone), ...sorted.filter((file) => !isAlone(file))];
  }
}

/** Processes and threads that sources start run what was built: Node doesn't run sources. */
const builtScripts = {
  name: 'built-scripts',
  enforce: 'pre' as const,
  transform(code: string, file: string) {
    const [, folder] = /\/packages\/[a-z-]+\/src\/(.+\/)?[^/]+\.ts$/.exec(file) ?? [];
    if (folder === undefined || !SCRIPT.test(code)) return undefined;
    const toRoot = '../'.repeat(folder.split('/').length);
    return { code: code.replace(SCRIPT, `new URL('${toRoot}dist/${folder}$1', import.meta.url)`), map: null };
  },
};
const SCRIPT = /new URL\('\.\/([a-z-]+-(?:process|thread)\.js)', import\.meta\.url\)/;

export default defineConfig({
  plugins: [builtScripts],
  resolve: {
    // Tests run on the sources of every package, not on what was built last.
    alias: [
      { find: /^@granary\/([a-z-]+)$/, replacement: source('./packages/$1/src/index.ts') },
      { find: /^@granary\/([a-z-]+)\/([a-z-]+)$/, replacement: source('./packages/$1/src/$2/index.ts') },
      { find: /^granary$/, replacement: source('./packages/granary/src/index.ts') },
    ],
  },
  test: {
    projects: [
      { extends: true, test: { name: 'alone', include: ALONE, exclude: [...configDefaults.exclude, ...LEFT_OUT] } },
      {
        extends: true,
        test: {
          name: 'together',
          include: TESTS,
          exclude: [...configDefaults.exclude, ...ALONE, ...LEFT_OUT],
          // To load what tests import takes longer than most of them: files that follow each other in a worker share it.
          isolate: false,
        },
      },
    ],
    sequence: { sequencer: AloneFirst },
    testTimeout: 30_000,
    // What is made for all tests of a file is more than what one does.
    hookTimeout: 60_000,
    // What fails in CI is tried once more, and the sum of the run names what passed only then: scripts/tally.mjs.
    retry: process.env.CI ? 1 : 0,
    // As long as vi.waitFor takes there.
    expect: { poll: { timeout: 10_000 } },
    setupFiles: source('./vitest.setup.ts'),
    // Most tests wait for disks, sockets and other processes more than they compute.
    maxWorkers: availableParallelism() + 1,
    // Those that run at the same time within a file wait for networks that fail, in as many lanes as this.
    maxConcurrency: 8,
    // Servers that tests start must not fill the cache of whoever runs them.
    env: { NODE_DISABLE_COMPILE_CACHE: '1' },
    coverage: { provider: 'v8', include: ['packages/*/src/**/*.ts'], exclude: ['**/*.test.ts', '**/gen/**'] },
  },
});
