import { execFileSync } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Digest } from '../digest.js';
import { BlobDamagedError, isStoreError } from '../errors.js';
import { blobOf, inChunks } from '../testing/content.js';
import { FaultyFileSystem, systemError } from '../testing/faulty-file-system.js';
import { TemporaryStores } from '../testing/temporary-stores.js';
import { blobPin, EntryPins } from './index/entry-pins.js';
import { IndexDatabase } from './index/index-database.js';

const KIB = 1024;

const stores = new TemporaryStores();
afterEach(() => stores.dispose());

const fileOf = (directory: string, { function: fn, hash }: Digest) =>
  join(directory, 'blobs', fn, hash.slice(0, 2), hash);

describe('an upload', () => {
  it('that fails at any step leaves nothing, and works when it is tried again', async () => {
    // How many steps there are shows when one upload goes well.
    const rehearsal = new FaultyFileSystem();
    const rehearsed = await stores.open({ fileSystem: rehearsal, durability: 'full' });
    const { digest, bytes } = blobOf(1200 * KIB);
    await rehearsed.maintain();
    const before = rehearsal.done.length;
    await rehearsed.write(digest, inChunks(bytes, 16 * KIB));
    const steps = rehearsal.done.length - before;
    expect(rehearsal.done.slice(before)).toContain('syncDirectory');
    expect(steps).toBeGreaterThan(6);

    for (let step = 0; step < steps; step++) {
      const fileSystem = new FaultyFileSystem();
      const directory = await stores.folder();
      const store = await stores.open({ fileSystem, directory, durability: 'full' });
      await store.maintain();
      const first = fileSystem.done.length;
      fileSystem.fault = (_, __, number) => (number === first + step ? systemError('EIO') : undefined);
      const outcome = await store.write(digest, inChunks(bytes, 16 * KIB)).catch((error: unknown) => error);
      const failed = fileSystem.done[first + step];
      fileSystem.fault = () => undefined;
      expect(isStoreError(outcome), `step ${step}, ${failed}`).toBe(true);
      expect(store.findMissing([digest])).toEqual([digest]);
      expect(store.stats()).toMatchObject({ bytes: 0, reservedBytes: 0, blobs: 0 });
      expect(await readdir(join(directory, 'incoming'))).toEqual([]);
      await expect(stat(fileOf(directory, digest))).rejects.toThrow('ENOENT');
      await store.write(digest, inChunks(bytes, 16 * KIB));
      expect((await store.get(digest))?.equals(bytes)).toBe(true);
    }
  });

  it('brings the names of all folders to the disk with durability full, and of none with data', async () => {
    const { digest, bytes } = blobOf(1200 * KIB);
    const syncedWith = async (durability: 'data' | 'full') => {
      const fileSystem = new FaultyFileSystem();
      const synced: string[] = [];
      fileSystem.fault = (operation, path) => {
        if (operation === 'syncDirectory') synced.push(path);
        return undefined;
      };
      const directory = await stores.folder();
      const store = await stores.open({ fileSystem, directory, durability });
      await store.write(digest, inChunks(bytes, 16 * KIB));
      await store.delete(digest);
      await store.write(digest, inChunks(bytes, 16 * KIB));
      return synced.map((path) => relative(directory, path));
    };
    const shard = `blobs/${digest.function}/${digest.hash.slice(0, 2)}`;
    expect(await syncedWith('full')).toEqual(['index', '', `blobs/${digest.function}`, 'blobs', '', shard, shard]);
    expect(await syncedWith('data')).toEqual([]);
  });

  it('has its place although somebody has removed the folders of blobs', async () => {
    const directory = await stores.folder();
    const store = await stores.open({ directory });
    const { digest, bytes } = blobOf(1200 * KIB);
    await store.write(digest, bytes);
    await rm(join(directory, 'blobs', digest.function), { recursive: true });
    expect(await store.get(digest)).toBeUndefined();
    await store.write(digest, bytes);
    expect((await store.get(digest))?.equals(bytes)).toBe(true);
  });

  it('is complete when the file system writes little at a time', async () => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ fileSystem });
    fileSystem.mostWritten = 7777;
    const { digest, bytes } = blobOf(1100 * KIB);
    await store.write(digest, inChunks(bytes, 16 * KIB));
    expect((await store.get(digest))?.equals(bytes)).toBe(true);
  });

  it('fails when the file system takes no bytes', async () => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ fileSystem });
    fileSystem.mostWritten = 0;
    const { digest, bytes } = blobOf(100 * KIB);
    await expect(store.write(digest, bytes)).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });

  it('has room again a moment after somebody has removed the folder of uploads', async () => {
    const directory = await stores.folder();
    const store = await stores.open({ directory });
    for (const name of ['incoming', 'quarantine']) await rm(join(directory, name), { recursive: true });
    const { digest, bytes } = blobOf(100 * KIB);
    await expect(store.write(digest, bytes)).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await store.maintain();
    await store.write(digest, bytes);
    await writeFile(fileOf(directory, digest), 'damaged');
    expect(await store.get(digest)).toBeUndefined();
    expect(await readdir(join(directory, 'quarantine'))).toHaveLength(1);
  });

  it('remembers a sync in the background that failed', async () => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ fileSystem, directBytes: 0 });
    let syncs = 0;
    fileSystem.fault = (operation) => (operation === 'datasync' && syncs++ === 0 ? systemError('EIO') : undefined);
    const { digest, bytes } = blobOf(20 * 1024 * KIB);
    await expect(store.write(digest, bytes)).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(store.findMissing([digest])).toEqual([digest]);
  });

  it('that a killed process left is removed when the store is opened', async () => {
    const directory = await stores.folder();
    await (await stores.open({ directory })).close();
    await writeFile(join(directory, 'incoming', 'leftover'), 'half a blob');
    await stores.open({ directory });
    expect(await readdir(join(directory, 'incoming'))).toEqual([]);
  });

  it('cleans up behind itself when the store is not writable', async () => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ fileSystem });
    await store.checkWritable();
    fileSystem.fault = (operation) => (operation === 'create' ? systemError('EROFS') : undefined);
    await expect(store.checkWritable()).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });

  it('says that the store is not writable where no upload can be moved to its place', async () => {
    const fileSystem = new FaultyFileSystem();
    const directory = await stores.folder();
    const store = await stores.open({ fileSystem, directory });
    fileSystem.fault = (operation) => (operation === 'rename' ? systemError('EXDEV') : undefined);
    await expect(store.checkWritable()).rejects.toThrow('the store is not writable: EXDEV');
    fileSystem.fault = () => undefined;
    await Promise.all([store.checkWritable(), store.checkWritable()]);
    expect(await Promise.all(['incoming', 'blobs'].map((name) => readdir(join(directory, name))))).toEqual([[], []]);
  });

  it('says that the store is not writable where its probe could not be removed', async () => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ fileSystem });
    fileSystem.fault = (operation) => (operation === 'unlink' ? systemError('EIO') : undefined);
    await expect(store.checkWritable()).rejects.toThrow('the store is not writable: EIO');
  });
});

