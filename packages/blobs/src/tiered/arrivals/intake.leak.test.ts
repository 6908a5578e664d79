import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ManualTime } from '@granary/resilience/testing';
import { noopSpan } from '@granary/telemetry';
import { expect, it } from 'vitest';
import { type BlobReader, CHUNK_BYTES } from '../../blob-store.js';
import { testTier } from '../../testing/tiered-stores.js';
import { ExistenceCache } from '../existence-cache.js';
import { TierAccess } from '../tier-access.js';
import { Intake } from './intake.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Delivers so many chunks, and then nothing more while the blob is not complete. */
class SlowReader implements BlobReader {
  readonly length = 100 * CHUNK_BYTES;
  readonly lasting = true;
  readonly delivered: WeakRef<ArrayBufferLike>[] = [];
  readonly #chunks: number;
  #stop = () => {};

  constructor(chunks: number) {
    this.#chunks = chunks;
  }

  async next(): Promise<Buffer | undefined> {
    if (this.delivered.length < this.#chunks) return this.#make();
    await new Promise<void>((resolve) => {
      this.#stop = resolve;
    });
    return undefined;
  }

  async close(): Promise<void> {
    this.#stop();
  }

  [Symbol.asyncIterator](): never {
    throw new Error('not in this test');
  }

  #make(): Buffer {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    this.delivered.push(new WeakRef(chunk.buffer));
    return chunk;
  }
}

it('keeps nothing of the chunks that are stored while it waits for the next', async () => {
  const tier = testTier('tier');
  const reader = new SlowReader(3);
  const intake = new Intake(
    { from: new TierAccess(tier, tier.blobs, new ExistenceCache()), reader, span: noopSpan },
    {
      size: reader.length,
      memoryBytes: () => 0,
      isFarAhead: () => false,
      timers: new ManualTime(),
      resume: async (_received, _brokenOff, failure) => {
        throw failure;
      },
      onNews: () => {},
    },
  );
  const source = intake.source();
  for (let i = 0; i < 3; i++) await source.next();
  const waiting = source.next();
  // What a weak reference was made of lives until its turn is over.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  expect(reader.delivered.map((each) => each.deref()?.byteLength)).toEqual([undefined, undefined, undefined]);
  intake.close();
  await expect(waiting).rejects.toThrow('nobody takes the blob');
});
