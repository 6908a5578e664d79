import type { ActionResultStore, BlobStore, WholeFile } from '@granary/blobs';
import { NuGetError, NupkgReader, type PackageIdentity } from '@granary/nuget';
import type { Logger } from '@granary/telemetry';
import type { FeedCall } from '../feed/feed-content.js';
import type { KeptPackages } from './kept-packages.js';
import { decodeEntry, encodeEntry, entryKey, type PackageEntry, packageKey } from './package-entry.js';
import { PASSING_LIMITS } from './passing-limits.js';
import { StoredPackage } from './stored-package.js';

/**
 * From here on a package is handed over as a file, where the store takes those. Shorter ones are no files in stores, and it
 * costs less to hand them over from memory.
 */
const FILE_BYTES = 32 * 1024 + 1;

/** A package that is to be stored. */
export interface PackageBytes {
  chunks(): AsyncIterable<Uint8Array>;
  /** All of it as a file, whose name is not this one's any more; without it it is copied. */
  toFile?(): Promise<WholeFile>;
}

interface Stores {
  readonly blobs: BlobStore;
  readonly actionResults: ActionResultStore;
  readonly logger: Logger;
}

/** What is written down of the packages in the blob store, and which of them are kept. */
export class PackageEntries {
  readonly #stores: Stores;
  readonly #kept: KeptPackages | undefined;
  readonly #background = new Set<Promise<void>>();

  constructor(stores: Stores, kept: KeptPackages | undefined) {
    this.#stores = stores;
    this.#kept = kept;
  }

  /** The entry of a package whose bytes are here; a use of both. */
  async find(source: string, identity: PackageIdentity, call: FeedCall | undefined): Promise<PackageEntry | undefined> {
    const { blobs, actionResults } = this.#stores;
    const key = packageKey(identity);
    const name = entryKey(source, key);
    const kept = this.#kept?.get(name);
    const value = await actionResults.get(name, call);
    const entry = value && decodeEntry(key, value);
    if (entry === undefined || (await blobs.findMissing([entry.digest], call)).length > 0) {
      // Not what was stored and kept while this looked.
      if (kept !== undefined && this.#kept?.get(name) === kept) this.#inBackground(this.#kept.drop(name));
      return undefined;
    }
    this.#inBackground(this.#kept?.keep(name, identity.id, entry.digest, false));
    return entry;
  }

  /**
   * Stores a package: the bytes first, since an entry without them is of no use.
   *
   * @param always never evict it, whatever the patterns say
   */
  async store(
    source: string,
    identity: PackageIdentity,
    entry: PackageEntry,
    bytes: PackageBytes,
    call: FeedCall,
    always = false,
  ): Promise<void> {
    const { blobs, actionResults } = this.#stores;
    const { digest } = entry;
    const key = packageKey(identity);
    const name = entryKey(source, key);
    if (always) this.#list();
    // For as long as its entry waits for room, the bytes are the first that would make some.
    using _held = this.#kept?.hold(name, digest);
    if (blobs.adopt !== undefined && bytes.toFile !== undefined && digest.size >= FILE_BYTES)
      await blobs.adopt(digest, await bytes.toFile(), call);
    else await blobs.write(digest, bytes.chunks(), call);
    await actionResults.set(name, encodeEntry(key, entry), call);
    const keeping = this.#kept?.keep(name, identity.id, digest, always);
    if (always) await keeping;
    else this.#inBackground(keeping);
  }

  /** Keeps a package that is here, whatever the patterns say; whether it is here. Looked at only when it wasn't kept so. */
  async keep(source: string, identity: PackageIdentity): Promise<boolean> {
    const name = entryKey(source, packageKey(identity));
    const kept = this.#kept?.get(name);
    if (kept?.always) {
      // Does nothing but where the list could not be written.
      await this.#kept?.keep(name, kept.id, kept.digest, true);
      return true;
    }
    const entry = await this.find(source, identity, undefined);
    if (entry !== undefined) await this.#list().keep(name, identity.id, entry.digest, true);
    return entry !== undefined;
  }

  /** Packages that are kept whatever the patterns say, besides those with these keys: found by what is in them. */
  async *keptBesides(source: string, keys: Iterable<string>): AsyncGenerator<PackageIdentity, void> {
    const known = new Set<string>();
    for (const key of keys) known.add(entryKey(source, key));
    for (const [name, { id, digest }] of this.#kept?.always() ?? []) {
      if (known.has(name)) continue;
      try {
        const content = new StoredPackage({ digest, sha512: '', storedAt: 0 }, this.#stores.blobs);
        await using reader = await NupkgReader.open(content.source(), { limits: PASSING_LIMITS });
        const identity = await reader.nuspec();
        if (entryKey(source, packageKey(identity)) === name) yield identity;
      } catch (error) {
        this.#stores.logger.warning('A package {PackageId} that is kept can not be read', id, error);
      }
    }
  }

  async remove(source: string, identity: PackageIdentity): Promise<boolean> {
    const name = entryKey(source, packageKey(identity));
    await this.#kept?.drop(name);
    return this.#stores.actionResults.delete(name);
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#background);
  }

  /** @throws NuGetError `INVALID_OPTION` when there is no list of what is kept */
  #list(): KeptPackages {
    if (this.#kept !== undefined) return this.#kept;
    throw new NuGetError('INVALID_OPTION', 'a package store without a list of kept packages can keep none: `kept`');
  }

  /** A package is here although the list of those that are kept can't be written. */
  #inBackground(work: Promise<void> | undefined): void {
    if (work === undefined) return;
    const running = work
      .catch((error) => this.#stores.logger.warning('The list of kept packages was not written', error))
      .finally(() => this.#background.delete(running));
    this.#background.add(running);
  }
}
