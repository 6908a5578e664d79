import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '@granary/telemetry';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Digest as BlobDigest } from '../index.js';

/** What was built: a process can't be started with the sources. */
const { Digest, DiskBlobStore } = (await import(
  new URL('../../dist/index.js', import.meta.url).href
)) as typeof import('../index.js');

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
