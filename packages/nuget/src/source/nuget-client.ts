import type { Layer } from '@granary/cache';
import { HttpClient, type HttpClientOptions } from '@granary/http';
import type { Timers } from '@granary/resilience';
import { type Logger, nullLogger, type Tracer } from '@granary/telemetry';
import { isNuGetError, NuGetError, PackageNotFoundError } from '../errors.js';
import type { NuGetMetrics } from '../metrics.js';
import { checkPackageId } from '../package-identity.js';
import type { CallOptions } from '../protocol/feed.js';
import type { PackageMetadata, SearchOptions, SearchPage, VulnerabilityIndex } from '../protocol/model.js';
import type { PushedPackage, PushOptions } from '../protocol/provider.js';
import { type ResultPage, resultPage } from '../protocol/result-page.js';
import type { NuGetVersion } from '../versions/nuget-version.js';
import { mergeIds, mergeMetadata, mergeSearches, mergeVersions, mergeVulnerabilities } from './merged-answers.js';
import type { PackageDownload } from './packages/package-download.js';
import type { DownloadOptions } from './packages/package-downloads.js';
import { PartialVersionsError } from './partial-versions-error.js';
import { Enough, inOrderOfAnswers } from './race.js';
import { SourceCache } from './source-cache.js';
import {
  DEFAULT_USER_AGENT,
  SourceRepository,
  type SourceRepositoryOptions,
  type VersionLike,
  versionOf,
} from './source-repository.js';
import { failureOfAll } from './sources-error.js';

/** Which sources a package may come from: `PackageSourceMapping` is one. */
export interface SourceMapping {
  /** Names of the sources; undefined where any may have it. */
  sourcesFor(id: string): readonly string[] | undefined;
}

/** A source: its repository, which stays the caller's to close, or what to make one of. */
export type NuGetClientSource =
  | SourceRepository
  | Omit<SourceRepositoryOptions, 'cache' | 'httpClient' | 'logger' | 'tracer' | 'metrics' | 'clock' | 'timers'>;

/** Sources of a `NuGetClient`, and what they share: cache, connections, observers. */
export interface NuGetClientOptions {
  /** In the order in which they are preferred; at least one. */
  readonly sources: readonly NuGetClientSource[];
  /** Folder of the cache on disk, as NuGet.Client's or its own. Default: none. */
  readonly cacheDir?: string | undefined;
  /** Most bytes on disk. Default 4 GiB. */
  readonly cacheMaxSize?: number | undefined;
  /** Most documents in memory. Default 10,000; 0 for none. */
  readonly memoryCacheSize?: number | undefined;
  /** A layer of documents that several machines share; it stays the caller's to close. Default: none. */
  readonly sharedCache?: Layer<Uint8Array> | undefined;
  readonly userAgent?: string | undefined;
  /** Default: every package may come from every source. */
  readonly mapping?: SourceMapping | undefined;
  /** Stays the caller's to close. Default: one of its own. */
  readonly httpClient?: HttpClient | undefined;
  /** What to make the HTTP client with: limits, retries, breaker, proxy, certificates. */
  readonly http?: Omit<HttpClientOptions, 'userAgent'> | undefined;
  readonly logger?: Logger | undefined;
  readonly tracer?: Tracer | undefined;
  readonly metrics?: NuGetMetrics | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
  readonly timers?: Timers | undefined;
}

/** What goes with `NuGetClient.listVersions`. */
export interface ListVersionsOptions extends CallOptions {
  /** Whether the answers of all sources are needed, for whom the highest or lowest version is chosen. Default false. */
  readonly ofAll?: boolean | undefined;
}

/** Most results that one source is asked for, to give a page from the answers of several. */
const MAX_MERGED = 1000;

/**
 * Several sources as one. Questions go to all that may have the package, at the same time: answers are merged, or the
 * first one counts. A source that fails doesn't matter as long as another one answers; when it might have had what all
 * others haven't, its failure is what the caller hears.
 */
export class NuGetClient implements AsyncDisposable {
  /** In the order in which they are preferred. */
  readonly sources: readonly SourceRepository[];
  readonly #mapping: SourceMapping | undefined;
  readonly #logger: Logger;
  readonly #owned: AsyncDisposable[] = [];
  #closing: Promise<void> | undefined;

