import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { nullLogger } from '@granary/telemetry';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Digest } from '../digest.js';
import { StoreError, StoreLockedError } from '../errors.js';
import { blobOf } from '../testing/content.js';
import { TemporaryStores } from '../testing/temporary-stores.js';
import { DiskBlobStore } from './disk-blob-store.js';
import { UnsyncedMarker } from './files/unsynced-marker.js';

const KIB = 1024;
const MIB = 1024 * KIB;

const stores = new TemporaryStores();
afterEach(() => stores.dispose());

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: fc.constant('write' as const), blob: fc.nat({ max: 11 }) }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('read' as const), blob: fc.nat({ max: 11 }) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('find' as const), blob: fc.nat({ max: 11 }) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('delete' as const), blob: fc.nat({ max: 11 }) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('reopen' as const), blob: fc.constant(0) }) },
);

describe('DiskBlobStore', () => {
  it('does what a model of it does: writes, reads, uses, evictions in order, reopening', async () => {
    const sizes = [
      0,
      10,
      3000,
      16 * KIB,
      100 * KIB,
      200 * KIB,
      300 * KIB,
      300 * KIB,
      250 * KIB,
      270 * KIB,
      5000,
      290 * KIB,
    ];
    const blobs = sizes.map((size, i) => blobOf(size, i));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        let now = 1_700_000_000_000;
        const directory = await stores.folder();
        const options = { directory, maxBytes: MIB, minAgeMs: 0, durability: 'none', clock: () => now } as const;
        let store = await stores.open(options);
        /** What may be there, the most recently used last. */
        const known: number[] = [];
        const use = (i: number) => {
          if (known.includes(i)) known.splice(known.indexOf(i), 1);
          known.push(i);
        };
        for (const { what, blob: i } of steps) {
          now += 1000;
          const { digest, bytes } = blobs[i]!;
          if (what === 'reopen') {
            await store.close();
            store = await stores.open(options);
          } else if (what === 'write') {
            await store.write(digest, bytes);
            use(i);
          } else if (what === 'delete') {
            const there = await store.delete(digest);
            expect(there && !known.includes(i)).toBe(false);
            if (known.includes(i)) known.splice(known.indexOf(i), 1);
          } else {
            const found =
              what === 'find' ? store.findMissing([digest]).length === 0 : await isThere(store, digest, bytes);
            expect(found && !known.includes(i)).toBe(false);
            if (found) use(i);
            else if (known.includes(i)) known.splice(known.indexOf(i), 1);
          }
          await store.maintain();
          // What has gone was evicted, and so was everything that had not been used for longer.
          const missing = new Set(store.findMissing(known.map((k) => blobs[k]!.digest)).map(String));
          const firstHere = known.findIndex((k) => !missing.has(String(blobs[k]!.digest)));
          if (firstHere !== -1) expect(missing.size).toBe(firstHere);
          known.splice(0, missing.size);
          for (const k of known) store.findMissing([blobs[k]!.digest]);
          const { bytes: used, reservedBytes, blobs: count } = store.stats();
          expect(used).toBeLessThanOrEqual(MIB);
          expect(reservedBytes).toBe(0);
          expect(count).toBe(known.length);
        }
        await store.close();
      }),
      { numRuns: 25 },
    );
  });

  it('has everything again when it is reopened, at once and after the table has been loaded', async () => {
    const directory = await stores.folder();
    const store = await stores.open({ directory });
    const blobs = [10, 5000, 100 * KIB].map((size) => blobOf(size));
    const long = Digest.of('sha512', Buffer.from('long'));
    for (const { digest, bytes } of blobs) await store.write(digest, bytes);
    await store.write(long, Buffer.from('long'));
    await store.actionResults.set('key', Buffer.from('result'));
    const { bytes, blobs: count, actionResults } = store.stats();
    await store.close();

    const again = await stores.open({ directory });
    expect(again.stats()).toMatchObject({ bytes, blobs: count, actionResults, loaded: false });
    const check = async () => {
      expect(again.findMissing([...blobs.map(({ digest }) => digest), long])).toEqual([]);
      for (const blob of blobs) expect((await again.get(blob.digest))?.equals(blob.bytes)).toBe(true);
      expect(String(await again.get(long))).toBe('long');
      expect(again.sizeOf('sha512', long.bytes)).toBe(4);
      expect(String(await again.actionResults.get('key'))).toBe('result');
    };
    await check();
    await again.whenLoaded();
    expect(again.stats()).toMatchObject({ bytes, blobs: count, actionResults, loaded: true });
    await check();
  });

  it('tells hashes apart that begin alike, although its table has only their beginning', async () => {
    const store = await stores.open();
    const digest = Digest.of('sha512', Buffer.from('content'));
    await store.write(digest, Buffer.from('content'));
    const other = Digest.parse('sha512', digest.hash.slice(0, 64) + '0'.repeat(64), digest.size);
    expect(store.findMissing([other, digest])).toEqual([other]);
    expect(await store.delete(other)).toBe(false);
    expect(await store.delete(digest)).toBe(true);
  });

  it('changes entries while the table is being loaded', async () => {
    const directory = await stores.folder();
    const store = await stores.open({ directory, durability: 'none' });
    const blobs = Array.from({ length: 1000 }, (_, i) => blobOf(20, i));
    await Promise.all(blobs.map(({ digest, bytes }) => store.write(digest, bytes)));
    await Promise.all(blobs.map(({ digest, bytes }) => store.actionResults.set(digest.hash, bytes)));
    await store.close();

    const again = await stores.open({ directory });
    expect(again.stats().loaded).toBe(false);
    const gone = blobs.filter((_, i) => i % 3 === 0);
    await Promise.all(gone.map(({ digest }) => again.delete(digest)));
    expect(await again.actionResults.delete(blobs[1]!.digest.hash)).toBe(true);
    expect(await again.actionResults.delete(blobs[1]!.digest.hash)).toBe(false);
    await Promise.all(gone.map(({ digest }) => again.actionResults.set(digest.hash, Buffer.from('new'))));
    await again.whenLoaded();
    expect(again.findMissing(blobs.map(({ digest }) => digest))).toEqual(gone.map(({ digest }) => digest));
    expect(String(await again.actionResults.get(gone[5]!.digest.hash))).toBe('new');
    expect(again.stats()).toMatchObject({ blobs: 1000 - gone.length, actionResults: 999, reservedBytes: 0 });
  });

  it('remembers what was used although it was not written', async () => {
    const directory = await stores.folder();
    let now = Date.now();
    const options = { directory, maxBytes: 2 * MIB, minAgeMs: 0, clock: () => now };
    const store = await stores.open(options);
    const blobs = Array.from({ length: 4 }, (_, i) => blobOf(400 * KIB, i));
    for (const { digest, bytes } of blobs) {
      now += 1000;
      await store.write(digest, bytes);
    }
    now += 1000;
    store.findMissing([blobs[0]!.digest]);
    await store.close();

    // A clock that was set back does not turn the order around.
    now -= 3_600_000;
    const again = await stores.open(options);
    await again.whenLoaded();
    const more = blobOf(400 * KIB, 'more');
    now += 7_200_000;
    await again.write(more.digest, more.bytes);
    await again.maintain();
    const missing = again.findMissing(blobs.map(({ digest }) => digest));
    expect(missing).not.toContain(blobs[0]!.digest);
    expect(missing).toContain(blobs[1]!.digest);
  });

  it('does its rounds by itself', async () => {
    let rounds = 0;
    const fileSystem = {
      ...(await import('./files/file-system.js')).nodeFileSystem,
      freeBytes: async () => {
        rounds++;
        return 2 ** 40;
      },
    };
    await stores.open({ housekeepingMs: 1, fileSystem });
    await expect.poll(() => rounds).toBeGreaterThan(3);
  });

  it('removes files that a killed process left without an entry', async () => {
    const directory = await stores.folder();
    const store = await stores.open({ directory });
    const kept = blobOf(50 * KIB, 'kept');
    await store.write(kept.digest, kept.bytes);
    await store.close();
    const stray = join(directory, 'blobs', 'sha256', 'ab', 'ab'.repeat(32));
    const other = join(directory, 'blobs', 'sha256', 'ab', 'README');
    await mkdir(join(directory, 'blobs', 'sha256', 'ab'), { recursive: true });
    await writeFile(stray, 'stray');
    await writeFile(other, 'not ours');
    await writeFile(join(directory, 'blobs', 'sha256', '.DS_Store'), 'not even in a folder of blobs');

    const clean = await stores.open({ directory });
    await clean.maintain();
    expect(existsSync(stray)).toBe(true);
    // What a kill leaves behind is an index that was not closed.
    const { IndexDatabase } = await import('./index/index-database.js');
    await clean.close();
    const database = IndexDatabase.open(join(directory, 'index'), 'data');
    await database.putClosed(false);
    await database.close();

    const killed = await stores.open({ directory });
    await killed.maintain();
    expect(existsSync(stray)).toBe(false);
    expect(existsSync(other)).toBe(true);
    expect((await killed.get(kept.digest))?.equals(kept.bytes)).toBe(true);
  });

  it('finds damage by itself, in a few blobs at a time', async () => {
    const directory = await stores.folder();
    const store = await stores.open({ directory });
    const { digest, bytes } = blobOf(50 * KIB);
    await store.write(digest, bytes);
    await store.close();
    await writeFile(join(directory, 'blobs', 'sha256', digest.hash.slice(0, 2), digest.hash), 'damaged');
    const again = await stores.open({ directory });
    for (let round = 0; round < 250 && again.stats().quarantined === 0; round++) await again.maintain();
    expect(again.stats().quarantined).toBe(1);
  });
});

