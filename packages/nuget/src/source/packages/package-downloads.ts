import { Flight, quietly, type Timers } from '@granary/resilience';
import type { Logger } from '@granary/telemetry';
import { NuGetError, SourceError } from '../../errors.js';
import type { HttpCache } from '../../http-cache/http-cache.js';
import type { NuGetMetrics } from '../../metrics.js';
import { lowerId, type PackageIdentity } from '../../package-identity.js';
import type { CallOptions, PackageStream } from '../../protocol/feed.js';
import { retryBody } from '../body-retries.js';
import { RecentKeys } from '../recent-keys.js';
import type { SourceCacheContext } from '../source-cache-context.js';
import { CachedPackages } from './cached-packages.js';
import { type OpenPackage, PackageDownload } from './package-download.js';
import type { PackageHash } from './package-hash.js';
import { PackageReceiver } from './package-receiver.js';

/** What goes with a download. */
export interface DownloadOptions extends CallOptions {
  /** The hash that the package must have. Default: the one that the source tells, where it costs nothing to ask. */
  readonly hash?: PackageHash | undefined;
}

export interface PackageDownloadsOptions {
  readonly source: string;
  readonly sourceUrl: string;
  /** Asks the source. */
  readonly open: (identity: PackageIdentity, options: CallOptions) => Promise<PackageStream | undefined>;
  /** The hash that the source has told without being asked again. */
  readonly knownHash: (identity: PackageIdentity, options: CallOptions) => Promise<PackageHash | undefined>;
  /** What downloads go by that bring none. */
  readonly cacheContext: SourceCacheContext;
  readonly disk: HttpCache | undefined;
  readonly maxPackageBytes: number;
  readonly notFoundTtlMs: number;
  readonly metrics: NuGetMetrics;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly timers?: Timers | undefined;
}

interface Shared {
  readonly flight: Flight<OpenPackage | undefined>;
  /** Callers who wait for it. */
  waiting: number;
  opened: OpenPackage | undefined;
}

/** What a download knows of itself on its way. */
interface Wanted extends DownloadOptions {
  readonly key: string;
  readonly cacheContext: SourceCacheContext;
}

const MAX_MISSING = 10_000;

/**
 * Packages of one source: from disk, as often as they are there and whole, or from the source. Either way a package is
 * given out only when all of it is there and it is the right one. All who want the same one at once share one download.
 */
export class PackageDownloads {
  readonly #options: PackageDownloadsOptions;
  readonly #cached: CachedPackages | undefined;
  readonly #receiver: PackageReceiver;
  readonly #shared = new Map<string, Shared>();
  readonly #missing: RecentKeys;
  #direct = 0;
  /** How often something was pushed. What is under way from before may know nothing of it. */
  #pushes = 0;
  #closed = false;

  constructor(options: PackageDownloadsOptions) {
    const { disk } = options;
    this.#options = options;
    this.#cached = disk && new CachedPackages({ ...options, disk });
    this.#receiver = new PackageReceiver(options);
    this.#missing = new RecentKeys(MAX_MISSING, options.clock);
  }

