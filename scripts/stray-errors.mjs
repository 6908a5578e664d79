import { writeFileSync } from 'node:fs';

/** What vitest says of a worker that ended by itself, or was ended. */
const WORKER_ENDED = /^\[vitest-pool\]: Worker \w+ emitted error/;

/**
 * A reporter for vitest that gives errors which belong to no test a line each that starts like those of a summary: a promise
 * that nobody waits for, or a worker that ended. They fail a run whose tests have all passed. How many there are besides the
 * ends of workers, whose files are seen to be unfinished, is written to the file that `STRAY_ERRORS` names.
 */
export default class StrayErrors {
  onTestRunEnd(_modules, errors) {
    for (const { name, message, VITEST_TEST_PATH: file, VITEST_TEST_NAME: test } of errors) {
      const where = [file, test].filter(Boolean).join(' > ') || 'outside of any file';
      const kind = WORKER_ENDED.test(message) ? 'unfinished' : 'failed';
      console.error(`${kind}: ${where}: ${name}: ${`${message}`.split('\n', 1)[0]}`);
    }
    const others = errors.filter(({ message }) => !WORKER_ENDED.test(message));
    if (process.env.STRAY_ERRORS) writeFileSync(process.env.STRAY_ERRORS, `${others.length}`);
  }
}
