import {
  NuGetError,
  type NuGetVersion,
  NupkgReader,
  type PackageIdentity,
  type PackageLimits,
  type SearchOptions,
} from '@granary/nuget';
import { type Logger, nullLogger } from '@granary/telemetry';
import { FeedUnavailableError } from '../errors.js';
import type {
  Answer,
  FeedCall,
  FeedContent,
  ListedVersion,
  PackageContent,
  PushCall,
  ReceivedPackage,
  SearchAnswer,
  Vulnerability,
} from '../feed/feed-content.js';
import type { PackageRecord } from '../feed/package-record.js';
import { versionName } from '../feed/version-name.js';
import { type EmbeddedFile, embeddedIn } from '../packages/embedded-file.js';
import type { StoredPackage } from '../packages/stored-package.js';
import type { Found, View } from './hosted-catalog.js';
import { HostedIndex } from './hosted-index.js';
import { HostedInventory, type HostedStore } from './hosted-inventory.js';
import { Publishing, type PublishingOptions } from './publishing.js';
import { restoreHosted } from './restore-hosted.js';

export interface HostedFeedOptions {
  /** The index's own folder, `{dataDir}/nuget/hosted`; made when it isn't there. On a local disk. One process at a time. */
  readonly directory: string;
  /** Where the packages' bytes go. It must have a list of kept packages, and is closed after the feed, by who made it. */
  readonly store: HostedStore;
  /** Name of the source. Default `hosted`. It can be changed: packages aren't stored under it. */
  readonly name?: string | undefined;
  /** Most versions of all packages together; more are refused. Default 200,000. */
  readonly maxVersions?: number | undefined;
  /** How much a pushed package may hold. Default: as for every package, but 1 MiB of nuspec. */
  readonly limits?: PackageLimits | undefined;
  readonly logger?: Logger | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

export interface HostedFeedStats {
  readonly packages: number;
  readonly versions: number;
}

type Settings = Omit<PublishingOptions, 'assertOpen'> & { readonly name: string };

const DEFAULT_MAX_VERSIONS = 200_000;
/** What is written down of a package is about as long, and all versions are shown together. */
const MAX_NUSPEC_BYTES = 1024 * 1024;
const DEFAULT_TAKE = 20;
const MAX_TAKE = 1000;

/**
 * Packages that were pushed here. A push is acknowledged when the package's bytes, what is written down of them, the list
 * of what is never evicted and the feed's index are all on the disk; until the index has it nobody sees any of it, and what
 * a push that was interrupted left is removed at the next start. Versions never change: they can be unlisted and listed
 * again.
 *
 * Rights are looked at by whoever calls, and how much may arrive at once is bounded there.
 *
 * Memory, measured with descriptions of 300 characters: 20 MB for 100,000 versions of 10,000 packages, and 102 MB for as many
 * packages of one version each. That is 100 bytes for each version, and for each package 1 KB (at most 30 KB) of what
 * searches look at. Records stay on the disk, but for up to 16 MiB of those that were asked for lately. A search looks at
 * every package: 5 ms for 10,000, with turns for others between.
 */
export class HostedFeed implements FeedContent, AsyncDisposable {
  readonly name: string;
  readonly isOwn = true;
  readonly #inventory: HostedInventory;
  readonly #publishing: Publishing;
  readonly #logger: Logger;
  readonly #clock: () => number;
  #closing: Promise<void> | undefined;

  private constructor(inventory: HostedInventory, settings: Settings) {
    const { name, logger, clock } = settings;
    this.name = name;
    this.#inventory = inventory;
    this.#publishing = new Publishing(inventory, { ...settings, assertOpen: () => this.#assertOpen() });
    this.#logger = logger;
    this.#clock = clock;
  }

  /**
   * Reads the index, and removes what pushes left that were interrupted. Packages that the index or the list of what is
   * never evicted lacks, because it was lost or is an older copy, are taken from the other one. Takes some seconds for
   * 100,000 packages.
   *
   * @throws LayerUnavailableError when another process has the folder; NuGetError `INVALID_OPTION`; Error when the folder
   * can't be used or what is in it is no index
   */
  static async open(options: HostedFeedOptions): Promise<HostedFeed> {
    const settings = settingsOf(options);
    const { logger, clock } = settings;
    const inventory = new HostedInventory(await HostedIndex.open(options.directory), options.store, logger, clock);
    try {
      await restoreHosted(inventory, logger);
    } catch (error) {
      await inventory.close();
      throw error;
    }
    return new HostedFeed(inventory, settings);
  }

  get stats(): HostedFeedStats {
    const { catalog } = this.#inventory;
    return { packages: catalog.ids, versions: catalog.versions };
  }

  async versions(id: string): Promise<Answer<readonly ListedVersion[]> | undefined> {
    return this.versionsAtHand(id) ?? undefined;
  }

  versionsAtHand(id: string): Answer<readonly ListedVersion[]> | null {
    this.#assertOpen();
    const pkg = this.#inventory.catalog.get(id);
    return pkg === undefined ? null : this.#answer(pkg.versions);
  }

  isUnlisted(id: string, version: NuGetVersion): boolean {
    this.#assertOpen();
    return this.#inventory.catalog.version(id, versionName(version))?.listed === false;
  }

