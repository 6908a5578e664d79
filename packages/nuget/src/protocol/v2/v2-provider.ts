import { type Logger, nullLogger } from '@granary/telemetry';
import { isNuGetError, type SourceError } from '../../errors.js';
import { NuGetFramework } from '../../frameworks/nuget-framework.js';
import { checkPackageId, lowerId, type PackageIdentity } from '../../package-identity.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import type { VersionRange } from '../../versions/version-range.js';
import type { CallOptions, Feed, PackageStream, StreamOptions } from '../feed.js';
import { type GalleryRequest, refusal, sendToGallery } from '../gallery-requests.js';
import type { PackageMetadata, SearchOptions, SearchPage } from '../model.js';
import { packageForm } from '../package-form.js';
import type { FileOptions, Provider, PushedPackage, PushOptions } from '../provider.js';
import { readFile } from '../read-file.js';
import { resultPage } from '../result-page.js';
import { entryHash, entryMetadata, entrySearchResult, type FeedEntry, isListed } from './feed-entry.js';
import * as query from './odata-query.js';
import { nuspecOf } from './spooled-nuspec.js';
import type { V2Capabilities } from './v2-capabilities.js';
import { baseOf, checkLimit, type V2Limits, V2Source } from './v2-source.js';

/** Limits of a `V2Provider`, and who hears of what makes no sense. */
export interface V2ProviderOptions extends V2Limits {
  /** Where the feed is, if the source's URL only leads there. Pushes go to that URL all the same. Default: that URL. */
  readonly baseUrl?: string | undefined;
  /** Hears what of the source's answers made no sense. Default: nobody. */
  readonly logger?: Logger | undefined;
  /** Longest package that is fetched to read its nuspec. Default 1 GiB. */
  readonly maxPackageBytes?: number | undefined;
}

/** Which updates `V2Provider.getUpdates` asks for. */
export interface GetUpdatesOptions extends CallOptions {
  /** Default false. */
  readonly includePrerelease?: boolean | undefined;
  /** All newer versions, not the newest alone. Default false. */
  readonly includeAllVersions?: boolean | undefined;
  /** Only versions that fit one of these target frameworks. */
  readonly frameworks?: readonly string[] | undefined;
}

/** So that their names fit into a URL. */
const UPDATES_PER_REQUEST = 10;

/**
 * Protocol 2: an OData feed in Atom. Versions come from `FindPackagesById()`, one of them from `Packages(…)`, and both
 * are kept under the names that NuGet's own client gives them. What a source doesn't offer rejects with `UNSUPPORTED`,
 * what makes no sense with `PROTOCOL`, and what doesn't end with `LIMIT`.
 */
export class V2Provider implements Provider {
  readonly protocol = 'v2';
  readonly #source: V2Source;
  readonly #maxPackageBytes: number;
  readonly #logger: Logger;
  #capabilities: V2Capabilities | undefined;

  /** @throws {@link NuGetError} `INVALID_OPTION` */
  constructor(feed: Feed, options: V2ProviderOptions = {}) {
    this.#logger = options.logger ?? nullLogger;
    this.#source = new V2Source(feed, options, this.#logger, options.baseUrl);
    this.#maxPackageBytes = checkLimit('maxPackageBytes', options.maxPackageBytes ?? 1024 ** 3);
  }

  /**
   * What the source says in `$metadata` that it can do; undefined when it has none. Asked until it is known, and kept
   * as other documents are.
   *
   * @throws {@link SourceError} `PROTOCOL` when what answers is no feed of this protocol
   */
  async capabilities(options: CallOptions = {}): Promise<V2Capabilities | undefined> {
    this.#capabilities ??= await this.#source.capabilities(options);
    return this.#capabilities;
  }

