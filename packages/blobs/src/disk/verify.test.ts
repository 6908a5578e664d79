import { mkdir, readdir, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { blobOf } from '../testing/content.js';
import { FaultyFileSystem, systemError } from '../testing/faulty-file-system.js';
import { TemporaryStores } from '../testing/temporary-stores.js';
import { encodeActionRecord } from './action-record.js';
import { actionResultKey, blobKey, keyBytes, MOST_VALUE_BYTES } from './index/entry-key.js';
import { IndexDatabase } from './index/index-database.js';
import { type VerifyFinding, verifyStore } from './verify.js';

const KIB = 1024;

const stores = new TemporaryStores();
afterEach(() => stores.dispose());

const small = Array.from({ length: 4 }, (_, i) => blobOf(100 + i));
const large = Array.from({ length: 4 }, (_, i) => blobOf(50 * KIB + i));

/** A closed store with four small blobs, four large ones and three action results. */
async function closedStore(): Promise<string> {
  const directory = await stores.folder();
  const store = await stores.open({ directory });
  for (const { digest, bytes } of [...small, ...large]) await store.write(digest, bytes);
  // A value that was longer once leaves nothing behind.
  await store.actionResults.set('c', Buffer.alloc(20 * KIB));
  for (const key of ['a', 'b', 'c']) await store.actionResults.set(key, Buffer.from(`result ${key}`));
  await store.close();
  return directory;
}

/** Damages what lies in the database, as no process of ours would. */
async function damageIndex(directory: string, damage: (database: IndexDatabase) => Promise<void>): Promise<void> {
  const database = IndexDatabase.open(join(directory, 'index'), 'data');
  await damage(database);
  await database.close();
}

const fileOf = (directory: string, { hash }: { hash: string }) =>
  join(directory, 'blobs', 'sha256', hash.slice(0, 2), hash);

const record = (place: 'value' | 'action', size: number) => ({ place, size, lastUse: 1, mtimeMs: 0 });

/** Every kind of damage that there is. */
async function damageEverything(directory: string): Promise<void> {
  await writeFile(fileOf(directory, large[0]!.digest), Buffer.alloc(large[0]!.bytes.length));
  await writeFile(fileOf(directory, large[1]!.digest), 'short');
  await unlink(fileOf(directory, large[2]!.digest));
  await mkdir(join(directory, 'blobs', 'sha256', 'ff'), { recursive: true });
  await writeFile(join(directory, 'blobs', 'sha256', 'ff', 'ff'.repeat(32)), 'stray');
  await writeFile(join(directory, 'blobs', 'sha256', 'ff', 'not a hash'), 'stray');
  await damageIndex(directory, async (database) => {
    const [first, second, third] = small.map(({ digest }) => blobKey(digest));
    await database.put(first!, record('value', 100), Buffer.alloc(100));
    await database.removePiece(keyBytes(second!));
    await database.put(third!, record('value', 102), Buffer.alloc(7));
    const bad = encodeActionRecord('a', Buffer.from('result a'));
    bad[bad.length - 1]! ^= 1;
    await database.put(actionResultKey('a'), record('action', bad.length), bad);
    await database.removePiece(keyBytes(actionResultKey('b')));
    const stray = actionResultKey('stray');
    await database.put(stray, record('action', 5), Buffer.from('stray'));
    await database.remove(keyBytes(stray), undefined);
    const malformed = { ...record('value', Number.NaN), place: 'file' as const };
    await database.put(blobKey(blobOf(1, 'malformed').digest), malformed);
  });
}

describe('verifyStore', () => {
  it('finds nothing in a store that is right, and reads all of it', async () => {
    const directory = await closedStore();
    const progress: number[] = [];
    const report = await verifyStore({ directory, onProgress: ({ checked, total }) => progress.push(checked / total) });
    expect(report).toMatchObject({ blobs: 8, actionResults: 3, damaged: 0, missing: 0, stray: 0, repaired: 0 });
    expect(report.bytes).toBeGreaterThan(200 * KIB);
    expect(progress.at(-1)).toBe(1);
  });

  it('finds everything that is wrong, and changes nothing', async () => {
    const directory = await closedStore();
    await damageEverything(directory);
    const findings: VerifyFinding[] = [];
    const report = await verifyStore({ directory, onFinding: (finding) => findings.push(finding) });
    expect(report).toMatchObject({ damaged: 6, missing: 3, stray: 3, repaired: 0 });
    expect(findings.map(({ kind, detail }) => `${kind}: ${detail}`).sort()).toEqual([
      'damaged: its checksum is wrong',
      'damaged: its file has 5 bytes',
      'damaged: its file has other bytes',
      'damaged: its record in the index is malformed',
      'damaged: the index has other bytes for it',
      'damaged: the index has other bytes for it',
      'missing: its file is missing',
      'missing: the index has no bytes for it',
      'missing: the index has no bytes for it',
      'stray: a file without an entry',
      'stray: a file without an entry',
      'stray: bytes without an entry',
    ]);
    expect(await verifyStore({ directory })).toMatchObject({ damaged: 6, missing: 3, stray: 3 });
  });

  it('repairs by removing what is wrong, and nothing else', async () => {
    const directory = await closedStore();
    await damageEverything(directory);
    expect(await verifyStore({ directory, repair: true })).toMatchObject({ repaired: 12 });
    const clean = await verifyStore({ directory });
    expect(clean).toMatchObject({ blobs: 2, actionResults: 1, damaged: 0, missing: 0, stray: 0 });
    const store = await stores.open({ directory });
    const all = [...small, ...large].map(({ digest }) => digest);
    expect(store.findMissing(all)).toEqual([...all.slice(0, 3), ...all.slice(4, 7)]);
    expect(String(await store.actionResults.get('c'))).toBe('result c');
  });

  it('repairs what it was told, so that nothing is left to find, whatever a record says', async () => {
    const directory = await closedStore();
    const [first, second, third] = small.map(({ digest }) => blobKey(digest));
    const long = encodeActionRecord('long', Buffer.alloc(20 * KIB));
    await damageIndex(directory, async (database) => {
      await database.putRecord(keyBytes(first!), record('value', 2 ** 51));
      await database.putRecord(keyBytes(second!), record('action', small[1]!.bytes.length));
      await database.putRecord(keyBytes(third!), record('value', MOST_VALUE_BYTES));
      await database.put(actionResultKey('long'), record('action', 50), long);
      await database.put(actionResultKey('another'), record('action', long.length), long);
      const a = actionResultKey('a');
      await database.putRecord(keyBytes(a), { ...record('action', 10), place: 'file' });
      await database.put(actionResultKey('b'), record('action', 2 ** 40), Buffer.alloc(5 * KIB));
      // No kind of entry has this number.
      const nobodys = { kind: 0, words: new Int32Array(8), at: 0 };
      await database.put(nobodys, record('value', 1), Buffer.of(1));
      await database.remove(keyBytes(nobodys), undefined);
    });
    const before = await verifyStore({ directory });
    expect(before).toMatchObject({ damaged: 7, missing: 0, repaired: 0 });
    expect(before.stray).toBeGreaterThan(0);
    await verifyStore({ directory, repair: true });
    const after = await verifyStore({ directory });
    expect(after).toMatchObject({ blobs: 5, actionResults: 1, damaged: 0, missing: 0, stray: 0 });
    const store = await stores.open({ directory });
    expect(await store.get(small[3]!.digest)).toEqual(small[3]!.bytes);
  });

  it('repairs many together, and tells of each when it is done', async () => {
    const directory = await closedStore();
    const lost = Array.from({ length: 600 }, (_, i) => blobOf(10, `lost ${i}`).digest);
    await damageIndex(directory, async (database) => {
      const file = { place: 'file', size: 50 * KIB, lastUse: 1, mtimeMs: 0 } as const;
      await Promise.all(lost.map((digest) => database.putRecord(keyBytes(blobKey(digest)), file)));
    });
    const remove = vi.spyOn(IndexDatabase.prototype, 'remove');
    onTestFinished(() => remove.mockRestore());
    const findings: VerifyFinding[] = [];
    const onFinding = (finding: VerifyFinding) => findings.push(finding);
    expect(await verifyStore({ directory, repair: true, onFinding })).toMatchObject({ missing: 600, repaired: 600 });
    expect(findings.filter(({ repaired }) => repaired)).toHaveLength(600);
    // What is removed in one transaction waits for the same promise.
    expect(new Set(remove.mock.results.map(({ value }) => value)).size).toBeLessThan(10);
    expect(await verifyStore({ directory })).toMatchObject({ blobs: 8, missing: 0, stray: 0 });
  });

  it('goes on where a folder of blobs is no folder, which then is a stray', async () => {
    const directory = await closedStore();
    const folder = join(directory, 'blobs', 'sha256');
    const shard = join(folder, large[0]!.digest.hash.slice(0, 2));
    const others = large.slice(1).filter(({ digest }) => join(folder, digest.hash.slice(0, 2)) !== shard);
    await rm(shard, { recursive: true });
    await writeFile(shard, 'a file');
    await writeFile(join(folder, '.DS_Store'), 'from a file manager');
    await symlink('nowhere', join(folder, 'zz'));
    const counts = { damaged: 0, missing: large.length - others.length, stray: 3 };
    expect(await verifyStore({ directory })).toMatchObject({ ...counts, repaired: 0 });
    expect(await verifyStore({ directory, repair: true })).toMatchObject(counts);
    expect(await verifyStore({ directory })).toMatchObject({ damaged: 0, missing: 0, stray: 0 });
    const store = await stores.open({ directory });
    await store.write(large[0]!.digest, large[0]!.bytes);
    expect(store.findMissing([large[0]!.digest, ...others.map(({ digest }) => digest)])).toEqual([]);
  });

  it('goes on past what it may not read, tells of it, and leaves it where it is', async () => {
    const directory = await closedStore();
    const folder = join(directory, 'blobs', 'sha256');
    const [first, second, third] = large.map((blob) => fileOf(directory, blob.digest));
    await writeFile(third!, 'short');
    await mkdir(join(folder, 'f~'));
    const fileSystem = new FaultyFileSystem();
    const forbidden = new Map([
      [first, 'openToRead'],
      [second, 'status'],
      [join(folder, 'f~'), 'list'],
    ]);
    fileSystem.fault = (operation, path) => (forbidden.get(path) === operation ? systemError('EACCES') : undefined);
    const counts = { blobs: 8, damaged: 1, missing: 0, stray: 0, unreadable: 3 };
    const findings: VerifyFinding[] = [];
    const onFinding = (finding: VerifyFinding) => findings.push(finding);
    expect(await verifyStore({ directory, fileSystem, onFinding })).toMatchObject({ ...counts, repaired: 0 });
    expect(findings.filter(({ kind }) => kind === 'unreadable').map(({ subject }) => subject)).toEqual(
      expect.arrayContaining([String(large[0]!.digest), String(large[1]!.digest), join(folder, 'f~')]),
    );
    expect(findings.find(({ kind }) => kind === 'unreadable')?.detail).toContain('EACCES');
    expect(await verifyStore({ directory, fileSystem, repair: true })).toMatchObject({ ...counts, repaired: 1 });
    expect(await verifyStore({ directory })).toMatchObject({ blobs: 7, damaged: 0, stray: 0, unreadable: 0 });
  });

  it('only looks at a store whose index went down unsynced', async () => {
    const directory = await closedStore();
    const marker = join(directory, 'UNSYNCED');
    await writeFile(marker, 'another boot');
    await expect(verifyStore({ directory })).rejects.toThrow("can't be trusted");
    expect(await readdir(directory)).toContain('UNSYNCED');
    expect(await verifyStore({ directory, repair: true })).toMatchObject({ blobs: 0, stray: large.length });
    expect(await verifyStore({ directory })).toMatchObject({ blobs: 0, damaged: 0, missing: 0, stray: 0 });
  });

  it('refuses a store that is in use, a folder without a store, and stops when it is aborted', async () => {
    const directory = await closedStore();
    const store = await stores.open({ directory });
    await expect(verifyStore({ directory })).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await store.close();
    await expect(verifyStore({ directory: await stores.folder() })).rejects.toThrow('holds no store');
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(verifyStore({ directory, signal })).rejects.toThrow('enough');
    await verifyStore({ directory });
  });
});

describe('an open store', () => {
  it('puts damaged small blobs and action results aside when it comes across them', async () => {
    const directory = await closedStore();
    await damageEverything(directory);
    const damaged: string[] = [];
    const store = await stores.open({ directory, onDamaged: (what) => damaged.push(what) });
    await store.whenLoaded();
    for (const { digest } of small.slice(0, 3)) expect(await store.get(digest)).toBeUndefined();
    expect(await store.read(small[0]!.digest)).toBeUndefined();
    expect(String(await store.get(small[3]!.digest))).toBe(String(small[3]!.bytes));
    for (const key of ['a', 'b']) expect(await store.actionResults.get(key)).toBeUndefined();
    expect(damaged).toHaveLength(5);
    expect(store.stats().quarantined).toBe(5);
    await store.write(small[0]!.digest, small[0]!.bytes);
    await store.actionResults.set('a', Buffer.from('again'));
    expect(String(await store.actionResults.get('a'))).toBe('again');
    expect(store.stats().reservedBytes).toBe(0);
  });
});
