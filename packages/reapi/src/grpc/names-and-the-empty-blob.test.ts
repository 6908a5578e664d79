import { DIGEST_FUNCTIONS } from '@granary/blobs';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ActionCache,
  ContentAddressableStorage,
  type DigestFunction_Value,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { ByteStream } from '../gen/google/bytestream/bytestream_pb.js';
import { digestFunctionNumber } from '../wire/index.js';
import { compress, decompress } from '../zstd/index.js';
import { digestMessage, digestOf, type LoopbackCache, startLoopbackCache } from './testing/loopback-cache.js';

const { read, write, queryWriteStatus } = ByteStream.method;
const { findMissingBlobs, batchReadBlobs, batchUpdateBlobs } = ContentAddressableStorage.method;

let loopback: LoopbackCache;
beforeAll(async () => {
  loopback = await startLoopbackCache({ digestFunctions: DIGEST_FUNCTIONS });
});
afterAll(() => loopback[Symbol.asyncDispose]());

describe.each(DIGEST_FUNCTIONS)('(2) the empty blob of %s', (fn) => {
  const empty = digestMessage('', fn);
  const digestFunction = digestFunctionNumber(fn) as DigestFunction_Value;
  const name = `${fn}/${empty.hash}/0`;

  it('is not missing', async () => {
    const found = await loopback.client.unary(findMissingBlobs, { digestFunction, blobDigests: [empty] });
    expect(found.missingBlobDigests).toEqual([]);
  });

  it('is read in a batch', async () => {
    const { responses } = await loopback.client.unary(batchReadBlobs, { digestFunction, digests: [empty] });
    expect(responses[0]).toMatchObject({ digest: empty, data: new Uint8Array() });
    expect(responses[0]?.status?.code ?? 0).toBe(status.OK);
  });

  it('is read as a stream, plain and compressed', async () => {
    expect(await loopback.client.serverStream(read, { resourceName: `blobs/${name}` })).toEqual([]);
    const packed = await loopback.client.serverStream(read, { resourceName: `compressed-blobs/zstd/${name}` });
    expect(await decompress(Buffer.concat(packed.map(({ data }) => data)), 0)).toHaveLength(0);
  });

  it('may be uploaded all the same', async () => {
    const { responses } = await loopback.client.unary(batchUpdateBlobs, {
      digestFunction,
      requests: [{ digest: empty }],
    });
    expect(responses[0]?.status?.code ?? 0).toBe(status.OK);
    const upload = { resourceName: `uploads/u/blobs/${name}`, finishWrite: true };
    expect((await loopback.client.clientStream(write, [upload])).committedSize).toBe(0n);
    const compressed = {
      resourceName: `uploads/u/compressed-blobs/zstd/${name}`,
      data: await compress(Buffer.alloc(0)),
      finishWrite: true,
    };
    expect((await loopback.client.clientStream(write, [compressed])).committedSize).toBe(-1n);
  });

  it('is a complete upload', async () => {
    const answer = await loopback.client.unary(queryWriteStatus, { resourceName: `uploads/u/blobs/${name}` });
    expect(answer).toMatchObject({ complete: true, committedSize: 0n });
  });

  it('makes no result incomplete', async () => {
    const action = { actionDigest: digestMessage(`empty ${fn}`, fn), digestFunction };
    await loopback.client.unary(ActionCache.method.updateActionResult, {
      ...action,
      actionResult: { outputFiles: [{ path: 'empty', digest: empty }], stdoutDigest: empty },
    });
    const found = await loopback.client.unary(ActionCache.method.getActionResult, { ...action, inlineStdout: true });
    expect(found.outputFiles).toHaveLength(1);
  });

  it('is not any other blob of no bytes', async () => {
    const other = { hash: digestMessage('x', fn).hash, sizeBytes: 0n };
    const { responses } = await loopback.client.unary(batchUpdateBlobs, {
      digestFunction,
      requests: [{ digest: other }],
    });
    expect(responses[0]?.status?.code).toBe(status.INVALID_ARGUMENT);
  });
});