  /** @throws {@link NuGetError} `INVALID_OPTION` */
  constructor(options: NuGetClientOptions) {
    checkSources(options.sources);
    this.#mapping = options.mapping;
    this.#logger = options.logger ?? nullLogger;
    try {
      this.sources = this.#repositories(options);
    } catch (error) {
      this.close().catch(() => {});
      throw error;
    }
  }

  /**
   * A source by its name, whatever its case.
   *
   * @throws {@link NuGetError} `INVALID_OPTION` when there is none of that name
   */
  source(name: string): SourceRepository {
    const found = this.sources.find((source) => source.name.toLowerCase() === name.toLowerCase());
    if (found === undefined) throw new NuGetError('INVALID_OPTION', `there is no source ${JSON.stringify(name)}`);
    return found;
  }

  /** What the first source that has the version says of it; undefined when none has. */
  async getMetadata(id: string, version: VersionLike, options: CallOptions = {}): Promise<PackageMetadata | undefined> {
    const wanted = versionOf(version);
    const of = (source: SourceRepository, call: CallOptions) => source.getMetadata(id, wanted, call);
    return this.#first(`metadata of ${id} ${wanted}`, this.#sourcesFor(id), options, of);
  }

  /**
   * The versions that any source has, in ascending order.
   *
   * @throws {@link PartialVersionsError} with `ofAll`, when some sources answer and others fail
   */
  async listVersions(id: string, options: ListVersionsOptions = {}): Promise<readonly NuGetVersion[]> {
    const what = `versions of ${id}`;
    const ask = (source: SourceRepository, call: CallOptions) => source.listVersions(id, call);
    const errors: unknown[] = [];
    const versions = await this.#list(what, id, options, mergeVersions, ask, errors);
    if (options.ofAll && errors.length > 0)
      throw new PartialVersionsError(`not all ${what} are known`, versions, errors);
    return versions;
  }

  /** What sources say of all versions, in ascending order; of one that several have, what the preferred one says. */
  async listMetadata(id: string, options: CallOptions = {}): Promise<readonly PackageMetadata[]> {
    return this.#list(`metadata of ${id}`, id, options, mergeMetadata, (source, call) => source.listMetadata(id, call));
  }