  async listVersions(id: string, options: CallOptions = {}): Promise<readonly NuGetVersion[]> {
    return ascending(await this.#allOf(id, options)).map(({ version }) => version);
  }

  async listMetadata(id: string, options: CallOptions = {}): Promise<readonly PackageMetadata[]> {
    return ascending(await this.#allOf(id, options)).map((entry) => this.#metadata(entry));
  }

  async getMetadata(identity: PackageIdentity, options: CallOptions = {}): Promise<PackageMetadata | undefined> {
    const entry = await this.#alone(identity, options);
    return entry === undefined ? undefined : this.#metadata(entry);
  }

  /**
   * Asks `Search()`, or filters `Packages()` where that is missing.
   *
   * @throws {@link SourceError} `UNSUPPORTED` for package types, of which this protocol knows nothing, and where a source
   * has neither; {@link NuGetError} `INVALID_OPTION` for a skip or take that is no number of results
   */
  async search(text: string, search: SearchOptions = {}, options: CallOptions = {}): Promise<SearchPage> {
    if (search.packageType !== undefined) throw this.#source.unsupported('a search for a type of packages');
    const { skip, take } = resultPage(search);
    if (take === 0) return { total: undefined, results: [] };
    const prerelease = search.includePrerelease ?? false;
    const can = await this.#capabilitiesOrAll(options);
    const absolute = prerelease && can.absoluteLatest;
    const asked: query.SearchQuery = {
      text,
      filter: absolute ? 'IsAbsoluteLatestVersion' : 'IsLatestVersion',
      includePrerelease: absolute,
      skip,
      take,
      frameworks: shortNames(search.supportedFrameworks),
    };
    const answer =
      (can.search ? await this.#found(query.searchPath(asked), take, options) : undefined) ??
      (await this.#found(query.packagesPath(asked), take, options));
    if (answer === undefined) throw this.#source.unsupported('search', 404);
    return { total: answer.count, results: newestOfEach(answer.entries.slice(0, take)).map(entrySearchResult) };
  }

  /** @throws {@link SourceError} `UNSUPPORTED` when the source has no such service, as many haven't */
  async autocomplete(
    prefix: string,
    search: SearchOptions = {},
    options: CallOptions = {},
  ): Promise<readonly string[]> {
    if (search.packageType !== undefined) throw this.#source.unsupported('a completion for a type of packages');
    const { skip, take } = resultPage(search);
    const ids = await this.#names(query.packageIdsPath(prefix, search.includePrerelease ?? false), options);
    return ids.slice(skip, skip + take);
  }

  /**
   * The listed versions of a package in ascending order.
   *
   * @throws {@link SourceError} `UNSUPPORTED` when the source has no such service, as many haven't
   */
  async autocompleteVersions(
    id: string,
    search: Pick<SearchOptions, 'includePrerelease'> = {},
    options: CallOptions = {},
  ): Promise<readonly NuGetVersion[]> {
    const names = await this.#names(query.packageVersionsPath(id, search.includePrerelease ?? false), options);
    const versions = names.map((name) => NuGetVersion.tryParse(name));
    return versions.filter((version) => version !== undefined).sort(NuGetVersion.compare);
  }

  /**
   * Newer versions of installed packages, each where its constraint allows it, in the source's order.
   *
   * @throws {@link SourceError} `UNSUPPORTED` when the source says that it has no such function
   */
  async getUpdates(
    installed: readonly (PackageIdentity & { readonly constraint?: VersionRange | undefined })[],
    options: GetUpdatesOptions = {},
  ): Promise<readonly PackageMetadata[]> {
    const { includePrerelease = false, includeAllVersions = false, frameworks, ...call } = options;
    if (installed.length > 0 && !(await this.#capabilitiesOrAll(call)).updates)
      throw this.#source.unsupported('updates');
    const found: FeedEntry[] = [];
    for (let start = 0; start < installed.length; start += UPDATES_PER_REQUEST) {
      const some = installed.slice(start, start + UPDATES_PER_REQUEST);
      const constraints = some.map(({ constraint }) => constraint?.toNormalizedString() ?? '');
      const asked = { includePrerelease, includeAllVersions, frameworks: shortNames(frameworks), constraints };
      const { entries } = await this.#source.list({ path: query.updatesPath(some, asked), options: call });
      for (const entry of entries) found.push(entry);
    }
    return found.map((entry) => this.#metadata(entry));
  }

  async downloadPackage(identity: PackageIdentity, options: StreamOptions = {}): Promise<PackageStream | undefined> {
    const entry = await this.#entryFor(identity, options);
    if (entry === undefined) return undefined;
    const url = entry.contentUrl ?? `${this.#source.base}/package/${pathOf(entry)}`;
    const stream = await this.#source.feed.stream(url, options);
    return stream && { ...stream, hash: entryHash(entry) ?? stream.hash };
  }

  /** Fetches the whole package, since this protocol has no other way; it lies in a temporary file meanwhile. */
  async getNuspec(identity: PackageIdentity, options: CallOptions = {}): Promise<Buffer | undefined> {
    const stream = await this.downloadPackage(identity, options);
    return stream === undefined ? undefined : nuspecOf(stream, this.#maxPackageBytes, options.signal);
  }

  async getFile(url: string, options?: FileOptions): Promise<Buffer | undefined> {
    return readFile(this.#source.feed, url, options);
  }

  /**
   * Uploads a package, streamed.
   *
   * @throws {@link SourceError} as its status says: `UNAUTHORIZED`, `FORBIDDEN`, `CONFLICT`, `LIMIT`, `INVALID_PACKAGE`;
   * `UNSUPPORTED` for symbols, of which this protocol knows nothing, and where the source takes no packages
   */
  async push(pkg: PushedPackage, options: PushOptions = {}): Promise<void> {
    if (options.symbols) {
      throw this.#source.unsupported(
        'to take symbol packages: protocol 2 has none, so push them to a source of protocol 3',
      );
    }
    const form = packageForm(pkg, 'package.nupkg');
    const headers = { 'content-type': form.contentType, 'content-length': String(form.length) };
    const what = `push ${pkg.name}`;
    const status = await this.#send({ method: 'PUT', url: this.#publishUrl, what, headers, body: form.open }, options);
    if (status === 404 || status === 405) throw refusal(this.#source.feed.name, status, what);
  }

  async delete(identity: PackageIdentity, options: PushOptions = {}): Promise<boolean> {
    return this.#change('DELETE', identity, options);
  }

  /** Puts a version that was unlisted on the list again; false when it isn't there. */
  async relist(identity: PackageIdentity, options: PushOptions = {}): Promise<boolean> {
    return this.#change('POST', identity, options);
  }

  async vulnerabilities(): Promise<undefined> {
    return undefined;
  }

  async #change(method: 'DELETE' | 'POST', identity: PackageIdentity, options: PushOptions): Promise<boolean> {
    const what = `${method === 'POST' ? 'relist' : 'delete'} ${identity.id} ${identity.version.toNormalizedString()}`;
    const status = await this.#send({ method, url: this.#publishUrl + pathOf(identity), what }, options);
    if (status === 405) throw refusal(this.#source.feed.name, 405, what);
    return status !== 404;
  }

  #send(request: GalleryRequest, options: PushOptions): Promise<number> {
    return sendToGallery(this.#source.feed, request, options);
  }

  /** Sources that are a whole host take packages at its well-known path, all others at their own URL. */
  get #publishUrl(): string {
    const base = baseOf(this.#source.feed.url);
    return new URL(base).pathname === '/' ? `${base}/api/v2/package/` : `${base}/`;
  }

  /** Undefined where there is nothing that could answer, which is not the same as no results. */
  async #found(path: string, take: number, options: CallOptions) {
    const answer = await this.#source.list({ path, enough: take, options });
    return answer.isThere ? answer : undefined;
  }

  async #allOf(id: string, options: CallOptions): Promise<readonly FeedEntry[]> {
    const lower = lowerId(id);
    const { entries } = await this.#source.list({
      path: query.findPackagesPath(id),
      cacheKey: `list_${lower}`,
      id,
      options,
    });
    return entries.filter((entry) => entry.id.toLowerCase() === lower);
  }

  /** Of a package that is downloaded. */
  async #entryFor(identity: PackageIdentity, options: CallOptions): Promise<FeedEntry | undefined> {
    // Whoever downloads has mostly seen all versions just before, so that their list is there and costs nothing.
    if (options.cacheContext?.effectiveMaxAgeMs !== 0) {
      return (await this.#amongAll(identity, options)) ?? (await this.#exactly(identity, options));
    }
    // Where nothing may come from a cache, the list costs all of its pages: of some packages there are dozens.
    return await this.#alone(identity, options);
  }

  /** From the list of all versions only where the source can't be asked for one, or hasn't got it. */
  async #alone(identity: PackageIdentity, options: CallOptions): Promise<FeedEntry | undefined> {
    const entry = await this.#exactly(identity, options).catch((error: unknown) => {
      if (!isOfThisQuestion(error)) throw error;
      return undefined;
    });
    return entry ?? (await this.#amongAll(identity, options));
  }

  async #amongAll(identity: PackageIdentity, options: CallOptions): Promise<FeedEntry | undefined> {
    return (await this.#allOf(identity.id, options)).find(({ version }) => version.equals(identity.version));
  }

  async #exactly({ id, version }: PackageIdentity, options: CallOptions): Promise<FeedEntry | undefined> {
    const path = query.packagePath({ id, version });
    const { entries } = await this.#source.list({ path, cacheKey: `list_${path}`, id, options });
    const lower = id.toLowerCase();
    return entries.find((entry) => entry.version.equals(version) && entry.id.toLowerCase() === lower);
  }

  async #names(path: string, options: CallOptions): Promise<readonly string[]> {
    const names = await this.#source.names(path, options);
    if (names === undefined) throw this.#source.unsupported('completion', 404);
    return names;
  }

  /** Whoever says nothing of what it can do, or can't say it just now, is taken to be able to do everything. */
  async #capabilitiesOrAll(
    options: CallOptions,
  ): Promise<{ search: boolean; absoluteLatest: boolean; updates: boolean }> {
    let known: V2Capabilities | undefined;
    try {
      known = await this.capabilities(options);
    } catch (error) {
      if (!isNuGetError(error) || error.code === 'UNAUTHORIZED' || error.code === 'CLOSED') throw error;
    }
    return {
      search: known?.functions.has('search') ?? true,
      absoluteLatest: known?.properties.has('isabsolutelatestversion') ?? true,
      updates: known?.functions.has('getupdates') ?? true,
    };
  }

