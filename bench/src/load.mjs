// The load, in a process of its own: node load.mjs '{"row": NAME, "grpc": PORT, "http": PORT, "seconds": S, "first": N}'
// or '{"seed": true, …}' to fill a server, or '{"get": PATH, "minBytes": B, "concurrency": C, "http": PORT, "seconds": S}' for
// any other GET. Prints one line of JSON.
import { Agent, get } from 'node:http';
import { largeBlob, smallBlobs } from './corpus.mjs';
import { call, openSession } from './h2-client.mjs';
import { batchUpdate, ROWS, updateActionResult, write } from './requests.mjs';

const job = JSON.parse(process.argv[2]);
console.log(JSON.stringify(await (job.seed ? seed() : measure())));

async function seed() {
  const session = await openSession(job.grpc);
  const blobs = smallBlobs();
  for (let i = 0; i < blobs.length; i += 100) {
    const { path, frames } = batchUpdate(blobs.slice(i, i + 100));
    await call(session, path, frames);
  }
  const large = write(largeBlob(), '00000000-0000-4000-8000-ffffffffffff');
  await call(session, large.path, large.frames);
  const result = updateActionResult();
  await call(session, result.path, result.frames);
  session.close();
  return { seeded: blobs.length + 2 };
}

async function measure() {
  const row = job.get === undefined ? ROWS.find(({ name }) => name === job.row) : getRow(job);
  const operation = row.http ? httpOperation(row) : await grpcOperation(row);
  const { operations } = row;
  if (!operations) await run(operation.once, row.concurrency, { seconds: Math.min(0.5, job.seconds) });
  const done = await run(operation.once, row.concurrency, operations ? { operations } : { seconds: job.seconds });
  operation.close();
  return done;
}

function getRow({ get: path, minBytes, concurrency }) {
  return { name: path, http: () => ({ path }), minBytes, concurrency };
}

async function grpcOperation(row) {
  const session = await openSession(job.grpc);
  const first = job.first ?? 0;
  const requests = Array.from({ length: row.operations ?? 1 }, (_, i) => row.grpc(first + i));
  let next = 0;
  return {
    async once() {
      const { path, frames } = requests[next++ % requests.length];
      const { bytes } = await call(session, path, frames);
      if (bytes < row.minBytes) throw new Error(`${row.name}: an answer of ${bytes} bytes`);
      return bytes;
    },
    close: () => session.close(),
  };
}

function httpOperation(row) {
  const agent = new Agent({ keepAlive: true, maxSockets: row.concurrency });
  const { path } = row.http();
  const once = () =>
    new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port: job.http, path, agent }, (response) => {
        let bytes = 0;
        response.on('data', (chunk) => {
          bytes += chunk.length;
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode === 200 && bytes >= row.minBytes) resolve(bytes);
          else reject(new Error(`${row.name}: status ${response.statusCode} with ${bytes} bytes`));
        });
      }).on('error', reject);
    });
  return { once, close: () => agent.destroy() };
}

/** Runs operations, `concurrency` at a time, for a time or a number. */
async function run(once, concurrency, { seconds = Number.POSITIVE_INFINITY, operations = Number.POSITIVE_INFINITY }) {
  const start = process.hrtime.bigint();
  const elapsed = () => Number(process.hrtime.bigint() - start) / 1e9;
  let begun = 0;
  let done = 0;
  let bytes = 0;
  const worker = async () => {
    while (begun < operations && elapsed() < seconds) {
      begun++;
      bytes += await once();
      done++;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { operations: done, bytes, seconds: elapsed() };
}
