import type { BlobStore } from '../blob-store.js';
import type { DiskBlobStore } from '../disk/disk-blob-store.js';
import type { Tier, TierMode } from '../tiered/tier.js';
import { TieredBlobStore, type TieredBlobStoreOptions } from '../tiered/tiered-blob-store.js';
import { ScriptedStore } from './scripted-store.js';
import { TemporaryStores } from './temporary-stores.js';

const MIB = 1024 * 1024;

/** A tier of blobs alone, which does what a test wants and notes what it is told to have delivered damaged. */
export type TestTier = Tier & { readonly blobs: ScriptedStore; readonly damaged: string[] };

export function testTier(name: string, mode: TierMode = 'read-through', required = false): TestTier {
  const blobs = new ScriptedStore({ name, maxBytes: 200 * MIB });
  const damaged: string[] = [];
  return {
    name,
    mode,
    required,
    blobs,
    damaged,
    actionResults: undefined,
    onDamaged: (digest, reason) => damaged.push(`${digest} ${reason}`),
    check: async () => {},
    close: () => blobs.close(),
  };
}

/** Local stores in front of tiers that a test needs not clean up after: dispose them once, when the test is over. */
export class TieredStores {
  readonly locals = new TemporaryStores();
  readonly #opened: TieredBlobStore[] = [];

  /** Over a new store on the disk. */
  async open(
    tiers: readonly Tier[],
    options: Partial<TieredBlobStoreOptions> = {},
  ): Promise<{ readonly store: TieredBlobStore; readonly local: DiskBlobStore }> {
    const local = await this.locals.open({ durability: 'none', maxBytes: 128 * MIB });
    return { store: this.over(local, tiers, options), local };
  }

  over(local: BlobStore, tiers: readonly Tier[], options: Partial<TieredBlobStoreOptions> = {}): TieredBlobStore {
    const store = new TieredBlobStore({ local, tiers, ...options });
    this.#opened.push(store);
    return store;
  }

  async dispose(): Promise<void> {
    for (const store of this.#opened.splice(0)) await store.close();
    await this.locals.dispose();
  }
}
