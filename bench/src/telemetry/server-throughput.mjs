// What is left of the throughput with metrics, logs at information and tracing at 1 % on: a server, and a cache chain,
// each beside the same with nobody who watches it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createChain, MemoryLayer } from '@granary/cache';
import { openDiskLayer } from '@granary/cache/disk';
import { createLogger, PrometheusCollector } from '@granary/telemetry';
import { OtlpCollector } from '@granary/telemetry/testing';
import { asFastAs, median } from '../contest.mjs';
import { freePort, runToEnd, startServer } from '../process.mjs';

const AT_LEAST = 0.95;
const SERVER_ROWS = ['FindMissingBlobs 1', 'GetActionResult 20 outputs', 'HTTP GET 4KiB'];
/** So short that the machine is as fast in one turn as in the next. */
const TURN_MS = 100;
const PAIRS = 9;
const WARM_UP_SECONDS = 2;
/** What one request in a hundred needs is compiled sooner when every request needs it: the caller has it traced. */
const TRACED = { traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01` };
const TRACED_SECONDS = 3;
const KEYS = Array.from({ length: 1000 }, (_, i) => `package/newtonsoft.json/13.0.${i}`);

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export const CONTENDERS = {
  'hit in memory': () => memoryHit({}),
  'hit in memory, watched': () => memoryHit(watched()),
  'hit on the disk': () => diskHit({}),
  'hit on the disk, watched': () => diskHit(watched()),
};

export const ROWS = ['hit in memory', 'hit on the disk'].map((name) => ({
  row: `chain, ${name}, awaited: throughput that is left`,
  ...asFastAs(name, `${name}, watched`, AT_LEAST),
}));

/**
 * Two servers are compiled differently from one start to the next, which makes a tenth of a difference: many pairs are
 * started, and rows are medians of them.
 *
 * @param {{ rounds: number, seconds: number }} options  the servers of each row are loaded for so many rounds of so many
 *   seconds, all pairs together
 */
export async function throughputRows({ rounds, seconds }) {
  const pairs = [];
  for (let i = 0; i < PAIRS; i++) pairs.push(await onePair((rounds * seconds) / PAIRS));
  return SERVER_ROWS.map((name, i) => {
    const values = pairs.map((rows) => rows[i].value);
    const byProcessorTime = median(pairs.map((rows) => rows[i].byProcessorTime));
    const row = `${name}: throughput that is left`;
    return { row, unit: '×', atLeast: AT_LEAST, value: median(values), byPair: values, byProcessorTime };
  });
}

async function onePair(seconds) {
  const scratch = mkdtempSync(join(tmpdir(), 'granary-bench-'));
  const collector = await OtlpCollector.start();
  const servers = [];
  try {
    const unwatched = await startUnwatched(join(scratch, 'unwatched'));
    servers.push(unwatched);
    const observed = await startWatched(join(scratch, 'watched'), collector.endpoint);
    servers.push(observed);
    for (const server of servers) await load(server, { seed: true });
    // All of it before the first row, so that this isn't compared while both servers are still being compiled.
    for (const name of SERVER_ROWS) await warmUp(name, servers);
    const rows = [];
    for (const name of SERVER_ROWS) rows.push(await compare(name, unwatched, observed, seconds));
    if (collector.spans.length === 0) throw new Error('no span came: the server was not traced');
    return rows;
  } finally {
    for (const server of servers) await server.stop();
    await collector[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function startUnwatched(folder) {
  const [grpc, http] = [await freePort(), await freePort()];
  const args = [here('../unwatched-server.mjs'), `${grpc}`, `${http}`, folder];
  return { grpc, http, ...(await startServer(process.execPath, args, [grpc, http])) };
}

async function startWatched(folder, endpoint) {
  const [grpc, http, admin] = [await freePort(), await freePort(), await freePort()];
  const args = [here('../../../packages/granary/dist/main.js'), 'serve', '--storage.dir', folder];
  args.push('--listen.grpc', `127.0.0.1:${grpc}`, '--listen.http', `127.0.0.1:${http}`);
  args.push('--listen.admin', `127.0.0.1:${admin}`, '--telemetry.log_level', 'information');
  args.push('--telemetry.tracing_endpoint', endpoint, '--telemetry.tracing_sample_ratio', '0.01');
  return { grpc, http, admin, ...(await startServer(process.execPath, args, [grpc, http, admin])) };
}

async function load({ grpc, http }, job) {
  return JSON.parse(await runToEnd(process.execPath, [here('../load.mjs'), JSON.stringify({ ...job, grpc, http })]));
}

async function warmUp(row, servers) {
  for (const server of servers) await load(server, { row, seconds: TRACED_SECONDS, headers: TRACED });
}

/** Both servers in turns of a tenth of a second; the watched one is scraped meanwhile. */
async function compare(row, unwatched, observed, seconds) {
  const servers = [unwatched, { ...observed, scrape: `http://127.0.0.1:${observed.admin}/metrics` }];
  const inTurns = async (turns) => {
    const job = JSON.stringify({ row, servers, turns, turnMs: TURN_MS });
    return JSON.parse(await runToEnd(process.execPath, [here('../paired-load.mjs'), job]));
  };
  await inTurns((WARM_UP_SECONDS * 1000) / TURN_MS);
  const before = servers.map((server) => server.cpuSeconds());
  const sides = await inTurns((seconds * 1000) / TURN_MS);
  const [unwatchedCpu, observedCpu] = servers.map(
    (server, i) => (server.cpuSeconds() - before[i]) / sides[i].operations.reduce((sum, count) => sum + count, 0),
  );
  const [unwatchedRates, observedRates] = sides.map(({ operations, seconds: taken }) =>
    operations.map((count, turn) => count / taken[turn]),
  );
  return {
    value: median(observedRates.map((rate, turn) => rate / unwatchedRates[turn])),
    // The same by the processor time of the server, with less noise.
    byProcessorTime: unwatchedCpu / observedCpu,
  };
}

/** What a program has on that watches its cache. A chain makes spans only of loads, so hits have none. */
function watched() {
  return { metrics: new PrometheusCollector(), logger: createLogger({ level: 'information', destination: 'stderr' }) };
}

async function memoryHit(options) {
  const chain = createChain({ layers: [new MemoryLayer({ name: 'L1', maxEntries: 10_000 })], ...options });
  for (const key of KEYS) await chain.set(key, { id: key, listed: true });
  return hits(chain);
}

/** Without a layer in memory above, which would have it after the first time. */
async function diskHit(options) {
  const directory = mkdtempSync(join(tmpdir(), 'granary-bench-layer-'));
  const chain = createChain({ layers: [await openDiskLayer({ directory, maxBytes: 64 * 2 ** 20 })], ...options });
  for (const key of KEYS) await chain.set(key, { id: key, listed: true });
  return hits(chain, () => rmSync(directory, { recursive: true, force: true }));
}

function hits(chain, cleanUp = () => {}) {
  let turn = 0;
  const run = async () => {
    turn = (turn + 1) % KEYS.length;
    return chain.get(KEYS[turn]);
  };
  return Object.assign(run, { close: () => chain.close().finally(cleanUp) });
}
