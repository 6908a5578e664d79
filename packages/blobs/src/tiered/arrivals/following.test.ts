import { ManualTime } from '@granary/resilience/testing';
import { afterEach, describe, expect, it } from 'vitest';
import type { BlobReader, BlobSource, WriteOptions } from '../../blob-store.js';
import type { Digest } from '../../digest.js';
import { MemoryBlobStore } from '../../memory/memory-blob-store.js';
import { blobOf, bytesOf } from '../../testing/content.js';
import { TieredStores, testTier } from '../../testing/tiered-stores.js';

const CHUNK = 256 * 1024;
const MIB = 1024 * 1024;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A store that takes nothing until it is told to, as one whose disk is busy. */
class StuckStore extends MemoryBlobStore {
  go = () => {};
  readonly #going = new Promise<void>((resolve) => {
    this.go = resolve;
  });

  override async write(digest: Digest, source: BlobSource, options?: WriteOptions): Promise<void> {
    if (source instanceof Uint8Array) return super.write(digest, source, options);
    const chunks = source[Symbol.asyncIterator]();
    const first = await chunks.next();
    await this.#going;
    async function* all() {
      for (let step = first; !step.done; step = await chunks.next()) yield step.value;
    }
    return super.write(digest, all(), options);
  }
}

const stores = new TieredStores();
afterEach(() => stores.dispose());

async function arriving(size: number) {
  const tier = testTier('tier');
  const { blobs } = tier;
  blobs.chunkBytes = CHUNK;
  let delivered = 0;
  blobs.delivery = (position) => {
    delivered = Math.max(delivered, position);
  };
  const local = new StuckStore({ maxBytes: 64 * MIB });
  const time = new ManualTime();
  const store = stores.over(local, [tier], { timers: time });
  const { bytes, digest } = blobOf(size);
  await blobs.write(digest, bytes);
  return { store, local, bytes, digest, time, delivered: () => delivered };
}

describe('a blob that arrives while the local store is busy', () => {
  it('goes on arriving, and to its readers, as far as there is memory for it', async () => {
    const { store, local, bytes, digest, delivered } = await arriving(20 * MIB);
    const reader = (await store.read(digest))!;
    for (let position = 0; position < 2 * MIB; position += CHUNK) {
      const chunk = (await reader.next())!;
      expect(chunk.equals(bytes.subarray(position, position + CHUNK))).toBe(true);
    }
    for (let i = 0; i < 200; i++) await turn();
    expect(delivered()).toBeGreaterThanOrEqual(2 * MIB);
    expect(delivered()).toBeLessThanOrEqual(9 * MIB);
    local.go();
    expect((await bytesOf(reader)).equals(bytes.subarray(2 * MIB))).toBe(true);
  });

  it('is in memory once, however many read it', async () => {
    const { store, local, bytes, digest } = await arriving(4 * MIB);
    const readers = (await Promise.all([1, 2, 3].map(() => store.read(digest)))) as BlobReader[];
    const chunks = (await Promise.all(readers.map((reader) => reader.next()))) as Buffer[];
    for (const reader of readers) expect(reader.lasting).toBe(true);
    for (const chunk of chunks) expect(chunk.buffer).toBe(chunks[0]?.buffer);
    // Who begins elsewhere gets memory of his own: what he puts in front of it lies in bytes of the others.
    const aside = (await store.read(digest, { offset: 1000, limit: 5000 })) as BlobReader;
    const part = (await aside.next()) as Buffer;
    expect(aside.lasting).toBe(false);
    expect(part.buffer).not.toBe(chunks[0]?.buffer);
    expect(part.equals(bytes.subarray(1000, 6000))).toBe(true);
    await aside.close();
    local.go();
    for (const reader of readers) expect((await bytesOf(reader)).equals(bytes.subarray(CHUNK))).toBe(true);
  });
});

const settled = async () => {
  for (let i = 0; i < 300; i++) await turn();
};

describe('a blob that arrives faster than a crowd can take it', () => {
  it('is handed out from memory that all share, up to its end', async () => {
    const { store, local, bytes, digest, delivered } = await arriving(20 * MIB);
    local.go();
    const readers = (await Promise.all([1, 2, 3].map(() => store.read(digest)))) as BlobReader[];
    for (let position = 0; position < bytes.length; position += CHUNK) {
      const chunks: Buffer[] = [];
      for (const reader of readers) chunks.push((await reader.next()) as Buffer);
      expect([position, ...chunks.map(({ buffer }) => buffer === chunks[0]?.buffer)]).toEqual([
        position,
        true,
        true,
        true,
      ]);
      expect(chunks[0]?.equals(bytes.subarray(position, position + CHUNK))).toBe(true);
      await turn();
      expect(delivered()).toBeLessThan(position + 6 * MIB);
    }
    for (const reader of readers) expect(await reader.next()).toBeUndefined();
  });

  it('waits as long as the first of them has enough before him, and no longer than its patience', async () => {
    const { store, local, digest, time, delivered } = await arriving(20 * MIB);
    local.go();
    const [first, second] = (await Promise.all([1, 2].map(() => store.read(digest)))) as [BlobReader, BlobReader];
    await settled();
    const before = delivered();
    expect(before).toBeGreaterThan(3 * MIB);
    expect(before).toBeLessThan(5 * MIB);
    await time.advance(99);
    expect(delivered()).toBe(before);
    await time.advance(1);
    expect(delivered()).toBe(before + CHUNK);
    for (let i = 0; i < 8; i++) await first.next();
    await settled();
    expect(delivered()).toBe(before + 8 * CHUNK);
    expect(time.pending).toBe(1);
    // Who is alone gains nothing from waiting.
    await first.close();
    await time.advance(100);
    await settled();
    expect(delivered()).toBeGreaterThanOrEqual(20 * MIB - CHUNK);
    expect(time.pending).toBe(0);
    await second.close();
  });

  it('is not held up by those who are behind another one', async () => {
    const { store, local, digest, delivered } = await arriving(20 * MIB);
    local.go();
    const [start, end] = (await Promise.all([store.read(digest), store.read(digest, { offset: 20 * MIB - 1000 })])) as [
      BlobReader,
      BlobReader,
    ];
    expect((await end.next())?.length).toBe(1000);
    expect(delivered()).toBe(20 * MIB);
    await start.close();
    await end.close();
  });
});