describe('a folder', () => {
  it('belongs to one store at a time', async () => {
    const directory = await stores.folder();
    const store = await stores.open({ directory });
    const refused = stores.open({ directory });
    await expect(refused).rejects.toBeInstanceOf(StoreLockedError);
    await expect(refused).rejects.toThrow(`process ${process.pid}`);
    await store.close();
    await stores.open({ directory });
  });

  it('can be locked however long its path is', async () => {
    const directory = join(await stores.folder(), 'x'.repeat(120));
    const store = await stores.open({ directory });
    await expect(stores.open({ directory })).rejects.toBeInstanceOf(StoreLockedError);
    await store.close();
    await stores.open({ directory });
  });

  it('is locked by a holder that does not answer', async () => {
    const directory = await stores.folder();
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(join(directory, 'LOCK'), resolve));
    await expect(stores.open({ directory })).rejects.toThrow('does not answer');
    await new Promise((resolve) => silent.close(resolve));
  });

  it.skipIf(process.platform !== 'linux')(
    'stays locked when the holder of another one ends that was moved away from its place',
    async () => {
      const directory = join(await stores.folder(), 'store');
      const before = await stores.open({ directory });
      await rename(directory, `${directory}-moved`);
      await stores.open({ directory });
      await before.close();
      await expect(stores.open({ directory })).rejects.toBeInstanceOf(StoreLockedError);
      expect(existsSync(join(`${directory}-moved`, 'LOCK'))).toBe(false);
    },
  );

  it('goes to one of many that open it at the same moment', async () => {
    const directory = await stores.folder();
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => stores.open({ directory })));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('is refused when it holds something else, another format, or no place to write', async () => {
    const other = await stores.folder();
    await writeFile(join(other, 'thesis.tex'), 'important');
    await expect(stores.open({ directory: other })).rejects.toThrow('not empty');
    expect(await readdir(other)).toEqual(['thesis.tex']);

    const newer = await stores.folder();
    await (await stores.open({ directory: newer })).close();
    await writeFile(join(newer, 'FORMAT'), 'granary blobs 99\n');
    await expect(stores.open({ directory: newer })).rejects.toThrow('granary blobs 99');

    const file = join(await stores.folder(), 'file');
    await writeFile(file, '');
    await expect(stores.open({ directory: file })).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });

  it.each([
    ['the root of a file system of its own', 'lost+found'],
    ["the home of the server's user", '.cache'],
  ])('may be %s', async (_, found) => {
    const directory = await stores.folder();
    await mkdir(join(directory, found));
    const store = await stores.open({ directory });
    const { digest, bytes } = blobOf(100);
    await store.write(digest, bytes);
    expect(await store.get(digest)).toEqual(bytes);
  });

  it('is given back when the store cannot be opened', async () => {
    const directory = await stores.folder();
    await (await stores.open({ directory })).close();
    const index = join(directory, 'index', 'data.mdb');
    const good = await readFile(index);
    await writeFile(index, 'not a database at all, but long enough to look at'.repeat(500));
    await expect(stores.open({ directory })).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await writeFile(index, good);
    await stores.open({ directory });
    await chmod(index, 0o644);
  });
});

