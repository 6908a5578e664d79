import { join } from 'node:path';
import type { ActionResultStore, BlobStore } from '@granary/blobs';
import { MemoryLayer } from '@granary/cache';
import { DiskFolder } from '@granary/cache/disk';
import { makeFolder } from '@granary/cache/folders';
import { type HttpMetrics, registryHttpMetrics } from '@granary/http';
import { PackageSourceMapping, registryNuGetMetrics, SourceCache } from '@granary/nuget';
import {
  createNuGetHandler,
  type FeedContent,
  type FeedHooks,
  HostedFeed,
  type Kept,
  type KeptPackages,
  MergedFeed,
  type NuGetHandler,
  PackageStore,
} from '@granary/nuget-proxy';
import { type Logger, type MetricRegistry, PrometheusCollector, type Tracer } from '@granary/telemetry';
import type { Config } from '../config/schema.js';
import { Closers } from '../server/closers.js';
import { MeasuredFeed } from './measured-feed.js';
import type { NuGetMetrics, SourceCounters } from './nuget-metrics.js';
import { NUGET_PREFIX } from './nuget-path.js';
import { describeSource, type FeedStats } from './nuget-stats.js';
import { type OpenSource, type OpenSourceOptions, openSource } from './open-source.js';
import type { SourceFiles } from './source-files.js';

export interface NuGetServiceOptions {
  readonly config: Config['nuget'];
  /** A folder of the feeds' own; made when it isn't there. */
  readonly directory: string;
  /** For packages under way; there, and cleared when the server starts. */
  readonly incomingDirectory: string;
  /** Bytes that stay free on the disk. */
  readonly minFreeBytes: number;
  /** Has others evicted for so many bytes on the disk. */
  readonly makeRoom: (bytes: number) => Promise<void>;
  readonly blobs: BlobStore;
  readonly actionResults: ActionResultStore;
  /** Stays the caller's to close. */
  readonly kept: KeptPackages;
  readonly hooks: FeedHooks;
  /** Whether an API key is for this server alone. */
  readonly isOwnKey: (apiKey: string) => boolean;
  readonly metrics: NuGetMetrics;
  readonly collectors: FeedCollectors;
  readonly logger: Logger;
  readonly tracer: Tracer;
}

/** What counts what the parts of feeds do. */
export interface FeedCollectors {
  readonly http: HttpMetrics;
  readonly nuget: ReturnType<typeof registryNuGetMetrics>;
  readonly chain: PrometheusCollector;
}

/** One for each registry, which knows a metric only once. */
export function feedCollectors(registry: MetricRegistry): FeedCollectors {
  return {
    http: registryHttpMetrics(registry),
    nuget: registryNuGetMetrics(registry),
    chain: new PrometheusCollector(registry),
  };
}

/** The feeds of a server. */
export interface NuGetService {
  readonly handle: NuGetHandler;
  stats(): FeedStats;
  /** Asks the sources with these from now on. @param files of each source, in the order of the configuration */
  useFiles(files: readonly SourceFiles[]): void;
  /** Ends what arrives, and closes everything. */
  close(): Promise<void>;
}

/** Memory for what sources answered as they said it, to ask whether it is still so. */
const DOCUMENT_BYTES = 32 * 1024 * 1024;
/** Part of a source's requests at once that may be packages. */
const PACKAGE_SHARE = 0.75;
/** For packages that are pushed here, which nobody waits for. */
const DEFAULT_IDLE_MS = 30_000;
/** Sources that the folder may ever have had. */
const MAX_SOURCES = 1000;

/**
 * Opens the feeds. Nothing is asked of their sources.
 *
 * @throws ConfigError when a file that a source names can't be read
 * @throws LayerUnavailableError when the folder can't be used
 */
export async function openNuGet(options: NuGetServiceOptions): Promise<NuGetService> {
  const closers = new Closers();
  try {
    return await assemble(options, closers);
  } catch (error) {
    await closers.close().catch(() => {});
    throw error;
  }
}

async function assemble(options: NuGetServiceOptions, closers: Closers): Promise<NuGetService> {
  const { config, metrics, logger, kept } = options;
  await makeFolder(options.directory);
  const shared = await openShared(options, closers);
  const { packages } = shared;
  const sources = await openSources(options, shared, closers);
  const hosted = config.hosted ? await openHosted(options, packages) : undefined;
  if (hosted) closers.add(() => hosted.close());
  const feeds: FeedContent[] = sources.map(({ feed }) => feed);
  if (hosted) feeds.splice(config.hosted_priority === 'first' ? 0 : feeds.length, 0, hosted);

  metrics.show({
    sources: () => sources.map(({ open: { feed } }) => [feed.name, feed.status().state] as const),
    get arriving() {
      return packages.arriving;
    },
    get kept() {
      return kept.stats;
    },
  });
  closers.add(async () => metrics.show(undefined));
  const stopped = options.collectors.nuget.cacheStarted?.({ bytes: () => bytesOf(shared, sources) });
  closers.add(async () => stopped?.());
  const handle = handlerOf(options, feeds, sources, hosted);
  logger.information('NuGet feeds are open: {Sources}', feeds.map(({ name }) => name).join(', '));
  return {
    handle,
    stats: () => ({
      sources: sources.map(({ open, counters }) => describeSource(open.feed.name, counters, open.feed.status())),
      hosted: hosted && { name: hosted.name, ...hosted.stats },
      kept: kept.stats,
    }),
    useFiles(files) {
      for (const [i, { open }] of sources.entries()) {
        const those = files[i];
        if (those !== undefined) open.useFiles(those);
      }
    },
    close: () => closers.close(),
  };
}

