import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, DiskBlobStore, EntryPins, WriteBehindQueue } from '@granary/blobs';
import { MetricRegistry, noopTracer, nullLogger } from '@granary/telemetry';
import { configFrom } from '../../config/load.js';
import { tierSchema } from '../../config/tier-schema.js';
import { openTiers, type TieredStores } from '../../tiers/open-tiers.js';
import { temporaryFolder } from '../test-server.js';
import { FaultProxy } from './fault-proxy.js';
import type { Peer, TierUnderTest } from './tier-under-test.js';

const GIB = 1024 ** 3;

/** The stores of a server with one tier, and a network between the two that can be faulty. */
export class GuardedStores {
  readonly proxy: FaultProxy;
  readonly stores: TieredStores;
  readonly #local: DiskBlobStore;
  readonly #folder: string;

  private constructor(proxy: FaultProxy, stores: TieredStores, local: DiskBlobStore, folder: string) {
    this.proxy = proxy;
    this.stores = stores;
    this.#local = local;
    this.#folder = folder;
  }

  /** @param settings of the tier, beside where it is */
  static async start(type: TierUnderTest, peer: Peer, settings: object): Promise<GuardedStores> {
    const proxy = await FaultProxy.start(peer.target, type.conversation);
    const folder = await temporaryFolder();
    const tier = tierSchema.parse({ ...peer.settings(proxy.address), ...settings });
    const pins = new EntryPins();
    const backoff = { initialDelayMs: 50, maxDelayMs: 200 };
    const directory = join(folder, 'queue');
    const queue = tier.mode === 'write-behind' ? await WriteBehindQueue.open({ directory, pins, backoff }) : undefined;
    const local = await DiskBlobStore.open({
      directory: join(folder, 'store'),
      maxBytes: GIB,
      durability: 'none',
      housekeepingMs: 0,
      pins,
    });
    const stores = await openTiers({
      tiers: [tier],
      local,
      unmeasured: local,
      actionResults: local.actionResults,
      settings: configFrom({}).tiering,
      walk: { maxDirectories: 1000, maxDirectoryBytes: GIB },
      queue,
      metrics: new MetricRegistry(),
      tracer: noopTracer,
      logger: nullLogger,
    });
    return new GuardedStores(proxy, stores, local, folder);
  }

  /** Keeps a blob here, and in no tier. */
  async keep(digest: Digest, bytes: Uint8Array): Promise<void> {
    await this.#local.write(digest, bytes);
  }

  /** What requests that are over have left behind: nothing, but sometimes later than their answers. */
  async leftovers(): Promise<{ readonly reservedBytes: number; readonly files: readonly string[] }> {
    const { reservedBytes } = this.#local.stats();
    return { reservedBytes, files: await readdir(this.#local.incomingDirectory) };
  }

  /** Stops the stores, and answers with the connections to the tier that they left open. */
  async stop(): Promise<number> {
    await this.stores.close();
    await this.#local.close();
    await rm(this.#folder, { recursive: true, force: true });
    // The other end hears of it in a later turn of the event loop.
    for (let turn = 0; turn < 100 && this.proxy.connections > 0; turn++) await new Promise(setImmediate);
    const open = this.proxy.connections;
    await this.proxy.close();
    return open;
  }
}
