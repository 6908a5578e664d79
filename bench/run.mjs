// npm run bench [-- --rows PATTERN --rounds N --seconds S]: every row against the floor in short turns, or round by
// round, so that a drift of the machine's speed hits both alike. Prints a table and writes bench/results/cache.json.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startBazelRemote } from './peers/bazel-remote.mjs';
import { MIB } from './src/corpus.mjs';
import { freePort, runToEnd, startServer } from './src/process.mjs';
import { ROWS } from './src/requests.mjs';

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    durability: { type: 'string', default: 'data' },
  },
});
const rounds = Number(options.rounds);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const rows = ROWS.filter(({ name }) => name.toLowerCase().includes(options.rows.toLowerCase()));
const scratch = mkdtempSync(join(tmpdir(), 'granary-bench-'));

const servers = [];
/** Uploads so far: each takes content that no server has. */
let fresh = 0;
try {
  const floor = await startFloor();
  const granary = await startGranary();
  const peer = await startBazelRemote(join(scratch, 'bazel-remote'));
  if (typeof peer === 'string') console.log(`bazel-remote is left out: ${peer}\n`);
  const contenders = [floor, granary, ...(typeof peer === 'string' ? [] : [peer])];
  servers.push(...contenders);
  for (const server of contenders.slice(1)) await load(server, { seed: true });

  const report = [];
  for (const row of rows) report.push(await measureRow(row, contenders));
  print(report, contenders);
  mkdirSync(here('results'), { recursive: true });
  writeFileSync(here('results/cache.json'), `${JSON.stringify({ node: process.version, rounds, report }, null, 2)}\n`);
} finally {
  for (const server of servers) await server.stop();
  rmSync(scratch, { recursive: true, force: true });
}

async function startFloor() {
  const [grpc, http] = [await freePort(), await freePort()];
  const server = await startServer(process.execPath, [here('src/floor.mjs'), `${grpc}`, `${http}`], [grpc, http]);
  return { name: 'floor', grpc, http, ...server };
}

async function startGranary() {
  const [grpc, http] = [await freePort(), await freePort()];
  const args = ['serve', '--listen.grpc', `127.0.0.1:${grpc}`, '--listen.http', `127.0.0.1:${http}`];
  args.push('--listen.admin', '127.0.0.1:0', '--storage.dir', join(scratch, 'granary'));
  args.push('--storage.durability', options.durability, '--telemetry.log_level', 'warning');
  const main = here('../packages/granary/dist/main.js');
  return { name: 'granary', grpc, http, ...(await startServer(process.execPath, [main, ...args], [grpc, http])) };
}

async function load({ grpc, http }, job) {
  return JSON.parse(await runToEnd(process.execPath, [here('src/load.mjs'), JSON.stringify({ ...job, grpc, http })]));
}

async function measureRow(row, contenders) {
  const samples = row.operations ? await uploadsInRounds(row, contenders) : await inShortTurns(row, contenders);
  const figures = Object.fromEntries(
    contenders.map(({ name }) => {
      const pick = (field) => median(samples.get(name).map((each) => each[field]));
      return [name, { rate: pick('rate'), bytesPerSecond: pick('bytes'), cpuMicros: pick('cpuMicros') }];
    }),
  );
  const ratio = (over) => median(samples.get('granary').map(({ rate }, i) => rate / samples.get(over)[i].rate));
  return {
    row: row.name,
    atLeast: row.atLeast,
    ofFloor: ratio('floor'),
    ...(figures['bazel-remote'] ? { ofBazelRemote: ratio('bazel-remote') } : {}),
    figures,
  };
}

/** Each upload takes content of its own, which is made before the time begins: one process for each round. */
async function uploadsInRounds(row, contenders) {
  const samples = new Map(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const server of round % 2 ? contenders.toReversed() : contenders) {
      const before = server.cpuSeconds();
      const done = await load(server, { row: row.name, first: fresh });
      fresh += row.operations;
      samples.get(server.name).push({
        rate: done.operations / done.seconds,
        bytes: done.bytes / done.seconds,
        cpuMicros: ((server.cpuSeconds() - before) / done.operations) * 1e6,
      });
    }
  }
  return samples;
}

/** All servers from one process, in turns that are too short for the machine to change its speed. */
async function inShortTurns(row, contenders) {
  // Long beside one operation.
  const turnMs = row.minBytes >= MIB ? 1000 : 100;
  const inTurns = async (milliseconds) => {
    const servers = contenders.map(({ grpc, http }) => ({ grpc, http }));
    const turns = Math.max(Math.round(milliseconds / turnMs), 3);
    const job = JSON.stringify({ row: row.name, servers, turns, turnMs });
    return JSON.parse(await runToEnd(process.execPath, [here('src/paired-load.mjs'), job]));
  };
  await inTurns(1000);
  const before = contenders.map((server) => server.cpuSeconds());
  const sides = await inTurns(rounds * Number(options.seconds) * 1000);
  return new Map(
    contenders.map((server, i) => {
      const { operations, seconds, bytes } = sides[i];
      const cpuMicros = ((server.cpuSeconds() - before[i]) / operations.reduce((sum, count) => sum + count, 0)) * 1e6;
      const turns = operations.map((count, turn) => ({
        rate: count / seconds[turn],
        bytes: bytes[turn] / seconds[turn],
        cpuMicros,
      }));
      return [server.name, turns];
    }),
  );
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function print(report, contenders) {
  const columns = report.map(({ row, atLeast, ofFloor, ofBazelRemote, figures }) => ({
    row,
    ...Object.fromEntries(contenders.map(({ name }) => [`${name} /s`, Math.round(figures[name].rate)])),
    'of floor': ofFloor.toFixed(2),
    wanted: atLeast || '',
    'server µs (floor)': Math.round(figures.floor.cpuMicros),
    'server µs (granary)': Math.round(figures.granary.cpuMicros),
    ...(ofBazelRemote ? { 'of bazel-remote': ofBazelRemote.toFixed(2) } : {}),
  }));
  console.table(columns);
  for (const { name, memory } of contenders) console.log(`${name}: peak of ${Math.round(memory().peak / 2 ** 20)} MiB`);
}
