// npm run bench -- tiers [--rounds N --parts oneReader,memory]: what it costs to stand in front of another cache. The other cache is a process
// that delivers 100 MB/s; what is measured takes turns with asking it directly, or with a server without tiers.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median, report } from './src/contest.mjs';
import { MIB } from './src/corpus.mjs';
import { openSession } from './src/h2-client.mjs';
import { freePort, runToEnd, startServer } from './src/process.mjs';
import { patterned } from './src/tiers/patterned.mjs';
import { timedRead } from './src/tiers/timed-read.mjs';

const RATE = 100e6;
const READERS = 32;
const COLD = 64;

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, parts: { type: 'string' } },
});
const rounds = Number(options.rounds);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'granary-bench-'));
const running = [];
const rows = [];
const figures = {};
let next = 0;

const parts = { oneReader, manyReaders, existence, blackHole, memory };
try {
  for (const part of options.parts?.split(',') ?? Object.keys(parts)) await parts[part]();
} finally {
  await stopAll();
  rmSync(scratch, { recursive: true, force: true });
}
report('tiers', rows, { rounds, figures });

/** A blob of 256 MiB through a tier, in turn with asking the tier directly. */
async function oneReader() {
  const blobs = Array.from({ length: rounds + 1 }, () => patterned(++next, 256 * MIB));
  const peer = await startPeer(RATE, blobs);
  const front = await startGranary([peer]);
  const [direct, through] = [await openSession(peer.grpc), await openSession(front.grpc)];
  await timedRead(through, blobs[rounds]);
  const measured = [];
  for (let round = 0; round < rounds; round++) {
    const asked = await timedRead(direct, blobs[round]);
    const passed = await timedRead(through, blobs[round]);
    measured.push({ later: passed.firstMs - asked.firstMs, ratio: passed.totalMs / asked.totalMs, asked, passed });
  }
  figures.oneReader = measured;
  for (const session of [direct, through]) session.close();
  await stopAll();
  rows.push(
    row("first byte of 256 MiB, after the tier's own", 'ms', median(measured.map(({ later }) => later)), 50),
    row('total time, of asking the tier directly', '×', median(measured.map(({ ratio }) => ratio)), 1.05),
  );
}

/** Many who ask for one cold blob, at a rate at which the line and not the processor is the limit, and at the full one. */
async function manyReaders() {
  for (const rate of [RATE / 10, RATE]) {
    const size = (64 * MIB * rate) / RATE < 16 * MIB ? 16 * MIB : 64 * MIB;
    const blobs = Array.from({ length: rounds }, () => patterned(++next, size));
    const peer = await startPeer(rate, blobs);
    const front = await startGranary([peer]);
    const direct = await openSession(peer.grpc);
    const measured = [];
    for (const blob of blobs) {
      const alone = await timedRead(direct, blob);
      const before = await peer.counts();
      const cold = await readTogether(front, blob);
      const fetches = (await peer.counts()).Read - before.Read;
      const warm = await readTogether(front, blob);
      measured.push({ alone: alone.totalMs, cold, warm, fetches });
    }
    direct.close();
    await stopAll();
    const name = `${READERS} cold readers at ${rate / 1e6} MB/s`;
    figures[name] = measured;
    rows.push(
      row(`${name}: upstream fetches`, '', Math.max(...measured.map(({ fetches }) => fetches)), 1),
      row(
        `${name}: slowest of the fastest`,
        '×',
        median(measured.map(({ cold }) => cold.slowest / cold.fastest)),
        1.05,
      ),
      row(
        `${name}: slowest, of one directly`,
        '×',
        median(measured.map(({ cold, alone }) => cold.slowest / alone)),
        1.05,
      ),
      row(`${name}: slowest, of the same warm or one directly`, '×', median(measured.map(ofTheLonger)), 1.05),
    );
  }
}

/** Nobody can be faster than the line, nor than the same readers when everything is here. */
function ofTheLonger({ cold, warm, alone }) {
  return cold.slowest / Math.max(warm.slowest, alone);
}

async function readTogether(server, blob) {
  const sessions = await Promise.all(Array.from({ length: 4 }, () => openSession(server.grpc)));
  const reads = Array.from({ length: READERS }, (_, i) => timedRead(sessions[i % sessions.length], blob));
  const times = (await Promise.all(reads)).map(({ totalMs }) => totalMs);
  for (const session of sessions) session.close();
  return { fastest: Math.min(...times), slowest: Math.max(...times) };
}

