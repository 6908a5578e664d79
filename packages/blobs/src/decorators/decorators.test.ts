import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import type { BlobReader, BlobStore, OperationOptions, WholeFile } from '../blob-store.js';
import { BufferReader } from '../buffer-reader.js';
import { Digest, emptyDigest } from '../digest.js';
import { DIGEST_FUNCTIONS } from '../digest-function.js';
import { BlobDamagedError, BlobTooLargeError, DigestMismatchError, NoSpaceError } from '../errors.js';
import { MemoryBlobStore } from '../memory/memory-blob-store.js';
import { blobOf, inChunks } from '../testing/content.js';
import { ScriptedStore } from '../testing/scripted-store.js';
import { withEmptyBlob } from './empty-blob-store.js';
import { withRecorder } from './metered-store.js';
import { withSizeLimit } from './size-limited-store.js';
import { withVerification } from './verified-store.js';

const some = blobOf(100);

/** A store that must not be asked. */
const untouchable: BlobStore = {
  name: 'untouchable',
  findMissing: () => expect.fail(),
  get: () => expect.fail(),
  read: () => expect.fail(),
  write: () => expect.fail(),
  delete: () => expect.fail(),
  close: async () => {},
};

describe('a store with the empty blob', () => {
  it.each(DIGEST_FUNCTIONS)('has it for %s without asking the store behind', async (fn) => {
    const store = withEmptyBlob(untouchable);
    const empty = emptyDigest(fn);
    expect(store.name).toBe('untouchable');
    expect(await store.findMissing([empty, empty])).toEqual([]);
    expect((await store.get(empty))?.length).toBe(0);
    const reader = await store.read(empty);
    expect(reader?.length).toBe(0);
    expect(await reader?.next()).toBeUndefined();
    await store.write(empty, new Uint8Array(0));
    await store.write(empty, inChunks(Buffer.alloc(0), 1));
    expect(await store.delete(empty)).toBe(false);
    await expect(store.write(empty, Buffer.from('x'))).rejects.toBeInstanceOf(DigestMismatchError);
  });

  it('asks for the others, and takes another hash of size 0 for something missing', async () => {
    const store = withEmptyBlob(new MemoryBlobStore());
    const odd = Digest.parse('sha256', 'a'.repeat(64), 0);
    expect(await store.findMissing([emptyDigest('sha256'), odd, some.digest])).toEqual([odd, some.digest]);
    expect(await store.get(odd)).toBeUndefined();
  });
});

describe('a size-limited store', () => {
  it('refuses a large blob before it reads from the source', async () => {
    const inner = new MemoryBlobStore();
    const store = withSizeLimit(inner, 100);
    const large = blobOf(101);
    const source: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => expect.fail() };
    await expect(store.write(large.digest, source)).rejects.toBeInstanceOf(BlobTooLargeError);
    await store.write(some.digest, some.bytes);
    expect(await store.delete(some.digest)).toBe(true);
  });
});

