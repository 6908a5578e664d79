// What is left of a server's throughput with metrics, logs at information and tracing at 1 % on, beside the same server with
// nobody who watches it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OtlpCollector } from '@granary/telemetry/testing';
import { median } from '../contest.mjs';
import { freePort, runToEnd, startServer } from '../process.mjs';

const AT_LEAST = 0.95;
const SERVER_ROWS = ['FindMissingBlobs 1', 'GetActionResult 20 outputs', 'HTTP GET 4KiB'];
/** So short that the machine is as fast in one turn as in the next: in turns of 100 ms two equal servers differ far more. */
const TURN_MS = 10;
const WARM_UP_SECONDS = 2;
/** What one request in a hundred needs is compiled sooner when one in eight needs it: the caller has it traced. */
const TRACED = { traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01` };
const TRACED_EVERY = 8;
const TRACED_SECONDS = 3;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * Two servers are compiled differently from one start to the next, which makes some hundredths of a difference: several
 * pairs are started, and rows are medians of them.
 *
 * @param {{ rounds: number, seconds: number }} options  so many pairs, one less if that is odd, since which of the two is
 *   started first takes turns; each server is loaded for so many seconds by each row
 */
export async function throughputRows({ rounds, seconds }) {
  const pairs = [];
  for (let i = 0; i < rounds - (rounds % 2); i++) pairs.push(await onePair(seconds, i % 2 === 1));
  return SERVER_ROWS.map((name, i) => {
    const values = pairs.map((rows) => rows[i].value);
    const byProcessorTime = median(pairs.map((rows) => rows[i].byProcessorTime));
    const row = `${name}: throughput that is left`;
    return { row, unit: '×', atLeast: AT_LEAST, value: median(values), byPair: values, byProcessorTime };
  });
}

async function onePair(seconds, isObservedFirst) {
  const scratch = mkdtempSync(join(tmpdir(), 'granary-bench-'));
  const collector = await OtlpCollector.start();
  const servers = [];
  try {
    const startObserved = () => startWatched(join(scratch, 'watched'), collector.endpoint);
    const startOther = () => startUnwatched(join(scratch, 'unwatched'));
    for (const start of isObservedFirst ? [startObserved, startOther] : [startOther, startObserved]) {
      servers.push(await start());
    }
    for (const server of servers) await load(server, { seed: true });
    // All of it before the first row, so that this isn't compared while both servers are still being compiled.
    for (const name of SERVER_ROWS) await warmUp(name, servers);
    const rows = [];
    for (const name of SERVER_ROWS) rows.push(await compare(name, servers, seconds));
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
  for (const server of servers) {
    await load(server, { row, seconds: TRACED_SECONDS, headers: TRACED, headersEvery: TRACED_EVERY });
  }
}

/** Both servers in turns; the watched one is scraped meanwhile. */
async function compare(row, pair, seconds) {
  const servers = pair.map((server) => ({
    ...server,
    scrape: server.admin && `http://127.0.0.1:${server.admin}/metrics`,
  }));
  const inTurns = async (turns) => {
    const job = JSON.stringify({ row, servers, turns, turnMs: TURN_MS });
    return JSON.parse(await runToEnd(process.execPath, [here('../paired-load.mjs'), job]));
  };
  await inTurns((WARM_UP_SECONDS * 1000) / TURN_MS);
  const loaded = await inTurns((seconds * 1000) / TURN_MS);
  const sides = loaded.map(({ operations, seconds: taken, cpu }) => ({
    cpu: sum(cpu) / sum(operations),
    rates: operations.map((count, turn) => count / taken[turn]),
  }));
  const observed = sides[servers.findIndex(({ admin }) => admin)];
  const unwatched = sides[servers.findIndex(({ admin }) => !admin)];
  return {
    // What happens in few turns isn't in their median: garbage that is collected, spans that are sent, scrapes.
    value: median(observed.rates.map((rate, turn) => rate / unwatched.rates[turn])),
    // That is all in here, and nothing that the client takes.
    byProcessorTime: unwatched.cpu / observed.cpu,
  };
}

function sum(numbers) {
  return numbers.reduce((total, each) => total + each, 0);
}
