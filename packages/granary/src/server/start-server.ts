import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import {
  DiskBlobStore,
  EntryPins,
  WRITE_BEHIND_FOLDER,
  withRecorder,
  withSizeLimit,
  withTracing,
} from '@granary/blobs';
import {
  createHttpCacheHandler,
  createRemoteCache,
  type EdgeHooks,
  type RemoteCache,
  type RequestRecord,
} from '@granary/reapi';
import {
  type LevelControl,
  type Logger,
  MetricRegistry,
  noopTracer,
  nullLogger,
  type Tracer,
} from '@granary/telemetry';
import { Server as GrpcServer } from '@grpc/grpc-js';
import { verify as verifyBcrypt } from '@node-rs/bcrypt';
import { anonymousLevel, exposureWarnings } from '../access/exposure.js';
import { loadIdentities } from '../access/load-identities.js';
import { AccessPolicy } from '../access/policy.js';
import { SecretHash } from '../access/secret-hash.js';
import { createAdminHandler } from '../admin/admin-handler.js';
import { logLevelRoute } from '../admin/log-level.js';
import { Profiling } from '../admin/profiling.js';
import { formatAddress } from '../config/address.js';
import { hasCredentials } from '../config/rules.js';
import type { Config } from '../config/schema.js';
import { defaultStorageDirectory } from '../config/storage-directory.js';
import { tiersOf } from '../config/tier-schema.js';
import { grpcConnections, httpConnections } from '../metrics/connection-metrics.js';
import { RequestMetrics } from '../metrics/request-metrics.js';
import { addStoreGauges, StoreMetrics } from '../metrics/store-metrics.js';
import { feedHooks } from '../nuget/feed-hooks.js';
import { hostingWarnings } from '../nuget/hosting-warnings.js';
import { LazyKeptPackages } from '../nuget/kept-packages.js';
import { LazyNuGet } from '../nuget/lazy-nuget.js';
import { NuGetMetrics } from '../nuget/nuget-metrics.js';
import { isNuGetPath } from '../nuget/nuget-path.js';
import { readAllSourceFiles } from '../nuget/source-files.js';
import { checkTier, openTiers, openWriteBehind } from '../tiers/open-tiers.js';
import { loadTls } from '../tls/tls-material.js';
import { granaryVersion } from '../version.js';
import { Closers } from './closers.js';
import { listenGrpc } from './grpc-listener.js';
import { listenHttp } from './http-listener.js';
import type { Listener, ListenerOptions } from './listener.js';
import { Readiness } from './readiness.js';
import { readyMessage } from './ready-message.js';
import { type RunningServer, ServerLifecycle } from './running-server.js';
import type { ServerStats } from './stats.js';
import { refusesUserinfo } from './userinfo/userinfo-connection.js';

/** What a server takes from the program around it. */
export interface ServerDependencies {
  /** Default: logs nothing. */
  readonly logger?: Logger;
  /** Default: one of its own, without the metrics of the process. */
  readonly metrics?: MetricRegistry;
  /** Whoever made it shuts it down when the server has stopped. Default: nothing is traced. */
  readonly tracer?: Tracer;
  /** Shown and changed under `/log-level` of the admin port; whoever made it closes it. Default: there is none. */
  readonly logLevel?: LevelControl;
}

/** gRPC pings a silent client after this time and gives it that long to answer, so that dead ones don't stay. */
const KEEPALIVE_MS = 2 * 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;

/** What the feeds have beside the store, in its folder. */
const NUGET_FOLDER = 'nuget';

/**
 * Starts everything that the configuration asks for: the store first, the listeners last. When a part fails, those that
 * were started are closed again.
 *
 * @throws ConfigError when a file that the configuration names is wrong
 * @throws StoreLockedError when another server has the store's folder
 * @throws ListenError when a port can't be listened on
 */
export async function startServer(config: Config, dependencies: ServerDependencies = {}): Promise<RunningServer> {
  const closers = new Closers();
  try {
    return await assemble(
      config,
      dependencies.logger ?? nullLogger,
      dependencies.metrics ?? new MetricRegistry(),
      dependencies.tracer ?? noopTracer,
      closers,
      dependencies.logLevel,
    );
  } catch (error) {
    await closers.close().catch(() => {});
    throw error;
  }
}