describe('a store whose folder is taken away', () => {
  const swap = (one: string, other: string) => {
    renameSync(one, `${one}-moved`);
    renameSync(other, one);
    renameSync(`${one}-moved`, other);
  };

  it('is not writable: what it writes is lost when it is closed', async () => {
    const directory = await stores.folder();
    const store = await stores.open({ directory });
    await rename(join(directory, 'index'), join(directory, 'moved'));
    await rm(join(directory, 'incoming'), { recursive: true });
    await expect(store.checkWritable()).rejects.toThrow();
    // Nothing is made where nobody knows whose folder it is.
    await store.maintain();
    expect(await readdir(directory)).not.toContain('incoming');
    await mkdir(join(directory, 'incoming'));
    await expect(store.checkWritable()).rejects.toThrow(/removed, replaced or mounted over/);
    await rename(join(directory, 'moved'), join(directory, 'index'));
    await store.checkWritable();
  });

  it('is not writable where another store is in its place', async () => {
    const [directory, other] = [await stores.folder(), await stores.folder()];
    await (await stores.open({ directory: other })).close();
    const store = await stores.open({ directory });
    swap(directory, other);
    await expect(store.checkWritable()).rejects.toThrow(/removed, replaced or mounted over/);
    swap(directory, other);
  });

  it('forgets none of its blobs, and has them when the folder is back', async () => {
    const [directory, other] = [await stores.folder(), await stores.folder()];
    const store = await stores.open({ directory });
    const blobs = [blobOf(40 * KIB, 'read at once'), blobOf(900 * KIB, 'streamed')];
    for (const { digest, bytes } of blobs) await store.write(digest, bytes);
    swap(directory, other);
    for (const { digest } of blobs) await expect(store.read(digest)).rejects.toMatchObject({ code: 'STORE_FAILED' });
    swap(directory, other);
    for (const { digest, bytes } of blobs) expect((await store.get(digest))?.equals(bytes)).toBe(true);
  });

  it('removes nothing of another that is in its place, whose files its index does not know', async () => {
    const [directory, other] = [await stores.folder(), await stores.folder()];
    const { digest, bytes } = blobOf(40 * KIB);
    const neighbour = await stores.open({ directory: other });
    await neighbour.write(digest, bytes);
    await neighbour.close();
    // As after a kill, when it looks for what belongs to nothing.
    await (await stores.open({ directory })).close();
    const database = IndexDatabase.open(join(directory, 'index'), 'data');
    await database.putClosed(false);
    await database.close();
    const fileSystem = new FaultyFileSystem();
    let isSwapped = false;
    fileSystem.fault = (operation) => {
      if (operation === 'list' && !isSwapped) swap(directory, other);
      isSwapped ||= operation === 'list';
      return undefined;
    };
    const store = await stores.open({ directory, fileSystem });
    await store.maintain();
    expect(isSwapped).toBe(true);
    swap(directory, other);
    expect(existsSync(fileOf(other, digest))).toBe(true);
  });
});