/** What all sources use. */
interface Shared extends Pick<OpenSourceOptions, 'memory' | 'disk' | 'cache'> {
  readonly packages: PackageStore;
}

async function openShared(options: NuGetServiceOptions, closers: Closers): Promise<Shared> {
  const { config, logger, tracer } = options;
  const answers = { directory: join(options.directory, 'answers'), maxNamespaces: MAX_SOURCES };
  // Who asked has the answer by then.
  const disk = await DiskFolder.open({ ...answers, gatherMs: 20 });
  closers.add(() => disk.close());
  const memory = new MemoryLayer<Kept>({ name: 'nuget-memory', maxBytes: config.metadata_memory });
  closers.add(async () => memory.close());
  const cache = new SourceCache({ memoryBytes: DOCUMENT_BYTES, logger });
  closers.add(() => cache.close());
  const packages = new PackageStore({
    blobs: options.blobs,
    actionResults: options.actionResults,
    incomingDirectory: options.incomingDirectory,
    kept: options.kept,
    maxArrivals: (source) => maxArrivalsOf(config, source),
    idleTimeoutMs: (source) => sourceNamed(config, source)?.idle_timeout ?? DEFAULT_IDLE_MS,
    maxPackageBytes: config.max_package_size,
    minFreeBytes: options.minFreeBytes,
    makeRoom: options.makeRoom,
    metrics: options.collectors.nuget,
    logger,
    tracer,
  });
  closers.add(() => packages.close());
  return { packages, memory, disk, cache };
}

interface Source {
  readonly open: OpenSource;
  readonly counters: SourceCounters;
  readonly feed: MeasuredFeed;
}

async function openSources(
  { config, collectors, metrics, isOwnKey, logger, tracer }: NuGetServiceOptions,
  shared: Shared,
  closers: Closers,
): Promise<readonly Source[]> {
  const sources: Source[] = [];
  for (const source of config.sources) {
    const { http, chain: collector } = collectors;
    const open = await openSource(source, { ...shared, config, http, collector, logger, tracer });
    closers.add(() => open.close());
    const counters = metrics.forSource(source.name);
    const takesPackages = source.push || source.name === config.push_to;
    const measured = { takesPackages, isOwnKey, caches: collectors.nuget };
    sources.push({ open, counters, feed: new MeasuredFeed(open.feed, counters, measured) });
  }
  return sources;
}

/** What the answers of all sources take, by where they are. */
function bytesOf({ memory, cache }: Shared, sources: readonly Source[]): Map<string, number> {
  const bytes = cache.bytes();
  bytes.set('memory', (bytes.get('memory') ?? 0) + (memory.stats().bytes ?? 0));
  bytes.set(
    'disk',
    sources.reduce((sum, { open }) => sum + open.bytesOnDisk(), 0),
  );
  return bytes;
}

/** @param feeds the preferred one first */
function handlerOf(
  { config, incomingDirectory, makeRoom, hooks, logger, tracer }: NuGetServiceOptions,
  feeds: readonly FeedContent[],
  sources: readonly Source[],
  hosted: HostedFeed | undefined,
): NuGetHandler {
  const takers = new Set(sources.filter(({ feed }) => feed.takesPackages).map(({ feed }) => feed.name));
  const pushTo = config.push_to ?? hosted?.name ?? [...takers][0];
  if (hosted) takers.add(hosted.name);
  const all = new MergedFeed({
    sources: feeds,
    mapping: mappingOf(config),
    pushTo: feeds.find(({ name }) => name === pushTo),
  });
  return createNuGetHandler({
    feeds: { all, bySource: new Map(feeds.map((feed) => [feed.name, feed])) },
    publicUrl: config.public_url,
    prefix: NUGET_PREFIX,
    upstreamHosts: new Set(config.sources.map(({ url }) => new URL(url).host)),
    offers: ({ name }) => ({
      canPublish: takers.has(name === all.name ? (pushTo ?? '') : name),
      hasVulnerabilities: sources.length > 0 && name !== hosted?.name,
    }),
    limits: { maxPackageBytes: config.max_package_size, maxIncomingBytes: config.max_incoming_size },
    incomingDirectory,
    makeRoom,
    hooks,
    logger,
    tracer,
  });
}

/** Large packages leave a part of the requests that may run at once to metadata, which restores wait for first. */
function maxArrivalsOf(config: Config['nuget'], name: string): number {
  const connections = sourceNamed(config, name)?.connections ?? 1;
  return Math.max(1, Math.floor(connections * PACKAGE_SHARE));
}

function sourceNamed({ sources }: Config['nuget'], name: string): Config['nuget']['sources'][number] | undefined {
  return sources.find((source) => source.name === name);
}

function openHosted({ config, directory, logger }: NuGetServiceOptions, store: PackageStore): Promise<HostedFeed> {
  return HostedFeed.open({ directory: join(directory, 'hosted'), store, name: config.hosted_name, logger });
}

/** Where some feeds say what may come from them, the others have the rest. */
function mappingOf(config: Config['nuget']): PackageSourceMapping {
  const { hosted, hosted_name: name, hosted_patterns: patterns } = config;
  const feeds = hosted ? [{ name, patterns }, ...config.sources] : config.sources;
  if (feeds.every((feed) => feed.patterns.length === 0)) return new PackageSourceMapping();
  return new PackageSourceMapping(
    feeds.map((feed) => [feed.name, feed.patterns.length > 0 ? feed.patterns : ['*']] as const),
  );
}
