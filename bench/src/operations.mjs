// One operation of a row against one server, again and again: what every load consists of.
import { Agent, get } from 'node:http';
import { call, openSession } from './h2-client.mjs';

/**
 * Opens what the row's operations need, and makes their requests.
 *
 * @param {import('./requests.mjs').Row} row
 * @param {{ grpc?: number, http?: number, first?: number, headers?: object, headersEvery?: number }} target  ports, the
 *   number of the first upload, and headers for one request in so many, by default for each
 * @returns {Promise<{ once: () => Promise<number>, close: () => void }>} `once` answers with the bytes that came
 */
export function openOperation(row, target) {
  return row.http ? httpOperation(row, target) : grpcOperation(row, target);
}

async function grpcOperation(row, { grpc, first = 0, headers, headersEvery = 1 }) {
  const session = await openSession(grpc);
  const requests = Array.from({ length: row.operations ?? 1 }, (_, i) => row.grpc(first + i));
  let next = 0;
  return {
    async once() {
      const { path, frames } = requests[next % requests.length];
      const options = { headers: next++ % headersEvery ? undefined : headers };
      const { bytes } = await call(session, path, frames, options);
      if (bytes < row.minBytes) throw new Error(`${row.name}: an answer of ${bytes} bytes`);
      return bytes;
    },
    close: () => session.close(),
  };
}

async function httpOperation(row, { http, headers, headersEvery = 1 }) {
  const agent = new Agent({ keepAlive: true, maxSockets: row.concurrency });
  const { path } = row.http();
  let next = 0;
  const once = () =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: http, path, agent };
      get(next++ % headersEvery ? options : { ...options, headers }, (response) => {
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
export async function run(
  once,
  concurrency,
  { seconds = Number.POSITIVE_INFINITY, operations = Number.POSITIVE_INFINITY },
) {
  const start = process.hrtime.bigint();
  const elapsed = () => Number(process.hrtime.bigint() - start) / 1e9;
  let begun = 0;
  let done = 0;
  let bytes = 0;
  const worker = async () => {
    while (begun < operations && elapsed() < seconds) {
      begun++;
      const received = await once();
      bytes += received;
      done++;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { operations: done, bytes, seconds: elapsed() };
}
