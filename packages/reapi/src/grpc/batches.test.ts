import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { constants } from 'node:http2';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { MemoryBlobStore, NoSpaceError } from '@granary/blobs';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  Compressor_Value,
  ContentAddressableStorage,
  DigestFunction_Value,
  FindMissingBlobsRequestSchema,
  FindMissingBlobsResponseSchema,
} from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { compress, decompress } from '../zstd/index.js';
import type { RemoteCacheOptions } from './remote-cache.js';
import { digestMessage, digestOf, type LoopbackCache, startLoopbackCache } from './testing/loopback-cache.js';
import { framed, RawClient } from './testing/raw-client.js';

const { findMissingBlobs, batchUpdateBlobs, batchReadBlobs } = ContentAddressableStorage.method;
const { IDENTITY, ZSTD, BROTLI } = Compressor_Value;
const MIB = 1024 * 1024;
const DEFAULT_TOTAL = 4 * MIB - 64 * 1024;

const blob = (text: string) => ({ digest: digestMessage(text), data: Buffer.from(text) });

describe('batches of blobs', () => {
  let loopback: LoopbackCache;

  const start = async (options: Partial<RemoteCacheOptions> = {}) => {
    await loopback?.[Symbol.asyncDispose]();
    loopback = await startLoopbackCache(options);
  };
  beforeEach(() => start());
  afterEach(() => loopback[Symbol.asyncDispose]());

  const update = async (
    requests: { digest: ReturnType<typeof digestMessage>; data: Uint8Array; compressor?: number }[],
  ) => (await loopback.client.unary(batchUpdateBlobs, { requests: requests as never })).responses;
  const codes = (responses: { status?: { code: number } | undefined }[]) =>
    responses.map((each) => each.status?.code ?? 0);
  const missing = async (...texts: (string | Uint8Array)[]) => {
    const found = await loopback.client.unary(findMissingBlobs, {
      blobDigests: texts.map((text) => digestMessage(text)),
    });
    return found.missingBlobDigests.map(({ hash }) => hash);
  };

  describe('FindMissingBlobs', () => {
    it('answers those that are not here, in the order of the request', async () => {
      await update([blob('b'), blob('d')]);
      expect(await missing('a', 'b', 'c', 'd', 'e')).toEqual(['a', 'c', 'e'].map((text) => digestMessage(text).hash));
    });

    it('answers no digests with none', async () => {
      expect(await missing()).toEqual([]);
    });

    it('refuses a request with a malformed digest, and says what is wrong with it', async () => {
      const call = loopback.client.unary(findMissingBlobs, { blobDigests: [{ hash: 'ABC', sizeBytes: 3n }] });
      await expect(call).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: 'a sha256 hash has 64 hexadecimal digits, not 3',
      });
    });

    it('takes as many digests as fit into a message of 4 MiB, however short they are', async () => {
      await start({ digestFunctions: ['md5'] });
      const encoded = (fields: MessageInitShape<typeof FindMissingBlobsRequestSchema>) =>
        toBinary(FindMissingBlobsRequestSchema, create(FindMissingBlobsRequestSchema, fields));
      const one = encoded({ blobDigests: [digestMessage('a', 'md5')] });
      const tail = encoded({ digestFunction: DigestFunction_Value.MD5 });
      const count = Math.floor((4 * MIB - tail.length) / one.length);
      const request = Buffer.concat([...Array.from({ length: count }, () => one), tail]);
      const response = fromBinary(FindMissingBlobsResponseSchema, await loopback.client.raw(findMissingBlobs, request));
      expect(response.missingBlobDigests).toHaveLength(count);
    });

    it('refuses more digests than the limit', async () => {
      await start({ limits: { maxFindMissingDigests: 2 } });
      await expect(missing('a', 'b', 'c')).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining('limit of 2'),
      });
    });

    it('shares content between instance names', async () => {
      await loopback.client.unary(batchUpdateBlobs, { instanceName: 'one', requests: [blob('shared')] });
      const { missingBlobDigests } = await loopback.client.unary(findMissingBlobs, {
        instanceName: 'two/three',
        blobDigests: [digestMessage('shared')],
      });
      expect(missingBlobDigests).toEqual([]);
    });
  });

  describe('BatchUpdateBlobs', () => {
    it('(1) lets each blob succeed or fail by itself', async () => {
      const wrongHash = { digest: digestMessage('something'), data: Buffer.from('else') };
      const wrongSize = { digest: { ...digestMessage('size'), sizeBytes: 5n }, data: Buffer.from('size') };
      const malformed = { digest: { hash: 'xyz', sizeBytes: 1n }, data: Buffer.from('x') };
      const responses = await update([blob('good'), wrongHash, wrongSize, malformed, blob('fine')]);
      const { INVALID_ARGUMENT } = status;
      expect(codes(responses)).toEqual([0, INVALID_ARGUMENT, INVALID_ARGUMENT, INVALID_ARGUMENT, 0]);
      expect(responses.map((each) => each.digest?.hash)).toEqual([
        digestMessage('good').hash,
        digestMessage('something').hash,
        digestMessage('size').hash,
        'xyz',
        digestMessage('fine').hash,
      ]);
      expect(await missing('good', 'something', 'size', 'else', 'fine')).toEqual(
        ['something', 'size', 'else'].map((text) => digestMessage(text).hash),
      );
    });

    it('(1) says of each blob what is wrong where none is right', async () => {
      const malformed = [
        { digest: { hash: 'xyz', sizeBytes: 1n }, data: Buffer.from('x') },
        { data: Buffer.from('y') },
      ];
      expect((await update(malformed as never)).map(({ status: each }) => each?.message)).toEqual([
        'a sha256 hash has 64 hexadecimal digits, not 3',
        'a sha256 hash has 64 hexadecimal digits, not 0',
      ]);
    });

    it('takes the same blob twice', async () => {
      expect(codes(await update([blob('twice'), blob('twice'), blob('twice')]))).toEqual([0, 0, 0]);
      expect(await missing('twice')).toEqual([]);
    });

    it('takes the same blob twice when one of the two is wrong', async () => {
      const wrong = { digest: digestMessage('twice'), data: Buffer.from('ecitw') };
      expect(codes(await update([wrong, blob('twice')]))).toEqual([status.INVALID_ARGUMENT, 0]);
      expect(await missing('twice')).toEqual([]);
    });

    it('(3) takes exactly the advertised total', async () => {
      const data = randomBytes(DEFAULT_TOTAL / 2);
      const more = randomBytes(DEFAULT_TOTAL / 2);
      const responses = await update([data, more].map((bytes) => ({ digest: digestMessage(bytes), data: bytes })));
      expect(codes(responses)).toEqual([0, 0]);
    });

    it('(3) takes the advertised total in small blobs, whose digests bring the message over its limit', async () => {
      const blobs = Array.from({ length: DEFAULT_TOTAL / 4032 }, (_, i) => Buffer.alloc(4032, `${i} `));
      const responses = await update(blobs.map((data) => ({ digest: digestMessage(data), data })));
      expect(new Set(codes(responses))).toEqual(new Set([0]));
    });

    it('(3) says of a batch that is far over the total which limit that is', async () => {
      const data = Buffer.alloc(6 * MIB);
      const call = update([{ digest: digestMessage(data), data }]);
      await expect(call).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining('max_batch_total_size_bytes'),
      });
    });

    it('(3) refuses the whole call with one byte more', async () => {
      const data = randomBytes(DEFAULT_TOTAL);
      const call = update([{ digest: digestMessage(data), data }, blob('1')]);
      await expect(call).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining('max_batch_total_size_bytes'),
      });
      expect(await missing(data, '1')).toHaveLength(2);
    });

    it('(4) refuses a blob over limits.max_blob_size, and only that one', async () => {
      await start({ limits: { maxBlobBytes: 10 } });
      expect(codes(await update([blob('small'), blob('more than ten')]))).toEqual([0, status.INVALID_ARGUMENT]);
    });

    it('(4) answers RESOURCE_EXHAUSTED for a blob that there is no space for', async () => {
      await start({ blobs: new MemoryBlobStore({ maxBytes: 10 }) });
      expect(codes(await update([blob('small'), blob('more than ten')]))).toEqual([0, status.RESOURCE_EXHAUSTED]);
    });

    it('keeps what failed inside of the server to itself', async () => {
      const blobs = new MemoryBlobStore();
      vi.spyOn(blobs, 'write').mockRejectedValue(new Error('EIO on /secret/path'));
      await start({ blobs });
      const [response] = await update([blob('a')]);
      expect(response?.status).toMatchObject({ code: status.INTERNAL });
      expect(response?.status?.message).not.toContain('secret');
    });

    describe('(13) with zstd', () => {
      const packed = async (data: Buffer, digest = digestMessage(data)) => ({
        digest,
        data: await compress(data),
        compressor: ZSTD,
      });

      it('takes compressed blobs and plain ones together', async () => {
        const data = Buffer.alloc(100_000, 'compress me ');
        expect(codes(await update([await packed(data), blob('plain'), await packed(Buffer.from('x'))]))).toEqual([
          0, 0, 0,
        ]);
        expect(await missing(data, 'plain', 'x')).toEqual([]);
      });

      it('takes several frames', async () => {
        const data = Buffer.concat([await compress(Buffer.from('two ')), await compress(Buffer.from('frames'))]);
        expect(codes(await update([{ digest: digestMessage('two frames'), data, compressor: ZSTD }]))).toEqual([0]);
        expect(await missing('two frames')).toEqual([]);
      });

      it('stops where it would be larger than announced', async () => {
        const bomb = await packed(Buffer.alloc(64 * MIB), digestMessage('tiny'));
        expect(codes(await update([bomb, blob('beside it')]))).toEqual([status.INVALID_ARGUMENT, 0]);
        expect(await missing('tiny', 'beside it')).toHaveLength(1);
      });

      it('refuses damaged data, unknown compressors and what is too large for a batch', async () => {
        const announced = { hash: digestMessage('huge').hash, sizeBytes: BigInt(DEFAULT_TOTAL + 1) };
        const responses = await update([
          { digest: digestMessage('a'), data: Buffer.from('no zstd'), compressor: ZSTD },
          { ...(await packed(Buffer.from('b'))), compressor: BROTLI },
          await packed(Buffer.from('c'), announced),
        ]);
        expect(codes(responses)).toEqual(new Array(3).fill(status.INVALID_ARGUMENT));
      });

      it('takes many of them', async () => {
        const many = await Promise.all(Array.from({ length: 40 }, (_, i) => packed(Buffer.from(`blob ${i}`))));
        expect(codes(await update(many))).toEqual(new Array(40).fill(0));
      });
    });
  });

  describe('BatchReadBlobs', () => {
    const readAll = async (texts: (string | Uint8Array)[], acceptableCompressors: Compressor_Value[] = []) =>
      (
        await loopback.client.unary(batchReadBlobs, {
          digests: texts.map((text) => digestMessage(text)),
          acceptableCompressors,
        })
      ).responses;

    it('answers each blob, or NOT_FOUND, in the order of the request', async () => {
      await update([blob('one'), blob('three')]);
      const responses = await readAll(['one', 'two', 'three', 'one']);
      expect(codes(responses)).toEqual([0, status.NOT_FOUND, 0, 0]);
      expect(responses.map(({ data }) => Buffer.from(data).toString())).toEqual(['one', '', 'three', 'one']);
      expect(responses[1]?.digest).toMatchObject(digestMessage('two'));
    });

    it('answers a malformed digest by itself', async () => {
      await update([blob('one')]);
      const upper = digestMessage('n').hash.toUpperCase();
      const digests = [digestMessage('one'), { hash: upper, sizeBytes: 1n }, { ...digestMessage('n'), sizeBytes: -1n }];
      const { responses } = await loopback.client.unary(batchReadBlobs, { digests });
      expect(codes(responses)).toEqual([0, status.INVALID_ARGUMENT, status.INVALID_ARGUMENT]);
      expect(responses[1]?.digest?.hash).toBe(upper);
      const short = await loopback.client.unary(batchReadBlobs, {
        digests: [{ hash: 'xyz' }, digestMessage('one'), {}],
      });
      expect(codes(short.responses)).toEqual([status.INVALID_ARGUMENT, 0, status.INVALID_ARGUMENT]);
    });

    it('refuses the whole call with more digests than its bytes can hold', async () => {
      const call = loopback.client.unary(batchReadBlobs, { digests: Array.from({ length: 1025 }, () => ({})) });
      await expect(call).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: "1025 digests in 2050 bytes can't all have a hash of 64 hexadecimal digits",
      });
    });

    it('(3) refuses blobs over the total', async () => {
      const digests = [1, 2].map((n) => ({ hash: digestMessage(`${n}`).hash, sizeBytes: BigInt(2 * MIB) }));
      await expect(loopback.client.unary(batchReadBlobs, { digests })).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
    });

    it('answers exactly the advertised total within the message limit', async () => {
      const parts = Array.from({ length: 100 }, () => randomBytes(Math.floor(DEFAULT_TOTAL / 100)));
      for (const part of parts) await loopback.cache.blobs.write(...stored(part));
      const responses = await readAll(parts);
      expect(codes(responses)).toEqual(new Array(100).fill(0));
    });

    it('(13) compresses for a client that takes it what gets smaller', async () => {
      const text = 'again and again '.repeat(1000);
      const noise = randomBytes(5000);
      await update([blob(text), blob('short')]);
      await loopback.cache.blobs.write(...stored(noise));
      const responses = await readAll([text, noise, 'short', 'missing'], [ZSTD]);
      expect(responses.map(({ compressor }) => compressor)).toEqual([ZSTD, IDENTITY, IDENTITY, IDENTITY]);
      expect((await decompress(responses[0]!.data, text.length)).toString()).toBe(text);
      expect(Buffer.from(responses[1]!.data).equals(noise)).toBe(true);
      expect(codes(responses)).toEqual([0, 0, 0, status.NOT_FOUND]);
    });

    it('sends plain bytes to a client that takes only compressors that are not here', async () => {
      const text = 'again and again '.repeat(1000);
      await update([blob(text)]);
      const [response] = await readAll([text], [BROTLI]);
      expect(response?.compressor).toBe(IDENTITY);
    });

    it('keeps responses apart that wait for their clients at the same time', async () => {
      const contents = Array.from({ length: 8 }, (_, i) => Buffer.alloc(MIB, `response ${i} `));
      for (const data of contents) await update([{ digest: digestMessage(data), data }]);
      const reads = contents.map((data) => loopback.client.unary(batchReadBlobs, { digests: [digestMessage(data)] }));
      for (const [i, { responses }] of (await Promise.all(reads)).entries())
        expect(contents[i]?.equals(responses[0]!.data)).toBe(true);
    });

    it('goes on when clients go away while their responses are on the way', async () => {
      const data = Buffer.alloc(3 * MIB, 'large');
      await update([{ digest: digestMessage(data), data }]);
      const raw = new RawClient(loopback.port);
      for (let i = 0; i < 5; i++) {
        const stream = raw.open(batchReadBlobs);
        stream.end(framed(batchReadBlobs, { digests: [digestMessage(data)] }));
        await once(stream, 'data');
        stream.close(constants.NGHTTP2_CANCEL);
      }
      const { responses } = await loopback.client.unary(batchReadBlobs, { digests: [digestMessage(data)] });
      expect(data.equals(responses[0]!.data)).toBe(true);
      raw.close();
    });

    it('answers the blobs that a store gives later like those that it has at hand', async () => {
      const blobs = new MemoryBlobStore();
      await start({ blobs });
      await update([blob('one'), blob('two'), blob('three')]);
      const get = blobs.get.bind(blobs);
      vi.spyOn(blobs, 'get').mockImplementation(((digest: Parameters<typeof get>[0]) => {
        if (digest.size === 5) return Promise.resolve(get(digest));
        if (digest.size === 4) return Promise.reject(new NoSpaceError('no'));
        if (digest.size === 6) throw new NoSpaceError('no');
        return get(digest);
      }) as never);
      const responses = await readAll(['one', 'three', 'four', 'sixsix']);
      expect(codes(responses)).toEqual([0, 0, status.RESOURCE_EXHAUSTED, status.RESOURCE_EXHAUSTED]);
      expect(Buffer.from(responses[1]!.data).toString()).toBe('three');
    });
  });
});

function stored(bytes: Buffer) {
  return [digestOf(bytes), bytes] as const;
}
