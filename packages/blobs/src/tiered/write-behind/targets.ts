import type { TieredActionResultStore } from '../tiered-action-result-store.js';
import type { TieredBlobStore } from '../tiered-blob-store.js';
import type { WriteBehindTarget } from './write-behind-queue.js';

/** What a queue of writes needs to know of each tier that is written behind, to be started. */
export function writeBehindTargets(
  blobs: TieredBlobStore,
  results: TieredActionResultStore | undefined,
): readonly WriteBehindTarget[] {
  const blobTiers = new Map(blobs.tiers.map((tier) => [tier.name, tier]));
  const resultTiers = new Map(results?.tiers.map((tier) => [tier.name, tier]));
  const names = [
    ...blobs.tiers.filter(({ tier }) => tier.mode === 'write-behind'),
    ...(results?.tiers ?? []).filter(({ mode }) => mode === 'write-behind'),
  ].map(({ name }) => name);
  return [...new Set(names)].map((name) => ({
    tier: name,
    sendBlob: async (digest, signal) => {
      const tier = blobTiers.get(name);
      return tier !== undefined && blobs.writes.sendQueued(tier, digest, signal);
    },
    sendActionResult: async (key, signal) => {
      const tier = resultTiers.get(name);
      return results !== undefined && tier !== undefined && results.sendQueued(tier, key, signal);
    },
  }));
}
