import { randomBytes } from 'node:crypto';
import { appendFileSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ActionResultStore,
  type BlobStore,
  Digest,
  type DiskBlobStore,
  NoSpaceError,
  nodeFileSystem,
  type OpenFile,
} from '@granary/blobs';
import { describe, expect, it } from 'vitest';
import { entryKey, packageKey } from './package-entry.js';
import {
  Client,
  expectBytes,
  identityOf,
  packageOf,
  StoreUnderTest,
  type TestStoreOptions,
  Upstream,
  until,
} from './testing/store-under-test.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const A = identityOf('Contoso.A');

/** Brings a package from upstream, and waits until it is stored. */
async function bring(t: StoreUnderTest, id: string, bytes = packageOf(id, 200 * KIB)): Promise<Buffer> {
  const content = await t.store.fetch('feed', identityOf(id), async () => Upstream.whole(bytes).answer());
  expectBytes(await new Client(content).whole, bytes);
  return bytes;
}

async function contentOf(t: StoreUnderTest, id: string): Promise<Buffer | undefined> {
  const content = await t.store.find('feed', identityOf(id));
  return content && new Client(content).whole;
}

/** A store with room for about ten packages of 200 KiB, whose janitor evicts what was not used for a moment. */
function tight(options: TestStoreOptions = {}): Promise<StoreUnderTest> {
  return StoreUnderTest.open({ ...options, disk: { maxBytes: 2 * MIB, minAgeMs: 0, ...options.disk } });
}

describe('packages in a full store', () => {
  it('are evicted from the longest unused on, but those that are kept', async () => {
    await using t = await tight({ keep: ['Kept.*'] });
    const kept = await bring(t, 'Kept.One');
    const used = await bring(t, 'Used');
    for (let i = 0; i < 20; i++) {
      await bring(t, `Other.${i}`);
      expectBytes(await contentOf(t, 'Used'), used);
    }
    expect(t.disk.stats().evictions).toBeGreaterThan(0);
    expect(await contentOf(t, 'Other.0')).toBeUndefined();
    expect(await contentOf(t, 'Other.19')).toBeDefined();
    expectBytes(await contentOf(t, 'Kept.One'), kept);
  });

  it('are kept from before the store can evict anything, after a restart', async () => {
    const first = await tight({ keep: ['Kept.*'] });
    const kept = await bring(first, 'Kept.One');
    await bring(first, 'Other');
    await first.close();
    const { folder } = first;
    {
      await using second = await tight({ keep: ['Kept.*'], folder });
      for (let i = 0; i < 20; i++) await bring(second, `Other.${i}`);
      expect(second.kept.stats).toEqual({ packages: 1, bytes: kept.length });
      expectBytes(await contentOf(second, 'Kept.One'), kept);
      expect(await contentOf(second, 'Other')).toBeUndefined();
      await second.close();
      // Without its pattern it is one of many.
      const third = await tight({ folder });
      for (let i = 20; i < 40; i++) await bring(third, `Other.${i}`);
      expect(await contentOf(third, 'Kept.One')).toBeUndefined();
      await third.close();
    }
  });

  it('that came before their pattern are kept from their next use on, list or no list', async () => {
    const first = await tight();
    const bytes = await bring(first, 'Kept.One');
    await first.close();
    await using second = await tight({ keep: ['kept.*'], folder: first.folder });
    expect(second.kept.stats.packages).toBe(0);
    expectBytes(await contentOf(second, 'Kept.One'), bytes);
    expect(second.kept.stats.packages).toBe(1);
    await second.close();
    rmSync(join(first.folder, 'nuget-kept'));
    const third = await tight({ keep: ['kept.*'], folder: first.folder });
    expectBytes(await contentOf(third, 'Kept.One'), bytes);
    for (let i = 0; i < 20; i++) await bring(third, `Other.${i}`);
    expectBytes(await contentOf(third, 'Kept.One'), bytes);
    await third.close();
  });

  it('are there as a whole when they were taken, however much room others needed meanwhile', async () => {
    let disk: DiskBlobStore | undefined;
    const results = () => disk?.actionResults as ActionResultStore;
    const actionResults: ActionResultStore = {
      name: 'crowded',
      get: (key, options) => results().get(key, options),
      delete: (key) => results().delete(key),
      close() {},
      async set(key, value, options) {
        for (let i = 0; i < 20; i++) {
          const bytes = randomBytes(200 * KIB);
          await disk?.write(Digest.of('sha256', bytes), bytes);
        }
        await results().set(key, value, options);
      },
    };
    await using t = await tight({ actionResults });
    disk = t.disk;
    const bytes = packageOf('Pushed', 200 * KIB);
    const path = join(t.folder, 'pushed.nupkg');
    writeFileSync(path, bytes);
    await t.store.adopt('hosted', identityOf('Pushed'), path, { keep: true });
    expect(t.disk.stats().evictions).toBeGreaterThan(0);
    const content = await t.store.find('hosted', identityOf('Pushed'));
    expectBytes(content && (await new Client(content).whole), bytes);
    await t.store.remove('hosted', identityOf('Pushed'));
    for (let i = 0; i < 20; i++) await bring(t, `Other.${i}`);
    expect(await t.disk.findMissing([Digest.of('sha256', bytes)])).toHaveLength(1);
  });

  it('are given all the same when all that is there is kept', async () => {
    await using t = await tight({ keep: ['Kept.*'], disk: { spaceWaitMs: 0 } });
    for (let i = 0; i < 8; i++) await bring(t, `Kept.${i}`);
    const bytes = await bring(t, 'Other', packageOf('Other', MIB));
    expect(await contentOf(t, 'Other')).toBeUndefined();
    expect(t.logs).toContain('warning: Other 1.0.0 of feed was not stored');
    expect(bytes.length).toBeGreaterThan(MIB);
    await until(() => t.incoming().length === 0);
  });
});