  #metadata(entry: FeedEntry): PackageMetadata {
    return entryMetadata(entry, (dependency) => {
      const text =
        'A dependency of {PackageId} {Version} in {Source} takes all versions: the range in {Dependency} is none';
      this.#logger.warning(text, entry.id, entry.version, this.#source.feed.name, dependency);
    });
  }
}

/** Whether a source doesn't understand what it was asked, and may answer something else. */
function isOfThisQuestion(error: unknown): boolean {
  if (!isNuGetError(error)) return false;
  return (
    error.code === 'PROTOCOL' || error.code === 'UNSUPPORTED' || (error as Partial<SourceError>).statusCode === 500
  );
}

function pathOf({ id, version }: PackageIdentity): string {
  return `${encodeURIComponent(checkPackageId(id))}/${encodeURIComponent(version.toNormalizedString())}`;
}

/** Each version once, from the oldest. */
function ascending(entries: readonly FeedEntry[]): FeedEntry[] {
  const sorted = [...entries].sort((a, b) => NuGetVersion.compare(a.version, b.version));
  return sorted.filter((entry, index) => index === 0 || !sorted[index - 1]?.version.equals(entry.version));
}

/** Some sources give several versions of a package, and unlisted ones. */
function newestOfEach(entries: readonly FeedEntry[]): FeedEntry[] {
  const newest = new Map<string, FeedEntry>();
  for (const entry of entries) {
    if (!isListed(entry)) continue;
    const id = entry.id.toLowerCase();
    const other = newest.get(id);
    if (other === undefined || NuGetVersion.compare(entry.version, other.version) > 0) newest.set(id, entry);
  }
  return [...newest.values()];
}

function shortNames(frameworks: readonly string[] = []): readonly string[] {
  return frameworks.map((framework) => NuGetFramework.parse(framework).shortFolderName);
}
