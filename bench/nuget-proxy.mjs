// npm run bench -- nuget-proxy [--rounds N --seconds S --parts restores,fetches,gets,memory --clients granary,dotnet
// --delay MS --before N]: what restores through the feed proxy take, in turn with the same from the feed itself (which
// answers after a delay), through a proxy that only passes on, from a server of static files and from memory. Restores are
// those of real clients; fetches are bare requests for the same documents, by a client that does nothing with what it gets.
// Each server and each client is a process of its own. The proxies have brought N times 150 packages before: what has just
// started is slower. Writes bench/results/nuget-proxy.json.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median, report } from './src/contest.mjs';
import { MIB } from './src/corpus.mjs';
import { namePackages } from './src/nuget/packages.mjs';
import { clients, restoreIn } from './src/nuget-proxy/clients.mjs';
import { freePort, runToEnd, startServer } from './src/process.mjs';

const DOWNLOADS = 200;
const CONCURRENCY = 32;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    parts: { type: 'string' },
    clients: { type: 'string', default: Object.keys(clients).join(',') },
    delay: { type: 'string', default: '0' },
    before: { type: 'string', default: '0' },
  },
});
const rounds = Number(options.rounds);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'granary-bench-'));
const running = [];
const rows = [];
const figures = {};

const parts = { restores, fetches, gets, memory };
try {
  for (const part of options.parts?.split(',') ?? Object.keys(parts)) await parts[part]();
} finally {
  await stopAll();
  rmSync(scratch, { recursive: true, force: true });
}
report('nuget-proxy', rows, { options, figures });

/** 150 packages by clients that resolve, verify and extract them: cold and warm, in turn with the feed and static files. */
async function restores() {
  for (const client of options.clients.split(',')) {
    const { missing } = clients[client];
    if (missing === undefined) await restoresOf(client);
    else console.log(`Skipped: restores of ${client}, because ${missing}.`);
  }
}

async function restoresOf(client) {
  const { measured } = await eachRound(async ({ feed, passing, statics, packages, source }) => {
    const restore = (from) => restoreIn(scratch, client, from, packages);
    const direct = await restore(`http://127.0.0.1:${feed.port}/index.json`);
    const passed = await restore(`http://127.0.0.1:${passing.port}/index.json`);
    const cold = await restore(source);
    const files = await statics();
    const fromFiles = await restore(`http://127.0.0.1:${files.port}/index.json`);
    const warm = await restore(source);
    await files.stop();
    return { direct, passed, cold, beside: [{ fromFiles, warm }] };
  });
  figures[client] = measured;
  addRows(`restore by ${client}`, measured);
}

/** The same documents, asked for by bare undici, which throws them away: what the servers cost, and nothing else. */
async function fetches() {
  const { measured } = await eachRound(async ({ feed, passing, proxy, statics, paths }) => {
    const direct = (await fetchPaths(feed.port, '/flat/', paths)).ms;
    const passed = (await fetchPaths(passing.port, '/flat/', paths)).ms;
    const cold = (await fetchPaths(proxy.port, proxy.flat, paths)).ms;
    const beside = [];
    const files = await statics();
    for (let turn = 0; turn < 3; turn++) {
      const fromFiles = (await fetchPaths(files.port, '/flat/', paths)).ms;
      beside.push({ fromFiles, warm: (await fetchPaths(proxy.port, proxy.flat, paths)).ms });
    }
    await files.stop();
    return { direct, passed, cold, beside };
  });
  figures.fetches = measured;
  addRows('bare fetch', measured);
}

/** Packages that nobody has seen, once for each round, and what serves them. The first round only makes everything hot. */
async function eachRound(measure) {
  const prefixes = Array.from({ length: rounds + 1 }, (_, round) => `Round${round}`);
  const before = Array.from({ length: Number(options.before) }, (_, round) => `Before${round}`);
  const feed = await start('src/nuget/feed.mjs', [options.delay, ...before, ...prefixes]);
  const passing = await start('src/nuget-proxy/pass-through.mjs', [`${feed.port}`]);
  const proxy = await startProxy(feed.port);
  const source = `http://127.0.0.1:${proxy.port}/nuget/v3/index.json`;
  for (const paths of before.map((prefix) => pathsOf(namePackages(prefix)))) {
    await fetchPaths(passing.port, '/flat/', paths);
    await fetchPaths(proxy.port, proxy.flat, paths);
  }
  const measured = [];
  for (const prefix of prefixes) {
    const packages = namePackages(prefix);
    const paths = pathsOf(packages);
    const statics = () => startStatic(feed.port, paths, join(scratch, prefix));
    measured.push(await measure({ feed, passing, proxy, statics, packages, paths, source }));
  }
  measured.shift();
  await stopAll();
  return { measured };
}

/** The documents that a restore asks for, below the directory of the packages. */
function pathsOf(packages) {
  return packages.flatMap(({ id, version }) => {
    const name = id.toLowerCase();
    return [`${name}/index.json`, `${name}/${version}/${name}.${version}.nupkg`];
  });
}

function addRows(what, measured) {
  const cold = median(measured.map(({ direct, cold: ms }) => ms / direct));
  const passed = median(measured.map(({ direct, passed: ms }) => ms / direct));
  const warm = median(measured.flatMap(({ beside }) => beside.map((each) => each.warm / each.fromFiles)));
  console.log(`Cold ${what} through a proxy that only passes on: ${passed.toFixed(2)} of the time of asking the feed.`);
  rows.push(
    row(`cold ${what} of 150 packages, of the time of asking the feed`, '×', cold, 1.1),
    row(`warm ${what} of 150 packages, of the time of static files`, '×', warm, 1),
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
    const done = await fetchPaths(proxy.port, proxy.flat, paths, DOWNLOADS);
    const peak = proxy.memory().peak / MIB;
    figures[`${name}Downloads`] = { ...done, peak };
    rows.push(row(`peak with ${DOWNLOADS} ${name} downloads of 20 MiB at once`, 'MiB', peak, 250));
  }
  await stopAll();
}

async function fetchPaths(port, base, paths, concurrency = CONCURRENCY) {
  const job = { how: 'undici', feed: `http://127.0.0.1:${port}`, urls: paths.map((path) => base + path), concurrency };
  const path = join(scratch, 'job.json');
  writeFileSync(path, JSON.stringify(job));
  return JSON.parse(await runToEnd(process.execPath, [here('src/nuget/restore.mjs'), `@${path}`]));
}

async function load(job) {
  return JSON.parse(await runToEnd(process.execPath, [here('src/load.mjs'), JSON.stringify(job)]));
}

/** A server of files with the documents of the feed. */
async function startStatic(feedPort, paths, folder) {
  const port = await freePort();
  for (const path of ['index.json', ...paths.map((each) => `flat/${each}`)]) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    const bytes = await fetchAll(feedPort, `/${path}`);
    // The only document with URLs in it.
    writeFileSync(file, path === 'index.json' ? bytes.toString().replaceAll(`:${feedPort}/`, `:${port}/`) : bytes);
  }
  return start('src/nuget-proxy/static-files.mjs', [folder], port);
}

async function fetchAll(port, path) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { 'accept-encoding': 'identity' } });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

async function start(script, args, port = undefined) {
  port ??= await freePort();
  // The feed makes all of its packages first.
  const options = { timeoutMs: 60_000 + 10_000 * args.length };
  const server = await startServer(process.execPath, [here(script), `${port}`, ...args], [port], options);
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