describe('a damaged blob', () => {
  const damaged: string[] = [];
  const large = blobOf(900 * KIB, 'large');

  async function reopened(damage: (path: string, directory: string) => Promise<void>) {
    const directory = await stores.folder();
    const store = await stores.open({ directory });
    await store.write(large.digest, large.bytes);
    await store.close();
    await damage(fileOf(directory, large.digest), directory);
    damaged.length = 0;
    return { directory, store: await stores.open({ directory, onDamaged: (_, reason) => damaged.push(reason) }) };
  }

  it('is found while it streams for the first time: the end is kept back', async () => {
    const directory = await stores.folder();
    const written = await stores.open({ directory });
    await written.write(large.digest, large.bytes);
    // A time that the index and utimes both hold exactly, so that later only the bytes differ.
    await utimes(fileOf(directory, large.digest), 1, 1);
    await written.get(large.digest);
    await written.close();
    const bytes = Buffer.from(large.bytes);
    bytes[bytes.length - 10]! ^= 1;
    await writeFile(fileOf(directory, large.digest), bytes);
    await utimes(fileOf(directory, large.digest), 1, 1);

    damaged.length = 0;
    const store = await stores.open({ directory, onDamaged: (_, reason) => damaged.push(reason) });
    let read = 0;
    const reading = (async () => {
      for await (const chunk of (await store.read(large.digest)) ?? []) read += chunk.length;
    })();
    await expect(reading).rejects.toBeInstanceOf(BlobDamagedError);
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(large.bytes.length);
    expect(store.findMissing([large.digest])).toEqual([large.digest]);
    expect(await store.read(large.digest)).toBeUndefined();
    expect(store.stats()).toMatchObject({ quarantined: 1, blobs: 0, bytes: 0, reservedBytes: 0 });
    expect(damaged).toHaveLength(1);
    expect(await readdir(join(directory, 'quarantine'))).toHaveLength(1);
    await store.write(large.digest, large.bytes);
    expect((await store.get(large.digest))?.equals(large.bytes)).toBe(true);
  });

  it.each([
    ['its file is gone', async (path: string) => unlink(path)],
    ['its file is shorter', async (path: string) => writeFile(path, 'short')],
    ['its file was written anew', async (path: string) => writeFile(path, Buffer.alloc(900 * KIB))],
    [
      'its file is a folder',
      async (path: string) => {
        await unlink(path);
        await mkdir(path);
      },
    ],
  ])('counts as missing when %s', async (_, damage) => {
    const { store } = await reopened(damage);
    expect(store.findMissing([large.digest])).toEqual([]);
    expect(await store.read(large.digest)).toBeUndefined();
    expect(store.findMissing([large.digest])).toEqual([large.digest]);
    expect(await store.get(large.digest)).toBeUndefined();
    expect(store.stats()).toMatchObject({ quarantined: 1, blobs: 0, bytes: 0, reservedBytes: 0 });
  });

  it.skipIf(process.platform === 'win32').each([40, 900])(
    'counts as missing when a pipe is in the place of its file of %i KiB: nobody waits for what comes out of it',
    async (kib) => {
      const { digest, bytes } = blobOf(kib * KIB);
      const directory = await stores.folder();
      const store = await stores.open({ directory });
      await store.write(digest, bytes);
      await unlink(fileOf(directory, digest));
      execFileSync('mkfifo', [fileOf(directory, digest)]);
      expect(await store.get(digest)).toBeUndefined();
      expect(store.findMissing([digest])).toEqual([digest]);
      expect(store.stats()).toMatchObject({ quarantined: 1, blobs: 0, bytes: 0, reservedBytes: 0 });
    },
  );

  it('is not one whose file was only touched: that is compared, then served', async () => {
    const { store } = await reopened((path) => utimes(path, 1, 1));
    expect((await store.get(large.digest))?.equals(large.bytes)).toBe(true);
    const part = await store.read(large.digest, { offset: 5, limit: 5 });
    expect((await part?.next())?.equals(large.bytes.subarray(5, 10))).toBe(true);
    await part?.close();
    expect(store.stats().quarantined).toBe(0);
  });

  it('is no failure of the store where who asked goes while it is compared', async () => {
    const { store } = await reopened((path) => utimes(path, 1, 1));
    const gone = new AbortController();
    const reading = store.read(large.digest, { signal: gone.signal });
    const reason = new Error('gone');
    gone.abort(reason);
    await expect(reading).rejects.toBe(reason);
    expect((await store.get(large.digest))?.equals(large.bytes)).toBe(true);
    expect(store.stats().quarantined).toBe(0);
  });

  it('ends a stream when the file shrinks meanwhile or cannot be read', async () => {
    for (const code of ['EIO', 'EMFILE']) {
      const fileSystem = new FaultyFileSystem();
      const store = await stores.open({ fileSystem });
      await store.write(large.digest, large.bytes);
      const reader = await store.read(large.digest);
      fileSystem.fault = (operation) => (operation === 'read' ? systemError(code) : undefined);
      const reading = (async () => {
        for await (const _ of reader ?? []);
      })();
      await expect(reading).rejects.toMatchObject({ code: code === 'EIO' ? 'BLOB_DAMAGED' : 'STORE_FAILED' });
      // Only what says something about the bytes makes a blob damaged.
      expect(store.stats().quarantined).toBe(code === 'EIO' ? 1 : 0);
      fileSystem.fault = () => undefined;
    }
  });

  it.each(['openToRead', 'readNow', 'read'])(
    'is not one that is kept and cannot be read for now (%s)',
    async (operation) => {
      const fileSystem = new FaultyFileSystem();
      const pins = new EntryPins();
      const store = await stores.open({ fileSystem, pins });
      const blob = blobOf(operation === 'readNow' ? 100 * KIB : 1024 * KIB);
      pins.pin(blobPin(blob.digest));
      await store.write(blob.digest, blob.bytes);
      fileSystem.fault = (at) => (at === operation ? systemError('EIO') : undefined);
      await expect(store.get(blob.digest)).rejects.toMatchObject({ code: 'STORE_FAILED' });
      fileSystem.fault = () => undefined;
      expect((await store.get(blob.digest))?.equals(blob.bytes)).toBe(true);
      expect(store.stats().quarantined).toBe(0);
    },
  );

  it.each(['openToRead', 'readNow'])('is one that cannot be read, which may come again (%s)', async (operation) => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ fileSystem });
    const { digest, bytes } = blobOf(operation === 'readNow' ? 100 * KIB : 1024 * KIB);
    await store.write(digest, bytes);
    fileSystem.fault = (at) => (at === operation ? systemError('EIO') : undefined);
    expect(await store.get(digest)).toBeUndefined();
    expect(store.stats().quarantined).toBe(1);
    expect(store.findMissing([digest])).toEqual([digest]);
    fileSystem.fault = () => undefined;
    await store.write(digest, bytes);
    expect((await store.get(digest))?.equals(bytes)).toBe(true);
  });

  it('is not one that cannot be opened for want of something else', async () => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ fileSystem });
    await store.write(large.digest, large.bytes);
    for (const step of ['openToRead', 'fileStatus'] as const) {
      fileSystem.fault = (operation) => (operation === step ? systemError('EMFILE') : undefined);
      await expect(store.read(large.digest)).rejects.toMatchObject({ code: 'STORE_FAILED' });
    }
    fileSystem.fault = () => undefined;
    expect((await store.get(large.digest))?.equals(large.bytes)).toBe(true);
  });

  it('gives no more chunks when its reader was aborted', async () => {
    const store = await stores.open();
    await store.write(large.digest, large.bytes);
    const abort = new AbortController();
    const reader = await store.read(large.digest, { signal: abort.signal });
    await reader?.next();
    abort.abort(new Error('deadline'));
    await expect(reader?.next()).rejects.toThrow('deadline');
    await reader?.close();
  });

  it('stays in a quarantine that is bounded', async () => {
    const directory = await stores.folder();
    const store = await stores.open({ directory });
    for (let i = 0; i < 70; i++) {
      const { digest, bytes } = blobOf(33 * KIB, i);
      await store.write(digest, bytes);
      await writeFile(fileOf(directory, digest), 'short');
      expect(await store.read(digest)).toBeUndefined();
    }
    expect(store.stats().quarantined).toBe(70);
    expect((await readdir(join(directory, 'quarantine'))).length).toBeLessThanOrEqual(64);
  });
});