async function assemble(
  config: Config,
  logger: Logger,
  registry: MetricRegistry,
  tracer: Tracer,
  closers: Closers,
  logLevel: LevelControl | undefined,
): Promise<RunningServer> {
  const hash = new SecretHash();
  const [tls, identities] = await Promise.all([loadTls(config.tls), loadIdentities(config.auth, hash)]);
  const servesFeeds = config.nuget.enabled && config.listen.http !== undefined;
  // Read again when the feeds are opened; what is wrong is to be known before.
  if (servesFeeds) await readAllSourceFiles(config.nuget.sources);

  const storeMetrics = new StoreMetrics(registry, 'disk');
  const directory = resolve(config.storage.dir ?? defaultStorageDirectory());
  const tierConfigs = tiersOf(config);
  const tierLogger = logger.forContext('component', 'tiers');
  const pins = new EntryPins();
  const queue = tierConfigs.some(({ mode }) => mode === 'write-behind')
    ? await openWriteBehind(join(directory, WRITE_BEHIND_FOLDER), config, pins, registry, tierLogger)
    : undefined;
  if (queue) closers.add(() => queue.close());
  const nugetDirectory = join(directory, NUGET_FOLDER);
  const nugetLogger = logger.forContext('component', 'nuget');
  const kept = await LazyKeptPackages.start(config.nuget, nugetDirectory, pins, nugetLogger);
  closers.add(() => kept.close());
  const store = await DiskBlobStore.open({
    directory,
    maxBytes: config.storage.max_size,
    minFreeBytes: config.storage.min_free,
    minAgeMs: config.storage.min_age,
    durability: config.storage.durability,
    pins,
    logger: logger.forContext('component', 'store'),
    tracer,
    onEvicted: (eviction) => storeMetrics.recordEviction(eviction),
  });
  closers.add(() => store.close());
  addStoreGauges(registry, () => store.stats());
  const readiness = new Readiness({
    checkStore: () => store.checkWritable(),
    requireUpstream: config.readiness.require_upstream,
    metrics: registry,
    logger: logger.forContext('component', 'health'),
    draining: () => lifecycle.state !== 'serving',
  });
  closers.add(() => readiness.close());
  const profiling = new Profiling(config.telemetry.profiling, logger.forContext('component', 'admin'));
  closers.add(() => profiling.close());

  const refusals = registry.counter('auth_refusals_total', 'Requests that were refused for who sent them.', ['reason']);
  const policy = new AccessPolicy({
    identities,
    hash,
    verifyPassword: verifyBcrypt,
    hasCredentials: hasCredentials(config),
    anonymous: anonymousLevel(config),
    rights: config.auth.rights,
    defaultRight: config.auth.default_right,
    maxFailures: config.auth.max_failures,
    onRefused: (reason) => refusals.with(reason.toLowerCase()).add(),
  });

  const tiered =
    tierConfigs.length > 0
      ? await openTiers({
          tiers: tierConfigs,
          local: withRecorder(store, storeMetrics),
          actionResults: store.actionResults,
          sizes: store,
          settings: config.tiering,
          walk: { maxDirectories: config.limits.max_tree_directories, maxDirectoryBytes: config.limits.max_tree_size },
          queue,
          metrics: registry,
          tracer,
          logger: tierLogger,
        })
      : undefined;
  if (tiered) closers.add(() => tiered.close());
  for (const tier of tiered?.tiers ?? []) readiness.addUpstream(tier.name, (signal) => checkTier(tier, signal));
  const serverId = tiered && randomUUID();
  const blobs = tiered?.blobs ?? withRecorder(store, storeMetrics);

  const requestMetrics = new RequestMetrics(registry);
  const hooks = edgeHooks(policy, requestMetrics, logger);
  const cache = createRemoteCache({
    blobs: withTracing(withSizeLimit(blobs, config.limits.max_blob_size), tracer),
    actionResults: tiered?.actionResults ?? store.actionResults,
    serverId,
    digestFunctions: config.cas.digest_functions,
    limits: cacheLimits(config),
    ac: { readOnly: config.ac.read_only, completenessCheck: config.ac.completeness_check },
    hooks,
    logger: logger.forContext('component', 'grpc'),
    tracer,
  });
  cache.health.follow(readiness.registry);

  const listeners: Listener[] = [];
  const started = (listener: Listener) => {
    listeners.push(listener);
    closers.add(async () => listener.destroy());
  };
  const optionsFor = (key: string, address: ListenerOptions['address']): ListenerOptions => ({
    key,
    address,
    tls,
    clientAuth: config.tls.client_auth,
    maxConnections: config.limits.max_connections,
    handshakeTimeoutMs: config.limits.header_timeout || 30_000,
  });
  const httpOptionsFor = (key: string, address: ListenerOptions['address']) => ({
    ...optionsFor(key, address),
    maxHeaderBytes: config.limits.max_header_size,
    headersTimeoutMs: config.limits.header_timeout,
    requestTimeoutMs: config.limits.request_timeout,
    idleTimeoutMs: config.limits.idle_timeout,
  });

  const nugetMetrics = servesFeeds ? new NuGetMetrics(registry) : undefined;
  const nuget =
    nugetMetrics &&
    new LazyNuGet(async () => {
      const { openNuGet } = await import('../nuget/nuget-service.js');
      return openNuGet({
        config: config.nuget,
        directory: nugetDirectory,
        incomingDirectory: store.incomingDirectory,
        minFreeBytes: config.storage.min_free,
        // Not the tiers: who may write to those could pass off packages. A feed of another server is a source.
        blobs: withTracing(withRecorder(store, storeMetrics), tracer),
        actionResults: store.actionResults,
        kept: await kept.packages(),
        hooks: feedHooks(policy, requestMetrics, logger),
        isOwnKey: (apiKey) => policy.isToken(apiKey),
        metrics: nugetMetrics,
        registry,
        logger: nugetLogger,
        tracer,
      });
    }, nugetLogger);
  if (nuget) closers.add(() => nuget.close());

  const { grpc, http, admin } = config.listen;
  if (grpc) {
    const movesUserinfo = config.auth.htpasswd_file !== undefined && (await refusesUserinfo());
    const onConnection = grpcConnections(registry, () => cache.runningCalls);
    started(
      await listenGrpc(grpcServer(config, cache), { ...optionsFor('listen.grpc', grpc), movesUserinfo, onConnection }),
    );
  }
  if (http) {
    const handleCache = createHttpCacheHandler({
      blobs: cache.blobs,
      serverId,
      sizes: tiered?.blobs ?? store,
      onUnknown: (asked) => storeMetrics.recordOperation(asked, 'miss', 0, 0),
      actionCache: cache.actionCache,
      digestFunctions: cache.digestFunctions,
      maxBlobBytes: config.limits.max_blob_size,
      maxActionResultBytes: config.limits.max_action_result_size,
      spoolDirectory: store.incomingDirectory,
      maxSpoolBytes: config.limits.max_unsized_uploads,
      hooks,
      logger: logger.forContext('component', 'http'),
      tracer,
    });
    const handle: typeof handleCache = (request, response) =>
      nuget && isNuGetPath(request.url) ? nuget.handle(request, response) : handleCache(request, response);
    const onConnection = httpConnections(registry, 'http');
    started(await listenHttp({ ...httpOptionsFor('listen.http', http), handle, onConnection }));
  }

  const version = granaryVersion();
  const stats = (): ServerStats => ({
    version,
    node: process.versions.node,
    pid: process.pid,
    state: lifecycle.state,
    uptimeMs: lifecycle.uptimeMs,
    listeners: Object.fromEntries(listeners.map(({ key, address }) => [key, formatAddress(address)])),
    storage: { ...store.stats(), directory, durability: config.storage.durability },
    requests: requestMetrics.totals,
    actionResults: requestMetrics.actionResults,
    blobs: storeMetrics.blobs,
    nuget: nuget?.stats(),
    memoryBytes: process.memoryUsage.rss(),
  });
  const lifecycle = new ServerLifecycle({
    listeners,
    closers,
    health: cache.health,
    logger,
    stats,
    async reload() {
      const [newTls, newIdentities] = await Promise.all([loadTls(config.tls), loadIdentities(config.auth, hash)]);
      policy.replace(newIdentities);
      if (newTls) for (const listener of listeners) listener.useTls(newTls);
    },
  });
  const adminSources = {
    health: readiness,
    metrics: (accept?: string) => registry.scrape(accept),
    version: () => ({ version, node: process.versions.node }),
    authorize: policy.authorizeAdmin.bind(policy),
    logger: logger.forContext('component', 'admin'),
  };
  const logLevelRoutes = logLevel && { '/log-level': logLevelRoute(logLevel) };
  if (admin)
    started(
      await listenHttp({
        ...httpOptionsFor('listen.admin', admin),
        onConnection: httpConnections(registry, 'admin'),
        handle: createAdminHandler({
          ...adminSources,
          stats,
          routes: { ...logLevelRoutes, ...profiling.routesFor(admin) },
        }),
      }),
    );
  const { metrics_addr: metricsAddress } = config.telemetry;
  if (metricsAddress)
    started(
      await listenHttp({
        ...httpOptionsFor('telemetry.metrics_addr', metricsAddress),
        onConnection: httpConnections(registry, 'metrics'),
        handle: createAdminHandler({ ...adminSources, routes: profiling.routesFor(metricsAddress) }),
      }),
    );

  registry
    .gauge('build_info', 'Always 1; its labels say what runs.', ['version', 'node'])
    .with(version, process.versions.node)
    .set(1);
  const warnings = [...exposureWarnings(config), ...hostingWarnings(config)];
  for (const warning of warnings) logger.warning('{Warning}', warning);
  const { bytes, maxBytes } = store.stats();
  lifecycle.message = readyMessage({ version, listeners, directory, bytes, maxBytes, servesFeeds, warnings });
  logger.information('Granary {Version} serves {Listeners} from {Directory}', version, stats().listeners, directory);
  return lifecycle;
}

