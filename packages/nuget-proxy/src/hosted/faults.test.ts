import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError } from '@granary/blobs';
import { buildPackage } from '@granary/nuget/testing';
import { open } from 'lmdb';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { HostedFeed } from './hosted-feed.js';
import { HostedIndex } from './hosted-index.js';
import { FailingFileSystem } from './testing/failing-file-system.js';
import { HostedUnderTest, identity, refusal, storeWith } from './testing/hosted-under-test.js';

const A = { id: 'Contoso.A', version: '1.0.0' };

afterEach(() => {
  vi.restoreAllMocks();
});

async function expectAbsent(hosted: HostedUnderTest): Promise<void> {
  expect(await hosted.versions('Contoso.A')).toBeUndefined();
  expect(await hosted.bytes('Contoso.A', '1.0.0')).toBeUndefined();
  expect(await hosted.search('')).toEqual(['Contoso.Other']);
}

describe('a push of which something fails', () => {
  it('is either there or it is not, and can be made again', { timeout: 60_000 }, async () => {
    const failing = new FailingFileSystem();
    const disk = { smallBlobBytes: 0, fileSystem: failing.fileSystem };
    await using hosted = await HostedUnderTest.open({ stores: { disk } });
    await hosted.push({ id: 'Contoso.Other', version: '1.0.0' });
    let failed = 0;
    for (let number = 0; ; number++) {
      const id = `Contoso.${number}`;
      const bytes = buildPackage({ id, version: '1.0.0', files: { 'a.bin': randomBytes(40_000) } });
      failing.failAt(number);
      const error = await hosted.push(bytes).catch((reason: unknown) => reason);
      const wasReached = failing.done > number;
      failing.failAt(Number.POSITIVE_INFINITY);
      if (error !== undefined) {
        failed++;
        expect(error).toBeInstanceOf(StoreError);
        expect(await hosted.versions(id)).toBeUndefined();
        expect(hosted.t.kept.stats.packages).toBe(hosted.feed.stats.versions);
        if (number % 2 === 0) await hosted.restart();
        expect(await hosted.versions(id)).toBeUndefined();
        await hosted.push(bytes);
      }
      expect(await hosted.bytes(id, '1.0.0')).toEqual(bytes);
      if (!wasReached) break;
    }
    expect(failed).toBeGreaterThan(2);
    const { stats } = hosted.feed;
    await hosted.restart();
    expect(hosted.feed.stats).toEqual(stats);
    expect(hosted.t.kept.stats.packages).toBe(stats.versions);
  });

  it.each(['begin', 'put'] as const)('is not there when the index fails (%s), nor after a restart', async (step) => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push({ id: 'Contoso.Other', version: '1.0.0' });
    const fail = () =>
      vi.spyOn(HostedIndex.prototype, step).mockRejectedValueOnce(new StoreError('STORE_FAILED', 'EIO'));
    fail();
    await expect(hosted.push(A)).rejects.toThrow('EIO');
    await expectAbsent(hosted);
    fail();
    await expect(hosted.push({ ...A, description: 'another one' })).rejects.toThrow('EIO');
    await hosted.restart();
    await expectAbsent(hosted);
    expect(hosted.t.kept.stats.packages).toBe(1);
    await hosted.push(A);
    expect(await hosted.bytes('Contoso.A', '1.0.0')).toEqual(buildPackage(A));
  });

  it('is removed at once when it fails after it was stored, or at the next start', async () => {
    let removing: Error | undefined;
    await using hosted = await HostedUnderTest.open({
      wrap: (store) =>
        storeWith(store, {
          remove: async (...args) => {
            if (removing) throw removing;
            return store.remove(...args);
          },
          adopt: async (source, { id, version }, ...rest) => {
            const stored = await store.adopt(source, { id, version }, ...rest);
            if (id === 'Contoso.A') throw new StoreError('STORE_FAILED', 'late');
            return stored;
          },
        }),
    });
    await hosted.push({ id: 'Contoso.Other', version: '1.0.0' });
    await expect(hosted.push(A)).rejects.toThrow('late');
    await expectAbsent(hosted);
    expect(hosted.t.kept.stats.packages).toBe(1);

    removing = new Error('not now');
    await expect(hosted.push(A)).rejects.toThrow('late');
    await expectAbsent(hosted);
    expect(hosted.logs.at(-1)).toMatch(/^warning: Contoso.A 1.0.0 was not pushed, and could not be removed yet/);
    expect(hosted.t.kept.stats.packages).toBe(2);
    // Nor is it recovered as if it had been taken.
    await hosted.restart();
    await expectAbsent(hosted);
    removing = undefined;
    await hosted.restart({});
    await expectAbsent(hosted);
    expect(hosted.t.kept.stats.packages).toBe(1);
  });

  it('leaves a version listed that could not be unlisted', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push(A);
    vi.spyOn(HostedIndex.prototype, 'put').mockRejectedValueOnce(new StoreError('STORE_FAILED', 'EIO'));
    await expect(hosted.delete('Contoso.A', '1.0.0')).rejects.toThrow('EIO');
    expect(await hosted.search('')).toEqual(['Contoso.A']);
    expect(await hosted.delete('Contoso.A', '1.0.0')).toBe(true);
    expect(await hosted.search('')).toEqual([]);
  });

  it('lets go of a client that went away while it was verified', async () => {
    await using hosted = await HostedUnderTest.open();
    const leaving = new AbortController();
    const push = hosted.push({ ...A, files: { 'a.bin': randomBytes(3_000_000) } }, leaving.signal);
    leaving.abort(new Error('gone'));
    await expect(push).rejects.toThrow('gone');
    expect(await hosted.versions('Contoso.A')).toBeUndefined();
    await hosted.push(A);
  });
});

