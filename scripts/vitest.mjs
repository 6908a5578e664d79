import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.mjs';
import { ROOT } from './setup.mjs';
import { readTally, triedAgain } from './tally.mjs';

const VITEST = join(ROOT, 'node_modules/vitest/vitest.mjs');
/** Of ours: they tell of what no test can. */
const REPORTERS = ['scripts/stalled-files.mjs', 'scripts/stray-errors.mjs'].map((file) => join(ROOT, file));

/**
 * Runs tests, and ends those that stand still. In CI the files that failed otherwise than by a test are tried once more, as
 * each test is that fails there.
 *
 * @param {string} title
 * @param {readonly string[]} args of `vitest run`
 * @param {{ node?: string, reports: string, leftOut?: readonly string[] }} options the runtime, the folder for the report
 * that is counted, and globs of what isn't run
 * @returns {Promise<{ code: number, tally: import('./tally.mjs').Tally }>}
 */
export async function runTests(title, args, options) {
  const first = await runOnce(title, args, options);
  const broken = [...first.tally.broken.keys()];
  if (!process.env.CI || broken.length === 0) return first;
  const again = await runOnce(`${title} again`, [...optionsOf(args), ...broken], options);
  const failed = first.strays > 0 || first.tally.failures.length > 0;
  return { code: again.code || (failed ? 1 : 0), tally: triedAgain(first.tally, again.tally) };
}

/** Without the patterns of names of files. */
const optionsOf = (args) => args.filter((arg, i) => arg.startsWith('--') || args[i - 1] === '--config');

async function runOnce(title, args, { node = process.execPath, reports, leftOut = [] }) {
  console.log(`\n── ${title}`);
  const file = join(reports, title.replaceAll(' ', '-'));
  const reporters = ['default', 'json', ...REPORTERS].map((reporter) => `--reporter=${reporter}`);
  const { code } = await run(title, node, [VITEST, 'run', ...reporters, `--outputFile.json=${file}.json`, ...args], {
    cwd: ROOT,
    env: {
      ...process.env,
      STRAY_ERRORS: `${file}.strays`,
      ...(leftOut.length > 0 && { TESTS_LEFT_OUT: leftOut.join(' ') }),
    },
  });
  return { code, tally: readTally(`${file}.json`), strays: readStrays(`${file}.strays`) };
}

/** How many errors belonged to no test; one where the run ended before it could say that. */
function readStrays(file) {
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 1;
}
