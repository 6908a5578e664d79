import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type BlobSource,
  type Digest,
  DiskBlobStore,
  MemoryBlobStore,
  type OperationOptions,
  StoreError,
  TierUnavailableError,
} from '@granary/blobs';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ContentAddressableStorage } from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { ByteStream, type WriteRequestSchema } from '../gen/google/bytestream/bytestream_pb.js';
import { compress } from '../zstd/index.js';
import type { RemoteCacheOptions } from './remote-cache.js';
import { digestMessage, digestOf, type LoopbackCache, startLoopbackCache } from './testing/loopback-cache.js';
import { framed, RawClient, statusOf } from './testing/raw-client.js';

const { write, read, queryWriteStatus } = ByteStream.method;
const { findMissingBlobs } = ContentAddressableStorage.method;
const MIB = 1024 * 1024;

type Message = MessageInitShape<typeof WriteRequestSchema>;

const upload = (digest: Digest, prefix = '') => `${prefix}uploads/6b1b5e9c-1c8f-4f0e-9a37-d2f7f1e6a001/blobs/${digest}`;
const compressedUpload = (digest: Digest) =>
  `uploads/6b1b5e9c-1c8f-4f0e-9a37-d2f7f1e6a001/compressed-blobs/zstd/${digest}`;

/** The messages of one upload. */
function* messages(
  resourceName: string,
  data: Uint8Array,
  { chunk = 16 * 1024, repeatName = false, finish = true } = {},
): Generator<Message> {
  let offset = 0;
  do {
    const part = data.subarray(offset, offset + chunk);
    yield {
      resourceName: offset === 0 || repeatName ? resourceName : '',
      writeOffset: BigInt(offset),
      finishWrite: finish && offset + part.length === data.length,
      data: part,
    };
    offset += part.length;
  } while (offset < data.length);
}

const bytesOf = (size: number, seed = 7) => Buffer.alloc(size, Buffer.from(`${seed} of ${size} bytes;`));

