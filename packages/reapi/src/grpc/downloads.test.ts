import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, DiskBlobStore, MemoryBlobStore } from '@granary/blobs';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ByteStream } from '../gen/google/bytestream/bytestream_pb.js';
import { decompress } from '../zstd/index.js';
import { digestOf, type LoopbackCache, startLoopbackCache } from './testing/loopback-cache.js';
import { framed, RawClient } from './testing/raw-client.js';

const { read } = ByteStream.method;
const MIB = 1024 * 1024;

const small = Buffer.from('a small blob of forty-two bytes, or nearly');
const large = randomBytes(3 * MIB + 17);
const repeating = Buffer.alloc(2 * MIB, 'compressible ');

describe('ByteStream.Read', () => {
  let loopback: LoopbackCache;

  beforeEach(async () => {
    loopback = await startLoopbackCache({ blobs: new MemoryBlobStore() });
    for (const bytes of [small, large, repeating]) await loopback.cache.blobs.write(digestOf(bytes), bytes);
  });
  afterEach(() => loopback[Symbol.asyncDispose]());

  const get = async (resourceName: string, range: { readOffset?: bigint; readLimit?: bigint } = {}) => {
    const parts = await loopback.client.serverStream(read, { resourceName, ...range });
    return Buffer.concat(parts.map(({ data }) => data));
  };
  const plain = (digest: Digest) => `blobs/${digest}`;
  const zstd = (digest: Digest) => `main/compressed-blobs/zstd/${digest}`;

  describe.each([
    ['small', small],
    ['large', large],
  ])('(8) of a %s blob', (_, bytes) => {
    const name = plain(digestOf(bytes));
    const { length } = bytes;

    it('delivers all of it', async () => {
      expect((await get(name)).equals(bytes)).toBe(true);
    });

    it.each([
      [1, 0],
      [0, 10],
      [5, 20],
      [length - 1, 0],
      [length - 3, 100],
      [0, length],
      [0, length + 1],
    ])('from offset %i with a limit of %i', async (offset, limit) => {
      const expected = bytes.subarray(offset, limit === 0 ? undefined : offset + limit);
      const found = await get(name, { readOffset: BigInt(offset), readLimit: BigInt(limit) });
      expect(found.equals(expected)).toBe(true);
    });

    it('from its end is empty', async () => {
      expect(await get(name, { readOffset: BigInt(length) })).toHaveLength(0);
    });

    it.each([-1n, BigInt(length) + 1n, 2n ** 63n - 1n, -(2n ** 63n)])(
      'from offset %d is OUT_OF_RANGE',
      async (readOffset) => {
        await expect(get(name, { readOffset })).rejects.toMatchObject({ code: status.OUT_OF_RANGE });
      },
    );

    it('with a negative limit is INVALID_ARGUMENT', async () => {
      await expect(get(name, { readLimit: -1n })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    });
  });

  it.each([0, 10, 100_000])('(8) of a blob of %i bytes that is not here is NOT_FOUND', async (size) => {
    const { hash } = digestOf('never stored');
    for (const prefix of ['blobs/', 'compressed-blobs/zstd/'])
      await expect(get(`${prefix}${hash}/${size}`)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('(8) under another size than its own is NOT_FOUND', async () => {
    const { hash } = digestOf(small);
    await expect(get(`blobs/${hash}/${small.length + 1}`)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('sends a large blob in messages that every client takes', async () => {
    const parts = await loopback.client.serverStream(read, { resourceName: plain(digestOf(large)) });
    expect(parts.length).toBeGreaterThan(3);
    expect(Math.max(...parts.map(({ data }) => data.length))).toBeLessThan(MIB);
  });

  describe('(13) compressed', () => {
    it.each([
      ['small', small],
      ['large', large],
      ['compressible', repeating],
    ])('delivers a %s blob', async (_, bytes) => {
      expect((await decompress(await get(zstd(digestOf(bytes))), bytes.length)).equals(bytes)).toBe(true);
    });

    it('is smaller than the blob', async () => {
      expect((await get(zstd(digestOf(repeating)))).length).toBeLessThan(repeating.length / 10);
    });

    it('counts the offset in plain bytes', async () => {
      const packed = await get(zstd(digestOf(large)), { readOffset: 1_000_001n });
      expect((await decompress(packed, large.length)).equals(large.subarray(1_000_001))).toBe(true);
    });

    it('from its end is empty', async () => {
      const packed = await get(zstd(digestOf(large)), { readOffset: BigInt(large.length) });
      expect(await decompress(packed, 0)).toHaveLength(0);
    });

    it('refuses a limit', async () => {
      await expect(get(zstd(digestOf(large)), { readLimit: 5n })).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
    });

    it('refuses an offset beyond the end', async () => {
      await expect(get(zstd(digestOf(small)), { readOffset: 10_000n })).rejects.toMatchObject({
        code: status.OUT_OF_RANGE,
      });
    });
  });

  describe('(14) ends with its client', () => {
    let directory: string;
    let store: DiskBlobStore;
    const readers: { closed: boolean }[] = [];

    beforeEach(async () => {
      await loopback[Symbol.asyncDispose]();
      directory = await mkdtemp(join(tmpdir(), 'granary-reapi-'));
      store = await DiskBlobStore.open({ directory, maxBytes: 128 * MIB, housekeepingMs: 0 });
      readers.length = 0;
      const open = store.read.bind(store);
      vi.spyOn(store, 'read').mockImplementation(async (...args) => {
        const reader = await open(...args);
        if (!reader) return undefined;
        const watched = { closed: false };
        readers.push(watched);
        const close = reader.close.bind(reader);
        reader.close = () => {
          watched.closed = true;
          return close();
        };
        return reader;
      });
      loopback = await startLoopbackCache({ blobs: store, limits: { streamIdleMs: 60_000 } });
      await store.write(digestOf(bytes), bytes);
    });
    afterEach(async () => {
      await loopback[Symbol.asyncDispose]();
      await store.close();
      await rm(directory, { recursive: true });
    });

    const bytes = randomBytes(24 * MIB);

    it.each(['blobs', 'compressed-blobs/zstd'])('when it cancels a read of %s: the file is closed', async (kind) => {
      const call = loopback.client.openServerStream(read, { resourceName: `${kind}/${digestOf(bytes)}` });
      call.on('error', () => {});
      call.once('data', () => call.cancel());
      await vi.waitFor(() => expect(readers).toEqual([{ closed: true }]), { timeout: 5000 });
    });

    it('and leaves those alone who still read, from memory that is used again', async () => {
      const blobs = Array.from({ length: 4 }, () => randomBytes(2 * MIB + 5));
      for (const blob of blobs) await store.write(digestOf(blob), blob);
      const slowly = async (blob: Buffer, mayGo: boolean) => {
        const call = loopback.client.openServerStream(read, { resourceName: plain(digestOf(blob)) });
        const parts: Uint8Array[] = [];
        try {
          for await (const { data } of call) {
            parts.push(data);
            await new Promise((resolve) => setImmediate(resolve));
            if (mayGo && parts.length === 3) break;
          }
        } catch (error) {
          if (!mayGo) throw error;
        }
        expect(blob.indexOf(Buffer.concat(parts))).toBe(0);
        if (!mayGo) expect(Buffer.concat(parts)).toHaveLength(blob.length);
      };
      for (let round = 0; round < 3; round++) {
        await Promise.all(blobs.flatMap((blob) => [slowly(blob, false), slowly(blob, true), slowly(blob, false)]));
      }
    });

    it('when its connection breaks while it does not read', async () => {
      const raw = new RawClient(loopback.port);
      const stream = raw.open(read);
      stream.pause();
      stream.end(framed(read, { resourceName: plain(digestOf(bytes)) }));
      await vi.waitFor(() => expect(readers).toEqual([{ closed: false }]));
      raw.close();
      await vi.waitFor(() => expect(readers).toEqual([{ closed: true }]), { timeout: 5000 });
    });

    it('when it takes nothing for too long', async () => {
      await loopback[Symbol.asyncDispose]();
      const codes: string[] = [];
      const hooks = { onRequest: ({ code }: { code: string }) => codes.push(code) };
      loopback = await startLoopbackCache({ blobs: store, limits: { streamIdleMs: 50 }, hooks });
      const raw = new RawClient(loopback.port);
      const stream = raw.open(read);
      stream.pause();
      stream.end(framed(read, { resourceName: plain(digestOf(bytes)) }));
      await vi.waitFor(() => expect(codes).toEqual(['DEADLINE_EXCEEDED']), { timeout: 5000 });
      expect(readers).toEqual([{ closed: true }]);
      raw.close();
    });
  });
});
