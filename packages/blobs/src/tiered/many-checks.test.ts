import { ManualTime } from '@granary/resilience/testing';
import { afterEach, describe, expect, it } from 'vitest';
import type { Digest } from '../digest.js';
import { TierUnavailableError } from '../errors.js';
import { HttpTier } from '../http/http-tier.js';
import { MemoryBlobStore } from '../memory/memory-blob-store.js';
import { S3Tier } from '../s3/s3-tier.js';
import { blobOf } from '../testing/content.js';
import { ScriptedStore } from '../testing/scripted-store.js';
import { resilientTier } from './resilience/resilient-tier.js';
import { TierBreaker } from './resilience/tier-breaker.js';
import type { Tier } from './tier.js';
import { TieredBlobStore } from './tiered-blob-store.js';

const opened: TieredBlobStore[] = [];
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

const blobs = Array.from({ length: 50 }, (_, i) => blobOf(10, i));
const digests = blobs.map(({ digest }) => digest);

/** A tier that has all of the blobs. */
async function tierOf(options: Partial<Tier> = {}): Promise<Tier & { readonly blobs: ScriptedStore }> {
  const store = new ScriptedStore({ name: 'far', maxBytes: 1_000_000 });
  for (const { digest, bytes } of blobs) await store.write(digest, bytes);
  return {
    name: 'far',
    mode: 'read-through',
    required: false,
    actionResults: undefined,
    check: async () => {},
    close: () => store.close(),
    ...options,
    blobs: store,
  };
}

function behind(tier: Tier, time?: ManualTime): TieredBlobStore {
  const local = new MemoryBlobStore({ maxBytes: 1_000_000 });
  const store = new TieredBlobStore({ local, tiers: [tier], ...(time && { timers: time, clock: time.clock }) });
  opened.push(store);
  return store;
}

const askedFor = (store: ScriptedStore) =>
  store.calls.filter(({ call }) => call === 'findMissing').map((call) => call.digests.length);

describe('many blobs of a tier', () => {
  it('are asked for in calls of as many as it answers in time', async () => {
    const tier = await tierOf({ checksAtOnce: 20 });
    const absent = blobOf(10, 'absent').digest;
    const store = behind(tier);
    expect(await store.findMissing([...digests, absent])).toEqual([absent]);
    expect(askedFor(tier.blobs)).toEqual([20, 20, 11]);
    expect(await store.findMissing(digests)).toEqual([]);
    expect(askedFor(tier.blobs)).toHaveLength(3);
  });

  it('are all found although one call would not be done with them, and that is no failure', async () => {
    const time = new ManualTime();
    const far = await tierOf({ checksAtOnce: 8 });
    // 10 ms for each blob, as in a bucket.
    far.blobs.before = () => {
      const blobs = far.blobs.calls.at(-1)?.digests.length ?? 0;
      return new Promise<void>((resolve) => time.setTimeout(resolve, 10 * blobs));
    };
    const breaker = new TierBreaker({ name: 'far', timeoutMs: 10_000, clock: time.clock });
    const times = { attemptTimeoutMs: 100, timeoutMs: 1000, timers: time, clock: time.clock };
    const tier = resilientTier(far, { ...times, breaker });
    let missing: readonly Digest[] | undefined;
    const asked = Promise.resolve(behind(tier, time).findMissing(digests)).then((found) => {
      missing = found;
    });
    for (let i = 0; i < 500 && !missing; i++) await time.advance(10);
    await asked;
    expect(missing).toEqual([]);
    expect(breaker.stats().failures).toBe(0);
  });

  it.each([false, true])('that were found before it failed are known (required: %s)', async (required) => {
    const tier = await tierOf({ checksAtOnce: 20, required });
    const store = behind(tier);
    tier.blobs.before = () => {
      if (askedFor(tier.blobs).length === 3) throw tier.blobs.gone();
    };
    const asked = store.findMissing(digests);
    if (required) await expect(asked).rejects.toThrow(TierUnavailableError);
    else expect(await asked).toEqual(digests.slice(40));
    expect(await store.findMissing(digests)).toEqual([]);
    expect(askedFor(tier.blobs)).toEqual([20, 20, 10, 10]);
  });

  it.each([false, true])('are asked for no longer than clients wait (required: %s)', async (required) => {
    const time = new ManualTime();
    const tier = await tierOf({ checksAtOnce: 20, required, timeoutMs: 100 });
    const store = behind(tier, time);
    tier.blobs.before = () => time.advance(60);
    const asked = store.findMissing(digests);
    if (required) await expect(asked).rejects.toThrow('there was time for 40 of 50');
    else expect(await asked).toEqual(digests.slice(40));
    expect(askedFor(tier.blobs)).toEqual([20, 20]);
    // Who asks again goes on where that ended.
    expect(await store.findMissing(digests)).toEqual([]);
    expect(askedFor(tier.blobs)).toEqual([20, 20, 10]);
  });

  it('are asked for to the end where an action result needs them', async () => {
    const time = new ManualTime();
    const tier = await tierOf({ checksAtOnce: 20, timeoutMs: 100 });
    const store = behind(tier, time);
    tier.blobs.before = () => time.advance(60);
    await store.writes.ensure(store.tiers[0]!, digests, undefined);
    expect(askedFor(tier.blobs)).toEqual([20, 20, 10]);
  });
});

it('Tiers that ask for one blob after the other say how many they take, also with policies around them', async () => {
  const common = { name: 'far', mode: 'read-through', parallelChecks: 5 } as const;
  const web = new HttpTier({ ...common, url: 'http://127.0.0.1:1' });
  const bucket = new S3Tier({ ...common, bucket: 'cache', endpoint: 'http://127.0.0.1:1' });
  for (const tier of [web, bucket]) {
    const kept = resilientTier(tier, { timeoutMs: 1234 });
    expect(kept).toMatchObject({ checksAtOnce: 20, timeoutMs: 1234 });
    await kept.close();
  }
});