describe('an index that is damaged', () => {
  /** Changes a value behind the feed's back. */
  async function damage(hosted: HostedUnderTest, key: string, value: string): Promise<void> {
    await hosted.feed.close();
    const root = open<Buffer, Buffer>({
      path: hosted.directory,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
    });
    await root.put(Buffer.from(key), Buffer.from(value));
    await root.close();
  }

  it.each(['{"id":"Contoso.A"', '{"id":"Contoso.B","version":"1.0.0"}', '{"id":"Contoso.A","version":"x"}', 'null'])(
    'takes from the package itself what a record lacks that is %s',
    async (value) => {
      await using hosted = await HostedUnderTest.open();
      await hosted.push(A);
      await hosted.push({ ...A, version: '2.0.0' });
      await damage(hosted, 'p/contoso.a/1.0.0', value);
      await hosted.restart();
      expect(hosted.logs.slice(-2)).toEqual([
        'error: What is written down of contoso.a/1.0.0 is damaged',
        'warning: 1 packages were not in the index: they are again, all of them listed',
      ]);
      expect(await hosted.versions('Contoso.A')).toEqual(['1.0.0', '2.0.0']);
      expect(await hosted.bytes('Contoso.A', '1.0.0')).toEqual(buildPackage(A));
    },
  );

  it('takes a version again whose record and bytes are lost', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push(A);
    await hosted.push({ ...A, version: '2.0.0' });
    await hosted.t.store.remove('(hosted)', identity('Contoso.A', '1.0.0'));
    await damage(hosted, 'p/contoso.a/1.0.0', '{');
    await hosted.restart();
    expect(await hosted.versions('Contoso.A')).toEqual(['2.0.0']);
    expect(await hosted.bytes('Contoso.A', '1.0.0')).toBeUndefined();
    await hosted.push(A);
    expect(await hosted.versions('Contoso.A')).toEqual(['1.0.0', '2.0.0']);
    expect(await hosted.bytes('Contoso.A', '1.0.0')).toEqual(buildPackage(A));
  });

  it('does without what is no version among those that arrive', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push(A);
    await damage(hosted, 'a/contoso.a/x', '');
    await hosted.restart();
    expect(await hosted.versions('Contoso.A')).toEqual(['1.0.0']);
  });

  it('keeps a version that is there although it is said to arrive', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push(A);
    await damage(hosted, 'a/contoso.a/1.0.0', '\0');
    await hosted.restart();
    expect(await hosted.bytes('Contoso.A', '1.0.0')).toEqual(buildPackage(A));
    expect(await refusal(hosted.push(A))).toMatch(/^CONFLICT/);
  });

  it('is not opened when a later version of this software wrote it', async () => {
    await using hosted = await HostedUnderTest.open();
    await damage(hosted, 'format', '2');
    const options = { directory: hosted.directory, store: hosted.t.store };
    const refused = /hosted has hosted packages in the format 2; this version knows 1/;
    await expect(HostedFeed.open(options)).rejects.toThrow(refused);
    await expect(HostedFeed.open(options)).rejects.toThrow(refused);
  });

  it('is not opened when it is no index at all', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.feed.close();
    writeFileSync(join(hosted.directory, 'data.mdb'), 'no database'.repeat(1000));
    await expect(HostedFeed.open({ directory: hosted.directory, store: hosted.t.store })).rejects.toThrow(/is damaged/);
  });

  it('is not opened when the file beside it cannot be', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.feed.close();
    rmSync(join(hosted.directory, 'lock.mdb'), { force: true });
    mkdirSync(join(hosted.directory, 'lock.mdb'));
    await expect(HostedFeed.open({ directory: hosted.directory, store: hosted.t.store })).rejects.toThrow('EISDIR');
  });

  it('is not opened when what was interrupted cannot be looked at', async () => {
    await using hosted = await HostedUnderTest.open();
    await hosted.push(A);
    await hosted.feed.close();
    vi.spyOn(HostedIndex.prototype, 'arriving').mockImplementationOnce(() => {
      throw new Error('EIO');
    });
    const options = { directory: hosted.directory, store: hosted.t.store };
    await expect(HostedFeed.open(options)).rejects.toThrow('EIO');
    await using feed = await HostedFeed.open(options);
    expect((await feed.versions(identity('Contoso.A', '1.0.0').id))?.value).toHaveLength(1);
  });
});

