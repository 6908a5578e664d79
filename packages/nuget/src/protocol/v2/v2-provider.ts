import { isNuGetError, SourceError } from '../../errors.js';
import { NuGetFramework } from '../../frameworks/nuget-framework.js';
import { checkPackageId, lowerId, type PackageIdentity } from '../../package-identity.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import type { VersionRange } from '../../versions/version-range.js';
import type { CallOptions, Feed, PackageStream } from '../feed.js';
import type { PackageMetadata, SearchOptions, SearchPage } from '../model.js';
import type { Provider, PushedPackage, PushOptions } from '../provider.js';
import { shownUrl } from '../v3/endpoint-url.js';
import { parseJson } from '../v3/json.js';
import { entryMetadata, entrySearchResult, type FeedEntry, isListed } from './feed-entry.js';
import { type FeedPage, parseFeed } from './feed-parser.js';
import { parseODataMetadata, type V2Capabilities } from './odata-metadata.js';
import * as query from './odata-query.js';
import { sendPackage } from './package-upload.js';
import { nuspecOf } from './spooled-nuspec.js';

export interface V2ProviderOptions {
  /** Most pages of one answer. Default 1000. */
  readonly maxPages?: number | undefined;
  /** Most versions or packages of one answer. Default 100,000. */
  readonly maxEntries?: number | undefined;
  /** Longest page, decompressed. Default 32 MiB. */
  readonly maxDocumentBytes?: number | undefined;
  /** Longest package that is fetched to read its nuspec. Default 1 GiB. */
  readonly maxPackageBytes?: number | undefined;
}

export interface GetUpdatesOptions extends CallOptions {
  /** Default false. */
  readonly includePrerelease?: boolean | undefined;
  /** All newer versions, not the newest alone. Default false. */
  readonly includeAllVersions?: boolean | undefined;
  /** Only versions that fit one of these target frameworks. */
  readonly frameworks?: readonly string[] | undefined;
}

/** Where an answer of several pages begins, and how much of it is wanted. */
interface ListRequest {
  readonly path: string;
  /** Name of the kept pages, to which their number is added; undefined for answers that aren't kept. */
  readonly cacheKey?: string | undefined;
  readonly id?: string | undefined;
  /** No page is asked for when there are so many. */
  readonly enough?: number | undefined;
  readonly options: CallOptions;
}

const ACCEPT = 'application/atom+xml, application/xml';
const DEFAULT_TAKE = 20;
/** So that their names fit into a URL. */
const UPDATES_PER_REQUEST = 10;

/**
 * Protocol 2: an OData feed in Atom. Every answer is read as a stream of elements within limits, and pages are followed
 * by their links until one has no next, one is named twice or there are too many.
 */
export class V2Provider implements Provider {
  readonly protocol = 'v2';
  readonly #feed: Feed;
  readonly #base: string;
  readonly #limits: Required<{ readonly [K in keyof V2ProviderOptions]: number }>;
  #capabilities: V2Capabilities | undefined;