describe('a metered store', () => {
  function metered(inner: BlobStore) {
    const records: string[] = [];
    const store = withRecorder(inner, {
      recordOperation: (operation, outcome, durationMs, bytes) => {
        expect(durationMs).toBeGreaterThanOrEqual(0);
        records.push(`${operation} ${outcome} ${bytes}`);
      },
    });
    return { store, records };
  }

  it('is the store itself when nobody records', () => {
    const inner = new MemoryBlobStore();
    expect(withRecorder(inner, undefined)).toBe(inner);
  });

  it('records each operation once, with its outcome and its bytes', async () => {
    const { store, records } = metered(new MemoryBlobStore());
    await store.findMissing([some.digest]);
    await store.get(some.digest);
    await store.read(some.digest);
    await store.delete(some.digest);
    await store.write(some.digest, some.bytes);
    await store.findMissing([some.digest]);
    await store.get(some.digest);
    for await (const _ of (await store.read(some.digest)) ?? []);
    const part = await store.read(some.digest, { limit: 7 });
    await part?.next();
    await part?.close();
    await store.delete(some.digest);
    expect(records).toEqual([
      'find miss 0',
      'get miss 0',
      'read miss 0',
      'delete miss 0',
      'write ok 100',
      'find hit 0',
      'get hit 100',
      'read hit 100',
      'read hit 7',
      'delete hit 0',
    ]);
  });

  it('answers at once when the store behind does', () => {
    const { store } = metered(new MemoryBlobStore());
    expect(store.get(some.digest)).toBeUndefined();
    expect(store.findMissing([some.digest])).toEqual([some.digest]);
  });

  it('records errors and passes them on', async () => {
    const full = new NoSpaceError('full');
    const fail = () => Promise.reject(full);
    const failNow = () => {
      throw full;
    };
    const reader: BlobReader = {
      length: 100,
      next: fail,
      close: async () => {},
      [Symbol.asyncIterator]: () => expect.fail(),
    };
    const inner: BlobStore = {
      ...untouchable,
      write: fail,
      read: fail,
      delete: fail,
      get: failNow,
      findMissing: failNow,
    };
    const { store, records } = metered(inner);
    await expect(store.write(some.digest, some.bytes)).rejects.toBe(full);
    await expect(store.read(some.digest)).rejects.toBe(full);
    await expect(store.delete(some.digest)).rejects.toBe(full);
    expect(() => store.get(some.digest)).toThrow(full);
    expect(() => store.findMissing([some.digest])).toThrow(full);
    expect(records).toEqual(['write error 0', 'read error 0', 'delete error 0', 'get error 0', 'find error 0']);

    const breaking = metered({ ...untouchable, read: async () => reader });
    const opened = await breaking.store.read(some.digest);
    await expect(opened?.next()).rejects.toBe(full);
    await opened?.close();
    expect(breaking.records).toEqual(['read error 0']);
  });

  it('records files that are adopted as writes, where the store adopts any', async () => {
    const full = new NoSpaceError('full');
    const file = {} as WholeFile;
    const adopt = vi.fn<NonNullable<BlobStore['adopt']>>().mockResolvedValueOnce();
    adopt.mockRejectedValueOnce(full).mockImplementationOnce(() => {
      throw full;
    });
    const { store, records } = metered({ ...untouchable, adopt });
    const { signal } = new AbortController();
    await store.adopt?.(some.digest, file, { signal });
    expect(adopt).toHaveBeenCalledExactlyOnceWith(some.digest, file, { signal });
    await expect(store.adopt?.(some.digest, file)).rejects.toBe(full);
    await expect(store.adopt?.(some.digest, file)).rejects.toBe(full);
    expect(records).toEqual(['write ok 100', 'write error 0', 'write error 0']);
    expect(metered(untouchable).store.adopt).toBeUndefined();
  });

  it('records no error of the store where its caller has gone', async () => {
    const slow = new ScriptedStore({ name: 'slow' });
    await slow.write(some.digest, some.bytes);
    slow.chunkBytes = 60;
    const { store, records } = metered(slow);
    const leave = async (ask: (options: OperationOptions) => unknown) => {
      const caller = new AbortController();
      const gone = new Error('gone');
      slow.before = async () => {
        caller.abort(gone);
        throw gone;
      };
      await expect(Promise.resolve(ask({ signal: caller.signal }))).rejects.toBe(gone);
      slow.before = () => {};
    };
    await leave((options) => store.findMissing([some.digest], options));
    await leave((options) => store.get(some.digest, options));
    await leave((options) => store.read(some.digest, options));
    await leave((options) => store.write(some.digest, some.bytes, options));
    expect(records).toEqual([]);

    const caller = new AbortController();
    const reader = await store.read(some.digest, { signal: caller.signal });
    await reader?.next();
    slow.delivery = () => {
      caller.abort();
      throw caller.signal.reason;
    };
    await expect(Promise.resolve(reader?.next())).rejects.toThrow();
    await reader?.close();
    expect(records).toEqual(['read hit 60']);
  });
});