describe('ByteStream.Write', () => {
  let loopback: LoopbackCache;

  const start = async (options?: Partial<RemoteCacheOptions>) => {
    await loopback?.[Symbol.asyncDispose]();
    loopback = await startLoopbackCache(options);
  };
  const isStored = async (data: Uint8Array) => {
    const { missingBlobDigests } = await loopback.client.unary(findMissingBlobs, {
      blobDigests: [digestMessage(data)],
    });
    return missingBlobDigests.length === 0;
  };
  const send = (requests: Iterable<Message>) => loopback.client.clientStream(write, requests);

  beforeEach(() => start({ blobs: new MemoryBlobStore({ maxBytes: 64 * MIB }) }));
  afterEach(() => loopback[Symbol.asyncDispose]());

  describe('stores a blob', () => {
    it('sent in messages of 16 KiB with the name only in the first, as Bazel does', async () => {
      const data = bytesOf(300_000);
      expect((await send(messages(upload(digestOf(data)), data))).committedSize).toBe(300_000n);
      const parts = await loopback.client.serverStream(read, { resourceName: `blobs/${digestOf(data)}` });
      expect(Buffer.concat(parts.map((part) => part.data)).equals(data)).toBe(true);
    });

    it('with the name repeated in every message', async () => {
      const data = bytesOf(100_000);
      const requests = messages(upload(digestOf(data), 'team/main/'), data, { repeatName: true });
      expect((await send(requests)).committedSize).toBe(100_000n);
      expect(await isStored(data)).toBe(true);
    });

    it('sent in thousands of messages of a few bytes', async () => {
      const data = bytesOf(20_000);
      expect((await send(messages(upload(digestOf(data)), data, { chunk: 3 }))).committedSize).toBe(20_000n);
      expect(await isStored(data)).toBe(true);
    });

    it('with small and large messages mixed, and empty ones between', async () => {
      const data = bytesOf(90_000);
      const cuts = [0, 5, 5, 9000, 9001, 45_000, 45_000, 80_000, 90_000];
      const requests = cuts.slice(0, -1).map((from, i) => ({
        resourceName: i === 0 ? upload(digestOf(data)) : '',
        writeOffset: BigInt(from),
        data: data.subarray(from, cuts[i + 1]),
        finishWrite: i === cuts.length - 2,
      }));
      expect((await send(requests)).committedSize).toBe(90_000n);
      expect(await isStored(data)).toBe(true);
    });

    it('whose end is said in an empty message of its own', async () => {
      const data = bytesOf(5000);
      const requests = [
        ...messages(upload(digestOf(data)), data, { finish: false }),
        { resourceName: '', writeOffset: 5000n, finishWrite: true, data: new Uint8Array() },
      ];
      expect((await send(requests)).committedSize).toBe(5000n);
      expect(await isStored(data)).toBe(true);
    });

    it('with a digest function in its name and metadata behind it', async () => {
      const data = bytesOf(1000);
      const digest = digestOf(data, 'blake3');
      const name = `uploads/u/blobs/blake3/${digest}/some/metadata.txt`;
      expect((await send(messages(name, data))).committedSize).toBe(1000n);
      const parts = await loopback.client.serverStream(read, { resourceName: `blobs/blake3/${digest}` });
      expect(Buffer.from(parts[0]!.data).equals(data)).toBe(true);
    });

    it('once for many who send it at the same time', async () => {
      const data = bytesOf(400_000);
      const name = upload(digestOf(data));
      const answers = await Promise.all(Array.from({ length: 8 }, () => send(messages(name, data))));
      expect(answers.map(({ committedSize }) => committedSize)).toEqual(new Array(8).fill(400_000n));
      expect(await isStored(data)).toBe(true);
    });
  });

  describe('(1) stores nothing and answers INVALID_ARGUMENT', () => {
    it('when the hash is another one', async () => {
      const data = bytesOf(50_000);
      const other = digestOf(bytesOf(50_000, 8));
      await expect(send(messages(upload(other), data))).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining(other.hash),
      });
      expect(await isStored(bytesOf(50_000, 8))).toBe(false);
      expect(await isStored(data)).toBe(false);
    });

    it.each([49_999, 50_001])('when %i bytes come for 50000', async (size) => {
      const named = bytesOf(50_000);
      const sent = Buffer.concat([named, Buffer.from('x')]).subarray(0, size);
      await expect(send(messages(upload(digestOf(named)), sent))).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
      expect(await isStored(named)).toBe(false);
    });
  });

  describe('(4) refuses before it reads', () => {
    it('a blob over limits.max_blob_size, with INVALID_ARGUMENT', async () => {
      await start({ limits: { maxBlobBytes: 1000 } });
      const data = bytesOf(1001);
      const { call, response } = loopback.client.openClientStream(write);
      // One message without a byte of data: the answer must not wait for more.
      call.write({ resourceName: upload(digestOf(data)) });
      await expect(response).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining('1000'),
      });
    });

    it('a blob that there is no space for, with RESOURCE_EXHAUSTED', async () => {
      await start({ blobs: new MemoryBlobStore({ maxBytes: 10_000 }) });
      const data = bytesOf(20_000);
      const { call, response } = loopback.client.openClientStream(write);
      call.write({ resourceName: upload(digestOf(data)) });
      await expect(response).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    });
  });

  describe('(6) keeps to the protocol of a write', () => {
    it('answers at once when the blob is here, while the client goes on sending', async () => {
      const data = bytesOf(8 * MIB);
      const name = upload(digestOf(data));
      await send(messages(name, data, { chunk: MIB }));

      const raw = new RawClient(loopback.port);
      const stream = raw.open(write);
      const answer = statusOf(stream);
      const [first, ...others] = messages(name, data, { chunk: 64 * 1024 });
      stream.write(framed(write, first!));
      expect(await answer).toBe(status.OK);
      // A client that has not looked yet sends all the rest, and must not be thrown off.
      for (const message of others)
        if (!stream.write(framed(write, message))) await new Promise((resolve) => stream.once('drain', resolve));
      const closed = once(stream, 'close');
      stream.end();
      await closed;
      expect(stream.rstCode).toBe(0);
      raw.close();
      expect(await isStored(data)).toBe(true);
    });

    it('is stored here, whatever is said of the blob elsewhere', async () => {
      const data = bytesOf(100_000);
      const blobs = new MemoryBlobStore();
      await start({ blobs });
      // As a store with others behind it, one of which had the blob some minutes ago.
      const asked = vi.spyOn(blobs, 'findMissing').mockReturnValue([]);
      expect((await send(messages(upload(digestOf(data)), data))).committedSize).toBe(100_000n);
      asked.mockRestore();
      expect(await isStored(data)).toBe(true);
    });

    it('is not refused because it can not be known whether the blob is elsewhere', async () => {
      const data = bytesOf(100_000);
      const blobs = new MemoryBlobStore();
      await start({ blobs });
      const asked = vi.spyOn(blobs, 'findMissing').mockImplementation(() => {
        throw new TierUnavailableError('region', 'nobody listens');
      });
      expect((await send(messages(upload(digestOf(data)), data))).committedSize).toBe(100_000n);
      asked.mockRestore();
      expect(await isStored(data)).toBe(true);
    });

    it('answers −1 at once when a compressed upload is not needed', async () => {
      const data = bytesOf(100_000);
      await send(messages(upload(digestOf(data)), data));
      const { call, response } = loopback.client.openClientStream(write);
      call.write({ resourceName: compressedUpload(digestOf(data)) });
      expect((await response).committedSize).toBe(-1n);
      call.end();
    });

    it('answers early when the blob arrives from elsewhere during the upload', async () => {
      const data = bytesOf(100_000);
      const memory = new MemoryBlobStore();
      // A store that finds another upload done in the middle of this one.
      const takesOver = Object.assign(Object.create(memory) as MemoryBlobStore, {
        findMissing: (digests: readonly Digest[]) => memory.findMissing(digests),
        write: async (digest: Digest, source: BlobSource) => {
          for await (const _ of source as AsyncIterable<Uint8Array>) break;
          await memory.write(digest, data);
        },
        get: (digest: Digest) => memory.get(digest),
      });
      await start({ blobs: takesOver });
      const requests = [...messages(upload(digestOf(data)), data)];
      const { call, response } = loopback.client.openClientStream(write);
      call.write(requests[0]!);
      call.write(requests[1]!);
      expect((await response).committedSize).toBe(100_000n);
      call.end();
    });

    it.each([
      ['begins elsewhere', [{ writeOffset: 10n, data: 'abc', finishWrite: true }]],
      ['leaves a gap', [{ data: 'abc' }, { writeOffset: 4n, data: 'd', finishWrite: true }]],
      ['goes back', [{ data: 'abc' }, { writeOffset: 0n, data: 'abc', finishWrite: true }]],
      ['is negative', [{ writeOffset: -1n, data: 'abc', finishWrite: true }]],
    ])('refuses a write_offset that %s', async (_, parts) => {
      const named = Buffer.from('abcd');
      const requests = parts.map(({ data, ...part }, i) => ({
        ...part,
        data: Buffer.from(data),
        resourceName: i === 0 ? upload(digestOf(named)) : '',
      }));
      await expect(send(requests)).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining('write_offset'),
      });
      expect(await isStored(named)).toBe(false);
    });

    it('refuses a name that changes', async () => {
      const data = bytesOf(40_000);
      const requests = [...messages(upload(digestOf(data)), data, { repeatName: true })];
      requests[1] = { ...requests[1], resourceName: upload(digestOf(data), 'other/') };
      await expect(send(requests)).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining('name changed'),
      });
      expect(await isStored(data)).toBe(false);
    });

    it('refuses an end without finish_write, even when all bytes are there', async () => {
      const data = bytesOf(40_000);
      await expect(send(messages(upload(digestOf(data)), data, { finish: false }))).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining('finish_write'),
      });
      expect(await isStored(data)).toBe(false);
    });

    it('refuses data after finish_write', async () => {
      const data = bytesOf(300);
      const { call, response } = loopback.client.openClientStream(write);
      call.write({ resourceName: upload(digestOf(data)), data: data.subarray(0, 100), finishWrite: true });
      call.write({ writeOffset: 100n, data: data.subarray(100), finishWrite: true });
      call.end();
      await expect(response).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
      expect(await isStored(data)).toBe(false);
    });

    it('refuses a stream without messages', async () => {
      await expect(send([])).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    });

    it('counts compressed bytes in offsets and in the answer', async () => {
      const data = bytesOf(500_000);
      const packed = await compress(data);
      // Few bytes a message, as some clients write what their compressor gives out.
      const answer = await send(messages(compressedUpload(digestOf(data)), packed, { chunk: 7 }));
      expect(answer.committedSize).toBe(BigInt(packed.length));
      expect(await isStored(data)).toBe(true);
    });
  });

  describe('(7) QueryWriteStatus', () => {
    it('knows an upload as complete, with its size, or not at all', async () => {
      const data = bytesOf(10_000);
      const name = upload(digestOf(data));
      const before = await loopback.client.unary(queryWriteStatus, { resourceName: name });
      expect(before).toMatchObject({ committedSize: 0n, complete: false });
      await send(messages(name, data));
      const after = await loopback.client.unary(queryWriteStatus, { resourceName: name });
      expect(after).toMatchObject({ committedSize: 10_000n, complete: true });
    });

    it('takes one for not begun where nobody can say, so that the upload itself tells', async () => {
      const blobs = new MemoryBlobStore();
      await start({ blobs });
      vi.spyOn(blobs, 'findMissing').mockImplementation(() => {
        throw new TierUnavailableError('region', 'nobody listens');
      });
      const answer = loopback.client.unary(queryWriteStatus, { resourceName: upload(digestOf(bytesOf(10))) });
      expect(await answer).toMatchObject({ committedSize: 0n, complete: false });
    });

    it('says of a store that fails that it does', async () => {
      const blobs = new MemoryBlobStore();
      await start({ blobs });
      vi.spyOn(blobs, 'findMissing').mockImplementation(() => {
        throw new StoreError('STORE_FAILED', 'the disk is gone');
      });
      const answer = loopback.client.unary(queryWriteStatus, { resourceName: upload(digestOf(bytesOf(10))) });
      await expect(answer).rejects.toMatchObject({ code: status.INTERNAL });
    });
  });

  describe('(13) takes zstd', () => {
    it('in several frames, decoded as a whole', async () => {
      const data = bytesOf(300_000);
      const packed = Buffer.concat([await compress(data.subarray(0, 99_999)), await compress(data.subarray(99_999))]);
      await send(messages(compressedUpload(digestOf(data)), packed));
      expect(await isStored(data)).toBe(true);
    });

    it('and stops where it would be larger than announced', async () => {
      const bomb = await compress(Buffer.alloc(32 * MIB));
      const digest = digestOf(Buffer.alloc(1000));
      await expect(send(messages(compressedUpload(digest), bomb))).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
      expect(await isStored(Buffer.alloc(1000))).toBe(false);
    });

    it('but nothing that is damaged or ends early', async () => {
      const data = bytesOf(100_000);
      const packed = await compress(data);
      for (const wrong of [packed.subarray(0, packed.length - 3), Buffer.from('no zstd at all'), Buffer.alloc(0)])
        await expect(send(messages(compressedUpload(digestOf(data)), wrong))).rejects.toMatchObject({
          code: status.INVALID_ARGUMENT,
        });
      expect(await isStored(data)).toBe(false);
    });

    it('for content of another hash only to refuse it', async () => {
      const packed = await compress(bytesOf(5000));
      await expect(send(messages(compressedUpload(digestOf(bytesOf(5000, 9))), packed))).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
    });
  });

  describe('(14) ends with its client', () => {
    const huge = bytesOf(30 * MIB);
    const hugeDigest = digestOf(huge);
    let directory: string;
    let store: DiskBlobStore;

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'granary-reapi-'));
      store = await DiskBlobStore.open({ directory, maxBytes: 64 * MIB, housekeepingMs: 0 });
    });
    afterEach(async () => {
      await loopback[Symbol.asyncDispose]();
      await store.close();
      await rm(directory, { recursive: true });
    });

    /** A store that tells when a write began and how it ended. */
    function observed() {
      const writes: Promise<void>[] = [];
      const inner = store;
      const blobs = new Proxy(inner, {
        get(target, key) {
          if (key !== 'write') {
            const value = Reflect.get(target, key, target) as unknown;
            return typeof value === 'function' ? value.bind(target) : value;
          }
          return (digest: Digest, source: BlobSource, options?: OperationOptions) => {
            const work = target.write(digest, source, options);
            writes.push(work);
            return work;
          };
        },
      });
      return { blobs, writes };
    }

    async function begin({ deadlineMs }: { deadlineMs?: number } = {}) {
      const { blobs, writes } = observed();
      const records: string[] = [];
      await start({ blobs, hooks: { onRequest: ({ code }) => records.push(code) } });
      const [first, second] = messages(upload(hugeDigest), huge, { chunk: MIB });
      const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
      const { call, response } = loopback.client.openClientStream(write, options);
      const failure = response.catch((error: unknown) => error);
      call.write(first!);
      call.write(second!);
      await vi.waitFor(() => expect(writes).toHaveLength(1));
      await vi.waitFor(() => expect(store.stats().reservedBytes).toBeGreaterThanOrEqual(30 * MIB));
      return { call, failure, work: writes[0]!, records };
    }

    const isGone = async () => {
      expect(store.stats().reservedBytes).toBe(0);
      const files = (await readdir(directory, { recursive: true })).filter((name) => name.includes('incoming/'));
      expect(files).toEqual([]);
    };

    it('when it cancels: the store stops and the space is free again', async () => {
      const { call, failure, work, records } = await begin();
      call.cancel();
      expect(await failure).toMatchObject({ code: status.CANCELLED });
      // Node's HTTP/2 client ends a stream before it resets it, so this may look like an upload that ended too early.
      await expect(work).rejects.toMatchObject({ code: expect.stringMatching(/CANCELLED|INVALID_REQUEST/) });
      await isGone();
      await vi.waitFor(() => expect(records).toHaveLength(1));
    });

    it('when its deadline passes', async () => {
      const { failure, work, records } = await begin({ deadlineMs: 2000 });
      expect(await failure).toMatchObject({ code: status.DEADLINE_EXCEEDED });
      await expect(work).rejects.toThrow();
      await isGone();
      await vi.waitFor(() => expect(records).toHaveLength(1));
    });

    it('when its connection breaks', async () => {
      const { blobs, writes } = observed();
      await start({ blobs });
      const [first] = messages(upload(hugeDigest), huge, { chunk: MIB });
      const raw = new RawClient(loopback.port);
      raw.open(write).write(framed(write, first!));
      await vi.waitFor(() => expect(writes).toHaveLength(1));
      raw.close();
      await expect(writes[0]).rejects.toMatchObject({ code: 'CANCELLED' });
      await isGone();
    });

    it('when it stays silent for too long', async () => {
      const blobs = store;
      await start({ blobs, limits: { streamIdleMs: 50 } });
      const data = bytesOf(2 * MIB);
      const { call, response } = loopback.client.openClientStream(write);
      call.write({ resourceName: upload(digestOf(data)), data: data.subarray(0, MIB) });
      await expect(response).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
      await isGone();
    });
  });
});

function once(emitter: NodeJS.EventEmitter, event: string): Promise<unknown[]> {
  return new Promise((resolve) => emitter.once(event, (...values: unknown[]) => resolve(values)));
}