it('is refused clearly when its index was cut off', async () => {
  const directory = await stores.folder();
  const store = await stores.open({ directory });
  for (const { digest, bytes } of Array.from({ length: 50 }, (_, i) => blobOf(5000, i)))
    await store.write(digest, bytes);
  await store.close();
  const index = join(directory, 'index', 'data.mdb');
  await truncate(index, (await stat(index)).size / 2);
  await expect(stores.open({ directory })).rejects.toMatchObject({
    code: 'STORE_FAILED',
    message: expect.stringContaining('is damaged'),
  });
});

it('is refused clearly when the file beside its index cannot be opened', async () => {
  const directory = await stores.folder();
  await (await stores.open({ directory })).close();
  const lockFile = join(directory, 'index', 'lock.mdb');
  await rm(lockFile, { force: true });
  await mkdir(lockFile);
  await expect(stores.open({ directory })).rejects.toMatchObject({
    code: 'STORE_FAILED',
    message: expect.stringContaining('lock.mdb'),
  });
  await rm(lockFile, { recursive: true });
  await stores.open({ directory });
});

describe('durability none', () => {
  it('starts empty after a power cut, since the index may be anything then', async () => {
    const directory = await stores.folder();
    const store = await stores.open({ directory, durability: 'none' });
    const { digest, bytes } = blobOf(10);
    await store.write(digest, bytes);
    const marker = join(directory, 'UNSYNCED');
    const boot = await readFile(marker);
    await store.close();
    expect(existsSync(marker)).toBe(false);

    // Killed: the machine is still the same, nothing is lost.
    await writeFile(marker, boot);
    const killed = await stores.open({ directory, durability: 'data' });
    expect(killed.findMissing([digest])).toEqual([]);
    expect(existsSync(marker)).toBe(false);
    await killed.close();

    await writeFile(marker, 'another boot');
    const cut = await stores.open({ directory, durability: 'none' });
    expect(cut.findMissing([digest])).toEqual([digest]);
    await cut.write(digest, bytes);
  });

  it('names the boot on systems that do not', async () => {
    const directory = await stores.folder();
    const marker = new UnsyncedMarker(directory, join(directory, 'index'));
    await marker.settle('none', nullLogger, 'some boot');
    expect(String(await readFile(join(directory, 'UNSYNCED')))).toBe('some boot');
    await marker.clear();
    await marker.clear();
  });
});

describe('an option', () => {
  it.each([
    ['directory', ''],
    ['maxBytes', 1000],
    ['maxBytes', 1.5e7 + 0.5],
    ['minFreeBytes', -1],
    ['smallBlobBytes', 2 * MIB],
    ['durability', 'sometimes'],
  ])('%s that is %s is refused by name', async (name, value) => {
    const options = { directory: '/nonexistent', maxBytes: MIB, [name]: value };
    await expect(DiskBlobStore.open(options)).rejects.toThrow(`option ${name}`);
    await expect(DiskBlobStore.open(options)).rejects.toBeInstanceOf(StoreError);
  });
});

async function isThere(store: DiskBlobStore, digest: Digest, bytes: Buffer): Promise<boolean> {
  const found = await store.get(digest);
  if (found) expect(found.equals(bytes)).toBe(true);
  return found !== undefined;
}
