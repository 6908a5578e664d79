import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Digest } from '../digest.js';
import { isStoreError } from '../errors.js';
import { blobOf, inChunks } from '../testing/content.js';
import { FaultyFileSystem, type FileOperation, systemError } from '../testing/faulty-file-system.js';
import { TemporaryStores } from '../testing/temporary-stores.js';

const KIB = 1024;
const BLOCK = 4096;
const TRANSFER = 512 * KIB;

const stores = new TemporaryStores();
afterEach(() => stores.dispose());

const fileOf = (directory: string, { function: fn, hash }: Digest) =>
  join(directory, 'blobs', fn, hash.slice(0, 2), hash);

/** Those of the operations that make the file of an upload. */
const creations = ({ done }: FaultyFileSystem) => done.filter((operation) => operation.startsWith('create'));

/** A store after its first large upload, which tries out what the file system can do. */
async function tried(directBytes = 64 * KIB) {
  const fileSystem = new FaultyFileSystem();
  const directory = await stores.folder();
  const store = await stores.open({ fileSystem, directory, directBytes });
  const { digest, bytes } = blobOf(64 * KIB, 'the first');
  await store.write(digest, bytes);
  const isAble = fileSystem.done.includes('datasync') && creations(fileSystem).join() === 'createDirect,createDirect';
  fileSystem.done.length = 0;
  return { store, fileSystem, directory, isAble };
}

const canBeDirect = (await tried()).isAble;
await stores.dispose();

describe('a large upload', () => {
  it.skipIf(!canBeDirect)('goes past the page cache; a smaller one and one that is read meanwhile do not', async () => {
    const { store, fileSystem } = await tried();
    const large = blobOf(64 * KIB);
    await store.write(large.digest, inChunks(large.bytes, 1000));
    const small = blobOf(64 * KIB - 1);
    await store.write(small.digest, inChunks(small.bytes, 1000));
    const followed = blobOf(70 * KIB);
    const observer = { onGrowing: () => {}, onVerified: () => {} };
    await store.write(followed.digest, inChunks(followed.bytes, 1000), { observer });
    expect(creations(fileSystem)).toEqual(['createDirect', 'create', 'create']);
  });

  it.each([
    64 * KIB,
    64 * KIB + 1,
    TRANSFER - 1,
    TRANSFER,
    TRANSFER + 1,
    TRANSFER + BLOCK - 1,
    3 * TRANSFER + BLOCK,
    2 * TRANSFER - BLOCK - 1,
  ])('of %d bytes is stored as it came, and nothing behind it', async (size) => {
    const { store, directory } = await tried();
    for (const [i, chunkSize] of [16 * KIB, 777 * KIB, 12_345].entries()) {
      const { digest, bytes } = blobOf(size, i);
      await store.write(digest, inChunks(bytes, chunkSize));
      expect((await store.get(digest))?.equals(bytes)).toBe(true);
      expect((await stat(fileOf(directory, digest))).size).toBe(size);
    }
    const whole = blobOf(size, 'in one piece');
    await store.write(whole.digest, whole.bytes);
    expect((await store.get(whole.digest))?.equals(whole.bytes)).toBe(true);
  });

  it('is complete when the file system writes a few blocks at a time', async () => {
    const { store, fileSystem } = await tried();
    fileSystem.mostWritten = 3 * BLOCK;
    const { digest, bytes } = blobOf(TRANSFER + 100);
    await store.write(digest, inChunks(bytes, 16 * KIB));
    expect((await store.get(digest))?.equals(bytes)).toBe(true);
  });

  it('whose bytes are others than announced leaves nothing', async () => {
    const { store, directory } = await tried();
    const { digest, bytes } = blobOf(TRANSFER + 100);
    bytes[TRANSFER] = (bytes[TRANSFER] as number) ^ 1;
    await expect(store.write(digest, inChunks(bytes, 16 * KIB))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await readdir(join(directory, 'incoming'))).toEqual([]);
  });

  it('that fails at any step leaves nothing, and works when it is tried again', async () => {
    const { digest, bytes } = blobOf(1200 * KIB + 1);
    const steps: FileOperation[] = [];
    for (let step = 0; step === 0 || step < steps.length; step++) {
      const { store, fileSystem, directory } = await tried();
      await store.maintain();
      fileSystem.done.length = 0;
      fileSystem.fault = (_, __, number) => (number === step ? systemError('EIO') : undefined);
      const outcome = await store.write(digest, inChunks(bytes, 16 * KIB)).catch((error: unknown) => error);
      fileSystem.fault = () => undefined;
      expect(isStoreError(outcome), `step ${step}`).toBe(true);
      expect(store.findMissing([digest])).toEqual([digest]);
      expect(store.stats()).toMatchObject({ reservedBytes: 0, blobs: 1 });
      expect(await readdir(join(directory, 'incoming'))).toEqual([]);
      fileSystem.done.length = 0;
      await store.write(digest, inChunks(bytes, 16 * KIB));
      expect((await store.get(digest))?.equals(bytes)).toBe(true);
      if (steps.length === 0) steps.push(...fileSystem.done.slice(0, fileSystem.done.indexOf('rename') + 1));
    }
    expect(steps).toContain('write');
    if (canBeDirect) expect(steps).toContain('truncate');
  });

  it('goes through the page cache where the file system can do nothing else, which is tried once', async () => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ fileSystem, directBytes: 64 * KIB });
    fileSystem.fault = (operation) => (operation === 'createDirect' ? systemError('EINVAL') : undefined);
    for (const size of [64 * KIB, 65 * KIB]) {
      const { digest, bytes } = blobOf(size);
      await store.write(digest, bytes);
      expect((await store.get(digest))?.equals(bytes)).toBe(true);
    }
    expect(creations(fileSystem)).toEqual(['createDirect', 'create', 'create']);
  });

  it('goes through the page cache where that was chosen', async () => {
    const fileSystem = new FaultyFileSystem();
    const store = await stores.open({ fileSystem, directBytes: 0 });
    const { digest, bytes } = blobOf(64 * KIB);
    await store.write(digest, bytes);
    expect(creations(fileSystem)).toEqual(['create']);
  });

  it('finds a way when more come at once than there is memory for', async () => {
    const { store, fileSystem } = await tried();
    const blobs = Array.from({ length: 40 }, (_, i) => blobOf(70 * KIB + i));
    let arrived = () => {};
    const all = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    let waiting = 0;
    await Promise.all(
      blobs.map(({ digest, bytes }) => {
        async function* chunks() {
          yield bytes.subarray(0, KIB);
          if (++waiting === blobs.length) arrived();
          await all;
          yield bytes.subarray(KIB);
        }
        return store.write(digest, chunks());
      }),
    );
    for (const { digest, bytes } of blobs) expect((await store.get(digest))?.equals(bytes)).toBe(true);
    expect(creations(fileSystem)).toContain('create');
    if (canBeDirect) expect(creations(fileSystem).filter((each) => each === 'createDirect')).toHaveLength(8);
  });
});
