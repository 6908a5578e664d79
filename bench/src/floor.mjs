// The floor: the same transports with no store behind them. It decodes every request with the same codecs and answers
// the same bytes from memory; an upload is hashed, since no cache may skip that.
// node floor.mjs GRPC_PORT HTTP_PORT
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import * as grpc from '@grpc/grpc-js';
import { listenGrpc } from '../../packages/granary/dist/server/listening/grpc-listener.js';
import * as wire from '../../packages/reapi/dist/wire/index.js';
import { KIB, largeBlob, MIB, smallBlobs } from './corpus.mjs';
import { expectedAnswers } from './requests.mjs';

const FRAME_BYTES = 256 * KIB;
const [grpcPort, httpPort] = process.argv.slice(2).map(Number);

const asIs = (bytes) => bytes;
const method = (path, requestDeserialize, { requestStream = false, responseStream = false } = {}) => ({
  path,
  requestStream,
  responseStream,
  requestDeserialize,
  responseSerialize: asIs,
  requestSerialize: asIs,
  responseDeserialize: asIs,
});

const CAS = '/build.bazel.remote.execution.v2.ContentAddressableStorage';
const AC = '/build.bazel.remote.execution.v2.ActionCache';
const STREAM = '/google.bytestream.ByteStream';

const answers = expectedAnswers();
const nothingMissing = Buffer.alloc(0);
const batchReads = new Map([10, 100].map((count) => [count, answers.batchRead(count)]));
const batchUpdated = answers.batchUpdate(100);
const frames = readFrames(largeBlob().data);

const server = new grpc.Server({
  'grpc.max_receive_message_length': 4 * MIB,
  'grpc.max_send_message_length': 4 * MIB,
  'grpc.max_concurrent_streams': 1000,
});
server.addService(
  {
    FindMissingBlobs: method(`${CAS}/FindMissingBlobs`, wire.decodeFindMissingBlobsRequest),
    BatchReadBlobs: method(`${CAS}/BatchReadBlobs`, wire.decodeBatchReadBlobsRequest),
    BatchUpdateBlobs: method(`${CAS}/BatchUpdateBlobs`, wire.decodeBatchUpdateBlobsRequest),
    GetActionResult: method(`${AC}/GetActionResult`, wire.decodeGetActionResultRequest),
    Read: method(`${STREAM}/Read`, wire.decodeReadRequest, { responseStream: true }),
    Write: method(`${STREAM}/Write`, wire.decodeWriteRequest, { requestStream: true }),
  },
  {
    FindMissingBlobs: (_call, done) => done(null, nothingMissing),
    BatchReadBlobs: (call, done) => done(null, batchReads.get(call.request.digests.length)),
    BatchUpdateBlobs: (call, done) => {
      for (const { data } of call.request.requests) createHash('sha256').update(data).digest();
      done(null, batchUpdated);
    },
    GetActionResult: (_call, done) => done(null, answers.actionResult),
    Read: (call) => sendFrames(call),
    Write: (call, done) => {
      const hash = createHash('sha256');
      let committedSize = 0;
      call.on('data', ({ data }) => {
        hash.update(data);
        committedSize += data.length;
      });
      call.on('end', () => {
        hash.digest();
        done(null, wire.encodeWriteResponse({ committedSize }));
      });
    },
  },
);

function readFrames(data) {
  const made = [];
  for (let offset = 0; offset < data.length; offset += FRAME_BYTES) {
    made.push(wire.copyReadResponse(data.subarray(offset, offset + FRAME_BYTES)));
  }
  return made;
}

function sendFrames(call) {
  let next = 0;
  const send = () => {
    while (next < frames.length) {
      if (!call.write(frames[next++])) {
        call.once('drain', send);
        return;
      }
    }
    call.end();
  };
  send();
}

await listenGrpc(server, {
  key: 'floor',
  address: { host: '127.0.0.1', port: grpcPort },
  tls: undefined,
  clientAuth: 'none',
  maxConnections: 100,
  handshakeTimeoutMs: 1000,
});

const bodies = new Map([...smallBlobs().slice(0, 1), largeBlob()].map(({ hash, data }) => [`/cas/${hash}`, data]));
const http = createServer((request, response) => {
  const body = bodies.get(request.url);
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': body.length });
  response.end(body);
});
http.listen(httpPort, '127.0.0.1');

process.once('SIGTERM', () => process.exit(0));
