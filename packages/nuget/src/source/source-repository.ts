import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { HttpClient } from '@granary/http';
import type { Timers } from '@granary/resilience';
import { type Logger, noopTracer, nullLogger, type Tracer, withSpan } from '@granary/telemetry';
import { Authenticator } from '../auth/authenticator.js';
import type { CredentialProvider, Credentials } from '../auth/credentials.js';
import { isNuGetError, NuGetError, type SourceError } from '../errors.js';
import { HttpCache } from '../http-cache/http-cache.js';
import { type NuGetMetrics, noopNuGetMetrics } from '../metrics.js';
import { checkPackageId, type PackageIdentity } from '../package-identity.js';
import { NupkgReader } from '../packages/nupkg-reader.js';
import { parseNuspec } from '../packages/nuspec.js';
import { nuspecMetadata } from '../packages/nuspec-metadata.js';
import { shownUrl } from '../protocol/endpoint-url.js';
import type { CallOptions } from '../protocol/feed.js';
import type { PackageMetadata, SearchOptions, SearchPage, VulnerabilityIndex } from '../protocol/model.js';
import type { Provider, PushedPackage, PushOptions } from '../protocol/provider.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import { HttpFeed, type HttpFeedOptions } from './http-feed.js';
import type { PackageDownload } from './packages/package-download.js';
import { type DownloadOptions, PackageDownloads } from './packages/package-downloads.js';
import type { PackageHash } from './packages/package-hash.js';
import { type Protocol, ProviderSelection } from './provider-selection.js';
import { SourceCache, type SourceCacheOptions } from './source-cache.js';
import { DEFAULT_MAX_AGE_MS, DEFAULT_NOT_FOUND_TTL_MS } from './source-cache-context.js';
import { plainSourceUrl } from './source-url.js';

/** One source, who asks it, and what it is reached, cached and observed by. */
export interface SourceRepositoryOptions
  extends Pick<HttpFeedOptions, 'notFoundTtlMs' | 'staleIfErrorMs' | 'restAfterErrorMs' | 'downloadTimeoutMs'> {
  /** What logs, errors and metrics call the source. */
  readonly name: string;
  /** Of its service index (`…/index.json`, protocol 3) or of the feed itself (protocol 2). */
  readonly sourceUrl: string;
  /** Who asks. Default: the credentials within the URL, if any. */
  readonly auth?: Authenticator | Credentials | CredentialProvider | undefined;
  /** Stays the caller's to close. Default: one of its own. */
  readonly httpClient?: HttpClient | undefined;
  /**
   * An `HttpCache` has memory in front of it. Stays the caller's to close when it is a `SourceCache` or an `HttpCache`.
   * Default: one in memory.
   */
  readonly cache?: SourceCache | HttpCache | SourceCacheOptions | undefined;
  /** The protocol, where somebody knows it. Default: as the URL says and the source confirms. */
  readonly protocol?: Protocol | undefined;
  /** Default: that of the HTTP client. */
  readonly userAgent?: string | undefined;
  /** Longest package. Default 2 GiB. */
  readonly maxPackageBytes?: number | undefined;
  readonly logger?: Logger | undefined;
  readonly tracer?: Tracer | undefined;
  readonly metrics?: NuGetMetrics | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
  readonly timers?: Timers | undefined;
}

/** A version as a text or as what it means. */
export type VersionLike = string | NuGetVersion;

const NOT_IMPLEMENTED = 501;
const DEFAULT_MAX_PACKAGE_BYTES = 2 * 1024 ** 3;
export const DEFAULT_USER_AGENT = `granary-nuget/0.1.0 (${process.platform}; Node ${process.versions.node})`;

/**
 * One source of packages, whatever its protocol. Everything that comes from it goes through its cache; `undefined` means
 * that the source says that it hasn't got it. All that fails is a `SourceError`, but for aborts.
 */
export class SourceRepository implements AsyncDisposable {
  readonly name: string;
  /** Without credentials. */
  readonly sourceUrl: string;
  readonly #feed: HttpFeed;
  readonly #selection: ProviderSelection;
  readonly #downloads: PackageDownloads;
  readonly #notFoundTtlMs: number;
  readonly #keepsDocuments: boolean;
  readonly #logger: Logger;
  readonly #tracer: Tracer;
  readonly #owned: AsyncDisposable[] = [];
  #closing: Promise<void> | undefined;

