import { afterEach, expect, it } from 'vitest';
import { MemoryActionResultStore } from '../../memory/memory-action-result-store.js';
import { blobOf } from '../../testing/content.js';
import { TieredStores, testTier } from '../../testing/tiered-stores.js';
import type { Tier } from '../tier.js';
import { TieredActionResultStore } from '../tiered-action-result-store.js';
import { writeBehindTargets } from './targets.js';

const writeBehind = { blob: async () => {}, actionResult: async () => {} };

const stores = new TieredStores();
afterEach(() => stores.dispose());

it('names each tier that is written behind once, whatever it is for, and no other', async () => {
  const actionResults = new MemoryActionResultStore();
  const ofBlobs = testTier('of blobs', 'write-behind');
  const ofResults: Tier = { ...testTier('of results', 'write-behind'), blobs: undefined, actionResults };
  const ofBoth: Tier = { ...testTier('of both', 'write-behind'), actionResults };
  const others = (['read-only', 'read-through', 'write-through'] as const).map((mode) => testTier(mode, mode));
  const tiers = [ofBlobs, ofResults, ofBoth, ...others];
  const { store } = await stores.open(
    tiers.filter(({ blobs }) => blobs !== undefined),
    { writeBehind },
  );
  const results = new TieredActionResultStore({
    local: new MemoryActionResultStore(),
    tiers,
    blobs: store,
    referencesOf: () => [],
    writeBehind,
  });
  const targets = writeBehindTargets(store, results);
  expect(targets.map(({ tier }) => tier).toSorted()).toEqual(['of blobs', 'of both', 'of results']);
  const { digest, bytes } = blobOf(100);
  await store.write(digest, bytes);
  const signal = new AbortController().signal;
  expect(await targets.find(({ tier }) => tier === 'of blobs')?.sendBlob(digest, signal)).toBe(true);
  expect(ofBlobs.blobs.findMissing([digest])).toEqual([]);
  expect(writeBehindTargets(store, undefined).map(({ tier }) => tier)).toEqual(['of blobs', 'of both']);
});
