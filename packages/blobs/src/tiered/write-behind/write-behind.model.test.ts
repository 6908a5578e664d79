import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualTime } from '@granary/resilience/testing';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { collectSource } from '../../blob-source.js';
import type { BlobSource, OperationOptions } from '../../blob-store.js';
import type { Digest } from '../../digest.js';
import { EntryPins } from '../../disk/index/entry-pins.js';
import { BlobTooLargeError } from '../../errors.js';
import { MemoryActionResultStore } from '../../memory/memory-action-result-store.js';
import { MemoryBlobStore } from '../../memory/memory-blob-store.js';
import { RemoteStoreError } from '../../remote/remote-store-error.js';
import { blobOf } from '../../testing/content.js';
import type { Tier } from '../tier.js';
import { TieredActionResultStore } from '../tiered-action-result-store.js';
import { TieredBlobStore } from '../tiered-blob-store.js';
import { writeBehindTargets } from './targets.js';
import { WriteBehindQueue } from './write-behind-queue.js';

/** What a call to the tier comes to: the answer is lost after the work is done, or nothing is done at all. */
type Fate = 'done' | 'lost answer' | 'gone' | 'refused' | 'too large' | 'slow' | 'stuck';

type Step =
  | { readonly do: 'upload'; readonly blob: number }
  | { readonly do: 'result'; readonly key: number; readonly blobs: readonly number[] }
  | { readonly do: 'fates'; readonly fates: readonly Fate[] }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'restart' };

const BLOBS = Array.from({ length: 8 }, (_, i) => blobOf(i % 3 === 2 ? 300_000 : 100 + i, `model ${i}`));
const blobNumber = fc.nat(BLOBS.length - 1);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('upload' as const), blob: blobNumber }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('result' as const),
      key: fc.nat(3),
      blobs: fc.uniqueArray(blobNumber, { maxLength: 4 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('fates' as const),
      fates: fc.array(fc.constantFrom<Fate>('done', 'lost answer', 'gone', 'refused', 'too large', 'slow', 'stuck'), {
        maxLength: 8,
      }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(40_000) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
);

/** A tier whose next calls have the fates that were chosen, and that checks what it is given. */
class FatefulTier implements Tier {
  readonly name = 'far';
  readonly mode = 'write-behind';
  readonly required = false;
  readonly blobs: MemoryBlobStore;
  readonly actionResults: MemoryActionResultStore;
  readonly wrong: string[] = [];
  fates: Fate[] = [];
  readonly #time: ManualTime;

  constructor(time: ManualTime) {
    this.#time = time;
    const blobs = new MemoryBlobStore({ name: 'far' });
    const actionResults = new MemoryActionResultStore({ name: 'far' });
    const write = blobs.write.bind(blobs);
    const set = actionResults.set.bind(actionResults);
    blobs.write = (digest, source, options) =>
      this.#fateful(options, async () => write(digest, await collected(digest, source)));
    actionResults.set = (key, value, options?: OperationOptions) =>
      this.#fateful(options, async () => {
        const missing = blobs.findMissing(namedBy(value));
        if (missing.length > 0) this.wrong.push(`${key} came before ${missing.join()}`);
        await set(key, value);
      });
    this.blobs = blobs;
    this.actionResults = actionResults;
  }

  async check(): Promise<void> {}

  async close(): Promise<void> {}

  async #fateful(options: OperationOptions | undefined, work: () => Promise<void>): Promise<void> {
    const fate = this.fates.shift() ?? 'done';
    if (fate === 'gone') throw new RemoteStoreError('far', 'unavailable', 'nobody listens');
    if (fate === 'refused') throw new RemoteStoreError('far', 'refused', 'not from you');
    if (fate === 'too large') throw new BlobTooLargeError(2, 1);
    if (fate === 'stuck') {
      const signal = options?.signal;
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    }
    if (fate === 'slow') await new Promise<void>((resolve) => this.#time.setTimeout(resolve, 100));
    await work();
    if (fate === 'lost answer') throw new RemoteStoreError('far', 'timeout', 'no answer');
  }
}

const collected = (digest: Digest, source: BlobSource) => collectSource(source, digest.size, undefined);

function resultOf(blobs: readonly number[], version: number): Buffer {
  return Buffer.from(JSON.stringify({ blobs, version }));
}