  /** @throws {@link NuGetError} `INVALID_OPTION` */
  constructor(options: SourceRepositoryOptions) {
    const { name, sourceUrl, logger = nullLogger, metrics = noopNuGetMetrics, tracer = noopTracer } = options;
    const { clock = Date.now, timers, cache, httpClient, notFoundTtlMs = DEFAULT_NOT_FOUND_TTL_MS } = options;
    if (typeof name !== 'string' || name === '') throw new NuGetError('INVALID_OPTION', 'a source needs a name');
    this.name = name;
    this.sourceUrl = plainSourceUrl(name, sourceUrl);
    const authenticator = authenticatorFrom(name, sourceUrl, options.auth);
    this.#logger = logger;
    this.#tracer = tracer;
    this.#notFoundTtlMs = notFoundTtlMs;
    const client = httpClient ?? this.#own(new HttpClient({ userAgent: DEFAULT_USER_AGENT, logger, tracer }));
    const layers = cache instanceof HttpCache ? { disk: cache } : cache;
    const sourceCache =
      layers instanceof SourceCache ? layers : this.#own(new SourceCache({ logger, metrics, clock, ...layers }));
    this.#keepsDocuments = sourceCache.keepsDocuments;
    this.#feed = new HttpFeed({
      name,
      url: sourceUrl,
      client,
      cache: sourceCache,
      authenticator,
      userAgent: options.userAgent,
      notFoundTtlMs,
      staleIfErrorMs: options.staleIfErrorMs,
      restAfterErrorMs: options.restAfterErrorMs,
      downloadTimeoutMs: options.downloadTimeoutMs,
      metrics,
      logger,
      clock,
      timers,
    });
    this.#selection = new ProviderSelection(this.#feed, { protocol: options.protocol, logger });
    this.#downloads = new PackageDownloads({
      source: name,
      sourceUrl: this.sourceUrl,
      open: async (identity, call) => (await this.provider(call)).downloadPackage(identity, call),
      knownHash: (identity, call) => this.#knownHash(identity, call),
      cacheContext: this.#feed.cacheContext,
      disk: sourceCache.disk,
      maxPackageBytes: options.maxPackageBytes ?? DEFAULT_MAX_PACKAGE_BYTES,
      notFoundTtlMs,
      metrics,
      logger,
      clock,
      timers,
    });
  }

  /** What speaks the source's protocol: everything that can be asked, without spans, logs and the cache of packages. */
  provider(options?: CallOptions): Promise<Provider> {
    return this.#selection.provider(options);
  }

  /** What the source says of one version; where it has packages and tells nothing of them, what its nuspec says. */
  async getMetadata(id: string, version: VersionLike, options: CallOptions = {}): Promise<PackageMetadata | undefined> {
    const identity = { id, version: versionOf(version) };
    return this.#fetch(id, identity.version, options, async (call, provider) => {
      try {
        const metadata = await provider.getMetadata(identity, call);
        return metadata ?? (await this.#again(call, (anew) => provider.getMetadata(identity, anew)));
      } catch (error) {
        if (!isUnoffered(error)) throw error;
        const nuspec = await this.getNuspec(id, identity.version, call);
        return nuspec && nuspecMetadata(parseNuspec(nuspec));
      }
    });
  }

  /** Whether its list of versions has one. */
  async hasVersion(id: string, version: VersionLike, options: CallOptions = {}): Promise<boolean> {
    const wanted = versionOf(version);
    const has = (all: readonly NuGetVersion[] | undefined) => all?.some((other) => other.equals(wanted)) === true;
    if (has(await this.listVersions(id, options))) return true;
    return has(await this.#again(options, (anew) => this.listVersions(id, anew)));
  }

  /** All versions in ascending order, unlisted ones included; empty when there is no such package. */
  async listVersions(id: string, options: CallOptions = {}): Promise<readonly NuGetVersion[]> {
    return this.#fetch(id, undefined, options, async (call, provider) => provider.listVersions(id, call));
  }

  /** What the source says of all versions, in ascending order. */
  async listMetadata(id: string, options: CallOptions = {}): Promise<readonly PackageMetadata[]> {
    return this.#fetch(id, undefined, options, async (call, provider) => provider.listMetadata(id, call));
  }

  async search(query: string, search?: SearchOptions & CallOptions): Promise<SearchPage> {
    const { signal, span, cacheContext, ...rest } = search ?? {};
    const call = { signal, span, cacheContext };
    return (await this.provider(call)).search(query, rest, call);
  }

  /** Ids that begin with a text. */
  async autocomplete(prefix: string, search?: SearchOptions & CallOptions): Promise<readonly string[]> {
    const { signal, span, cacheContext, ...rest } = search ?? {};
    const call = { signal, span, cacheContext };
    return (await this.provider(call)).autocomplete(prefix, rest, call);
  }

  /**
   * The package as a stream, once all of it is there and is what it should be: a whole archive with this id and version,
   * and the hash where one is known. It comes from the cache for as long as it is there, however old.
   *
   * @throws SourceError `INVALID_PACKAGE` when the source gives something else, `LIMIT` when it is too long
   */
  async downloadPackage(
    id: string,
    version: VersionLike,
    options: DownloadOptions = {},
  ): Promise<PackageDownload | undefined> {
    const identity = { id: checkPackageId(id), version: versionOf(version) };
    return this.#trace('DownloadPackage', identity, options, async (call) => {
      const download = await this.#downloads.download(identity, call);
      if (call.span?.recording) call.span.setAttribute('cache.hit', download?.fromCache === true);
      return download;
    });
  }

  /** Whether the package is in the cache on disk. */
  async isCached(id: string, version: VersionLike): Promise<boolean> {
    return this.#downloads.isCached({ id: checkPackageId(id), version: versionOf(version) });
  }

  /** The nuspec's bytes: from the cached package, from the source where it has them apart, else from the package. */
  async getNuspec(id: string, version: VersionLike, options: CallOptions = {}): Promise<Buffer | undefined> {
    const identity = { id: checkPackageId(id), version: versionOf(version) };
    const provider = await this.provider(options);
    if (provider.protocol === 'v3' && !(await this.isCached(id, version))) {
      const nuspec = await orUndefinedIfUnsupported(() => provider.getNuspec(identity, options));
      if (nuspec !== undefined) return nuspec;
    }
    const download = await this.downloadPackage(id, version, options);
    if (download === undefined) return undefined;
    try {
      await using reader = await NupkgReader.open(download.bytes);
      return await reader.nuspecBytes();
    } finally {
      download.destroy();
    }
  }

  /**
   * Pushes a file by its path, bytes, or what a caller can read anew for each attempt. What that fails with is passed on
   * as it is.
   *
   * @throws NuGetError `INVALID_PACKAGE` when it isn't as long as it was said to be, `INVALID_OPTION` for none of these
   */
  async push(pkg: string | Uint8Array | PushedPackage, options: PushOptions = {}): Promise<void> {
    const pushed = await pushedPackage(pkg);
    const provider = await this.#selection.publisher(options);
    this.#logger.information('Pushing {File} to {Source}', pushed.name, this.name);
    await provider.push(pushed, options);
    this.#downloads.forgetMissing();
  }

  /** Deletes or unlists, as the source has it; false when it isn't there. */
  async delete(id: string, version: VersionLike, options: PushOptions = {}): Promise<boolean> {
    const identity = { id: checkPackageId(id), version: versionOf(version) };
    const provider = await this.#selection.publisher(options);
    this.#logger.information('Deleting {PackageId} {Version} from {Source}', id, identity.version, this.name);
    return provider.delete(identity, options);
  }

  /** The known vulnerabilities; undefined when the source doesn't tell any. */
  async vulnerabilities(options: CallOptions = {}): Promise<VulnerabilityIndex | undefined> {
    return (await this.provider(options)).vulnerabilities(options);
  }

  /** Ends what is under way and closes what it made; streams that were handed out can be read on. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #own<T extends AsyncDisposable>(resource: T): T {
    this.#owned.push(resource);
    return resource;
  }

  async #close(): Promise<void> {
    this.#downloads.close();
    await this.#feed.close();
    for (const resource of this.#owned) await resource[Symbol.asyncDispose]();
  }

  #fetch<T>(
    id: string,
    version: NuGetVersion | undefined,
    options: CallOptions,
    work: (call: CallOptions, provider: Provider) => Promise<T>,
  ): Promise<T> {
    checkPackageId(id);
    this.#logger.debug(
      'Fetching metadata of {PackageId} {Version} from {Source}',
      id,
      version?.toString() ?? 'all',
      this.name,
    );
    return this.#trace('FetchMetadata', { id, version }, options, async (call) =>
      work(call, await this.provider(call)),
    );
  }

  /**
   * That a version isn't in a document is believed for as long as that a document isn't there: what came since would be
   * missing for as long as documents are fresh otherwise.
   */
  async #again<T>(call: CallOptions, ask: (anew: CallOptions) => Promise<T>): Promise<T | undefined> {
    if (!this.#keepsDocuments) return undefined;
    const cacheContext = (call.cacheContext ?? this.#feed.cacheContext).forMissing(this.#notFoundTtlMs);
    return cacheContext && (await ask({ ...call, cacheContext }));
  }

  #trace<O extends CallOptions, T>(
    name: string,
    { id, version }: { readonly id: string; readonly version: NuGetVersion | undefined },
    options: O,
    work: (call: O) => Promise<T>,
  ): Promise<T> {
    if (!this.#tracer.enabled) return work(options);
    const attributes = {
      'package.id': id,
      'package.version': version?.toNormalizedString(),
      'source.url': shownUrl(this.sourceUrl),
    };
    return withSpan(this.#tracer, name, { attributes, parent: options.span }, (span) => work({ ...options, span }));
  }

  /** Feeds of protocol 2 tell it with each version, and what they told has just been fetched to find the package. */
  async #knownHash(identity: PackageIdentity, call: CallOptions): Promise<PackageHash | undefined> {
    const provider = await this.provider(call);
    if (provider.protocol !== 'v2' || call.cacheContext?.directDownload) return undefined;
    const cacheContext = call.cacheContext?.with({
      maxAgeMs: Math.max(call.cacheContext.maxAgeMs, DEFAULT_MAX_AGE_MS),
      noCache: false,
      refreshMemoryCache: false,
    });
    const { signal, span } = call;
    const asked = { signal, span, cacheContext };
    // It was asked for alone then.
    if (call.cacheContext?.effectiveMaxAgeMs === 0) return (await provider.getMetadata(identity, asked))?.packageHash;
    const all = await provider.listMetadata(identity.id, asked);
    return all.find(({ version }) => version.equals(identity.version))?.packageHash;
  }
}

