import { SemaphoreThrottle } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { expect, it } from 'vitest';
import { blobOf } from '../../testing/content.js';
import { ScriptedStore } from '../../testing/scripted-store.js';
import type { Tier } from '../tier.js';
import { resilientTier } from './resilient-tier.js';
import { TierBreaker } from './tier-breaker.js';

const blobs = Array.from({ length: 20 }, (_, i) => blobOf(10, i));

/** A tier with two connections, each of which takes 60 ms for a blob. */
async function tierOf(time: ManualTime) {
  const store = new ScriptedStore({ name: 'far', maxBytes: 1_000_000 });
  for (const { digest, bytes } of blobs) await store.write(digest, bytes);
  const connections = new SemaphoreThrottle(2);
  store.before = (_, options) =>
    connections.run(() => new Promise<void>((resolve) => time.setTimeout(resolve, 60)), { signal: options?.signal });
  const tier: Tier = {
    name: 'far',
    mode: 'read-through',
    required: false,
    blobs: store,
    maxCalls: 2,
    actionResults: undefined,
    check: async () => {},
    close: () => store.close(),
  };
  const breaker = new TierBreaker({ name: 'far', timeoutMs: 10_000, clock: time.clock });
  const times = { attemptTimeoutMs: 100, timeoutMs: 1000, timers: time, clock: time.clock };
  return { breaker, store, guarded: resilientTier(tier, { ...times, breaker }).blobs! };
}

async function within<T>(time: ManualTime, ms: number, work: Promise<T>): Promise<T> {
  let done = false;
  work.then(
    () => (done = true),
    () => (done = true),
  );
  for (let passed = 0; passed < ms && !done; passed += 10) await time.advance(10);
  return work;
}

it('A call that waits for its turn fails for no tier that is only asked for much', async () => {
  const time = new ManualTime();
  const { breaker, guarded } = await tierOf(time);
  const found = await within(time, 2000, Promise.all(blobs.map(({ digest }) => guarded.get(digest))));
  expect(found.map((bytes, i) => bytes?.equals(blobs[i]!.bytes))).not.toContain(false);
  expect(breaker.stats()).toMatchObject({ failures: 0, state: 'closed' });
});

it('A call waits for its turn no longer than a call may take, which is no failure of the tier', async () => {
  const time = new ManualTime();
  const { breaker, guarded, store } = await tierOf(time);
  const many = Array.from({ length: 50 }, () => guarded.get(blobs[0]!.digest));
  const outcomes = await within(time, 2000, Promise.allSettled(many));
  const late = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  expect(late.length).toBeGreaterThan(0);
  for (const error of late) expect(error).toMatchObject({ kind: 'timeout' });
  expect(store.count('get')).toBe(50 - late.length);
  expect(breaker.stats()).toMatchObject({ state: 'closed' });
});

it('What looks for blobs does not wait for a turn: it makes many requests', async () => {
  const time = new ManualTime();
  const { guarded, store } = await tierOf(time);
  const busy = Promise.all([0, 1].map((i) => guarded.get(blobs[i]!.digest)));
  const asked = Promise.resolve(guarded.findMissing([blobs[0]!.digest]));
  await new Promise((resolve) => setImmediate(resolve));
  expect(store.count('findMissing')).toBe(1);
  await within(time, 1000, Promise.all([busy, asked]));
});