describe('a package whose bytes or entry is gone', () => {
  it('isn’t here, and is fetched again', async () => {
    await using t = await StoreUnderTest.open({ keep: ['*'] });
    for (const size of [KIB, 500 * KIB]) {
      const bytes = await bring(t, 'Contoso.A', packageOf('Contoso.A', size));
      expect(t.kept.stats.packages).toBe(1);
      const digest = Digest.of('sha256', bytes);
      await t.disk.delete(digest);
      expect(await t.store.find('feed', A)).toBeUndefined();
      expect(t.kept.stats.packages).toBe(0);
      await bring(t, 'Contoso.A', bytes);
      expect(t.kept.stats.packages).toBe(1);
      await t.disk.actionResults.delete(entryKey('feed', packageKey(A)));
      expect(await t.store.find('feed', A)).toBeUndefined();
      expect(await t.disk.findMissing([digest])).toEqual([]);
      await bring(t, 'Contoso.A', bytes);
      expectBytes(await contentOf(t, 'Contoso.A'), bytes);
      await t.store.remove('feed', A);
    }
  });

  it('isn’t here when its entry can’t be read', async () => {
    await using t = await StoreUnderTest.open();
    const bytes = await bring(t, 'Contoso.A');
    await t.disk.actionResults.set(entryKey('feed', packageKey(A)), Buffer.from('no action result'));
    expect(await t.store.find('feed', A)).toBeUndefined();
    await bring(t, 'Contoso.A', bytes);
    expectBytes(await contentOf(t, 'Contoso.A'), bytes);
  });

  it.each([KIB, 500 * KIB])('ends its stream with an error when they go between, %i bytes', async (size) => {
    await using t = await StoreUnderTest.open();
    const bytes = await bring(t, 'Contoso.A', packageOf('Contoso.A', size));
    const found = await t.store.find('feed', A);
    await t.disk.delete(Digest.of('sha256', bytes));
    await expect(new Client(found).whole).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      message: expect.stringMatching(/went away before it was read$/),
    });
  });

  it('is never given as a whole when its file is damaged', async () => {
    await using t = await StoreUnderTest.open({ disk: { durability: 'none' } });
    const bytes = await bring(t, 'Contoso.A', packageOf('Contoso.A', MIB));
    await t.close();
    const file = (readdirSync(t.folder, { recursive: true }) as string[]).find((name) =>
      name.includes(Digest.of('sha256', bytes).hash),
    );
    const path = join(t.folder, file as string);
    const damaged = readFileSync(path);
    damaged.writeUInt8(damaged.readUInt8(1000) ^ 1, 1000);
    writeFileSync(path, damaged);
    const again = await StoreUnderTest.open({ folder: t.folder });
    const client = new Client(await again.store.find('feed', A));
    await expect(client.whole).rejects.toThrow();
    expect(client.received).toBeLessThan(bytes.length);
    expect(await again.store.find('feed', A)).toBeUndefined();
    await bring(again, 'Contoso.A', bytes);
    await again.close();
  });

  it('stays kept when it came back while it was looked for', async () => {
    let look = () => {};
    let isLooking = false;
    const mayLook = new Promise<void>((resolve) => {
      look = resolve;
    });
    await using t = await StoreUnderTest.open({
      keep: ['*'],
      around: (blobs) =>
        wrapped(blobs, {
          findMissing: async (digests) => {
            const missing = await blobs.findMissing(digests);
            if (missing.length > 0) {
              isLooking = true;
              await mayLook;
            }
            return missing;
          },
        }),
    });
    const bytes = await bring(t, 'Contoso.A');
    await t.disk.delete(Digest.of('sha256', bytes));
    const finding = t.store.find('feed', A);
    await until(() => isLooking);
    const other = packageOf('Contoso.A', 100);
    const path = join(t.folder, 'pushed');
    writeFileSync(path, other);
    await t.store.adopt('feed', A, path, { keep: true });
    look();
    expect(await finding).toBeUndefined();
    expect(t.kept.stats).toEqual({ packages: 1, bytes: other.length });
  });
});

