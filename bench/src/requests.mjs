// The rows of the benchmark: what each sends and how an answer is known to be right. Requests are made with the
// generated code, so that the codecs under test are not on both sides.
import { createHash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import * as reapi from '../../packages/reapi/dist/gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import * as bytestream from '../../packages/reapi/dist/gen/google/bytestream/bytestream_pb.js';
import { freshLargeBlob, freshSmallBlobs, KIB, largeBlob, MIB, smallBlobs } from './corpus.mjs';
import { frame } from './h2-client.mjs';

const CAS = '/build.bazel.remote.execution.v2.ContentAddressableStorage';
const AC = '/build.bazel.remote.execution.v2.ActionCache';
const STREAM = '/google.bytestream.ByteStream';
const WRITE_MESSAGE_BYTES = 256 * KIB;

const digest = ({ hash, sizeBytes }) => ({ hash, sizeBytes: BigInt(sizeBytes) });
const message = (schema, fields) => frame(Buffer.from(toBinary(schema, create(schema, fields))));

/** An action whose result names twenty of the small blobs. */
export function action() {
  const outputs = smallBlobs().slice(0, 20);
  const result = create(reapi.ActionResultSchema, {
    outputFiles: outputs.map((each, i) => ({ path: `bazel-out/bin/package/out_${i}.o`, digest: digest(each) })),
    exitCode: 0,
  });
  return { hash: createHash('sha256').update('an action').digest('hex'), sizeBytes: 142, result };
}

export function findMissing(count) {
  return {
    path: `${CAS}/FindMissingBlobs`,
    frames: [message(reapi.FindMissingBlobsRequestSchema, { blobDigests: smallBlobs().slice(0, count).map(digest) })],
  };
}

export function batchRead(count) {
  return {
    path: `${CAS}/BatchReadBlobs`,
    frames: [message(reapi.BatchReadBlobsRequestSchema, { digests: smallBlobs().slice(0, count).map(digest) })],
  };
}

export function batchUpdate(blobs) {
  const requests = blobs.map((each) => ({ digest: digest(each), data: each.data }));
  return { path: `${CAS}/BatchUpdateBlobs`, frames: [message(reapi.BatchUpdateBlobsRequestSchema, { requests })] };
}

export function read(blob) {
  const resourceName = `blobs/${blob.hash}/${blob.sizeBytes}`;
  return { path: `${STREAM}/Read`, frames: [message(bytestream.ReadRequestSchema, { resourceName })] };
}

export function write({ hash, sizeBytes, data }, id) {
  return { path: `${STREAM}/Write`, frames: [...uploadFrames(`uploads/${id}/blobs/${hash}/${sizeBytes}`, data)] };
}

/** An upload of a blob that differs from another in its first bytes; `n` says how. Its messages are made when they are sent. */
export function writeVariant({ sizeBytes, data }, n) {
  const begin = Buffer.from(data.subarray(0, WRITE_MESSAGE_BYTES));
  begin.writeUInt32LE(n, 0);
  const hash = createHash('sha256').update(begin).update(data.subarray(WRITE_MESSAGE_BYTES)).digest('hex');
  const name = `uploads/variant-${n}/blobs/${hash}/${sizeBytes}`;
  return { path: `${STREAM}/Write`, frames: uploadFrames(name, data, begin) };
}

function* uploadFrames(resourceName, data, begin = data.subarray(0, WRITE_MESSAGE_BYTES)) {
  for (let offset = 0; offset < data.length; offset += WRITE_MESSAGE_BYTES) {
    const end = Math.min(offset + WRITE_MESSAGE_BYTES, data.length);
    yield message(bytestream.WriteRequestSchema, {
      resourceName: offset === 0 ? resourceName : '',
      writeOffset: BigInt(offset),
      finishWrite: end === data.length,
      data: offset === 0 ? begin : data.subarray(offset, end),
    });
  }
}

export function getActionResult() {
  return {
    path: `${AC}/GetActionResult`,
    frames: [message(reapi.GetActionResultRequestSchema, { actionDigest: digest(action()) })],
  };
}

export function updateActionResult() {
  const made = action();
  return {
    path: `${AC}/UpdateActionResult`,
    frames: [message(reapi.UpdateActionResultRequestSchema, { actionDigest: digest(made), actionResult: made.result })],
  };
}

/** The bytes that an answer to each unary row consists of, for the server that answers from memory. */
export function expectedAnswers() {
  const batch = (count) =>
    toBinary(
      reapi.BatchReadBlobsResponseSchema,
      create(reapi.BatchReadBlobsResponseSchema, {
        responses: smallBlobs()
          .slice(0, count)
          .map((each) => ({ digest: digest(each), data: each.data, status: { code: 0 } })),
      }),
    );
  return {
    batchRead: (count) => Buffer.from(batch(count)),
    batchUpdate: (count) =>
      Buffer.from(
        toBinary(
          reapi.BatchUpdateBlobsResponseSchema,
          create(reapi.BatchUpdateBlobsResponseSchema, {
            responses: smallBlobs()
              .slice(0, count)
              .map((each) => ({ digest: digest(each), status: { code: 0 } })),
          }),
        ),
      ),
    actionResult: Buffer.from(toBinary(reapi.ActionResultSchema, action().result)),
  };
}

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {number} atLeast  the share of the floor's rate that is wanted
 * @property {number} concurrency
 * @property {number} [operations] a fixed number, where each operation needs a request of its own
 * @property {number} minBytes  an answer with fewer bytes is wrong
 * @property {(n: number) => { path: string, frames: Buffer[] }} [grpc]
 * @property {() => { path: string }} [http]
 */

/** @type {Row[]} */
export const ROWS = [
  { name: 'FindMissingBlobs 1', atLeast: 0.7, concurrency: 32, minBytes: 5, grpc: () => findMissing(1) },
  { name: 'FindMissingBlobs 100', atLeast: 0.7, concurrency: 32, minBytes: 5, grpc: () => findMissing(100) },
  { name: 'FindMissingBlobs 1000', atLeast: 0.5, concurrency: 16, minBytes: 5, grpc: () => findMissing(1000) },
  { name: 'BatchReadBlobs 10x4KiB', atLeast: 0.7, concurrency: 16, minBytes: 40 * KIB, grpc: () => batchRead(10) },
  { name: 'BatchReadBlobs 100x4KiB', atLeast: 0.7, concurrency: 8, minBytes: 400 * KIB, grpc: () => batchRead(100) },
  {
    name: 'BatchUpdateBlobs 100x4KiB',
    atLeast: 0,
    concurrency: 8,
    operations: 80,
    minBytes: 100,
    grpc: (n) => batchUpdate(freshSmallBlobs(n, 100)),
  },
  { name: 'GetActionResult 20 outputs', atLeast: 0.7, concurrency: 32, minBytes: 1000, grpc: () => getActionResult() },
  { name: 'ByteStream Read 64MiB', atLeast: 0.8, concurrency: 4, minBytes: 64 * MIB, grpc: () => read(largeBlob()) },
  {
    name: 'ByteStream Write 64MiB',
    atLeast: 0.6,
    concurrency: 4,
    operations: 8,
    minBytes: 5,
    grpc: (n) => write(freshLargeBlob(n), `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`),
  },
  {
    name: 'HTTP GET 4KiB',
    atLeast: 0.7,
    concurrency: 32,
    minBytes: 4 * KIB,
    http: () => ({ path: `/cas/${smallBlobs()[0].hash}` }),
  },
  {
    name: 'HTTP GET 64MiB',
    atLeast: 0.8,
    concurrency: 4,
    minBytes: 64 * MIB,
    http: () => ({ path: `/cas/${largeBlob().hash}` }),
  },
];
