// npm run bench -- start: the time from `npm start` in a clone where everything is installed and built until the server
// serves. Prints each run and the median, and writes bench/results/start.json.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const RUNS = 5;
const AT_MOST_MS = 2000;
const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'granary-bench-'));

const times = [];
try {
  await start();
  for (let run = 0; run < RUNS; run++) {
    const ms = await start();
    console.log(`${ms.toFixed(0)} ms`);
    times.push(ms);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
const median = times.toSorted((a, b) => a - b)[RUNS >> 1];
console.log(`median ${median.toFixed(0)} ms (at most ${AT_MOST_MS})`);
mkdirSync(join(root, 'bench/results'), { recursive: true });
writeFileSync(join(root, 'bench/results/start.json'), `${JSON.stringify({ node: process.version, times, median })}\n`);

async function start() {
  const listen = ['grpc', 'http', 'admin'].flatMap((name) => [`--listen.${name}`, '127.0.0.1:0']);
  const begun = performance.now();
  const child = spawn('npm', ['start', '--silent', '--', '--storage.dir', join(scratch, 'store'), ...listen], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  const ended = once(child, 'exit');
  let said = '';
  for await (const chunk of child.stdout) {
    said += chunk;
    if (said.includes('--remote_cache=http:')) break;
  }
  const ms = performance.now() - begun;
  // The server runs below npm: the signal goes to the group that was started here.
  process.kill(-child.pid, 'SIGTERM');
  await ended;
  return ms;
}