  async records(id: string): Promise<Answer<readonly PackageRecord[]> | undefined> {
    this.#assertOpen();
    const pkg = this.#inventory.catalog.get(id);
    return pkg && this.#answer(this.#inventory.recordsOf(pkg));
  }

  async package(identity: PackageIdentity, call?: FeedCall): Promise<PackageContent | undefined> {
    return this.#stored(identity, call);
  }

  async nuspec(identity: PackageIdentity, call?: FeedCall): Promise<Answer<Buffer> | undefined> {
    const stored = await this.#stored(identity, call);
    if (stored === undefined) return undefined;
    await using reader = await NupkgReader.open(stored.source());
    return this.#answer(await reader.nuspecBytes());
  }

  async embedded(identity: PackageIdentity, file: EmbeddedFile, call?: FeedCall): Promise<Answer<Buffer> | undefined> {
    const stored = await this.#stored(identity, call);
    if (stored === undefined) return undefined;
    await using reader = await NupkgReader.open(stored.source());
    const bytes = await embeddedIn(reader, file);
    return bytes && this.#answer(bytes);
  }

  async search(query: string, options: SearchOptions, call?: FeedCall): Promise<Answer<SearchAnswer>> {
    this.#assertOpen();
    const view = viewOf(options);
    const { total, found } = await this.#inventory.catalog.search(query, view, call?.signal);
    this.#assertOpen();
    const hits = found.map(({ package: pkg, face }) => {
      const record = this.#inventory.recordOf(pkg.key, face.version.version);
      const versions = pkg
        .visible(view.includePrerelease, view.semVer2)
        .map(({ full }) => ({ version: full, downloads: 0 }));
      return record && { record, versions, totalDownloads: 0, verified: false };
    });
    return this.#answer({ total, hits: hits.filter((hit) => hit !== undefined) });
  }

  async autocomplete(prefix: string, options: SearchOptions): Promise<Answer<readonly string[]>> {
    this.#assertOpen();
    return this.#answer(this.#inventory.catalog.complete(prefix, viewOf(options)).map((found) => this.#idOf(found)));
  }

  /** Nobody tells of those. */
  async vulnerabilities(): Promise<Answer<ReadonlyMap<string, readonly Vulnerability[]>> | undefined> {
    return undefined;
  }

  /**
   * Takes a package. One whose bytes were lost may be pushed again as it was.
   *
   * @throws NuGetError `CONFLICT` when the version is here, whatever its case, metadata or zeros; `INVALID_PACKAGE`;
   * `LIMIT`; `CLOSED`
   * @throws StoreError when it can't be stored
   */
  async push(pkg: ReceivedPackage, call: PushCall): Promise<void> {
    this.#assertOpen();
    await this.#publishing.push(pkg, call);
  }

  /** Unlists a version: searches don't show it any more, and who asks for it gets it all the same. */
  async delete(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    this.#assertOpen();
    return this.#publishing.setListed(identity, false, call);
  }

  async relist(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    this.#assertOpen();
    return this.#publishing.setListed(identity, true, call);
  }

  /** Waits for what is being pushed. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#publishing.idle().then(() => this.#inventory.close());
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #stored(identity: PackageIdentity, call: FeedCall | undefined): Promise<StoredPackage | undefined> {
    this.#assertOpen();
    const { id, version } = identity;
    if (this.#inventory.catalog.version(id, versionName(version)) === undefined) return undefined;
    const stored = await this.#inventory.bytes(identity, call);
    if (stored !== undefined) return stored;
    this.#logger.error('The bytes of {PackageId} {Version} are gone: push it again', id, version.toNormalizedString());
    throw new FeedUnavailableError(this.name, `the bytes of ${id} ${version.toNormalizedString()} are gone`);
  }

  /** With the case that the version has that searches show. */
  #idOf({ package: pkg, face }: Found): string {
    return this.#inventory.recordOf(pkg.key, face.version.version)?.id ?? pkg.key;
  }

  #answer<T>(value: T): Answer<T> {
    return { value, state: 'hit', asOf: this.#clock() };
  }

  #assertOpen(): void {
    if (this.#closing) throw new NuGetError('CLOSED', `${this.name} is closed`);
  }
}

function settingsOf(options: HostedFeedOptions): Settings {
  const {
    name = 'hosted',
    maxVersions = DEFAULT_MAX_VERSIONS,
    limits,
    logger = nullLogger,
    clock = Date.now,
  } = options;
  if (!Number.isSafeInteger(maxVersions) || maxVersions < 1)
    throw new NuGetError('INVALID_OPTION', `maxVersions must be a whole number from 1, not ${maxVersions}`);
  const maxNuspecBytes = limits?.maxNuspecBytes ?? MAX_NUSPEC_BYTES;
  return { name, maxVersions, limits: { ...limits, maxNuspecBytes }, logger, clock };
}

function viewOf(options: SearchOptions): View {
  const { includePrerelease = false, semVer2 = true, packageType, skip = 0, take = DEFAULT_TAKE } = options;
  return {
    includePrerelease,
    semVer2,
    packageType: packageType?.toLowerCase(),
    skip,
    take: Math.min(take, MAX_TAKE),
  };
}