describe('a verified store', () => {
  const large = blobOf(700_000);

  /** A store that delivers other bytes than those that it is asked for. */
  function lying(bytes: Buffer, late = false): BlobStore {
    return {
      ...untouchable,
      get: () => (late ? Promise.resolve(Buffer.from(bytes)) : Buffer.from(bytes)),
      read: async () => BufferReader.copyOf(bytes),
    };
  }

  it('counts wrong bytes as missing, at once or later', async () => {
    for (const late of [false, true]) {
      const wrong: string[] = [];
      const store = withVerification(lying(blobOf(100, 'other').bytes, late), (_, reason) => wrong.push(reason));
      expect(await store.get(some.digest)).toBeUndefined();
      expect(wrong).toEqual(['100 bytes with another hash']);
    }
    expect(await withVerification(lying(some.bytes, true)).get(some.digest)).toEqual(some.bytes);
    expect(withVerification(new MemoryBlobStore()).get(some.digest)).toBeUndefined();
  });

  it('keeps the last chunk of a wrong stream back', async () => {
    const bytes = Buffer.from(large.bytes);
    bytes[0]! ^= 1;
    const store = withVerification(lying(bytes));
    let read = 0;
    const reading = (async () => {
      for await (const chunk of (await store.read(large.digest)) ?? []) read += chunk.length;
    })();
    await expect(reading).rejects.toBeInstanceOf(BlobDamagedError);
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(bytes.length);
  });

  it('counts a stream of another length as missing, and parts are only measured', async () => {
    const store = withVerification(lying(some.bytes));
    expect(await store.read(large.digest)).toBeUndefined();
    expect(await store.read(some.digest, { offset: 50 })).toBeUndefined();
    const reader = await store.read(some.digest, { offset: 0, limit: 100 });
    expect((await reader?.next())?.equals(some.bytes)).toBe(true);
    expect(await reader?.next()).toBeUndefined();
  });

  it.each([
    ['ends early', 60],
    ['goes on too long', 160],
  ])('fails when a stream %s', async (_, size) => {
    const inner = BufferReader.copyOf(Buffer.alloc(size));
    const reader: BlobReader = {
      length: 100,
      next: () => inner.next(),
      close: () => inner.close(),
      [Symbol.asyncIterator]: () => inner[Symbol.asyncIterator](),
    };
    const store = withVerification({ ...untouchable, read: async () => reader });
    const reading = (async () => {
      for await (const _ of (await store.read(some.digest)) ?? []);
    })();
    await expect(reading).rejects.toBeInstanceOf(BlobDamagedError);
  });
});

describe('a store that answers with promises of another realm, as Node itself does in the contexts of jest', () => {
  const { bytes, digest } = blobOf(100);
  const ForeignPromise: PromiseConstructor = runInNewContext('Promise');
  const foreign = (blob: Buffer): BlobStore => ({
    ...untouchable,
    findMissing: () => ForeignPromise.resolve([digest]),
    get: () => ForeignPromise.resolve(blob),
  });

  it('is verified when it has answered', async () => {
    const mismatches: string[] = [];
    const onMismatch = (_: Digest, reason: string) => mismatches.push(reason);
    expect(await withVerification(foreign(bytes), onMismatch).get(digest)).toEqual(bytes);
    expect(mismatches).toEqual([]);
    expect(await withVerification(foreign(Buffer.alloc(100)), onMismatch).get(digest)).toBeUndefined();
    expect(mismatches).toEqual([expect.stringContaining('another hash')]);
  });

  it('is recorded when it has answered', async () => {
    const recorded: unknown[] = [];
    const recordOperation = (...[operation, outcome, , size]: unknown[]) => recorded.push([operation, outcome, size]);
    const store = withRecorder(foreign(bytes), { recordOperation } as Parameters<typeof withRecorder>[1]);
    await store.findMissing([digest, digest]);
    await store.get(digest);
    expect(recorded).toEqual([
      ['find', 'miss', 0],
      ['get', 'hit', 100],
    ]);
  });
});
