import { type MemoryLayer, NamespacedLayer } from '@granary/cache';
import type { DiskFolder } from '@granary/cache/disk';
import { HttpClient, type HttpMetrics } from '@granary/http';
import {
  Authenticator,
  basicCredentials,
  bearerCredentials,
  type Credentials,
  type SourceCache,
  SourceRepository,
} from '@granary/nuget';
import {
  type Kept,
  type PackageKeeper,
  UpstreamFeed,
  upstreamHttpOptions,
  upstreamSourceOptions,
} from '@granary/nuget-proxy';
import type { Logger, MetricsCollector, Tracer } from '@granary/telemetry';
import type { NuGetSourceConfig } from '../config/nuget-schema.js';
import type { Config } from '../config/schema.js';
import { granaryVersion } from '../version.js';
import { addressesOf } from './source-addresses.js';
import { readSourceFiles, type SourceFiles } from './source-files.js';

export interface OpenSourceOptions {
  readonly config: Config['nuget'];
  readonly packages: PackageKeeper;
  /** Of all sources together. */
  readonly memory: MemoryLayer<Kept>;
  readonly disk: DiskFolder;
  /** What confirms answers that are no longer fresh. */
  readonly cache: SourceCache;
  readonly http: HttpMetrics;
  readonly collector: MetricsCollector;
  readonly logger: Logger;
  readonly tracer: Tracer;
}

/** One upstream, with what asks it. */
export interface OpenSource {
  readonly feed: UpstreamFeed;
  /** What its answers take on the disk. */
  readonly bytesOnDisk: () => number;
  /** Asks with these from now on; what is under way goes on. */
  useFiles(files: SourceFiles): void;
  /** Ends what is asked of it, and closes the feed. */
  close(): Promise<void>;
}

/**
 * Opens one source. Nothing is asked of it before somebody wants something.
 *
 * @throws ConfigError when a file that it names can't be read
 */
export async function openSource(source: NuGetSourceConfig, options: OpenSourceOptions): Promise<OpenSource> {
  const { config, logger, tracer } = options;
  const { name } = source;
  let files = await readSourceFiles(source);
  const client = httpClientOf(source, files, options);
  const auth = authenticatorOf(source, files);
  const repository = new SourceRepository({
    ...upstreamSourceOptions,
    name,
    sourceUrl: source.url,
    auth,
    httpClient: client,
    cache: options.cache,
    protocol: source.protocol === 'auto' ? undefined : source.protocol,
    downloadTimeoutMs: source.download_timeout,
    maxPackageBytes: config.max_package_size,
    logger,
    tracer,
  });
  const disk = options.disk.layer<Kept>({ name: 'nuget-disk', namespace: name, maxBytes: config.metadata_size });
  const feed = new UpstreamFeed({
    name,
    upstream: repository,
    packages: options.packages,
    layers: [new NamespacedLayer(options.memory, name), disk],
    versionsTtlMs: config.metadata_ttl,
    recordsTtlMs: config.registrations_ttl,
    searchTtlMs: config.search_ttl,
    notFoundTtlMs: config.not_found_ttl,
    staleAfterMs: config.stale_after,
    maxWaitMs: config.max_wait,
    offline: config.offline,
    deadUpstream: config.dead_upstream,
    apiKey: () => files.apiKey,
    logger,
    metrics: options.collector,
    tracer,
  });
  return {
    feed,
    bytesOnDisk: () => disk.stats().bytes,
    useFiles(newFiles) {
      const before = files;
      files = newFiles;
      auth.replace(credentialsOf(source, newFiles));
      if (!isSameTls(before.tls, newFiles.tls)) client.useTls(newFiles.tls ?? {});
    },
    async close() {
      // What is on its way would be waited for otherwise.
      await client.close({ graceMs: 0 });
      await feed.close();
      await repository.close();
    },
  };
}

/** Connections are dear: those that are good are kept. */
function isSameTls(a: SourceFiles['tls'], b: SourceFiles['tls']): boolean {
  return a?.ca === b?.ca && a?.cert === b?.cert && a?.key === b?.key;
}

function httpClientOf(source: NuGetSourceConfig, files: SourceFiles, options: OpenSourceOptions): HttpClient {
  const { logger, tracer, http } = options;
  const { name, rest, first_rest: firstRest, rate_limit: rateLimit } = source;
  const { retries, failures } = source;
  const patience = upstreamHttpOptions({ retries, failures, restMs: rest, firstRestMs: firstRest });
  return new HttpClient({
    ...patience,
    // Some servers lead clients of NuGet from their first page to their feed, and know them by this word.
    userAgent: `granary-nuget/${granaryVersion()}`,
    timeoutMs: source.timeout,
    connectTimeoutMs: source.connect_timeout,
    // Else who waits would give up before it counts as a failure.
    headersTimeoutMs: Math.min(source.attempt_timeout, 0.45 * options.config.max_wait),
    bodyTimeoutMs: source.idle_timeout,
    maxConnectionsPerHost: source.connections,
    // Whoever waits for a connection waits here, where an open circuit is still noticed.
    throttle: { max: source.connections },
    circuitBreaker: {
      ...patience.circuitBreaker,
      onStateChange({ name: host, from, to }) {
        if (to === 'open' && from === 'closed')
          logger.warning(
            'The source {Source} fails at {Host} and is left alone for up to {RestMs} ms',
            name,
            host,
            rest,
          );
        if (to === 'closed') logger.information('The source {Source} works again at {Host}', name, host);
      },
    },
    rateLimiter: rateLimit > 0 && { capacity: rateLimit, refillRate: rateLimit },
    tls: files.tls ?? {},
    allowsAddress: addressesOf(source.url),
    metrics: http,
    logger,
    tracer,
  });
}

/** Credentials go to the origin of the source's own URL, and to no other. */
function authenticatorOf(source: NuGetSourceConfig, files: SourceFiles): Authenticator {
  return new Authenticator({
    source: source.name,
    url: source.url,
    credentials: credentialsOf(source, files),
    // Whoever rotates secrets writes the new one into the file.
    provider: async () => credentialsOf(source, await readSourceFiles(source)),
    // A file that says the same as before costs the source nothing, and may say something new at any moment.
    refusedForMs: 0,
  });
}

function credentialsOf(
  { auth: { username } }: NuGetSourceConfig,
  { password, token }: SourceFiles,
): Credentials | undefined {
  if (username !== undefined && password !== undefined) return basicCredentials(username, password);
  return token === undefined ? undefined : bearerCredentials(token);
}
