// npm run bench -- nuget [--rounds N] [--concurrency C] [--delay MS]: resolves and downloads 150 packages from a local feed,
// in turn with bare undici fetching the same URLs; then the same from the cache. The feed and each run are processes of
// their own. Writes bench/results/nuget.json.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median, report } from './src/contest.mjs';
import { MIB } from './src/corpus.mjs';
import { COUNT, ROOTS } from './src/nuget/packages.mjs';
import { freePort, runToEnd, startServer } from './src/process.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    concurrency: { type: 'string', default: '32' },
    delay: { type: 'string', default: '0' },
  },
});
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const concurrency = Number(options.concurrency);
const scratch = mkdtempSync(join(tmpdir(), 'granary-bench-'));
const port = await freePort();
const feed = `http://127.0.0.1:${port}`;
const server = await startServer(process.execPath, [here('src/nuget/feed.mjs'), `${port}`, options.delay], [port]);
const measured = [];
try {
  // What is written goes at the end: a file system may take ten times as long to make files just after many were removed.
  for (let round = 0; round < Number(options.rounds); round++) {
    const cacheDir = join(scratch, `${round}`);
    const cold = await restore({ how: 'granary', cacheDir, roots: ROOTS });
    const urls = await requests();
    const bare = await restore({ how: 'undici', urls });
    const folder = join(scratch, `bare-${round}`);
    mkdirSync(folder);
    const kept = await restore({ how: 'undici', urls, folder });
    await requests();
    const warm = await restore({ how: 'granary', cacheDir, roots: ROOTS });
    const again = (await requests()).length;
    if (cold.packages !== COUNT || warm.packages !== COUNT) throw new Error(`${cold.packages} of ${COUNT} packages`);
    measured.push({ cold, bare, kept, warm, again, requests: urls.length });
  }
} finally {
  await server.stop();
  rmSync(scratch, { recursive: true, force: true });
}

const middle = (of) => median(measured.map(of));
const rows = [
  row(
    'resolve and download 150 packages, of bare undici',
    '×',
    middle(({ cold, bare }) => cold.ms / bare.ms),
    1.3,
  ),
  row('peak of memory', 'MiB', middle(({ cold }) => cold.peakBytes) / MIB, 150),
  row('requests of the second run', '', Math.max(...measured.map(({ again }) => again)), 0),
];
const figures = {
  coldMs: middle(({ cold }) => cold.ms),
  coldCpuMs: middle(({ cold }) => cold.cpuMs),
  bareMs: middle(({ bare }) => bare.ms),
  bareCpuMs: middle(({ bare }) => bare.cpuMs),
  keptMs: middle(({ kept }) => kept.ms),
  keptCpuMs: middle(({ kept }) => kept.cpuMs),
  barePeakMiB: middle(({ bare }) => bare.peakBytes) / MIB,
  warmMs: middle(({ warm }) => warm.ms),
  requests: middle((each) => each.requests),
};
console.table([figures]);
report('nuget', rows, { options, figures, measured });

async function restore(job) {
  const text = JSON.stringify({ feed, concurrency, ...job });
  return JSON.parse(await runToEnd(process.execPath, [here('src/nuget/restore.mjs'), text]));
}

async function requests() {
  return (await fetch(`${feed}/requests`)).json();
}

function row(name, unit, value, atMost) {
  return { row: name, unit, value, atMost };
}