describe('a hosted feed whose', () => {
  const all = Array.from({ length: 12 }, (_, i) => ({ id: `Contoso.${i % 3}`, version: `1.${i}.0` }));

  async function pushed(): Promise<HostedUnderTest> {
    const hosted = await HostedUnderTest.open();
    await Promise.all(all.map((each) => hosted.push(each)));
    await hosted.delete('Contoso.0', '1.0.0');
    return hosted;
  }

  it('index is lost has all packages again, with when they came, and all of them listed', async () => {
    await using hosted = await pushed();
    const before = (await hosted.feed.records('Contoso.0'))?.value;
    await hosted.feed.close();
    rmSync(hosted.directory, { recursive: true });
    await hosted.restart();
    expect(hosted.feed.stats).toEqual({ packages: 3, versions: 12 });
    expect((await hosted.feed.records('Contoso.0'))?.value).toEqual(
      before?.map((record) => ({ ...record, listed: true })),
    );
    for (const each of all) expect(await hosted.bytes(each.id, each.version)).toEqual(buildPackage(each));
    expect(hosted.logs.at(-1)).toMatch(/^warning: 12 packages were not in the index/);
    const lines = hosted.logs.length;
    await hosted.restart();
    expect(hosted.feed.stats).toEqual({ packages: 3, versions: 12 });
    expect(hosted.logs).toHaveLength(lines);
  });

  it('index is an older copy has what came since, too', async () => {
    await using hosted = await pushed();
    const copy = join(hosted.t.folder, 'copy');
    await hosted.feed.close();
    cpSync(hosted.directory, copy, { recursive: true });
    await hosted.restart();
    await hosted.push({ id: 'Contoso.New', version: '1.0.0' });
    await hosted.feed.close();
    rmSync(hosted.directory, { recursive: true });
    renameSync(copy, hosted.directory);
    await hosted.restart();
    expect(hosted.feed.stats).toEqual({ packages: 4, versions: 13 });
    expect(await hosted.search('new')).toEqual(['Contoso.New']);
    expect((await hosted.feed.records('Contoso.0'))?.value.map(({ listed }) => listed)).toEqual([
      false,
      true,
      true,
      true,
    ]);
  });

  it('list of what is kept is lost keeps everything all the same', async () => {
    await using hosted = await pushed();
    const { stats } = hosted.t.kept;
    const path = join(hosted.t.folder, 'nuget-kept');
    await hosted.feed.close();
    rmSync(path);
    await hosted.restart();
    expect(hosted.t.kept.stats).toEqual(stats);
    expect(readFileSync(path, 'utf8').match(/"always":true/g)).toHaveLength(12);
  });

  it('packages are lost says which, and goes on without them', async () => {
    await using hosted = await pushed();
    await hosted.feed.close();
    await hosted.t.store.remove('(hosted)', identity('Contoso.1', '1.4.0'));
    await hosted.restart();
    expect(hosted.logs.at(-1)).toBe('error: The bytes of 1 packages are gone: push them again (contoso.1/1.4.0)');
    expect(await hosted.bytes('Contoso.1', '1.7.0')).toBeDefined();
    await expect(hosted.bytes('Contoso.1', '1.4.0')).rejects.toMatchObject({ code: 'FEED_UNAVAILABLE' });
  });

  it('neighbours are kept, too, does not take them for its own', async () => {
    await using hosted = await pushed();
    const path = join(hosted.t.folder, 'other');
    writeFileSync(path, buildPackage({ id: 'Other', version: '1.0.0' }));
    await hosted.t.store.adopt('feed', identity('Other', '1.0.0'), path, { keep: true });
    await hosted.t.store.adopt('(hosted)', identity('Other', '1.0.0'), path, { keep: false });
    await hosted.restart();
    expect(hosted.feed.stats).toEqual({ packages: 3, versions: 12 });
    expect(await hosted.versions('Other')).toBeUndefined();
  });
});