  constructor(feed: Feed, options: V2ProviderOptions = {}) {
    this.#feed = feed;
    const url = new URL(feed.url);
    url.search = url.hash = '';
    this.#base = url.href.replace(/\/+$/, '');
    this.#limits = {
      maxPages: options.maxPages ?? 1000,
      maxEntries: options.maxEntries ?? 100_000,
      maxDocumentBytes: options.maxDocumentBytes ?? 32 * 1024 * 1024,
      maxPackageBytes: options.maxPackageBytes ?? 1024 ** 3,
    };
  }

  /**
   * What the source says in `$metadata` that it can do; undefined when it has none. Asked once.
   *
   * @throws {@link SourceError} `PROTOCOL` when what answers is no feed of this protocol
   */
  async capabilities(options: CallOptions = {}): Promise<V2Capabilities | undefined> {
    this.#capabilities ??= await this.#feed.document(`${this.#base}/$metadata`, {
      ...options,
      cacheKey: undefined,
      accept: 'application/xml',
      maxBytes: this.#limits.maxDocumentBytes,
      parse: (body, url) => parseODataMetadata(body, { source: this.#feed.name, url }),
    });
    return this.#capabilities;
  }

  async listVersions(id: string, options: CallOptions = {}): Promise<readonly NuGetVersion[]> {
    return ascending(await this.#allOf(id, options)).map(({ version }) => version);
  }

  async listMetadata(id: string, options: CallOptions = {}): Promise<readonly PackageMetadata[]> {
    return ascending(await this.#allOf(id, options)).map((entry) => this.#metadata(entry));
  }

  async getMetadata(identity: PackageIdentity, options: CallOptions = {}): Promise<PackageMetadata | undefined> {
    const entry = (await this.#exactly(identity, options)) ?? (await this.#amongAll(identity, options));
    return entry === undefined ? undefined : this.#metadata(entry);
  }

  /** @throws {@link SourceError} `UNSUPPORTED` for package types, of which this protocol knows nothing */
  async search(text: string, search: SearchOptions = {}, options: CallOptions = {}): Promise<SearchPage> {
    if (search.packageType !== undefined) throw this.#unsupported('a search for a type of packages');
    const take = search.take ?? DEFAULT_TAKE;
    if (take <= 0) return { total: undefined, results: [] };
    const prerelease = search.includePrerelease ?? false;
    const can = await this.#capabilitiesOrAll(options);
    const absolute = prerelease && can.absoluteLatest;
    const path = (can.search ? query.searchPath : query.packagesPath)({
      text,
      filter: absolute ? 'IsAbsoluteLatestVersion' : 'IsLatestVersion',
      includePrerelease: absolute,
      skip: search.skip ?? 0,
      take,
      frameworks: shortNames(search.supportedFrameworks),
    });
    const { entries, count } = await this.#list({ path, enough: take, options });
    return { total: count, results: newestOfEach(entries.slice(0, take)).map(entrySearchResult) };
  }

  /** @throws {@link SourceError} `UNSUPPORTED` when the source has no such service, as many haven't */
  async autocomplete(
    prefix: string,
    search: SearchOptions = {},
    options: CallOptions = {},
  ): Promise<readonly string[]> {
    if (search.packageType !== undefined) throw this.#unsupported('a completion for a type of packages');
    const ids = await this.#names(query.packageIdsPath(prefix, search.includePrerelease ?? false), options);
    const skip = search.skip ?? 0;
    return ids.slice(skip, skip + (search.take ?? DEFAULT_TAKE));
  }

  /**
   * Listed versions of a package that begin with a text, in ascending order.
   *
   * @throws {@link SourceError} `UNSUPPORTED` when the source has no such service, as many haven't
   */
  async autocompleteVersion(
    id: string,
    prefix = '',
    options: CallOptions & { readonly includePrerelease?: boolean | undefined } = {},
  ): Promise<readonly NuGetVersion[]> {
    const { includePrerelease = false, ...call } = options;
    const names = await this.#names(query.packageVersionsPath(id, includePrerelease), call);
    const wanted = prefix.toLowerCase();
    const versions = names.filter((name) => name.toLowerCase().startsWith(wanted)).map(NuGetVersion.tryParse);
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
    if (installed.length > 0 && !(await this.#capabilitiesOrAll(call)).updates) throw this.#unsupported('updates');
    const found: FeedEntry[] = [];
    for (let start = 0; start < installed.length; start += UPDATES_PER_REQUEST) {
      const some = installed.slice(start, start + UPDATES_PER_REQUEST);
      const constraints = some.map(({ constraint }) => constraint?.toNormalizedString() ?? '');
      const asked = { includePrerelease, includeAllVersions, frameworks: shortNames(frameworks), constraints };
      const { entries } = await this.#list({ path: query.updatesPath(some, asked), options: call });
      for (const entry of entries) found.push(entry);
    }
    return found.map((entry) => this.#metadata(entry));
  }

  async downloadPackage(identity: PackageIdentity, options: CallOptions = {}): Promise<PackageStream | undefined> {
    // Whoever downloads has mostly seen all versions just before, so the list is there and costs nothing.
    const entry = (await this.#amongAll(identity, options)) ?? (await this.#exactly(identity, options));
    if (entry === undefined) return undefined;
    const { id, version } = entry;
    const conventional = `${this.#base}/package/${encodeURIComponent(id)}/${encodeURIComponent(version.toNormalizedString())}`;
    return this.#feed.stream(entry.contentUrl ?? conventional, options);
  }

  /** Fetches the whole package, since this protocol has no other way; it lies in a temporary file meanwhile. */
  async getNuspec(identity: PackageIdentity, options: CallOptions = {}): Promise<Buffer | undefined> {
    const stream = await this.downloadPackage(identity, options);
    return stream === undefined ? undefined : nuspecOf(stream, this.#limits.maxPackageBytes, options.signal);
  }

  /** @throws {@link SourceError} `CONFLICT` when the version is there already, `UNSUPPORTED` for symbols */
  async push(pkg: PushedPackage, options: PushOptions = {}): Promise<void> {
    if (options.symbols) throw this.#unsupported('packages with symbols');
    const status = await sendPackage(this.#feed, this.#publishUrl, pkg, options);
    if (status === 404) throw this.#unsupported(`packages to be pushed to ${shownUrl(this.#publishUrl)}`, status);
  }

  async delete(identity: PackageIdentity, options: PushOptions = {}): Promise<boolean> {
    const { apiKey, timeoutMs, symbols: _, ...call } = options;
    const id = encodeURIComponent(checkPackageId(identity.id));
    const url = `${this.#publishUrl}${id}/${encodeURIComponent(identity.version.toNormalizedString())}`;
    const headers = apiKey === undefined ? undefined : { 'x-nuget-apikey': apiKey };
    return (await this.#feed.send(url, { ...call, method: 'DELETE', headers, timeoutMs })) !== 404;
  }

  async vulnerabilities(): Promise<undefined> {
    return undefined;
  }

  /** Sources that are a whole host take packages at its well-known path, all others at their own URL. */
  get #publishUrl(): string {
    return new URL(this.#base).pathname === '/' ? `${this.#base}/api/v2/package/` : `${this.#base}/`;
  }

  async #allOf(id: string, options: CallOptions): Promise<readonly FeedEntry[]> {
    const lower = lowerId(id);
    const { entries } = await this.#list({ path: query.findPackagesPath(id), cacheKey: `list_${lower}`, id, options });
    return entries.filter((entry) => entry.id.toLowerCase() === lower);
  }

  async #amongAll(identity: PackageIdentity, options: CallOptions): Promise<FeedEntry | undefined> {
    return (await this.#allOf(identity.id, options)).find(({ version }) => version.equals(identity.version));
  }

  async #exactly({ id, version }: PackageIdentity, options: CallOptions): Promise<FeedEntry | undefined> {
    const path = query.packagePath({ id, version });
    const { entries } = await this.#list({ path, cacheKey: `list_${path}`, id, options });
    const lower = id.toLowerCase();
    return entries.find((entry) => entry.version.equals(version) && entry.id.toLowerCase() === lower);
  }

  async #list(request: ListRequest): Promise<{ entries: readonly FeedEntry[]; count: number | undefined }> {
    const { maxPages, maxEntries } = this.#limits;
    const enough = request.enough ?? Number.POSITIVE_INFINITY;
    const first = `${this.#base}${request.path}`;
    const seen = new Set<string>();
    const entries: FeedEntry[] = [];
    let count: number | undefined;
    for (let next: string | undefined = first; next !== undefined && entries.length < enough; ) {
      if (seen.has(next)) throw this.#failed('PROTOCOL', `${shownUrl(first)} names a page twice`);
      if (seen.size === maxPages) throw this.#failed('LIMIT', `${shownUrl(first)} has more than ${maxPages} pages`);
      seen.add(next);
      const page: FeedPage | undefined = await this.#page(next, seen.size, request);
      count ??= page?.count;
      for (const entry of page?.entries ?? []) entries.push(entry);
      if (entries.length > maxEntries)
        throw this.#failed('LIMIT', `${shownUrl(first)} has more than ${maxEntries} entries`);
      next = page?.next;
    }
    return { entries, count };
  }

  #page(url: string, number: number, { cacheKey, id, options }: ListRequest): Promise<FeedPage | undefined> {
    return this.#feed.document(url, {
      ...options,
      cacheKey: cacheKey === undefined ? undefined : `${cacheKey}_page${number}`,
      accept: ACCEPT,
      maxBytes: this.#limits.maxDocumentBytes,
      parse: (body, from) => parseFeed(body, { source: this.#feed.name, url: from }, id),
    });
  }

  async #names(path: string, options: CallOptions): Promise<readonly string[]> {
    const url = `${this.#base}${path}`;
    const names = await this.#feed.document(url, {
      ...options,
      cacheKey: undefined,
      accept: 'application/json',
      maxBytes: this.#limits.maxDocumentBytes,
      parse: (body) => this.#stringsOf(body, url),
    });
    if (names === undefined) throw this.#unsupported('completion', 404);
    return names;
  }

  #stringsOf(body: Buffer, url: string): readonly string[] {
    const value = parseJson(body, this.#feed.name, url);
    if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value;
    throw this.#failed('PROTOCOL', `${shownUrl(url)} answered with something else than a list of texts`);
  }

  /** Whoever says nothing of what it can do can do everything. */
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
    try {
      return entryMetadata(entry);
    } catch (error) {
      const message = `it says of ${entry.id} ${entry.version}: ${(error as Error).message}`;
      throw new SourceError('PROTOCOL', this.#feed.name, message, { cause: error });
    }
  }

  #failed(code: 'PROTOCOL' | 'LIMIT', message: string): SourceError {
    return new SourceError(code, this.#feed.name, message);
  }

  #unsupported(what: string, statusCode?: number): SourceError {
    return new SourceError('UNSUPPORTED', this.#feed.name, `${shownUrl(this.#base)} doesn't offer ${what}`, {
      statusCode,
    });
  }
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
