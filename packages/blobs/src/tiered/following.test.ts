import { afterEach, describe, expect, it } from 'vitest';
import type { BlobReader, BlobSource, WriteOptions } from '../blob-store.js';
import type { Digest } from '../digest.js';
import { MemoryBlobStore } from '../memory/memory-blob-store.js';
import { blobOf } from '../testing/content.js';
import { ScriptedStore } from '../testing/scripted-store.js';
import type { Tier } from './tier.js';
import { TieredBlobStore } from './tiered-blob-store.js';

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

const opened: TieredBlobStore[] = [];
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

async function arriving(size: number) {
  const blobs = new ScriptedStore({ name: 'tier', maxBytes: 64 * MIB });
  blobs.chunkBytes = CHUNK;
  let delivered = 0;
  blobs.delivery = (position) => {
    delivered = Math.max(delivered, position);
  };
  const tier: Tier = {
    name: 'tier',
    mode: 'read-through',
    required: false,
    blobs,
    actionResults: undefined,
    check: async () => {},
    close: async () => {},
  };
  const local = new StuckStore({ maxBytes: 64 * MIB });
  const store = new TieredBlobStore({ local, tiers: [tier] });
  opened.push(store);
  const { bytes, digest } = blobOf(size);
  await blobs.write(digest, bytes);
  return { store, local, bytes, digest, delivered: () => delivered };
}

async function bytesOf(reader: BlobReader): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of reader) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
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
