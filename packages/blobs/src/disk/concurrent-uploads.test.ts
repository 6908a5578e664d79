import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { WriteOptions } from '../blob-store.js';
import { blobOf } from '../testing/content.js';
import { TemporaryStores } from '../testing/temporary-stores.js';

const KIB = 1024;
const { digest, bytes } = blobOf(300 * KIB);

const stores = new TemporaryStores();
afterEach(() => stores.dispose());

/** Two uploads of one blob: the second comes and ends while the first has sent a third of it. */
async function overtaken(options: WriteOptions = {}, rest: Buffer = bytes.subarray(100 * KIB)) {
  const directory = await stores.folder();
  const store = await stores.open({ directory });
  let begun = () => {};
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  let goOn = () => {};
  const mayGoOn = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const read: string[] = [];
  async function* slow() {
    try {
      yield bytes.subarray(0, 100 * KIB);
      begun();
      await mayGoOn;
      read.push('second');
      yield rest.subarray(0, 100 * KIB);
      read.push('third');
      yield rest.subarray(100 * KIB);
    } finally {
      read.push('left');
    }
  }
  const first = store.write(digest, slow(), options);
  await hasBegun;
  await store.write(digest, bytes);
  goOn();
  await first;
  expect((await store.get(digest))?.equals(bytes)).toBe(true);
  expect(await readdir(join(directory, 'incoming'))).toEqual([]);
  return read;
}

describe('an upload of a blob that another one brings first', () => {
  it('ends with its next chunk, and leaves nothing', async () => {
    expect(await overtaken()).toEqual(['second', 'left']);
  });

  it('has nothing more to be compared', async () => {
    expect(await overtaken({}, Buffer.alloc(200 * KIB, 'something else'))).toEqual(['second', 'left']);
  });

  it('goes on where somebody reads it as it grows', async () => {
    const observer = { onGrowing: () => {}, onVerified: () => {} };
    expect(await overtaken({ observer })).toEqual(['second', 'third', 'left']);
  });
});