function namedBy(value: Buffer): Digest[] {
  const { blobs } = JSON.parse(value.toString()) as { readonly blobs: readonly number[] };
  return blobs.map((i) => BLOBS[i]!.digest);
}

/** The whole of it: local stores that stay, a queue and tiered stores that are opened anew at each restart. */
class Model {
  readonly #time = new ManualTime();
  readonly #tier = new FatefulTier(this.#time);
  readonly #local = new MemoryBlobStore();
  readonly #localResults = new MemoryActionResultStore();
  readonly #directory: string;
  readonly #acknowledged = new Set<string>();
  readonly #dropped = new Set<string>();
  #pins = new EntryPins();
  #queue!: WriteBehindQueue;
  #blobs!: TieredBlobStore;
  #results!: TieredActionResultStore;
  #version = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(): Promise<void> {
    this.#pins = new EntryPins();
    this.#queue = await WriteBehindQueue.open({
      directory: this.#directory,
      pins: this.#pins,
      maxEntries: 6,
      maxParallel: 3,
      maxRefusals: 3,
      timers: this.#time,
      clock: this.#time.clock,
      onDropped: (_, what) => this.#dropped.add(what),
    });
    const tiers = [this.#tier];
    this.#blobs = new TieredBlobStore({ local: this.#local, tiers, writeBehind: this.#queue });
    this.#results = new TieredActionResultStore({
      local: this.#localResults,
      tiers,
      blobs: this.#blobs,
      referencesOf: (_, value) => namedBy(value),
      writeBehind: this.#queue,
    });
    this.#queue.start(writeBehindTargets(this.#blobs, this.#results));
  }

  async close(): Promise<void> {
    const closing = this.#queue.close();
    await this.#time.advance(2000);
    await closing;
    await this.#results.close();
    await this.#blobs.close();
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'upload': {
        const { digest, bytes } = BLOBS[step.blob]!;
        this.#dropped.delete(String(digest));
        await this.#blobs.write(digest, bytes);
        this.#acknowledged.add(String(digest));
        break;
      }
      case 'result': {
        const key = `key ${step.key}`;
        this.#dropped.delete(`the result of ${key}`);
        await this.#results.set(key, resultOf(step.blobs, ++this.#version));
        this.#acknowledged.add(`the result of ${key}`);
        break;
      }
      case 'fates':
        this.#tier.fates.push(...step.fates);
        break;
      case 'wait':
        await this.#time.advance(step.ms);
        break;
      case 'restart':
        await this.close();
        await this.open();
    }
  }

  /** The tier is well again, and there is time. */
  async check(): Promise<void> {
    this.#tier.fates = [];
    // What is stuck ends with the process.
    await this.take({ do: 'restart' });
    const depth = () => this.#queue.stats().reduce((sum, one) => sum + one.depth, 0);
    for (let i = 0; i < 50 && depth() > 0; i++) await this.#time.advance(60_000);
    expect(depth()).toBe(0);
    expect(this.#queue.stats().reduce((sum, one) => sum + one.bytes, 0)).toBe(0);
    expect(this.#pins.count).toBe(0);
    expect(this.#tier.wrong).toEqual([]);
    for (const what of this.#acknowledged) {
      if (this.#dropped.has(what)) continue;
      const key = what.replace('the result of ', '');
      const there = what.startsWith('the result')
        ? this.#tier.actionResults.get(key)?.equals(this.#localResults.get(key)!)
        : this.#tier.blobs.findMissing(BLOBS.map(({ digest }) => digest)).every((one) => String(one) !== what);
      expect(there, what).toBe(true);
    }
    await this.close();
    await using journal = await WriteBehindQueue.open({ directory: this.#directory });
    expect(journal.stats()).toEqual([]);
  }
}

it('brings what was acknowledged to the tier or counts it as dropped, and no result before its blobs', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const directory = await mkdtemp(join(tmpdir(), 'granary-queue-'));
      const model = new Model(directory);
      await model.open();
      try {
        for (const one of steps) await model.take(one);
        await model.check();
      } finally {
        await model.close();
        await rm(directory, { recursive: true, force: true });
      }
    }),
    { numRuns: 100 },
  );
});
