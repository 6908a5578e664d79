/**
 * A reporter for vitest that gives errors which belong to no test a line each that starts like those of a summary: a promise
 * that nobody waits for, or a worker that ended. They fail a run whose tests have all passed.
 */
export default class StrayErrors {
  onTestRunEnd(_modules, errors) {
    for (const { name, message, VITEST_TEST_PATH: file, VITEST_TEST_NAME: test } of errors) {
      const where = [file, test].filter(Boolean).join(' > ') || 'outside of any file';
      console.error(`failed: ${where}: ${name}: ${`${message}`.split('\n', 1)[0]}`);
    }
  }
}
