import { join } from 'node:path';
import { run } from './run.mjs';
import { ROOT } from './setup.mjs';
import { readTally } from './tally.mjs';

const VITEST = join(ROOT, 'node_modules/vitest/vitest.mjs');
const STALLED_FILES = join(ROOT, 'scripts/stalled-files.mjs');

/**
 * Runs tests, and ends those that stand still.
 *
 * @param {string} title
 * @param {readonly string[]} args of `vitest run`
 * @param {{ node?: string, reports: string, leftOut?: readonly string[] }} options the runtime, the folder for the report
 * that is counted, and globs of what isn't run
 * @returns {Promise<{ code: number, tally: import('./tally.mjs').Tally }>}
 */
export async function runTests(title, args, { node = process.execPath, reports, leftOut = [] }) {
  console.log(`\n── ${title}`);
  const report = join(reports, `${title.replaceAll(' ', '-')}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--reporter=${STALLED_FILES}`];
  const { code } = await run(title, node, [VITEST, 'run', ...reporters, `--outputFile.json=${report}`, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...(leftOut.length > 0 && { TESTS_LEFT_OUT: leftOut.join(' ') }) },
  });
  return { code, tally: readTally(report) };
}
