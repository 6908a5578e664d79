// A cache on the other side of a line: it has every blob that it is told of, and delivers them all together at so many
// bytes a second. node throttled-peer.mjs GRPC_PORT COUNTS_PORT BYTES_PER_SECOND BLOBS_FILE
// GET / on the second port says how often each method was called.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import * as wire from '../../../packages/reapi/dist/wire/index.js';
import { BLOCK_BYTES, block, firstBlock } from './patterned.mjs';

const [grpcPort, countsPort, rate] = process.argv.slice(2, 5).map(Number);
const blobs = new Map(JSON.parse(readFileSync(process.argv[5], 'utf8')).map((each) => [each.hash, each]));
const bytesPerMs = rate > 0 ? rate / 1000 : Number.POSITIVE_INFINITY;

const counts = { FindMissingBlobs: 0, Read: 0 };
const whole = wire.copyReadResponse(block());
const nothingMissing = Buffer.alloc(0);
let lineFreeAt = 0;

async function deliver(call) {
  counts.Read++;
  const [, hash] = call.request.resourceName.match(/blobs\/([0-9a-f]{64})\/\d+$/) ?? [];
  const blob = blobs.get(hash);
  if (!blob) return call.emit('error', { code: grpc.status.NOT_FOUND, details: hash });
  const first = wire.copyReadResponse(firstBlock(blob.n));
  for (let at = 0; at < blob.sizeBytes && !call.cancelled; at += BLOCK_BYTES) {
    const now = performance.now();
    lineFreeAt = Math.max(lineFreeAt, now) + BLOCK_BYTES / bytesPerMs;
    if (lineFreeAt - now > 4) await delay(lineFreeAt - now);
    if (!call.write(at === 0 ? first : whole)) await drained(call);
  }
  call.end();
}

function drained(call) {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of ['drain', 'cancelled', 'close']) call.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'cancelled', 'close']) call.on(event, done);
  });
}

const asIs = (bytes) => bytes;
const method = (path, requestDeserialize, responseStream) => ({
  path,
  requestStream: false,
  responseStream,
  requestDeserialize,
  responseSerialize: asIs,
  requestSerialize: asIs,
  responseDeserialize: asIs,
});
const server = new grpc.Server({ 'grpc.max_concurrent_streams': 1000 });
server.addService(
  {
    FindMissingBlobs: method(
      '/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs',
      wire.decodeFindMissingBlobsRequest,
      false,
    ),
    Read: method('/google.bytestream.ByteStream/Read', wire.decodeReadRequest, true),
  },
  {
    FindMissingBlobs: (_call, done) => {
      counts.FindMissingBlobs++;
      done(null, nothingMissing);
    },
    Read: deliver,
  },
);
server.bindAsync(`127.0.0.1:${grpcPort}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
createServer((_request, response) => response.end(JSON.stringify(counts))).listen(countsPort, '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
