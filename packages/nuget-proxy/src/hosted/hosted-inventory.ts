import { MemoryLayer } from '@granary/cache';
import { NuGetVersion, type PackageIdentity } from '@granary/nuget';
import type { Logger } from '@granary/telemetry';
import type { FeedCall } from '../feed/feed-content.js';
import type { PackageRecord } from '../feed/package-record.js';
import { packageKey } from '../packages/package-entry.js';
import type { PackageStore } from '../packages/package-store.js';
import type { StoredPackage } from '../packages/stored-package.js';
import { HostedCatalog } from './hosted-catalog.js';
import type { HostedIndex } from './hosted-index.js';
import type { HostedPackage } from './hosted-package.js';

/** What a hosted feed needs of the store of packages. */
export type HostedStore = Pick<PackageStore, 'find' | 'adopt' | 'remove' | 'keep' | 'keptBesides'>;

/** What packages are stored under. No source can be called that. */
const SOURCE = '(hosted)';
/** For records that were asked for lately. */
const RECENT_BYTES = 16 * 1024 * 1024;

/** All that is hosted: the bytes in the store, the records in the index, and in memory the catalog that searches look at. */
export class HostedInventory {
  readonly catalog = new HostedCatalog();
  readonly #index: HostedIndex;
  readonly #store: HostedStore;
  readonly #recent: MemoryLayer<readonly PackageRecord[]>;
  readonly #logger: Logger;

  constructor(index: HostedIndex, store: HostedStore, logger: Logger, clock: () => number) {
    this.#index = index;
    this.#store = store;
    this.#logger = logger;
    this.#recent = new MemoryLayer({ maxBytes: RECENT_BYTES, clock });
  }

  /** Undefined when there is none, or it is damaged. */
  record(identity: PackageIdentity): PackageRecord | undefined {
    return this.#index.record(identity);
  }

  /** As {@link record}, by what the catalog calls a version. */
  recordOf(id: string, version: string): PackageRecord | undefined {
    return this.#index.recordAt(`${id}/${version}`);
  }

  /** Those of a package, without any that are damaged. */
  recordsOf({ key, versions }: HostedPackage): readonly PackageRecord[] {
    let records = this.#recent.get(key);
    if (records === undefined) {
      records = versions.map(({ version }) => this.recordOf(key, version)).filter((record) => record !== undefined);
      this.#recent.set(key, records);
    }
    return records;
  }

  /** A version's bytes; undefined when they are gone, or it isn't here at all. */
  bytes(identity: PackageIdentity, call?: FeedCall): Promise<StoredPackage | undefined> {
    return this.#store.find(SOURCE, identity, call);
  }

  /** Stores the bytes in a file, verified before, never to be evicted. */
  adopt(identity: PackageIdentity, path: string, signal: AbortSignal | undefined): Promise<StoredPackage> {
    return this.#store.adopt(SOURCE, identity, path, { keep: true, signal });
  }

  /** Notes that a version is on its way: until {@link enter} or {@link takeBack}, also after a crash. */
  begin(identity: PackageIdentity): Promise<void> {
    return this.#index.begin(identity);
  }

  /** Writes a version's record, and shows it: it has arrived, or has changed. */
  async enter(identity: PackageIdentity, record: PackageRecord): Promise<void> {
    await this.#index.put(identity, record);
    this.#recent.delete(record.id.toLowerCase());
    this.#show([record]);
  }

  /** Removes the bytes of a version that has not arrived. What can't be removed now is removed at the next start. */
  async takeBack(identity: PackageIdentity): Promise<void> {
    try {
      if (this.#index.record(identity) === undefined) await this.#store.remove(SOURCE, identity);
      await this.#index.end(identity);
    } catch (error) {
      const { id, version } = identity;
      this.#logger.warning('{PackageId} {Version} was not pushed, and could not be removed yet', id, version, error);
    }
  }

  /** Fills the catalog from the index. */
  async load(): Promise<void> {
    for await (const slice of this.#index.records()) {
      const records: PackageRecord[] = [];
      for (const { key, record } of slice) {
        if (record !== undefined) records.push(record);
        else this.#logger.error('What is written down of {Package} is damaged', key);
      }
      this.#show(records);
    }
  }

  /** Versions whose push was begun and neither finished nor taken back. */
  arriving(): readonly PackageIdentity[] {
    return this.#index.arriving();
  }

  /** Has a version never evicted; false when its bytes are gone. @param key `id/version` */
  keep(key: string): Promise<boolean> {
    const [id = '', version = ''] = key.split('/');
    return this.#store.keep(SOURCE, { id, version: NuGetVersion.parse(version) });
  }

  /** Versions that are never evicted, and that the catalog doesn't have and nobody pushes. */
  keptBesides(): ReturnType<HostedStore['keptBesides']> {
    return this.#store.keptBesides(SOURCE, [...this.catalog.keys(), ...this.arriving().map(packageKey)]);
  }

  /** Once. */
  close(): Promise<void> {
    return this.#index.close();
  }

  #show(records: readonly PackageRecord[]): void {
    this.catalog.put(records, (id, version) => this.recordOf(id, version));
  }
}