/** @throws {@link NuGetError} `INVALID_VERSION` */
export function versionOf(version: VersionLike): NuGetVersion {
  // From JavaScript the newest of no versions comes here, too.
  return typeof version === 'object' && version !== null ? version : NuGetVersion.parse(version);
}

function authenticatorFrom(
  source: string,
  url: string,
  auth: Authenticator | Credentials | CredentialProvider | undefined,
): Authenticator {
  if (auth instanceof Authenticator) return auth;
  if (typeof auth === 'function') return new Authenticator({ source, url, provider: auth });
  return new Authenticator({ source, url, credentials: auth });
}

async function pushedPackage(pkg: string | Uint8Array | PushedPackage): Promise<PushedPackage> {
  if (typeof pkg === 'string') return pushedFile(pkg);
  if (pkg instanceof Uint8Array) return { name: 'package.nupkg', size: pkg.length, open: () => Readable.from([pkg]) };
  if (typeof (pkg as Partial<PushedPackage> | undefined)?.open === 'function') return pkg;
  throw new NuGetError('INVALID_OPTION', 'what is pushed is a path, bytes, or has name, size and open');
}

async function pushedFile(path: string): Promise<PushedPackage> {
  const { size } = await stat(path);
  return { name: basename(path), size, open: () => createReadStream(path) };
}

/** Whether a source has no such service, as its index or it itself says; not that it refused this one request. */
function isUnoffered(error: unknown): boolean {
  if (!isNuGetError(error) || error.code !== 'UNSUPPORTED') return false;
  const { statusCode } = error as Partial<SourceError>;
  return statusCode === undefined || statusCode === NOT_IMPLEMENTED;
}

async function orUndefinedIfUnsupported<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof NuGetError && error.code === 'UNSUPPORTED') return undefined;
    throw error;
  }
}