  /** The package; undefined when the source hasn't got it. */
  async download(identity: PackageIdentity, options: DownloadOptions): Promise<PackageDownload | undefined> {
    options.signal?.throwIfAborted();
    if (this.#closed) throw new SourceError('CLOSED', this.#options.source, 'it is closed');
    const cacheContext = options.cacheContext ?? this.#options.cacheContext;
    const key = keyOf(identity);
    if (cacheContext.effectiveMaxAgeMs > 0 && this.#missing.has(key)) {
      this.#count(true);
      return undefined;
    }
    const opened = await this.#timed(options, () =>
      this.#share(this.#shareKey(key, cacheContext, options), options.signal, (signal) =>
        this.#get(identity, { ...options, key, cacheContext, signal }),
      ),
    );
    this.#count(opened?.init.fromCache === true);
    return opened && new PackageDownload(opened);
  }

  /** Something was pushed: what was missing may be there. */
  forgetMissing(): void {
    this.#missing.clear();
    this.#pushes++;
  }

  /** Whether the package is in the cache, whole or not. */
  async isCached(identity: PackageIdentity): Promise<boolean> {
    return (await this.#cached?.has(keyOf(identity))) ?? false;
  }

  /** Ends the downloads under way. */
  close(): void {
    this.#closed = true;
    const closed = new NuGetError('CLOSED', `${this.#options.source} is closed`);
    for (const { flight } of this.#shared.values()) {
      flight.stop(closed);
      flight.fail(closed);
    }
  }

  /** Whose download it is: one past the caches comes for its caller only. */
  #shareKey(key: string, { directDownload, noCache }: SourceCacheContext, { hash }: DownloadOptions): string {
    if (directDownload) return `direct ${++this.#direct}`;
    return `${this.#pushes} ${noCache ? 'new' : 'any'} ${hash === undefined ? '' : `${hash.algorithm} ${hash.value} `}${key}`;
  }

  async #share(
    shareKey: string,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<OpenPackage | undefined>,
  ): Promise<OpenPackage | undefined> {
    let shared = this.#shared.get(shareKey);
    if (shared === undefined || shared.flight.isStopped) {
      shared = { flight: new Flight(), waiting: 0, opened: undefined };
      this.#shared.set(shareKey, shared);
      void this.#run(shared, shareKey, work);
    }
    shared.waiting++;
    try {
      return await shared.flight.join(signal);
    } catch (error) {
      if (shared.opened === undefined) shared.waiting--;
      else await shared.opened.release();
      throw error;
    }
  }

  async #run(
    shared: Shared,
    shareKey: string,
    work: (signal: AbortSignal) => Promise<OpenPackage | undefined>,
  ): Promise<void> {
    const { flight } = shared;
    // Who comes after the answer is none of the users that are counted below.
    const over = () => {
      if (this.#shared.get(shareKey) === shared) this.#shared.delete(shareKey);
    };
    try {
      const opened = await work(flight.signal);
      over();
      shared.opened = opened;
      opened?.retain(shared.waiting);
      flight.answer(opened);
      await opened?.release();
    } catch (error) {
      over();
      flight.fail(error);
    }
  }

  async #get(identity: PackageIdentity, wanted: Wanted): Promise<OpenPackage | undefined> {
    const { noCache, directDownload, refreshMemoryCache } = wanted.cacheContext;
    if (this.#cached !== undefined && !noCache && !directDownload) {
      const cached = await this.#cached.find(identity, wanted.key, { ...wanted, checkAgain: refreshMemoryCache });
      if (cached !== undefined) return cached;
    }
    return this.#fetch(identity, wanted);
  }

  async #fetch(identity: PackageIdentity, wanted: Wanted): Promise<OpenPackage | undefined> {
    const { logger, source, clock, notFoundTtlMs } = this.#options;
    const { id, version } = identity;
    logger.information('Downloading {PackageId} {Version} from {Source}', id, version, source);
    const start = clock();
    const pushes = this.#pushes;
    try {
      const opened = await this.#receive(identity, wanted);
      if (opened === undefined) {
        if (pushes === this.#pushes) this.#missing.add(wanted.key, notFoundTtlMs);
        logger.debug('{PackageId} {Version} is not in {Source}', id, version, source);
        return undefined;
      }
      const message = 'Downloaded {PackageId} {Version} from {Source}: {Bytes} bytes in {Elapsed} ms';
      logger.information(message, id, version, source, opened.init.size, clock() - start);
      return opened;
    } catch (error) {
      if (wanted.signal?.aborted !== true)
        logger.error('Could not download {PackageId} {Version} from {Source}', id, version, source, error);
      throw error;
    }
  }

  /** Asks the source, again when the package broke off or is not whole. */
  #receive(identity: PackageIdentity, wanted: Wanted): Promise<OpenPackage | undefined> {
    const { logger, source, timers, open } = this.#options;
    const { key, signal, cacheContext } = wanted;
    const disk = cacheContext.directDownload ? undefined : this.#options.disk;
    let asked = wanted;
    const attempt = async (bodyBegins: () => void) => {
      const stream = await open(identity, asked);
      if (stream === undefined) return undefined;
      bodyBegins();
      const hash = wanted.hash ?? (await this.#knownHash(identity, asked)) ?? stream.hash;
      return this.#receiver.receive(identity, stream, { disk, key, hash, signal });
    };
    return retryBody(attempt, {
      signal,
      timers,
      onRetry: (error) => {
        const { id, version } = identity;
        logger.warning('Asking {Source} for {PackageId} {Version} again', source, id, version, error);
        // What is cached of the package may be what is wrong: where it lies, or its hash.
        asked = { ...wanted, cacheContext: cacheContext.with({ maxAgeMs: 0 }) };
      },
    });
  }

  /** A package is whole without a hash, too. */
  async #knownHash(identity: PackageIdentity, wanted: Wanted): Promise<PackageHash | undefined> {
    const { knownHash, logger, source } = this.#options;
    try {
      return await knownHash(identity, wanted);
    } catch (error) {
      logger.debug('{Source} tells no hash of {PackageId} {Version}', source, identity.id, identity.version, error);
      return undefined;
    }
  }

  /** Tells how a download ended and how long its caller waited for it, wherever it came from. */
  async #timed(
    { signal, span }: DownloadOptions,
    work: () => Promise<OpenPackage | undefined>,
  ): Promise<OpenPackage | undefined> {
    const { metrics, clock } = this.#options;
    const start = clock();
    const finished = (status: 'success' | 'failure') =>
      quietly(() => metrics.packageDownloaded?.(status, clock() - start, span?.recording ? span : undefined));
    try {
      const opened = await work();
      if (opened !== undefined) finished('success');
      return opened;
    } catch (error) {
      if (signal?.aborted !== true) finished('failure');
      throw error;
    }
  }

  #count(hit: boolean): void {
    const { metrics } = this.#options;
    quietly(() => (hit ? metrics.cacheHit?.('package') : metrics.cacheMiss?.('package')));
  }
}

/** As NuGet.Client names it. */
function keyOf({ id, version }: PackageIdentity): string {
  return `nupkg_${lowerId(id)}.${version.toNormalizedString()}`;
}
