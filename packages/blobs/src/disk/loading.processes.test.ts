import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Logger } from '@granary/telemetry';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Digest as BlobDigest } from '../index.js';
import { blobKey, type EntryKey, keyBytes } from './index/entry-key.js';

/** What was built: a process can't be started with the sources. */
const INDEX = new URL('../../dist/index.js', import.meta.url).href;
const { Digest, DiskBlobStore } = (await import(INDEX)) as typeof import('../index.js');
const INDEX_DATABASE = new URL('../../dist/disk/index/index-database.js', import.meta.url).href;
const { IndexDatabase } = (await import(INDEX_DATABASE)) as typeof import('./index/index-database.js');

/** A few more than another process is started for. */
const COUNT = 50_100;
const contentOf = (i: number) => Buffer.from(`blob ${i}`);
const digestOf = (i: number): BlobDigest => Digest.of('sha256', contentOf(i));

let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'granary-loading-'));
  const { store } = await open('here');
  for (let first = 0; first < COUNT; first += 5010)
    await Promise.all(Array.from({ length: 5010 }, (_, i) => store.write(digestOf(first + i), contentOf(first + i))));
  await store.actionResults.set('an action', Buffer.from('a result'));
  await store.close();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function open(tableLoading: 'here' | 'process') {
  const debug = vi.fn<Logger['debug']>();
  const logger = { debug, info() {}, warning() {}, error() {} } as unknown as Logger;
  const options = {
    directory,
    maxBytes: 2 ** 30,
    durability: 'none',
    housekeepingMs: 0,
    tableLoading,
    logger,
  } as const;
  const store = await DiskBlobStore.open(options);
  const loaded = () => vi.waitFor(() => expect(store.stats().loaded).toBe(true));
  return { store, loaded, wasReadHere: () => debug.mock.calls.some(([text]) => text.includes('so this one does')) };
}

describe('a table that is filled by another process', () => {
  it('has everything, and nothing that came or went meanwhile is mistaken', async () => {
    const { store, loaded, wasReadHere } = await open('process');
    const there = store.stats().blobs;
    const removed = Array.from({ length: 300 }, (_, i) => i * 160);
    const added = Array.from({ length: 50 }, (_, i) => COUNT + i);
    for (const [i, each] of removed.entries()) {
      await store.delete(digestOf(each));
      // Some come back.
      if (i % 3 === 0) await store.write(digestOf(each), contentOf(each));
    }
    for (const each of added) await store.write(digestOf(each), contentOf(each));
    await loaded();
    expect(wasReadHere()).toBe(false);
    const gone = removed.filter((_, i) => i % 3 !== 0);
    const all = Array.from({ length: COUNT + added.length }, (_, i) => i);
    expect(store.findMissing(all.map(digestOf)).map(String)).toEqual(gone.map((i) => String(digestOf(i))));
    expect(store.stats()).toMatchObject({ blobs: there - gone.length + added.length, actionResults: 1 });
    for (const each of gone) await store.write(digestOf(each), contentOf(each));
    for (const each of added) await store.delete(digestOf(each));
    await store.close();
  });

  it('is filled by this process where the other one can’t be started, says something else, or ends early', async () => {
    const node = process.execPath;
    // They are started with the names of a script and a folder.
    for (const command of ['/nonexistent/node', '/bin/cat', '/bin/true']) {
      process.execPath = command;
      try {
        const { store, loaded, wasReadHere } = await open('process');
        await loaded();
        expect(wasReadHere()).toBe(true);
        expect(store.stats()).toMatchObject({ blobs: COUNT, actionResults: 1 });
        await store.close();
      } finally {
        process.execPath = node;
      }
    }
  });

  it.skipIf(process.platform === 'win32')('is filled by this process where file descriptors are short', async () => {
    // Pages that stay kept for a reader who isn't there would have the index grow with each write.
    const script = `
      import { closeSync, openSync, statSync } from 'node:fs';
      import { Digest, DiskBlobStore } from ${JSON.stringify(INDEX)};
      const [directory] = process.argv.slice(1);
      const options = { directory, maxBytes: 2 ** 30, durability: 'none', housekeepingMs: 0, tableLoading: 'process' };
      const store = await DiskBlobStore.open(options);
      const files = [];
      try {
        for (;;) files.push(openSync('/dev/null'));
      } catch {}
      await store.whenLoaded();
      for (const file of files) closeSync(file);
      const size = () => statSync(directory + '/index/data.mdb').size;
      const before = size();
      const bytes = Buffer.alloc(20_000);
      const digest = Digest.of('sha256', bytes);
      for (let i = 0; i < 300; i++) {
        await store.write(digest, bytes);
        await store.delete(digest);
      }
      console.log(store.stats().blobs, size() - before < 4 * 2 ** 20);
      await store.close();`;
    const limited = ['-c', 'ulimit -n 400 && exec "$@"', 'sh', process.execPath];
    const child = spawn('sh', [...limited, '--input-type=module', '-e', script, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    await once(child, 'close');
    expect(output).toBe(`${COUNT} true\n`);
  });

  it('does not keep a store from closing', async () => {
    const { store } = await open('process');
    await store.close();
    expect(store.stats().loaded).toBe(false);
    const { store: again, loaded } = await open('process');
    await loaded();
    expect(again.stats()).toMatchObject({ blobs: COUNT, actionResults: 1 });
    await again.close();
  });
});

describe('a process that reads the index of another one', () => {
  it('undoes nothing that is committed while it opens it', { timeout: 60_000 }, async () => {
    const index = mkdtempSync(join(tmpdir(), 'granary-read-'));
    const database = IndexDatabase.open(index, 'none');
    const keys = Array.from({ length: 500 }, (_, i) => blobKey(digestOf(i)));
    const put = (i: number) =>
      database.put(keys[i % keys.length] as EntryKey, { place: 'value', size: 1, lastUse: i, mtimeMs: 0 });
    for (let i = 0; i < keys.length; i++) await put(i);
    const release = database.hold();
    const opening = `import { readEntries } from ${JSON.stringify(INDEX_DATABASE)};
      for (let i = 0; i < 2000; i++) for (const entry of readEntries(process.argv[1])) break;`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', opening, index], { stdio: 'inherit' });
    let code: number | undefined;
    const ended = once(child, 'close').then(([by]) => {
      code = by as number;
    });
    const undone: number[] = [];
    for (let i = keys.length; code === undefined; i++) {
      await put(i);
      if (database.record(keyBytes(keys[i % keys.length] as EntryKey))?.lastUse !== i) undone.push(i);
      await setImmediate();
    }
    await ended;
    release();
    expect(undone).toEqual([]);
    expect(code).toBe(0);
    expect(readdirSync(index).sort()).toEqual(['data.mdb', 'lock.mdb']);
    await database.close();
    rmSync(index, { recursive: true });
  });
});
