import { steadyClock } from '@granary/resilience';
import type { Logger } from '@granary/telemetry';
import { SourceError } from '../../errors.js';
import { DEFAULT_MAX_AGE_MS, type SourceCacheContext } from '../../source/source-cache-context.js';
import type { NuGetVersion } from '../../versions/nuget-version.js';
import type { CallOptions, Feed } from '../feed.js';
import { ServiceIndex, type ServiceResource } from './service-index.js';

/** One or more URLs, best first. */
export type Endpoints = readonly [string, ...string[]];

const MAX_INDEX_BYTES = 4 * 1024 * 1024;

/** A feed and what it offers: what each resource is asked through. */
export class V3Source {
  readonly feed: Feed;
  readonly logger: Logger;
  readonly clientVersion: NuGetVersion;
  readonly #contexts = new WeakMap<SourceCacheContext, SourceCacheContext>();
  /** What was asked for past the caches: once for all of the work that a context is for. */
  readonly #asked = new WeakMap<SourceCacheContext, AskedIndex>();

  constructor(feed: Feed, clientVersion: NuGetVersion, logger: Logger) {
    this.feed = feed;
    this.clientVersion = clientVersion;
    this.logger = logger;
  }

  /**
   * What the source offers. It changes hardly ever, so it may come from a cache even where what it leads to is to be asked
   * for. Past the caches it is asked for once for each context.
   *
   * @throws SourceError `PROTOCOL` when the source's URL leads to no service index
   */
  async index(options: CallOptions = {}): Promise<ServiceIndex> {
    const { feed } = this;
    const asked = this.#askedFor(options.cacheContext);
    if (asked !== undefined) return asked;
    const index = await feed.document(feed.url, {
      ...options,
      cacheContext: this.#indexContext(options.cacheContext),
      cacheKey: 'service_index',
      outlivesChanges: true,
      maxBytes: MAX_INDEX_BYTES,
      parse: (body, url) => ServiceIndex.parse(body, feed.name, url),
    });
    if (index !== undefined) return this.#keep(index, options.cacheContext);
    throw this.error('PROTOCOL', 'there is no service index at the URL of the source', 404);
  }

  /** Where the source offers a resource, best first; undefined when it doesn't. */
  offered(index: ServiceIndex, resource: ServiceResource): Endpoints | undefined {
    const [first, ...others] = index.endpoints(resource, this.clientVersion).map(({ url }) => url);
    return first === undefined ? undefined : [first, ...others];
  }

  /** @throws SourceError `UNSUPPORTED` when the source doesn't offer it */
  endpoints(index: ServiceIndex, resource: ServiceResource): Endpoints {
    const endpoints = this.offered(index, resource);
    if (endpoints !== undefined) return endpoints;
    throw this.error('UNSUPPORTED', `it doesn't offer ${NAMES[resource]}`);
  }

  error(code: SourceError['code'], message: string, statusCode?: number, cause?: unknown): SourceError {
    return new SourceError(code, this.feed.name, message, { statusCode, cause });
  }

  #indexContext(context: SourceCacheContext | undefined): SourceCacheContext | undefined {
    if (context === undefined) return undefined;
    let changed = this.#contexts.get(context);
    if (changed === undefined) {
      const maxAgeMs = Math.max(context.maxAgeMs, DEFAULT_MAX_AGE_MS);
      changed = context.with({ maxAgeMs, refreshMemoryCache: false });
      this.#contexts.set(context, changed);
    }
    return changed;
  }

  #askedFor(context: SourceCacheContext | undefined): ServiceIndex | undefined {
    const asked = context && this.#asked.get(context);
    return asked !== undefined && steadyClock() - asked.at < DEFAULT_MAX_AGE_MS ? asked.index : undefined;
  }

  #keep(index: ServiceIndex, context: SourceCacheContext | undefined): ServiceIndex {
    if (context?.noCache || context?.directDownload) this.#asked.set(context, { index, at: steadyClock() });
    return index;
  }
}

interface AskedIndex {
  readonly index: ServiceIndex;
  /** By the steady clock. */
  readonly at: number;
}

const NAMES: Readonly<Record<ServiceResource, string>> = {
  registration: 'metadata of packages (RegistrationsBaseUrl)',
  flatContainer: 'the content of packages (PackageBaseAddress)',
  search: 'search (SearchQueryService)',
  searchByPackageType: 'search by package type (SearchQueryService/3.5.0)',
  autocomplete: 'completion of ids (SearchAutocompleteService)',
  publish: 'to take packages (PackagePublish)',
  symbolPublish: 'to take symbol packages (SymbolPackagePublish)',
  vulnerabilities: 'known vulnerabilities (VulnerabilityInfo)',
  repositorySignatures: 'signatures (RepositorySignatures)',
  reportAbuse: 'a page to report abuse (ReportAbuseUriTemplate)',
  packageDetails: 'pages about packages (PackageDetailsUriTemplate)',
  ownerDetails: 'pages about owners (OwnerDetailsUriTemplate)',
  readme: 'readmes (ReadmeUriTemplate)',
  legacyGallery: 'protocol 2 (LegacyGallery)',
  catalog: 'a catalog (Catalog)',
};
