// npm test [-- PATTERN …]: everything. Unit, property and contract tests of the packages, then real clients in e2e/.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setUp } from './setup.mjs';
import { sum, summary } from './tally.mjs';
import { runTests } from './vitest.mjs';

await setUp('everything');

const patterns = process.argv.slice(2);
const reports = mkdtempSync(join(tmpdir(), 'granary-test-'));
const suites = [
  { title: 'packages', config: 'vitest.config.ts' },
  { title: 'e2e', config: 'vitest.e2e.config.ts' },
];

const tallies = [];
let code = 0;
for (const { title, config } of suites) {
  const ended = await runTests(title, ['--config', config, '--passWithNoTests', ...patterns], { reports });
  tallies.push(ended.tally);
  code ||= ended.code;
}
rmSync(reports, { recursive: true, force: true });

const total = sum(tallies);
console.log(`\n${summary(total)}`);
process.exitCode = code || (total.failures.length > 0 || total.broken.size > 0 ? 1 : 0);
