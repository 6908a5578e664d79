import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { actionKey } from '../blob-store.js';
import { NoSpaceError } from '../errors.js';
import { blobOf, inChunks } from '../testing/content.js';
import { FaultyFileSystem, systemError } from '../testing/faulty-file-system.js';
import { TemporaryStores } from '../testing/temporary-stores.js';
import { actionResultPin, blobPin, EntryPins } from './index/entry-pins.js';
import type { Eviction } from './options.js';

const KIB = 1024;
const MIB = 1024 * KIB;

const stores = new TemporaryStores();
afterEach(() => stores.dispose());

/** A clock that a test moves. */
function testClock() {
  let now = Date.now();
  const clock = () => now;
  return { clock, advance: (ms: number) => (now += ms) };
}

/** A disk that has nothing on it but a store. */
class SmallDisk extends FaultyFileSystem {
  readonly #directory: string;
  readonly #bytes: number;

  constructor(directory: string, bytes: number) {
    super();
    this.#directory = directory;
    this.#bytes = bytes;
  }

  override async freeBytes(): Promise<number> {
    let free = this.#bytes;
    for (const entry of readdirSync(this.#directory, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) free -= statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
    return free;
  }
}

describe('a full store', () => {
  it('evicts in the order of last use, blobs and action results alike', async () => {
    const { clock, advance } = testClock();
    const evictions: Eviction[] = [];
    const store = await stores.open({ maxBytes: 4 * MIB, clock, onEvicted: (one) => evictions.push(one) });
    const blobs = Array.from({ length: 14 }, (_, i) => blobOf(200 * KIB, i));
    const small = blobOf(10, 'small');
    const key = actionKey('main', small.digest);
    await store.write(small.digest, small.bytes);
    await store.actionResults.set(key, Buffer.from('result'));
    for (const { digest, bytes } of blobs) {
      await store.write(digest, bytes);
      advance(1000);
    }
    // Used again, each in its own way: the first blob is found, the second read, the result fetched.
    store.findMissing([blobs[0]!.digest]);
    await (await store.read(blobs[1]!.digest))?.close();
    await store.actionResults.get(key);
    advance(60_000);
    for (let i = 0; i < 7; i++) {
      const { digest, bytes } = blobOf(200 * KIB, `more ${i}`);
      await store.write(digest, bytes);
      await store.maintain();
    }
    const gone = store.findMissing([small.digest, ...blobs.map(({ digest }) => digest)]);
    expect(gone.length).toBeGreaterThan(2);
    expect(gone).toEqual([small.digest, ...blobs.slice(2, gone.length + 1).map(({ digest }) => digest)]);
    expect(await store.actionResults.get(key)).toBeDefined();
    expect(store.stats().bytes).toBeLessThanOrEqual(4 * MIB);
    expect(evictions.reduce((sum, { count }) => sum + count, 0)).toBe(gone.length);
    expect(store.stats().evictions).toBe(gone.length);
    expect(store.stats().longestIdleMs).toBeGreaterThanOrEqual(60_000);
  });

  it('spares what was used after it had been found to be among the oldest', async () => {
    const { clock, advance } = testClock();
    const store = await stores.open({ maxBytes: 4 * MIB, minAgeMs: 0, clock });
    const blobs = Array.from({ length: 24 }, (_, i) => blobOf(250 * KIB, i));
    const spared = blobs[6]!;
    for (const [i, { digest, bytes }] of blobs.entries()) {
      advance(1000);
      await store.write(digest, bytes);
      await store.maintain();
      // The first eviction has listed all that there was; from now on the list is used up.
      if (store.stats().evictions > 0 && i < 20) expect(store.findMissing([spared.digest])).toEqual([]);
    }
    const here = blobs.map(({ digest }) => store.findMissing([digest]).length === 0);
    expect(here[6]).toBe(true);
    expect(here.indexOf(true, 7)).toBeGreaterThan(7);
    expect(here.slice(here.indexOf(true, 7))).not.toContain(false);
  });

  it('stays under its limit while many upload at once, and none of them waits in vain', async () => {
    const { clock, advance } = testClock();
    const store = await stores.open({ maxBytes: 8 * MIB, minAgeMs: 0, clock });
    let most = 0;
    const watched = async function* (bytes: Buffer) {
      for await (const chunk of inChunks(bytes, 16 * KIB)) {
        const { bytes: used, reservedBytes } = store.stats();
        most = Math.max(most, used + reservedBytes);
        yield chunk;
      }
    };
    for (let round = 0; round < 4; round++) {
      advance(1000);
      const blobs = Array.from({ length: 12 }, (_, i) => blobOf(500 * KIB, `${round}/${i}`));
      await Promise.all(blobs.map(({ digest, bytes }) => store.write(digest, watched(bytes))));
    }
    expect(most).toBeLessThanOrEqual(8 * MIB);
    expect(most).toBeGreaterThan(6 * MIB);
    await store.maintain();
    expect(store.stats()).toMatchObject({ reservedBytes: 0 });
    expect(store.stats().bytes).toBeLessThanOrEqual(8 * MIB);
  });

  it('keeps what was used lately: uploads fail, reads go on', async () => {
    const { clock, advance } = testClock();
    // Long enough for a busy machine to evict something when it may.
    const store = await stores.open({ maxBytes: 2 * MIB, minAgeMs: 30_000, spaceWaitMs: 500, clock });
    const blobs = Array.from({ length: 5 }, (_, i) => blobOf(390 * KIB, i));
    for (const { digest, bytes } of blobs) await store.write(digest, bytes);
    const { digest, bytes } = blobOf(390 * KIB, 'one too many');
    await expect(store.write(digest, bytes)).rejects.toBeInstanceOf(NoSpaceError);
    await expect(store.actionResults.set('key', Buffer.alloc(300 * KIB))).rejects.toMatchObject({ code: 'NO_SPACE' });
    for (const blob of blobs) expect((await store.get(blob.digest))?.equals(blob.bytes)).toBe(true);
    expect(store.stats()).toMatchObject({ reservedBytes: 0, evictions: 0 });
    advance(31_000);
    await store.write(digest, bytes);
    // The write goes on as soon as there is space; the round that made it is counted at its end.
    await store.maintain();
    expect(store.stats().evictions).toBeGreaterThan(0);
  });

  it.each([
    ['since the store was closed', true],
    ['while the store is open', false],
  ])('makes room although the clock was set back %s', async (_, isClosed) => {
    const { clock, advance } = testClock();
    const year = 365 * 24 * 3_600_000;
    const options = { directory: await stores.folder(), maxBytes: 2 * MIB, minAgeMs: 30_000, spaceWaitMs: 500, clock };
    let store = await stores.open(options);
    for (let i = 0; i < 5; i++) {
      const { digest, bytes } = blobOf(390 * KIB, i);
      await store.write(digest, bytes);
    }
    if (isClosed) await store.close();
    advance(-year);
    if (isClosed) store = await stores.open(options);
    await store.maintain();

    const { digest, bytes } = blobOf(390 * KIB, 'one too many');
    await expect(store.write(digest, bytes)).rejects.toBeInstanceOf(NoSpaceError);
    advance(31_000);
    await store.write(digest, bytes);
    await store.maintain();
    expect(store.findMissing([blobOf(390 * KIB, 0).digest, digest])).toEqual([blobOf(390 * KIB, 0).digest]);
    expect(store.stats().longestIdleMs).toBeLessThan(32_000);
  });

  it('does not evict what is pinned, and what is behind that has its turn', async () => {
    const { clock, advance } = testClock();
    const directory = await stores.folder();
    const old = Array.from({ length: 4 }, (_, i) => blobOf(390 * KIB, `old ${i}`));
    const first = await stores.open({ directory, maxBytes: 4 * MIB, clock });
    for (const { digest, bytes } of old) await first.write(digest, bytes);
    await first.actionResults.set('old result', Buffer.from('value'));
    await first.close();
    const pins = new EntryPins();
    for (const { digest } of old) pins.pin(blobPin(digest));
    pins.pin(actionResultPin('old result'));
    advance(60_000);
    const store = await stores.open({ directory, maxBytes: 4 * MIB, minAgeMs: 0, clock, pins });
    await store.whenLoaded();
    const others = Array.from({ length: 12 }, (_, i) => blobOf(390 * KIB, i));
    for (const { digest, bytes } of others) {
      advance(1000);
      await store.write(digest, bytes);
    }
    expect(store.findMissing(old.map(({ digest }) => digest))).toEqual([]);
    expect(String(await store.actionResults.get('old result'))).toBe('value');
    expect(store.findMissing(others.map(({ digest }) => digest)).length).toBeGreaterThan(5);
    for (const { digest } of old) pins.unpin(blobPin(digest));
    expect(pins.count).toBe(1);
    for (let i = 20; i < 40; i++) {
      advance(1000);
      await store.write(blobOf(390 * KIB, i).digest, blobOf(390 * KIB, i).bytes);
    }
    expect(store.findMissing(old.map(({ digest }) => digest))).toHaveLength(4);
  });

  it('refuses uploads when all that is there is pinned', async () => {
    const pins = new EntryPins();
    const store = await stores.open({ maxBytes: 2 * MIB, minAgeMs: 0, spaceWaitMs: 50, pins });
    const blobs = Array.from({ length: 5 }, (_, i) => blobOf(390 * KIB, i));
    for (const { digest, bytes } of blobs) {
      pins.pin(blobPin(digest));
      await store.write(digest, bytes);
    }
    const { digest, bytes } = blobOf(390 * KIB, 'one too many');
    await expect(store.write(digest, bytes)).rejects.toBeInstanceOf(NoSpaceError);
    expect(store.findMissing(blobs.map((blob) => blob.digest))).toEqual([]);
  });

  it('does not evict what is being read', async () => {
    const { clock, advance } = testClock();
    const store = await stores.open({ maxBytes: 2 * MIB, minAgeMs: 0, clock });
    const first = blobOf(700 * KIB, 'first');
    await store.write(first.digest, first.bytes);
    const reader = await store.read(first.digest);
    await reader?.next();
    for (let i = 0; i < 6; i++) {
      advance(1000);
      const { digest, bytes } = blobOf(700 * KIB, i);
      await store.write(digest, bytes);
    }
    expect(store.findMissing([first.digest])).toEqual([]);
    let read = 0;
    for (let chunk = await reader?.next(); chunk; chunk = await reader?.next()) read += chunk.length;
    expect(read).toBeGreaterThan(0);
  });

  it('refuses at once what could never fit', async () => {
    const store = await stores.open({ maxBytes: MIB, spaceWaitMs: 60_000 });
    const { digest, bytes } = blobOf(2 * MIB);
    await expect(store.write(digest, bytes)).rejects.toBeInstanceOf(NoSpaceError);
  });

  it('lets go of an upload that is aborted while it waits for room', async () => {
    const store = await stores.open({ maxBytes: MIB, spaceWaitMs: 60_000 });
    const first = blobOf(900 * KIB, 1);
    await store.write(first.digest, first.bytes);
    const abort = new AbortController();
    const { digest, bytes } = blobOf(900 * KIB, 2);
    const write = store.write(digest, bytes, { signal: abort.signal });
    abort.abort(new Error('deadline'));
    await expect(write).rejects.toThrow('deadline');
    expect(store.stats().reservedBytes).toBe(0);
  });

  it('lets go of uploads that wait for room when it is closed', async () => {
    const store = await stores.open({ maxBytes: MIB, spaceWaitMs: 60_000 });
    const first = blobOf(900 * KIB, 1);
    await store.write(first.digest, first.bytes);
    const { digest, bytes } = blobOf(900 * KIB, 2);
    const refused = expect(store.write(digest, bytes)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await store.close();
    await refused;
  });
});

describe('a file system that fills up', () => {
  it('gets back what has to stay free, from the files used longest ago', async () => {
    const fileSystem = new FaultyFileSystem();
    fileSystem.free = 100 * MIB;
    const { clock, advance } = testClock();
    const store = await stores.open({ maxBytes: 64 * MIB, minFreeBytes: 10 * MIB, minAgeMs: 0, fileSystem, clock });
    const small = blobOf(5000, 'small');
    await store.write(small.digest, small.bytes);
    const blobs = Array.from({ length: 6 }, (_, i) => blobOf(MIB, i));
    for (const { digest, bytes } of blobs) {
      advance(1000);
      await store.write(digest, bytes);
    }
    advance(1000);
    // Somebody else fills the file system: 1.1 × 10 MiB should be free, so about 2.5 MiB have to go.
    fileSystem.free = 8.5 * MIB;
    await store.maintain();
    expect(store.findMissing([small.digest, ...blobs.map(({ digest }) => digest)])).toEqual(
      blobs.slice(0, 3).map(({ digest }) => digest),
    );
  });

  it('goes on for ever where the disk is smaller than the store may be: small blobs take the place of small ones', async () => {
    const directory = await stores.folder();
    const fileSystem = new SmallDisk(directory, 16 * MIB);
    const limits = { minFreeBytes: 2 * MIB, minAgeMs: 0, maxBytes: 1024 * MIB, spaceWaitMs: 60_000 };
    const store = await stores.open({ directory, fileSystem, durability: 'none', ...limits });
    await store.whenLoaded();
    // Three times of what there is room for, as many bytes in small blobs, which lie in the index, as in large ones.
    for (let round = 0; round < 80; round++) {
      const sizes = [300 * KIB, ...Array.from({ length: 10 }, () => 30 * KIB)];
      const blobs = sizes.map((size, i) => blobOf(size, `${round}/${i}`));
      await Promise.all(blobs.map(({ digest, bytes }) => store.write(digest, bytes)));
    }
    const { blobs, bytes } = store.stats();
    expect(bytes / blobs).toBeGreaterThan(40 * KIB);
    expect(await fileSystem.freeBytes()).toBeGreaterThan(MIB);
    await store.checkWritable();
  });

  it('takes no uploads when nothing more can go', async () => {
    const fileSystem = new FaultyFileSystem();
    fileSystem.free = 9 * MIB;
    const store = await stores.open({ minFreeBytes: 10 * MIB, spaceWaitMs: 20, fileSystem });
    const { digest, bytes } = blobOf(100);
    await expect(store.write(digest, bytes)).rejects.toThrow(/must stay/);
    // Nor is it ready for any, though a small file could be written.
    await expect(store.checkWritable()).rejects.toMatchObject({ code: 'NO_SPACE' });
    fileSystem.free = 20 * MIB;
    await store.checkWritable();
    await store.maintain();
    await store.write(digest, bytes);
  });

  it.each(['ENOSPC', 'EDQUOT'])('is told apart from other failures by %s', async (code) => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ fileSystem });
    const { digest, bytes } = blobOf(100 * KIB);
    fileSystem.fault = (operation) => (operation === 'write' ? systemError(code) : undefined);
    await expect(store.write(digest, bytes)).rejects.toBeInstanceOf(NoSpaceError);
    expect(store.stats()).toMatchObject({ bytes: 0, reservedBytes: 0 });
  });
});