function edgeHooks(policy: AccessPolicy, metrics: RequestMetrics, logger: Logger): EdgeHooks {
  const log = logger.forContext('component', 'access');
  return {
    authorize: policy.authorize.bind(policy),
    allows: policy.allows.bind(policy),
    onRequest(record) {
      metrics.record(record);
      if (log.isEnabled('debug'))
        lineOf(log, record).debug(
          '{Protocol} {Service} {Method} {Subject} {Code} in {Elapsed:F1} ms, {BytesIn} B in, {BytesOut} B out, from {Peer}',
          record.protocol,
          record.service,
          record.method,
          record.subject ?? '-',
          record.code,
          record.durationMs,
          record.bytesIn,
          record.bytesOut,
          record.peer,
        );
    },
    wantsSubject: () => log.isEnabled('debug'),
  };
}

/** The request has ended, and with it the span that lines find by themselves. */
function lineOf(log: Logger, { traceId, spanId }: RequestRecord): Logger {
  return traceId === undefined ? log : log.with({ trace_id: traceId, span_id: spanId });
}

function cacheLimits({ limits }: Config) {
  return {
    maxMessageBytes: limits.max_message_size,
    maxBatchTotalBytes: limits.max_batch_total_size,
    maxBlobBytes: limits.max_blob_size,
    maxFindMissingDigests: limits.max_digests,
    maxTreeBytes: limits.max_tree_size,
    maxTreeDirectories: limits.max_tree_directories,
    streamIdleMs: limits.stream_idle_timeout,
  };
}

function grpcServer(config: Config, cache: RemoteCache): GrpcServer {
  const server = new GrpcServer({
    ...cache.grpcServerOptions(),
    'grpc.max_concurrent_streams': config.limits.max_concurrent_streams,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    // Channelz keeps books about every call, which nobody can read here.
    'grpc.enable_channelz': 0,
  });
  cache.addTo(server);
  return server;
}
