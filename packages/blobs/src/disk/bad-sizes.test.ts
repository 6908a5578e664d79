import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { blobOf } from '../testing/content.js';
import { TemporaryStores } from '../testing/temporary-stores.js';
import { blobKey, keyBytes } from './index/entry-key.js';
import { IndexDatabase } from './index/index-database.js';

const KIB = 1024;
const MIB = 1024 * KIB;

const stores = new TemporaryStores();
afterEach(() => stores.dispose());

const blobs = Array.from({ length: 5 }, (_, i) => blobOf(100 * KIB + i));
const [first, ...others] = blobs;

/** A closed store in which the record of the first blob says another size. */
async function storeWithBadSize(bad: (size: number) => number): Promise<string> {
  const directory = await stores.folder();
  const store = await stores.open({ directory });
  for (const { digest, bytes } of blobs) await store.write(digest, bytes);
  await store.close();
  const database = IndexDatabase.open(join(directory, 'index'), 'data');
  const key = keyBytes(blobKey(first!.digest));
  const record = database.record(key)!;
  await database.putRecord(key, { ...record, size: bad(record.size) });
  await database.close();
  return directory;
}

describe('a record of a file with a bad size', () => {
  it('has nothing evicted to make room for bytes that are not there', async () => {
    const directory = await storeWithBadSize((size) => size * 2 ** 20);
    const store = await stores.open({ directory, maxBytes: 100 * MIB, minAgeMs: 0, clock: () => Date.now() + 60_000 });
    await store.maintain();
    expect(store.findMissing(blobs.map(({ digest }) => digest))).toEqual([]);
    expect(await store.get(first!.digest)).toEqual(first!.bytes);
    const { bytes, evictions, quarantined } = store.stats();
    expect({ isRight: bytes < MIB, evictions, quarantined }).toEqual({ isRight: true, evictions: 0, quarantined: 0 });
  });

  it.each([
    ['more', (size: number) => size + 4096],
    ['less', (size: number) => size - 1],
  ])('is replaced by the next upload where it says %s', async (_, bad) => {
    const directory = await storeWithBadSize(bad);
    const store = await stores.open({ directory, maxBytes: 1024 * MIB });
    await store.whenLoaded();
    const before = store.stats().bytes;
    expect(store.findMissing(blobs.map(({ digest }) => digest))).toEqual([first!.digest]);
    await store.write(first!.digest, first!.bytes);
    expect(await store.get(first!.digest)).toEqual(first!.bytes);
    for (const { digest, bytes } of others) expect(await store.get(digest)).toEqual(bytes);
    expect(Math.abs(store.stats().bytes - before)).toBeLessThanOrEqual(4096);
    expect(store.stats().reservedBytes).toBe(0);
    await store.close();
    const again = await stores.open({ directory, maxBytes: 1024 * MIB });
    expect(again.findMissing([first!.digest])).toEqual([]);
  });
});
