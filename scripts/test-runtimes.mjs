// npm run test:runtimes: the packages' tests on the other runtimes that are supported.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './run.mjs';
import { ROOT, setUp } from './setup.mjs';
import { sum, summary } from './tally.mjs';
import { runTests } from './vitest.mjs';

/** Not a workspace: the `node` of these packages would stand in for the user's own in every npm script. */
const RUNTIMES = join(ROOT, 'e2e/runtimes');

await setUp('everything');
if (process.platform === 'linux' && process.arch === 'x64' && !existsSync(join(RUNTIMES, 'node_modules'))) {
  const { code } = await run('install', 'npm', ['ci', '--ignore-scripts', '--loglevel=error'], { cwd: RUNTIMES });
  if (code !== 0) process.exit(code);
}

/** What these are about isn't the runtime but other programs, the network between servers, algorithms, documents, tools. */
const ELSEWHERE = [
  'packages/**/*.leak.test.ts',
  'packages/**/*.model.test.ts',
  'packages/blobs/src/{http,redis,remote,s3,tiered}/**',
  'packages/cache/**',
  'packages/granary/src/{cli/nuget,nuget,tiers}/**',
  'packages/nuget/**',
  'packages/nuget-proxy/**',
  'packages/resilience/**',
  'scripts/!(documentation-examples).test.mjs',
];

const reports = mkdtempSync(join(tmpdir(), 'granary-runtimes-'));
const tallies = [];
let code = 0;
for (const version of [22, 24]) {
  const node = join(RUNTIMES, `node_modules/node-${version}/bin/node`);
  if (!existsSync(node)) {
    console.log(`Skipped: Node ${version}, because its package has no binary for ${process.platform}-${process.arch}.`);
    tallies.push({ passed: 0, failures: [], unsteady: [], skipped: 1, broken: new Map() });
    continue;
  }
  const ended = await runTests(`Node ${version}`, process.argv.slice(2), { node, reports, leftOut: ELSEWHERE });
  tallies.push(ended.tally);
  code ||= ended.code;
}
rmSync(reports, { recursive: true, force: true });

const total = sum(tallies);
console.log(`\n${summary(total)}`);
process.exitCode = code || (total.failures.length > 0 || total.broken.size > 0 ? 1 : 0);