describe('(5) resource names', () => {
  const data = Buffer.from('named in many ways');
  const digest = digestOf(data);
  const { hash } = digest;
  const size = data.length;
  const blake = digestOf(data, 'blake3');

  beforeAll(async () => {
    const resourceName = `uploads/u/blobs/${hash}/${size}`;
    await loopback.client.clientStream(write, [{ resourceName, data, finishWrite: true }]);
  });

  it.each([
    `uploads/u/blobs/${hash}/${size}`,
    `uploads/u/blobs/sha256/${hash}/${size}`,
    `uploads/u/blobs/blake3/${blake.hash}/${size}`,
    `main/uploads/u/blobs/${hash}/${size}`,
    `with/many/slashes/uploads/u/blobs/${hash}/${size}/meta/data.txt`,
    `ünï-code/uploads/8a3c/blobs/${hash}/${size}`,
    `/uploads/8a3c/blobs/${hash}/${size}`,
  ])('take the upload %s', async (resourceName) => {
    const answer = await loopback.client.clientStream(write, [{ resourceName, data, finishWrite: true }]);
    expect(answer.committedSize).toBe(BigInt(size));
  });

  it.each([
    `blobs/${hash}/${size}`,
    `any/instance/blobs/${hash}/${size}`,
    `blobs/sha256/${hash}/${size}`,
    `main/compressed-blobs/zstd/${hash}/${size}`,
    `compressed-blobs/zstd/sha256/${hash}/${size}`,
    `/blobs/${hash}/${size}`,
    `/compressed-blobs/zstd/${hash}/${size}`,
  ])('take the download %s', async (resourceName) => {
    expect(await loopback.client.serverStream(read, { resourceName })).toHaveLength(1);
  });

  const wrong = [
    '',
    'blobs',
    `blobs/${hash}`,
    `blobs/${hash}/-1`,
    `blobs/${hash}/1x`,
    `blobs/${hash.toUpperCase()}/${size}`,
    `blobs/${hash.slice(1)}/${size}`,
    `blobs/md5/${hash}/${size}`,
    `blobs/vso/${hash}/${size}`,
    `blobs/${hash}/9007199254740993`,
    `a//blobs/${hash}/${size}`,
    `//blobs/${hash}/${size}`,
    `operations/blobs/${hash}/${size}`,
    `compressed-blobs/brotli/${hash}/${size}`,
    `compressed-blobs/${hash}/${size}`,
  ];

  it.each([...wrong, `blobs/${hash}/${size}/more`, `uploads/u/blobs/${hash}/${size}`])(
    'refuse the download "%s" with INVALID_ARGUMENT',
    async (resourceName) => {
      await expect(loopback.client.serverStream(read, { resourceName })).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
    },
  );

  it.each([...wrong.map((name) => `uploads/u/${name}`), `uploads//blobs/${hash}/${size}`, `blobs/${hash}/${size}`])(
    'refuse the upload "%s" with INVALID_ARGUMENT',
    async (resourceName) => {
      const code = status.INVALID_ARGUMENT;
      const sent = loopback.client.clientStream(write, [{ resourceName, data, finishWrite: true }]);
      await expect(sent).rejects.toMatchObject({ code });
    },
  );

  it('refuse an endless name without repeating it', async () => {
    const sent = loopback.client.serverStream(read, { resourceName: `${'a'.repeat(1_000_000)}/blobs/${hash}/${size}` });
    const error = await sent.catch((reason: unknown) => reason as { code: number; details: string });
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect((error as { details: string }).details.length).toBeLessThan(2000);
  });

  it.each([199, 200, 201])('refuse a long name that is cut at character %i, in the middle of one', async (before) => {
    const resourceName = `${'x'.repeat(before)}${'💥'.repeat(40)}`;
    const code = status.INVALID_ARGUMENT;
    await expect(loopback.client.serverStream(read, { resourceName })).rejects.toMatchObject({ code });
    await expect(loopback.client.unary(queryWriteStatus, { resourceName })).rejects.toMatchObject({ code });
    await expect(loopback.client.clientStream(write, [{ resourceName, data }])).rejects.toMatchObject({ code });
  });
});