/** FindMissingBlobs of 1000 digests that two tiers are known to have, in turn with a server that has them itself. */
async function existence() {
  const peers = [await startPeer(RATE, []), await startPeer(RATE, [])];
  const [local, front] = [await startGranary([]), await startGranary(peers)];
  await load(local, { seed: true });
  await load(front, { row: 'FindMissingBlobs 1000', seconds: 0.5 });
  const calls = async () =>
    (await Promise.all(peers.map((peer) => peer.counts()))).map((each) => each.FindMissingBlobs);
  const before = await calls();
  const measured = [];
  await inTurns([local, front], 'FindMissingBlobs 1000', 1);
  for (let round = 0; round < rounds; round++) {
    const [here, there] = await inTurns([local, front], 'FindMissingBlobs 1000', 4);
    const rate = median(there.rates.map((each, turn) => each / here.rates[turn]));
    measured.push({ here, there, rate, cpu: here.cpuMicros / there.cpuMicros });
  }
  const after = await calls();
  figures.existence = { measured, before, after };
  await stopAll();
  const ofLocal = (what, name) => ({
    row: name,
    unit: '×',
    value: median(measured.map((each) => each[what])),
    atLeast: 0.8,
  });
  rows.push(
    ofLocal('rate', 'FindMissingBlobs of 1000 known, of the local rate'),
    ofLocal('cpu', 'the same, by processor time'),
    row(
      'calls to the tiers meanwhile',
      '',
      after.reduce((sum, count, i) => sum + count - before[i], 0),
      0,
    ),
  );
}

/** Reads of what is here while others ask for what isn't: the tier healthy and silent in turn. */
async function blackHole() {
  const peer = await startPeer(RATE, []);
  const front = await startGranary([peer]);
  await load(front, { seed: true });
  const session = await openSession(front.grpc);
  const measured = [];
  for (let round = 0; round < rounds; round++) {
    const rates = {};
    for (const state of round % 2 ? ['silent', 'healthy'] : ['healthy', 'silent']) {
      if (state === 'silent') process.kill(peer.pid, 'SIGSTOP');
      const cold = setInterval(() => {
        const hash = randomBytes(32).toString('hex');
        timedRead(session, { hash, sizeBytes: MIB }).catch(() => {});
      }, 20);
      rates[state] = rateOf(await load(front, { row: 'BatchReadBlobs 10x4KiB', seconds: 2 }));
      clearInterval(cold);
      if (state === 'silent') process.kill(peer.pid, 'SIGCONT');
    }
    measured.push(rates.silent / rates.healthy);
  }
  figures.blackHole = measured;
  session.destroy();
  await stopAll();
  rows.push({
    row: 'local reads with a silent tier, of those with a healthy one',
    unit: '×',
    value: median(measured),
    atLeast: 0.95,
  });
}

/** Different blobs of 64 MiB, all cold and all at once. */
async function memory() {
  const blobs = Array.from({ length: COLD }, () => patterned(++next, 64 * MIB));
  const peer = await startPeer(0, blobs);
  const front = await startGranary([peer]);
  const session = await openSession(front.grpc);
  front.resetPeak();
  await Promise.all(blobs.map((blob) => timedRead(session, blob)));
  const { peak, own } = front.memory();
  figures.memory = { peak, own };
  session.close();
  await stopAll();
  rows.push(row(`peak with ${COLD} cold reads of 64 MiB at once`, 'MiB', peak / MIB, 300));
}

function row(name, unit, value, atMost) {
  return { row: name, unit, value, atMost };
}

function rateOf({ operations, seconds }) {
  return operations / seconds;
}

/** The same load on several servers in turns that are too short for the machine to change its speed. */
async function inTurns(servers, rowName, seconds) {
  const turnMs = 100;
  const turns = (seconds * 1000) / turnMs / servers.length;
  const job = { row: rowName, servers: servers.map(({ grpc }) => ({ grpc })), turns, turnMs };
  const before = servers.map((server) => server.cpuSeconds());
  const sides = JSON.parse(await runToEnd(process.execPath, [here('src/paired-load.mjs'), JSON.stringify(job)]));
  return sides.map(({ operations, seconds }, i) => ({
    rates: operations.map((count, turn) => count / seconds[turn]),
    cpuMicros: ((servers[i].cpuSeconds() - before[i]) * 1e6) / operations.reduce((sum, count) => sum + count, 0),
  }));
}

async function load({ grpc }, job) {
  return JSON.parse(await runToEnd(process.execPath, [here('src/load.mjs'), JSON.stringify({ ...job, grpc })]));
}

async function startPeer(rate, blobs) {
  const [grpc, http] = [await freePort(), await freePort()];
  const file = join(scratch, `blobs-${grpc}.json`);
  writeFileSync(file, JSON.stringify(blobs));
  const args = [here('src/tiers/throttled-peer.mjs'), `${grpc}`, `${http}`, `${rate}`, file];
  const server = await startServer(process.execPath, args, [grpc, http]);
  running.push(server);
  return { grpc, ...server, counts: async () => (await fetch(`http://127.0.0.1:${http}/`)).json() };
}

async function startGranary(peers) {
  const grpc = await freePort();
  const tiers = peers.map((peer, i) => ({ type: 'grpc', name: `tier${i}`, target: `127.0.0.1:${peer.grpc}` }));
  const args = ['serve', '--listen.grpc', `127.0.0.1:${grpc}`, '--listen.http', '127.0.0.1:0'];
  args.push('--listen.admin', '127.0.0.1:0', '--storage.dir', join(scratch, `granary-${grpc}`));
  args.push('--telemetry.log_level', 'error', '--tiers', JSON.stringify(tiers));
  const main = here('../packages/granary/dist/main.js');
  const server = await startServer(process.execPath, [main, ...args], [grpc]);
  running.push(server);
  return { grpc, ...server };
}

/** Those in front before those behind them. */
async function stopAll() {
  for (const server of running.splice(0).reverse()) await server.stop();
}