  /**
   * The results of all sources in turns, each package once. With several sources a page costs all that come before it,
   * from each of them; `total` counts what several have as often as they have it.
   *
   * @throws {@link NuGetError} `LIMIT` when several sources are asked for more than the first 1000 results,
   * `INVALID_OPTION`
   */
  async search(query: string, search: SearchOptions & CallOptions = {}): Promise<SearchPage> {
    const [only, ...others] = this.sources;
    if (only !== undefined && others.length === 0) return only.search(query, search);
    const { skip, take } = mergedPage(search);
    const pages = await this.#all(`search for ${JSON.stringify(query)}`, this.sources, search, (source, call) =>
      source.search(query, { ...search, ...call, skip: 0, take: skip + take }),
    );
    return mergeSearches(pages, skip, take);
  }

  /**
   * Ids that begin with a text, from all sources in turns, each once. With several sources a page costs all that come
   * before it, from each of them.
   *
   * @throws {@link NuGetError} `LIMIT` when several sources are asked for more than the first 1000, `INVALID_OPTION`
   */
  async autocomplete(prefix: string, search: SearchOptions & CallOptions = {}): Promise<readonly string[]> {
    const [only, ...others] = this.sources;
    if (only !== undefined && others.length === 0) return only.autocomplete(prefix, search);
    const { skip, take } = mergedPage(search);
    const lists = await this.#all(
      `ids that begin with ${JSON.stringify(prefix)}`,
      this.sources,
      search,
      (source, call) => source.autocomplete(prefix, { ...search, ...call, skip: 0, take: skip + take }),
    );
    return mergeIds(lists, skip + take).slice(skip);
  }

  /**
   * The package from a cache, or from the source that first says that it has it; from the next one when that fails.
   *
   * @throws {@link PackageNotFoundError} when no source has it
   */
  async downloadPackage(id: string, version: VersionLike, options: DownloadOptions = {}): Promise<PackageDownload> {
    const wanted = versionOf(version);
    const sources = this.#sourcesFor(id);
    const errors: unknown[] = [];
    const download =
      sources.length === 1
        ? await this.#downloadFrom(sources, id, wanted, options, errors)
        : await this.#downloadFromAny(sources, id, wanted, options, errors);
    if (download !== undefined) return download;
    if (errors.length > 0) throw failureOfAll(`${id} ${wanted} could not be had`, errors);
    const where = sources.map(({ name }) => name).join(', ');
    throw new PackageNotFoundError(
      id,
      wanted.toString(),
      where || 'any source that the package source mapping gives it',
    );
  }

  /** The nuspec of a version from the first source that has it; undefined when none has. */
  async getNuspec(id: string, version: VersionLike, options: CallOptions = {}): Promise<Buffer | undefined> {
    const wanted = versionOf(version);
    return this.#first(`nuspec of ${id} ${wanted}`, this.#sourcesFor(id), options, (source, call) =>
      source.getNuspec(id, wanted, call),
    );
  }

  /** The vulnerabilities that any source knows; undefined when none tells any. */
  async vulnerabilities(options: CallOptions = {}): Promise<VulnerabilityIndex | undefined> {
    const all = await this.#all('vulnerabilities', this.sources, options, (source, call) =>
      source.vulnerabilities(call),
    );
    return mergeVulnerabilities(all);
  }

  /** Pushes to one source, by its name. */
  async push(source: string, pkg: string | Uint8Array | PushedPackage, options?: PushOptions): Promise<void> {
    await this.source(source).push(pkg, options);
  }

  /** Deletes or unlists in one source, by its name; false when it isn't there. */
  async delete(source: string, id: string, version: VersionLike, options?: PushOptions): Promise<boolean> {
    return this.source(source).delete(id, version, options);
  }

  /** Closes the sources, caches and connections that it made. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #repositories(options: NuGetClientOptions): readonly SourceRepository[] {
    const { logger, tracer, metrics, clock, timers, userAgent, cacheDir, cacheMaxSize } = options;
    const observers = { logger, tracer };
    const httpClient =
      options.httpClient ??
      this.#own(new HttpClient({ ...observers, ...options.http, userAgent: userAgent ?? DEFAULT_USER_AGENT }));
    const cache = this.#own(
      new SourceCache({
        disk: cacheDir === undefined ? undefined : { folder: cacheDir, maxBytes: cacheMaxSize },
        memoryEntries: options.memoryCacheSize,
        shared: options.sharedCache,
        logger,
        metrics,
        clock,
      }),
    );
    const shared = { httpClient, cache, ...observers, metrics, clock, timers };
    return options.sources.map((source) =>
      source instanceof SourceRepository
        ? source
        : this.#own(new SourceRepository({ userAgent, ...source, ...shared })),
    );
  }

  #own<T extends AsyncDisposable>(resource: T): T {
    this.#owned.push(resource);
    return resource;
  }

  /** The last first: sources before the cache and the connections that they use. */
  async #close(): Promise<void> {
    for (const resource of this.#owned.reverse()) await resource[Symbol.asyncDispose]();
  }

  #sourcesFor(id: string): readonly SourceRepository[] {
    checkPackageId(id);
    const names = this.#mapping?.sourcesFor(id)?.map((name) => name.toLowerCase());
    if (names === undefined) return this.sources;
    return this.sources.filter(({ name }) => names.includes(name.toLowerCase()));
  }

  async #downloadFromAny(
    sources: readonly SourceRepository[],
    id: string,
    version: NuGetVersion,
    options: DownloadOptions,
    errors: unknown[],
  ): Promise<PackageDownload | undefined> {
    const enough = new Enough(options.signal);
    try {
      const having = this.#haveIt(id, version, sources, { ...options, signal: enough.signal }, errors);
      return await this.#downloadFrom(having, id, version, options, errors);
    } finally {
      enough.end();
    }
  }

  /** From the first source that gives it. */
  async #downloadFrom(
    sources: Iterable<SourceRepository> | AsyncIterable<SourceRepository>,
    id: string,
    version: NuGetVersion,
    options: DownloadOptions,
    errors: unknown[],
  ): Promise<PackageDownload | undefined> {
    for await (const source of sources) {
      try {
        const download = await source.downloadPackage(id, version, options);
        if (download !== undefined) return download;
      } catch (error) {
        this.#note(error, options, errors);
      }
    }
    return undefined;
  }

  /** What all sources together have of a package; none only where no source has failed that might have it. */
  async #list<T>(
    what: string,
    id: string,
    options: CallOptions,
    merge: (lists: readonly (readonly T[])[]) => readonly T[],
    ask: (source: SourceRepository, call: CallOptions) => Promise<readonly T[]>,
    errors: unknown[] = [],
  ): Promise<readonly T[]> {
    const merged = merge(await this.#all(what, this.#sourcesFor(id), options, ask, errors));
    if (merged.length === 0 && errors.length > 0) throw failureOfAll(`no source that answers has any: ${what}`, errors);
    return merged;
  }

  /** What every source answers that does. */
  async #all<T>(
    what: string,
    sources: readonly SourceRepository[],
    options: CallOptions,
    ask: (source: SourceRepository, call: CallOptions) => Promise<T>,
    errors: unknown[] = [],
  ): Promise<readonly T[]> {
    const call = { signal: options.signal, span: options.span, cacheContext: options.cacheContext };
    const outcomes = await Promise.allSettled(sources.map((source) => ask(source, call)));
    const answers: T[] = [];
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') answers.push(outcome.value);
      else this.#note(outcome.reason, options, errors);
    }
    if (answers.length === 0 && errors.length > 0) throw failureOfAll(`no source answered: ${what}`, errors);
    return answers;
  }

  /** The first answer that is one; the other sources need not answer any more. */
  async #first<T>(
    what: string,
    sources: readonly SourceRepository[],
    options: CallOptions,
    ask: (source: SourceRepository, call: CallOptions) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const errors: unknown[] = [];
    const enough = new Enough(options.signal);
    const call = { signal: enough.signal, span: options.span, cacheContext: options.cacheContext };
    try {
      for await (const outcome of inOrderOfAnswers(sources.map((source) => ask(source, call)))) {
        if ('error' in outcome) this.#note(outcome.error, options, errors);
        else if (outcome.value !== undefined) return outcome.value;
      }
    } finally {
      enough.end();
    }
    if (errors.length > 0) throw failureOfAll(`no source that answers has it: ${what}`, errors);
    return undefined;
  }

  /** The sources that have a version: those with it in their cache, then the others in the order of their answers. */
  async *#haveIt(
    id: string,
    version: NuGetVersion,
    sources: readonly SourceRepository[],
    options: DownloadOptions,
    errors: unknown[],
  ): AsyncGenerator<SourceRepository> {
    const context = options.cacheContext;
    if (!context?.noCache && !context?.directDownload) {
      for (const source of sources) if (await source.isCached(id, version)) yield source;
    }
    const { signal, span } = options;
    const asked = sources.map(async (source) => {
      const isThere = await source.hasVersion(id, version, { signal, span, cacheContext: context });
      return isThere ? source : undefined;
    });
    for await (const outcome of inOrderOfAnswers(asked)) {
      if ('error' in outcome) this.#note(outcome.error, options, errors);
      else if (outcome.value !== undefined) yield outcome.value;
    }
  }

  /** A source failed: that is for later, unless it is the caller who ended it. */
  #note(error: unknown, { signal }: CallOptions, errors: unknown[]): void {
    if (signal?.aborted) throw signal.reason;
    if (!isNuGetError(error)) throw error;
    this.#logger.warning('A source of several failed', error);
    errors.push(error);
  }
}

function checkSources(sources: readonly NuGetClientSource[]): void {
  if (!Array.isArray(sources) || sources.length === 0) {
    throw new NuGetError('INVALID_OPTION', 'sources must name at least one source');
  }
  const names = new Set(sources.map(({ name }) => String(name).toLowerCase()));
  if (names.size < sources.length) throw new NuGetError('INVALID_OPTION', 'two sources have the same name');
}

function mergedPage(search: SearchOptions): ResultPage {
  const { skip, take } = resultPage(search);
  if (skip + take <= MAX_MERGED) return { skip, take };
  throw new NuGetError(
    'LIMIT',
    `several sources can be asked for their first ${MAX_MERGED} results, not for ${skip + take}`,
  );
}