describe('a package that is adopted', () => {
  it('is stored, found, kept when that is said, and its file stays', async () => {
    const t = await tight();
    const path = join(t.folder, 'pushed');
    const bytes = packageOf('Contoso.A', 300 * KIB);
    writeFileSync(path, bytes);
    const adopted = await t.store.adopt('hosted', A, path, { keep: true });
    expect(adopted).toMatchObject({ state: 'hit', size: bytes.length });
    expectBytes(await new Client(adopted).whole, bytes);
    expectBytes(readFileSync(path), bytes);
    await t.close();
    await using again = await tight({ folder: t.folder });
    for (let i = 0; i < 20; i++) await bring(again, `Other.${i}`);
    expectBytes(await new Client(await again.store.find('hosted', A)).whole, bytes);
    expect(await again.store.remove('hosted', A)).toBe(true);
    expect(again.kept.stats.packages).toBe(0);
    expect(await again.store.find('hosted', A)).toBeUndefined();
    expect(await again.store.remove('hosted', A)).toBe(false);
  });

  it('may be there already, from the same source or another', async () => {
    await using t = await StoreUnderTest.open();
    const path = join(t.folder, 'pushed');
    writeFileSync(path, await bring(t, 'Contoso.A'));
    for (const source of ['feed', 'hosted', 'hosted']) await t.store.adopt(source, A, path);
    expect(t.disk.stats()).toMatchObject({ blobs: 1, actionResults: 2 });
    expect(openFilesOf(path)).toBe(0);
  });

  it('is refused when it is none, another one, too long, or not wanted any more', async () => {
    await using t = await StoreUnderTest.open({ maxPackageBytes: 100 * KIB });
    const path = join(t.folder, 'pushed');
    const adopt = (bytes: Buffer, signal?: AbortSignal) => {
      writeFileSync(path, bytes);
      return t.store.adopt('hosted', A, path, { signal });
    };
    await expect(adopt(Buffer.from('no package'))).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    await expect(adopt(packageOf('Contoso.B'))).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    await expect(adopt(packageOf('Contoso.A', 200 * KIB))).rejects.toMatchObject({ code: 'LIMIT' });
    const signal = AbortSignal.abort(new Error('gone'));
    await expect(adopt(packageOf('Contoso.A'), signal)).rejects.toThrow('gone');
    await expect(t.store.adopt('hosted', A, join(t.folder, 'missing'))).rejects.toThrow();
    expect(t.disk.stats()).toMatchObject({ blobs: 0, actionResults: 0 });
  });

  it('is not there when it can’t be stored, or not be kept', async () => {
    let isFull = true;
    await using t = await StoreUnderTest.open({
      around: (blobs) =>
        wrapped(blobs, {
          write: async (...args) => {
            if (isFull) throw new NoSpaceError('the disk is full');
            await blobs.write(...args);
          },
        }),
      keepOptions: { path: '/nowhere/at/all' },
    });
    const path = join(t.folder, 'pushed');
    writeFileSync(path, packageOf('Contoso.A'));
    await expect(t.store.adopt('hosted', A, path)).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(await t.store.find('hosted', A)).toBeUndefined();
    isFull = false;
    await expect(t.store.adopt('hosted', A, path, { keep: true })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(t.store.adopt('hosted', A, path, { keep: true })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(t.store.keep('hosted', A)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('is found again by what is in it, by who has lost his list', async () => {
    await using t = await StoreUnderTest.open();
    const path = join(t.folder, 'pushed');
    for (const id of ['One', 'Two', 'Three', 'Lost']) {
      writeFileSync(path, packageOf(id));
      await t.store.adopt('hosted', identityOf(id), path, { keep: true });
    }
    await t.store.adopt('hosted', identityOf('Lost'), path, { keep: true });
    await t.disk.delete(Digest.of('sha256', readFileSync(path)));
    writeFileSync(path, packageOf('Four'));
    await t.store.adopt('hosted', identityOf('Four'), path);
    const found: string[] = [];
    for await (const { id } of t.store.keptBesides('hosted', ['two/1.0.0'])) found.push(id);
    expect(found.sort()).toEqual(['One', 'Three']);
    expect(t.logs.at(-1)).toBe('warning: A package Lost that is kept can not be read');
    for await (const _ of t.store.keptBesides('another', [])) expect.unreachable();
  });

  it('is kept when that is said later, if it is here', async () => {
    await using t = await tight();
    expect(await t.store.keep('feed', A)).toBe(false);
    const bytes = await bring(t, 'Contoso.A');
    expect(await t.store.keep('feed', A)).toBe(true);
    expect(await t.store.keep('feed', A)).toBe(true);
    for (let i = 0; i < 20; i++) await bring(t, `Other.${i}`);
    expectBytes(await contentOf(t, 'Contoso.A'), bytes);
  });

  it('is waited for by who closes the store', async () => {
    await using t = await StoreUnderTest.open();
    const path = join(t.folder, 'pushed');
    writeFileSync(path, packageOf('Contoso.A', 400 * KIB));
    const adopting = t.store.adopt('hosted', A, path);
    await t.store.close();
    expect(t.disk.stats().blobs).toBe(1);
    await adopting;
  });
});

describe('a disk that fails', () => {
  it.each([
    ['ENOSPC', 'NO_SPACE'],
    ['EIO', 'STORE_FAILED'],
  ])('ends large packages that arrive with %s, and nothing is left', async (code, expected) => {
    for (const operation of ['create', 'write'] as const) {
      await using t = await StoreUnderTest.open({
        fileSystem: {
          ...nodeFileSystem,
          create: async (path) => {
            if (operation === 'create') throw Object.assign(new Error(`${code}: made up`), { code });
            const file = await nodeFileSystem.create(path);
            return withWrites(file, async (buffer, offset, length, position) => {
              if (position > MIB) throw Object.assign(new Error(`${code}: made up`), { code });
              return file.write(buffer, offset, Math.min(length, MIB), position);
            });
          },
        },
      });
      const upstream = Upstream.whole(packageOf('Contoso.A', 4 * MIB));
      const client = t.store
        .fetch('feed', A, async () => upstream.answer())
        .then((content) => new Client(content).whole);
      await expect(client).rejects.toMatchObject({ code: expected, message: expect.stringMatching(/temporary file/) });
      expect(upstream.body.destroyed).toBe(true);
      await until(() => t.incoming().length === 0 && t.store.arriving === 0);
      // What fits into memory needs no disk but the store's.
      await bring(t, 'Contoso.A', packageOf('Contoso.A', 100 * KIB));
    }
  });

  it('that is nearly full takes no package', async () => {
    let free = 10 * MIB;
    await using t = await StoreUnderTest.open({
      minFreeBytes: 5 * MIB,
      fileSystem: { ...nodeFileSystem, freeBytes: async () => free },
    });
    await bring(t, 'Fits', packageOf('Fits', 4 * MIB));
    const upstream = Upstream.whole(packageOf('Contoso.A', 6 * MIB));
    await expect(t.store.fetch('feed', A, async () => upstream.answer())).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(upstream.body.destroyed).toBe(true);

    // It may become so while a package arrives.
    free = 90 * MIB;
    const bytes = Buffer.alloc(70 * MIB);
    bytes.write('PK\x03\x04', 'latin1');
    const long = Upstream.withoutLength(bytes);
    const fetching = t.store.fetch('feed', A, async () => long.answer());
    long.send(MIB);
    const client = new Client(await fetching);
    free = 4 * MIB;
    long.send();
    await expect(client.whole).rejects.toMatchObject({ code: 'NO_SPACE' });
    await until(() => t.incoming().length === 0);
  });

  it('that is nearly full of what may be evicted takes packages, and lets that go', async () => {
    let disk: DiskBlobStore | undefined;
    const freeBytes = async () => 30 * MIB - (disk?.stats().bytes ?? 0);
    const limits = { minFreeBytes: 5 * MIB, fileSystem: { ...nodeFileSystem, freeBytes } };
    await using t = await StoreUnderTest.open({ ...limits, disk: { ...limits, minAgeMs: 0, spaceWaitMs: 60_000 } });
    disk = t.disk;
    await disk.whenLoaded();
    for (let i = 0; i < 8; i++) {
      const old = randomBytes(2 * MIB);
      await disk.write(Digest.of('sha256', old), old);
    }
    const bytes = await bring(t, 'Contoso.A', packageOf('Contoso.A', 12 * MIB));
    expectBytes(await contentOf(t, 'Contoso.A'), bytes);
  });

  it('may write little at a time', async () => {
    await using t = await StoreUnderTest.open({
      fileSystem: {
        ...nodeFileSystem,
        create: async (path) => {
          const file = await nodeFileSystem.create(path);
          return withWrites(file, (buffer, offset, length, position) =>
            file.write(buffer, offset, Math.min(length, 100_000), position),
          );
        },
      },
    });
    await bring(t, 'Contoso.A', packageOf('Contoso.A', 2 * MIB));
  });

  it('of the list of what is kept, or the store, keeps nobody from what upstream sends', async () => {
    await using t = await StoreUnderTest.open({
      keep: ['*'],
      keepOptions: { path: '/nowhere/at/all' },
    });
    const bytes = await bring(t, 'Contoso.A');
    await t.store.close();
    expect(t.logs).toContain('warning: The list of kept packages was not written');
    expect(t.kept.stats).toEqual({ packages: 1, bytes: bytes.length });
    expect(t.disk.stats().actionResults).toBe(1);
  });
});

describe('what a killed process left', () => {
  it('is cleared away, and what was stored is there', async () => {
    const t = await StoreUnderTest.open({ keep: ['*'] });
    const bytes = await bring(t, 'Contoso.A', packageOf('Contoso.A', 900 * KIB));
    await t.close();
    writeFileSync(join(t.disk.incomingDirectory, 'package-left-behind'), 'half of it');
    appendFileSync(join(t.folder, 'nuget-kept'), '{"name":"half of');
    await using again = await StoreUnderTest.open({ keep: ['*'], folder: t.folder });
    expect(again.incoming()).toEqual([]);
    expectBytes(await contentOf(again, 'Contoso.A'), bytes);
    expect(again.kept.stats.packages).toBe(1);
    expect(again.logs.filter((line) => line.startsWith('warning'))).toHaveLength(1);
  });
});

describe('who listens to a package store', () => {
  it('breaks nothing by throwing', async () => {
    const fail = () => {
      throw new Error('from a listener');
    };
    await using t = await StoreUnderTest.open({
      metrics: { cacheHit: fail, cacheMiss: fail, packageDownloaded: fail },
    });
    await bring(t, 'Contoso.A');
    expect(await contentOf(t, 'Contoso.A')).toBeDefined();
    expect(await contentOf(t, 'Contoso.B')).toBeUndefined();
  });
});

describe('options of a package store', () => {
  it.each([
    ['maxPackageBytes', 0],
    ['minFreeBytes', -1],
    ['maxArrivals', 0],
    ['maxWaiting', 0.5],
    ['idleTimeoutMs', Number.NaN],
  ])('are checked: %s', async (name, value) => {
    await expect(StoreUnderTest.open({ [name]: value })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(new RegExp(`^${name} must be a whole number`)),
    });
  });
});

function wrapped(blobs: BlobStore, changes: Partial<BlobStore>): BlobStore {
  return {
    name: blobs.name,
    findMissing: (...args) => blobs.findMissing(...args),
    get: (...args) => blobs.get(...args),
    read: (...args) => blobs.read(...args),
    write: (...args) => blobs.write(...args),
    delete: (...args) => blobs.delete(...args),
    close: () => blobs.close(),
    ...changes,
  };
}

function withWrites(file: OpenFile, write: OpenFile['write']): OpenFile {
  return {
    read: (...args) => file.read(...args),
    write,
    datasync: () => file.datasync(),
    truncate: (length) => file.truncate(length),
    status: () => file.status(),
    close: () => file.close(),
  };
}

function openFilesOf(path: string): number {
  if (process.platform !== 'linux') return 0;
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  }).length;
}
