// npm run bench -- memory: what the server holds in memory under load, and what a million blobs cost.
// Prints one line a figure and writes bench/results/memory.json.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { largeBlob } from './src/corpus.mjs';
import { call, openSession } from './src/h2-client.mjs';
import { freePort, runToEnd, startServer } from './src/process.mjs';
import { findMissing, read, write, writeVariant } from './src/requests.mjs';

const MIB = 2 ** 20;
const MANY = Number(process.env.BENCH_BLOBS ?? 1_000_000);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'granary-bench-'));
const figures = {};

try {
  await streams();
  await index();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
mkdirSync(here('results'), { recursive: true });
writeFileSync(here('results/memory.json'), `${JSON.stringify({ node: process.version, figures }, null, 2)}\n`);

/** 64 reads, then 64 writes, then both, of 64 MiB at once. */
async function streams() {
  const server = await startGranary(join(scratch, 'streams'));
  const [session, other] = [await openSession(server.grpc), await openSession(server.grpc)];
  const seeded = write(largeBlob(), 'seed');
  await call(session, seeded.path, seeded.frames);
  const { path, frames } = read(largeBlob());
  const reads = () => Array.from({ length: 64 }, () => call(other, path, frames));
  const writes = (uploads) => uploads.map((upload) => call(session, upload.path, upload.frames));

  server.resetPeak();
  await Promise.all(reads());
  report('peak MiB with 64 reads of 64 MiB at once', server.memory().peak / MIB, 300);
  const first = freshUploads(1);
  server.resetPeak();
  await Promise.all(writes(first));
  report('peak MiB with 64 writes of 64 MiB at once', server.memory().peak / MIB, 300);
  const second = freshUploads(2);
  server.resetPeak();
  await Promise.all([...writes(second), ...reads()]);
  report('peak MiB with 64 reads and 64 writes of 64 MiB at once', server.memory().peak / MIB, 300);
  session.close();
  other.close();
  await server.stop();
}

/** 64 uploads of different blobs. Only what differs has memory of its own, so that the load fits beside the server. */
function freshUploads(round) {
  return Array.from({ length: 64 }, (_, i) => writeVariant(largeBlob(), round * 64 + i));
}

/** An empty server beside one with a million small blobs: memory, and the time until the first answer. */
async function index() {
  const empty = await startGranary(join(scratch, 'empty'));
  await firstAnswer(empty);
  await settle(empty);
  const base = empty.memory();
  await empty.stop();

  const directory = join(scratch, 'many');
  await runToEnd(process.execPath, [here('src/fill.mjs'), directory, String(MANY)]);
  const begun = performance.now();
  const full = await startGranary(directory);
  await firstAnswer(full);
  report(`ms from the start of the process to the first answer with ${MANY} blobs`, performance.now() - begun, 2000);
  await settle(full);
  const { own, now } = full.memory();
  report(`bytes of resident memory per blob with ${MANY} blobs`, (now - base.now) / MANY, 100);
  report(`bytes of the process's own memory per blob with ${MANY} blobs`, (own - base.own) / MANY);
  await full.stop();
}

async function firstAnswer({ grpc }) {
  const session = await openSession(grpc);
  const { path, frames } = findMissing(1);
  await call(session, path, frames);
  session.close();
}

/** Time for the table to load, then the same work for every server, so that their heaps have the same history. */
async function settle({ grpc }) {
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  const job = JSON.stringify({ row: 'FindMissingBlobs 1000', grpc, seconds: 4 });
  await runToEnd(process.execPath, [here('src/load.mjs'), job]);
}

async function startGranary(directory) {
  const [grpc, http] = [await freePort(), await freePort()];
  const args = ['serve', '--listen.grpc', `127.0.0.1:${grpc}`, '--listen.http', `127.0.0.1:${http}`];
  args.push('--listen.admin', '127.0.0.1:0', '--storage.dir', directory, '--telemetry.log_level', 'warning');
  const main = here('../packages/granary/dist/main.js');
  return { grpc, ...(await startServer(process.execPath, [main, ...args], [grpc])) };
}

function report(name, value, atMost) {
  figures[name] = { value, ...(atMost ? { atMost } : {}) };
  console.log(`${name}: ${value.toFixed(1)}${atMost ? ` (at most ${atMost})` : ''}`);
}
