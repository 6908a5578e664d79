// npm test [-- PATTERN …]: everything. Unit, property and contract tests of the packages, then real clients in e2e/.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './run.mjs';
import { ROOT, setUp } from './setup.mjs';
import { readTally, sum, summary } from './tally.mjs';

await setUp('everything');

const patterns = process.argv.slice(2);
const reports = mkdtempSync(join(tmpdir(), 'granary-test-'));
const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
const suites = [
  { title: 'packages', config: 'vitest.config.ts' },
  { title: 'e2e', config: 'vitest.e2e.config.ts' },
];

const tallies = [];
let code = 0;
for (const { title, config } of suites) {
  console.log(`\n── ${title}`);
  const report = join(reports, `${title}.json`);
  const args = ['run', '--config', config, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const ended = await run(title, process.execPath, [vitest, ...args, '--passWithNoTests', ...patterns], { cwd: ROOT });
  tallies.push(readTally(report));
  code ||= ended.code;
}
rmSync(reports, { recursive: true, force: true });

const total = sum(tallies);
console.log(`\n${summary(total)}`);
process.exitCode = code || (total.failures.length ? 1 : 0);
