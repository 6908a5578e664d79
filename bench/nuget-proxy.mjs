// npm run bench -- nuget-proxy [--rounds N --seconds S --parts restores,gets,memory --delay MS]: what restores through the
// feed proxy take, in turn with the same from the feed itself (which answers after a delay), from a server of static files
// and from memory. Each server and each client is a process of its own. Writes bench/results/nuget-proxy.json.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median, report } from './src/contest.mjs';
import { MIB } from './src/corpus.mjs';
import { makePackages } from './src/nuget/packages.mjs';
import { freePort, runToEnd, startServer } from './src/process.mjs';

const DOWNLOADS = 200;
const CONCURRENCY = 32;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    parts: { type: 'string' },
    delay: { type: 'string', default: '0' },
  },
});
const rounds = Number(options.rounds);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'granary-bench-'));
const running = [];
const rows = [];
const figures = {};

const parts = { restores, gets, memory };
try {
  for (const part of options.parts?.split(',') ?? Object.keys(parts)) await parts[part]();
} finally {
  await stopAll();
  rmSync(scratch, { recursive: true, force: true });
}
report('nuget-proxy', rows, { options, figures });

/** 150 packages and their lists of versions, never seen before and then again, in turn with the feed and static files. */
async function restores() {
  const prefixes = Array.from({ length: rounds + 1 }, (_, round) => `Round${round}`);
  const feed = await start('src/nuget/feed.mjs', [options.delay, ...prefixes]);
  const proxy = await startProxy(feed.port);
  const files = join(scratch, 'files');
  mkdirSync(files);
  const measured = [];
  for (const prefix of prefixes) {
    const paths = makePackages(prefix).flatMap(({ id, version }) => {
      const name = id.toLowerCase();
      return [`${name}/index.json`, `${name}/${version}/${name}.${version}.nupkg`];
    });
    const direct = await restore(feed.port, '/flat/', paths);
    const cold = await restore(proxy.port, proxy.flat, paths);
    await save(proxy, paths, files);
    const statics = await start('src/nuget-proxy/static-files.mjs', [files]);
    const beside = [];
    for (let turn = 0; turn < 3; turn++) {
      const fromFiles = await restore(statics.port, '/', paths);
      const warm = await restore(proxy.port, proxy.flat, paths);
      beside.push({ fromFiles, warm });
    }
    await statics.stop();
    measured.push({ direct, cold, beside });
  }
  // The first round only makes the servers' functions hot.
  measured.shift();
  figures.restores = measured;
  await stopAll();
  const warm = measured.flatMap(({ beside }) => beside.map((each) => each.warm.ms / each.fromFiles.ms));
  rows.push(
    row(
      'cold restore of 150 packages, of the time of asking the feed',
      '×',
      median(measured.map(({ direct, cold }) => cold.ms / direct.ms)),
      1.1,
    ),
    row('warm restore of 150 packages, of the time of static files', '×', median(warm), 1),
  );
}

/** One package of 1 MiB, and one list of versions, again and again. */
async function gets() {
  const feed = await start('src/nuget-proxy/large-feed.mjs', []);
  const proxy = await startProxy(feed.port);
  const paths = ['small.1/1.0.0/small.1.1.0.0.nupkg', 'small.1/index.json'].map((path) => proxy.flat + path);
  for (const path of paths) await fetchAll(proxy.port, path);
  const floor = await start('src/nuget-proxy/same-bytes.mjs', [`http://127.0.0.1:${proxy.port}`, ...paths]);
  const rates = paths.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, get] of paths.entries()) {
      const minBytes = i === 0 ? MIB : 20;
      const job = { get, minBytes, concurrency: i === 0 ? 8 : CONCURRENCY, seconds: Number(options.seconds) };
      const one = await load({ ...job, http: floor.port });
      const other = await load({ ...job, http: proxy.port });
      rates[i].push({ floor: one.operations / one.seconds, granary: other.operations / other.seconds });
    }
  }
  figures.gets = rates;
  await stopAll();
  const names = ['GET of a package of 1 MiB', 'GET of a list of versions'];
  for (const [i, name] of names.entries()) {
    const ratio = median(rates[i].map(({ floor, granary }) => granary / floor));
    rows.push({ row: `${name}, of the rate from memory`, unit: '×', value: ratio, atLeast: 0.7 });
  }
}

/** 200 downloads of 20 MiB at once: each another package that was never seen, then the same again. */
async function memory() {
  const feed = await start('src/nuget-proxy/large-feed.mjs', []);
  const proxy = await startProxy(feed.port);
  await fetchAll(proxy.port, `${proxy.flat}small.1/index.json`);
  const paths = Array.from({ length: DOWNLOADS }, (_, i) => `large.${i}/1.0.0/large.${i}.1.0.0.nupkg`);
  for (const name of ['cold', 'warm']) {
    proxy.resetPeak();
    const done = await restore(proxy.port, proxy.flat, paths, DOWNLOADS);
    const peak = proxy.memory().peak / MIB;
    figures[`${name}Downloads`] = { ...done, peak };
    rows.push(row(`peak with ${DOWNLOADS} ${name} downloads of 20 MiB at once`, 'MiB', peak, 250));
  }
  await stopAll();
}

async function restore(port, base, paths, concurrency = CONCURRENCY) {
  const job = { how: 'undici', feed: `http://127.0.0.1:${port}`, urls: paths.map((path) => base + path), concurrency };
  const path = join(scratch, 'job.json');
  writeFileSync(path, JSON.stringify(job));
  return JSON.parse(await runToEnd(process.execPath, [here('src/nuget/restore.mjs'), `@${path}`]));
}

async function load(job) {
  return JSON.parse(await runToEnd(process.execPath, [here('src/load.mjs'), JSON.stringify(job)]));
}

/** Writes what the proxy answers into files, for another server to serve. */
async function save(proxy, paths, folder) {
  for (const path of paths) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, await fetchAll(proxy.port, proxy.flat + path));
  }
}

async function fetchAll(port, path) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { 'accept-encoding': 'identity' } });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

async function start(script, args) {
  const port = await freePort();
  const server = await startServer(process.execPath, [here(script), `${port}`, ...args], [port]);
  running.push(server);
  return { port, ...server };
}

async function startProxy(feedPort) {
  const [grpc, port] = [await freePort(), await freePort()];
  const directory = mkdtempSync(join(scratch, 'store-'));
  const config = join(directory, 'granary.json');
  const sources = [{ name: 'feed', url: `http://127.0.0.1:${feedPort}/index.json` }];
  const listen = { grpc: `127.0.0.1:${grpc}`, http: `127.0.0.1:${port}`, admin: 'none' };
  const telemetry = { log_level: 'warning' };
  writeFileSync(
    config,
    JSON.stringify({ listen, telemetry, storage: { dir: join(directory, 'data') }, nuget: { sources } }),
  );
  const main = here('../packages/granary/dist/main.js');
  const server = await startServer(process.execPath, [main, 'serve', '--config', config], [port]);
  running.push(server);
  const index = JSON.parse(await fetchAll(port, '/nuget/v3/index.json'));
  const flat = index.resources.find((resource) => resource['@type'] === 'PackageBaseAddress/3.0.0')['@id'];
  return { port, flat: new URL(flat).pathname, ...server };
}

async function stopAll() {
  for (const server of running.splice(0)) await server.stop();
}

function row(name, unit, value, atMost) {
  return { row: name, unit, value, atMost };
}
