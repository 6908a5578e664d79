import { join } from 'node:path';
import { run } from './run.mjs';
import { ROOT } from './setup.mjs';
import { readTally } from './tally.mjs';

const VITEST = join(ROOT, 'node_modules/vitest/vitest.mjs');
/** Of ours: they tell of what no test can. */
const REPORTERS = ['scripts/stalled-files.mjs', 'scripts/stray-errors.mjs'].map((file) => join(ROOT, file));

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
  const reporters = ['default', 'json', ...REPORTERS].map((reporter) => `--reporter=${reporter}`);
  const { code } = await run(title, node, [VITEST, 'run', ...reporters, `--outputFile.json=${report}`, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...(leftOut.length > 0 && { TESTS_LEFT_OUT: leftOut.join(' ') }) },
  });
  return { code, tally: readTally(report) };
}
