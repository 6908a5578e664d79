import { ManualTime } from '@granary/resilience/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlobSource, BlobStore, WriteOptions } from '../blob-store.js';
import { withResilience } from '../decorators/resilient-store.js';
import { StoreDecorator } from '../decorators/store-decorator.js';
import type { Digest } from '../digest.js';
import { blobOf, inChunks } from '../testing/content.js';
import type { S3TierOptions } from './options.js';
import type { S3Tier } from './s3-tier.js';
import { SlowStore } from './testing/slow-store.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const IDLE_MS = 1000;

/** Remembers when something got on last. */
class Watched extends StoreDecorator {
  readonly #time: ManualTime;
  steps = 0;
  lastAt = 0;
  #onStep: (() => void) | undefined;

  constructor(inner: BlobStore, time: ManualTime) {
    super(inner);
    this.#time = time;
  }

  override write(digest: Digest, source: BlobSource, options?: WriteOptions): Promise<void> {
    const onProgress = () => {
      this.steps++;
      this.lastAt = this.#time.clock();
      this.#onStep?.();
      options?.onProgress?.();
    };
    return this.inner.write(digest, source, { ...options, onProgress });
  }

  nextStep(): Promise<void> {
    return new Promise((resolve) => {
      this.#onStep = resolve;
    });
  }
}

let time: ManualTime;
let store: SlowStore;
let tier: S3Tier;
beforeEach(async () => {
  time = new ManualTime();
  store = await SlowStore.start();
});
afterEach(async () => {
  await tier.close();
  await store[Symbol.asyncDispose]();
});

/** The tier's blobs under policies of which each but the idle time is over before anything comes through. */
function guarded() {
  const watched = new Watched(tier.blobs, time);
  const blobs = withResilience(watched, {
    timeoutMs: 500,
    attemptTimeoutMs: 500,
    idleTimeoutMs: IDLE_MS,
    retry: { maxRetries: 0 },
    clock: time.clock,
    timers: time,
  });
  return { blobs, watched };
}

/** Lets the line carry a little each time, and the time pass that it may stand still for, until all has come to its end. */
async function slowly(watched: Watched, writes: readonly Promise<void>[]): Promise<number> {
  let isOver = false;
  const over = Promise.allSettled(writes).finally(() => {
    isOver = true;
  });
  const begun = time.clock();
  while (!isOver) {
    const before = watched.steps;
    await store.let(256 * KIB, over);
    if (watched.steps > before) await time.advance(0.9 * IDLE_MS);
  }
  return time.clock() - begun;
}

/** What the system buffers of it is far less. */
const large = blobOf(30 * MIB);
const larger = blobOf(50 * MIB);

describe('an upload over a slow line', () => {
  it.each<[string, ReturnType<typeof blobOf>, Partial<S3TierOptions>]>([
    ['in one request', large, { partBytes: 32 * MIB }],
    ['in parts that all travel when the last of them begins', larger, { partBytes: 25 * MIB }],
    ['in parts that wait for one another', larger, { partBytes: 25 * MIB, parallelParts: 1 }],
  ])('%s may take as long as it gets on', async (_, { digest, bytes }, options) => {
    tier = store.tier(options);
    const { blobs, watched } = guarded();
    const writing = blobs.write(digest, inChunks(bytes, MIB));
    expect(await slowly(watched, [writing])).toBeGreaterThan(2 * IDLE_MS);
    await writing;
    expect(store.received).toBe(bytes.length);
    expect(watched.steps).toBeGreaterThan(bytes.length / MIB);
  });

  it.each(['memory', 'a connection'])('may wait for %s as long as those before it get on', async (what) => {
    const own = what === 'memory' ? { maxUploadBytes: 30 * MIB } : { connections: 1 };
    tier = store.tier({ partBytes: 30 * MIB, ...own });
    const [first, second] = [guarded(), guarded()];
    const small = blobOf(MIB);
    const writes = [first.blobs.write(large.digest, inChunks(large.bytes, MIB))];
    await store.let(1, Promise.race(writes));
    const hasAsked = second.watched.nextStep();
    writes.push(second.blobs.write(small.digest, what === 'memory' ? inChunks(small.bytes, MIB) : small.bytes));
    if (what === 'memory') await hasAsked;
    expect(await slowly(first.watched, writes)).toBeGreaterThan(2 * IDLE_MS);
    await Promise.all(writes);
    expect(store.received).toBe(large.bytes.length + MIB);
  });

  it.each<[string, number]>([
    ['that never carries anything', 1],
    ['that stops in the middle', 10 * MIB],
    ['that stops when everything was handed over', 29 * MIB],
  ])('%s is given up when that has stood still for the idle time', async (_, bytes) => {
    tier = store.tier({ partBytes: 32 * MIB });
    const { blobs, watched } = guarded();
    let failure: unknown;
    const writing = blobs.write(large.digest, inChunks(large.bytes, MIB)).catch((error: unknown) => {
      failure = error;
    });
    await store.let(bytes, writing);
    while (!failure) await time.advance(IDLE_MS / 2);
    expect(failure).toMatchObject({ kind: 'timeout', retryable: true });
    expect(time.clock() - watched.lastAt).toBeGreaterThanOrEqual(IDLE_MS / 2);
    expect(time.clock() - watched.lastAt).toBeLessThanOrEqual(1.5 * IDLE_MS);
    expect(time.pending).toBe(0);
  });
});
