import { MemoryLayer } from '@granary/cache';
import {
  NuGetError,
  NuGetVersion,
  NupkgReader,
  type Nuspec,
  type PackageIdentity,
  type PackageLimits,
  type SearchOptions,
  verifyPackage,
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
import { packageKey } from '../packages/package-entry.js';
import type { PackageStore } from '../packages/package-store.js';
import type { StoredPackage } from '../packages/stored-package.js';
import { type Found, HostedCatalog, type View } from './hosted-catalog.js';
import { HostedIndex } from './hosted-index.js';
import { nuspecOfPushed, recordOfPushed } from './pushed-package.js';
import { Turns } from './turns.js';

export interface HostedFeedOptions {
  /** The index's own folder, `{dataDir}/nuget/hosted`; made when it isn't there. On a local disk. One process at a time. */
  readonly directory: string;
  /** Where the packages' bytes go. It must have a list of kept packages, and is closed after the feed, by who made it. */
  readonly store: Pick<PackageStore, 'find' | 'adopt' | 'remove' | 'keep' | 'keptBesides'>;
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

/** What packages are stored under. No source can be called that. */
const SOURCE = '(hosted)';
const DEFAULT_MAX_VERSIONS = 200_000;
/** What is written down of a package is about as long, and all versions are shown together. */
const MAX_NUSPEC_BYTES = 1024 * 1024;
const DEFAULT_TAKE = 20;
const MAX_TAKE = 1000;
/** Packages that are kept anew at once, so that the list of them is synced once for all. */
const KEPT_AT_ONCE = 500;
const LOST_SHOWN = 10;
/** For records that were asked for lately. */
const RECORDS_BYTES = 16 * 1024 * 1024;

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
  readonly #store: HostedFeedOptions['store'];
  readonly #index: HostedIndex;
  readonly #catalog = new HostedCatalog();
  readonly #records: MemoryLayer<readonly PackageRecord[]>;
  readonly #turns = new Turns();
  readonly #limits: PackageLimits;
  readonly #maxVersions: number;
  readonly #logger: Logger;
  readonly #clock: () => number;
  #closing: Promise<void> | undefined;

  private constructor(index: HostedIndex, options: HostedFeedOptions) {
    const {
      store,
      name = 'hosted',
      maxVersions = DEFAULT_MAX_VERSIONS,
      limits,
      logger = nullLogger,
      clock = Date.now,
    } = options;
    this.name = name;
    this.#index = index;
    this.#store = store;
    this.#limits = { ...limits, maxNuspecBytes: limits?.maxNuspecBytes ?? MAX_NUSPEC_BYTES };
    this.#maxVersions = maxVersions;
    this.#logger = logger;
    this.#clock = clock;
    this.#records = new MemoryLayer({ maxBytes: RECORDS_BYTES, clock });
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
    const { maxVersions = DEFAULT_MAX_VERSIONS } = options;
    if (!Number.isSafeInteger(maxVersions) || maxVersions < 1)
      throw new NuGetError('INVALID_OPTION', `maxVersions must be a whole number from 1, not ${maxVersions}`);
    const feed = new HostedFeed(await HostedIndex.open(options.directory), options);
    try {
      await feed.#load();
    } catch (error) {
      await feed.close();
      throw error;
    }
    return feed;
  }

  get stats(): HostedFeedStats {
    return { packages: this.#catalog.ids, versions: this.#catalog.versions };
  }

  async versions(id: string): Promise<Answer<readonly ListedVersion[]> | undefined> {
    return this.versionsAtHand(id) ?? undefined;
  }

  versionsAtHand(id: string): Answer<readonly ListedVersion[]> | null {
    this.#assertOpen();
    const pkg = this.#catalog.get(id);
    return pkg === undefined ? null : this.#answer(pkg.versions);
  }

  async records(id: string): Promise<Answer<readonly PackageRecord[]> | undefined> {
    this.#assertOpen();
    const pkg = this.#catalog.get(id);
    if (pkg === undefined) return undefined;
    let records = this.#records.get(pkg.key);
    if (records === undefined) {
      records = pkg.versions
        .map(({ version }) => this.#recordOf(pkg.key, version))
        .filter((record) => record !== undefined);
      this.#records.set(pkg.key, records);
    }
    return this.#answer(records);
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

  async search(query: string, options: SearchOptions, call?: FeedCall): Promise<Answer<SearchAnswer>> {
    this.#assertOpen();
    const view = viewOf(options);
    const { total, found } = await this.#catalog.search(query, view, call?.signal);
    this.#assertOpen();
    const hits = found.map(({ package: pkg, face }) => {
      const record = this.#recordOf(pkg.key, face.version.version);
      const versions = pkg
        .visible(view.includePrerelease, view.semVer2)
        .map(({ full }) => ({ version: full, downloads: 0 }));
      return record && { record, versions, totalDownloads: 0, verified: false };
    });
    return this.#answer({ total, hits: hits.filter((hit) => hit !== undefined) });
  }

  async autocomplete(prefix: string, options: SearchOptions): Promise<Answer<readonly string[]>> {
    this.#assertOpen();
    return this.#answer(this.#catalog.complete(prefix, viewOf(options)).map((found) => this.#idOf(found)));
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
  async push({ path }: ReceivedPackage, { signal }: PushCall): Promise<void> {
    this.#assertOpen();
    await using reader = await NupkgReader.open(path, { limits: this.#limits });
    const nuspec = await nuspecOfPushed(reader);
    await this.#turns.run(packageKey(nuspec), signal, async () => {
      this.#assertOpen();
      const known = this.#index.record(nuspec);
      if (known !== undefined) return await this.#takeAgain(reader, nuspec, known, path, signal);
      if (this.#catalog.versions >= this.#maxVersions)
        throw new NuGetError('LIMIT', `the feed has ${this.#maxVersions} packages and takes no more`);
      await verifyPackage(reader, nuspec, { checkContents: true, signal });
      await this.#take(nuspec, path, signal);
    });
  }

  /** Unlists a version: searches don't show it any more, and who asks for it gets it all the same. */
  delete(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    return this.#setListed(identity, false, call);
  }

  relist(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    return this.#setListed(identity, true, call);
  }

  /** Waits for what is being pushed. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#turns.idle().then(() => this.#index.close());
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #load(): Promise<void> {
    const recordOf = (id: string, version: string) => this.#recordOf(id, version);
    for await (const slice of this.#index.records()) {
      const records: PackageRecord[] = [];
      for (const { key, record } of slice) {
        if (record !== undefined) records.push(record);
        else this.#logger.error('What is written down of {Package} is damaged', key);
      }
      this.#catalog.put(records, recordOf);
    }
    for (const identity of this.#index.arriving()) await this.#takeBack(identity);
    await this.#keepAll();
    await this.#recover();
  }

  /** The list of what is never evicted may be older than the index, or gone. */
  async #keepAll(): Promise<void> {
    const lost: string[] = [];
    const keep = async (key: string) => {
      if (!(await this.#store.keep(SOURCE, identityOf(key)))) lost.push(key);
    };
    let some: string[] = [];
    for (const key of this.#catalog.keys()) {
      if (some.push(key) < KEPT_AT_ONCE) continue;
      await Promise.all(some.map(keep));
      some = [];
    }
    await Promise.all(some.map(keep));
    if (lost.length === 0) return;
    const shown = lost.slice(0, LOST_SHOWN).join(', ');
    this.#logger.error('The bytes of {Count} packages are gone: push them again ({Packages})', lost.length, shown);
  }

  /** The index may be older than what is kept, or gone. Whether a version was listed is lost with it. */
  async #recover(): Promise<void> {
    let recovered = 0;
    // What could not be taken back is still on its way.
    const known = [...this.#catalog.keys(), ...this.#index.arriving().map(packageKey)];
    for await (const { id, version } of this.#store.keptBesides(SOURCE, known)) {
      const identity = { id, version };
      const stored = await this.#store.find(SOURCE, identity);
      if (stored === undefined) continue;
      await using reader = await NupkgReader.open(stored.source());
      const record = recordOfPushed(await reader.nuspec(), stored, stored.lastModified);
      await this.#index.put(identity, record);
      this.#show(record);
      recovered++;
    }
    if (recovered > 0)
      this.#logger.warning('{Count} packages were not in the index: they are again, all of them listed', recovered);
  }

  /** Notes, bytes, index: what is interrupted at any point is found by its note, and seen by nobody. */
  async #take(nuspec: Nuspec, path: string, signal: AbortSignal | undefined): Promise<void> {
    const { id, version } = nuspec;
    await this.#index.begin(nuspec);
    let stored: StoredPackage;
    try {
      stored = await this.#store.adopt(SOURCE, nuspec, path, { keep: true, signal });
    } catch (error) {
      await this.#takeBack(nuspec);
      throw error;
    }
    const record = recordOfPushed(nuspec, stored, new Date(this.#clock()));
    await this.#index.put(nuspec, record);
    this.#show(record);
    this.#logger.information(
      '{PackageId} {Version} was pushed: {Bytes} bytes',
      id,
      version.toFullString(),
      stored.size,
    );
  }

  /** A version that is here is a conflict, unless its bytes were lost and these are the same. */
  async #takeAgain(
    reader: NupkgReader,
    nuspec: Nuspec,
    known: PackageRecord,
    path: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const isLost = (await this.#store.find(SOURCE, nuspec, { signal })) === undefined;
    if (!isLost || (await reader.packageHash('sha512', signal)) !== known.packageHash?.value) {
      const unlisted = known.listed ? '' : ', unlisted';
      throw new NuGetError(
        'CONFLICT',
        `${known.id} ${known.version} is here already${unlisted}: versions never change`,
      );
    }
    await this.#store.adopt(SOURCE, nuspec, path, { keep: true, signal });
    this.#logger.warning('{PackageId} {Version} was lost and has been pushed again', known.id, known.version);
  }

  /** What can't be removed now is removed at the next start. */
  async #takeBack(identity: PackageIdentity): Promise<void> {
    try {
      if (this.#index.record(identity) === undefined) await this.#store.remove(SOURCE, identity);
      await this.#index.end(identity);
    } catch (error) {
      const { id, version } = identity;
      this.#logger.warning('{PackageId} {Version} was not pushed, and could not be removed yet', id, version, error);
    }
  }

  async #setListed(identity: PackageIdentity, listed: boolean, { signal }: PushCall): Promise<boolean> {
    this.#assertOpen();
    return await this.#turns.run(packageKey(identity), signal, async () => {
      this.#assertOpen();
      const record = this.#index.record(identity);
      if (record === undefined) return false;
      if (record.listed === listed) return true;
      const changed = { ...record, listed };
      await this.#index.put(identity, changed);
      this.#show(changed);
      this.#logger.information(
        '{PackageId} {Version} was {Change}',
        record.id,
        record.version,
        listed ? 'listed' : 'unlisted',
      );
      return true;
    });
  }

  #show(record: PackageRecord): void {
    this.#records.delete(record.id.toLowerCase());
    this.#catalog.put([record], (id, version) => this.#recordOf(id, version));
  }

  async #stored(identity: PackageIdentity, call: FeedCall | undefined): Promise<StoredPackage | undefined> {
    this.#assertOpen();
    const { id, version } = identity;
    if (this.#catalog.version(id, keyOf(version)) === undefined) return undefined;
    const stored = await this.#store.find(SOURCE, identity, call);
    if (stored !== undefined) return stored;
    this.#logger.error('The bytes of {PackageId} {Version} are gone: push it again', id, version.toNormalizedString());
    throw new FeedUnavailableError(this.name, `the bytes of ${id} ${version.toNormalizedString()} are gone`);
  }

  #recordOf(id: string, version: string): PackageRecord | undefined {
    return this.#index.recordAt(`${id}/${version}`);
  }

  /** With the case that the version has that searches show. */
  #idOf({ package: pkg, face }: Found): string {
    return this.#recordOf(pkg.key, face.version.version)?.id ?? pkg.key;
  }

  #answer<T>(value: T): Answer<T> {
    return { value, state: 'hit', asOf: this.#clock() };
  }

  #assertOpen(): void {
    if (this.#closing) throw new NuGetError('CLOSED', `${this.name} is closed`);
  }
}

function identityOf(key: string): PackageIdentity {
  const [id = '', version = ''] = key.split('/');
  return { id, version: NuGetVersion.parse(version) };
}

function keyOf(version: PackageIdentity['version']): string {
  return version.toNormalizedString().toLowerCase();
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
