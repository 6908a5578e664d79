// The load, in a process of its own: node load.mjs '{"row": NAME, "grpc": PORT, "http": PORT, "seconds": S, "first": N}'
// ("headers" go with every request, or with one in "headersEvery"), or '{"seed": true, …}' to fill a server, or
// '{"get": PATH, "minBytes": B, "concurrency": C, "http": PORT, "seconds": S}' for any other GET. Prints one line of JSON.
import { largeBlob, smallBlobs } from './corpus.mjs';
import { call, openSession } from './h2-client.mjs';
import { openOperation, run } from './operations.mjs';
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
  const operation = await openOperation(row, job);
  const { operations } = row;
  if (!operations) await run(operation.once, row.concurrency, { seconds: Math.min(0.5, job.seconds) });
  const done = await run(operation.once, row.concurrency, operations ? { operations } : { seconds: job.seconds });
  operation.close();
  return done;
}

function getRow({ get: path, minBytes, concurrency }) {
  return { name: path, http: () => ({ path }), minBytes, concurrency };
}
