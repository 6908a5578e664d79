import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type LevelControl,
  type Logger,
  MetricRegistry,
  noopTracer,
  nullLogger,
  type Tracer,
} from '@granary/telemetry';
import { createPolicy } from '../access/create-policy.js';
import { exposureWarnings } from '../access/exposure.js';
import { isChangeByPage } from '../access/foreign-page.js';
import { loadIdentities } from '../access/load-identities.js';
import { rightsOfNobody } from '../access/rights-of-nobody.js';
import { SecretHash } from '../access/secret-hash.js';
import { Profiling } from '../admin/profiling.js';
import type { Config } from '../config/schema.js';
import { RequestMetrics } from '../metrics/request-metrics.js';
import { hostingWarnings } from '../nuget/hosting-warnings.js';
import { isNuGetRequest } from '../nuget/nuget-path.js';
import { readAllSourceFiles } from '../nuget/source-files.js';
import { checkTier } from '../tiers/open-tiers.js';
import { loadTls } from '../tls/tls-material.js';
import { granaryVersion } from '../version.js';
import { startAdminListeners } from './admin-listeners.js';
import { CacheService } from './cache-service.js';
import { Closers } from './closers.js';
import { createFeeds } from './create-feeds.js';
import { edgeHooks } from './edge-hooks.js';
import { gatherStats } from './gather-stats.js';
import { Listeners } from './listening/listeners.js';
import { openFilesWarnings } from './open-files.js';
import { openStores } from './open-stores.js';
import { Readiness } from './readiness.js';
import { readyMessage } from './ready-message.js';
import { type RunningServer, ServerLifecycle } from './running-server.js';
import type { ServerContext } from './server-context.js';
import type { ServerStats } from './stats.js';

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

/**
 * Starts everything that the configuration asks for: the store first, the listeners last. When a part fails, those that
 * were started are closed again.
 *
 * @throws ConfigError when a file that the configuration names is wrong
 * @throws StoreLockedError when another server has the store's folder
 * @throws ListenError when a port can't be listened on
 */
export async function startServer(config: Config, dependencies: ServerDependencies = {}): Promise<RunningServer> {
  const { logger = nullLogger, metrics = new MetricRegistry(), tracer = noopTracer, logLevel } = dependencies;
  const closers = new Closers();
  try {
    return await assemble({ version: granaryVersion(), config, logger, metrics, tracer, closers }, logLevel);
  } catch (error) {
    await closers.close().catch(() => {});
    throw error;
  }
}

async function assemble(context: ServerContext, logLevel: LevelControl | undefined): Promise<RunningServer> {
  const { version, config, logger, metrics, closers } = context;
  const hash = new SecretHash();
  const servesFeeds = config.nuget.enabled && config.listen.http !== undefined;
  const readFiles = () =>
    Promise.all([
      loadTls(config.tls),
      loadIdentities(config.auth, hash),
      // Read again when the feeds are opened; what is wrong is to be known before.
      servesFeeds ? readAllSourceFiles(config.nuget.sources) : [],
    ]);
  const [tls, identities] = await readFiles();
  // No reason not to start: the configuration may still name somebody who is gone.
  const warnOfRights = (given: typeof identities) => {
    for (const { key, message } of rightsOfNobody(config, given)) logger.warning('{Key}: {Mistake}', key, message);
  };
  warnOfRights(identities);

  const stores = await openStores(context);
  const readiness = new Readiness({
    checkStore: () => stores.disk.checkWritable(),
    requireUpstream: config.readiness.require_upstream,
    metrics,
    logger: logger.forContext('component', 'health'),
    draining: () => lifecycle.state !== 'serving',
  });
  closers.add(() => readiness.close());
  for (const tier of stores.tiered?.tiers ?? []) readiness.addUpstream(tier.name, (signal) => checkTier(tier, signal));
  const profiling = new Profiling(config.telemetry.profiling, logger.forContext('component', 'admin'));
  closers.add(() => profiling.close());

  const policy = createPolicy(config, identities, hash, metrics);
  const requestMetrics = new RequestMetrics(metrics);
  const hooks = edgeHooks(policy, requestMetrics, logger);
  const cache = new CacheService(context, stores, hooks);
  cache.remote.health.follow(readiness.registry);
  const feeds = servesFeeds ? createFeeds(context, stores, policy, requestMetrics) : undefined;

  const listeners = new Listeners(context, tls);
  const { grpc, http } = config.listen;
  if (grpc) await listeners.startGrpc(grpc, cache);
  if (http) {
    const handleCache = cache.httpHandler();
    const handle = (request: IncomingMessage, response: ServerResponse) => {
      if (isChangeByPage(request)) {
        hooks.onRefused({ method: request.method, status: 403, socket: request.socket });
        refusePage(request, response, logger);
      } else if (feeds && isNuGetRequest(request)) feeds.handle(request, response);
      else handleCache(request, response);
    };
    await listeners.startHttp('listen.http', http, 'http', handle, hooks.onRefused);
  }
  const lifecycle = new ServerLifecycle({
    listeners: listeners.started,
    closers,
    health: cache.remote.health,
    logger,
    stats: () => gatherStats(context, { lifecycle, stores, requestMetrics, feeds }),
    async reload() {
      const [newTls, newIdentities, newSourceFiles] = await readFiles();
      warnOfRights(newIdentities);
      policy.replace(newIdentities);
      if (newTls) listeners.useTls(newTls);
      await feeds?.useFiles(newSourceFiles);
    },
  });
  const stats = () => lifecycle.stats();
  await startAdminListeners(context, listeners, { readiness, policy, profiling, logLevel, stats });

  const warnings = [
    ...exposureWarnings(config),
    ...hostingWarnings(config),
    ...(await openFilesWarnings(config.limits.max_connections)),
  ];
  const now = stats();
  announce(context, now, warnings);
  lifecycle.message = readyMessage({ ...now.storage, version, listeners: listeners.started, servesFeeds, warnings });
  return lifecycle;
}

/** Where no credentials are asked for, any page that a browser on the machine shows could change what builds get. */
function refusePage({ method }: IncomingMessage, response: ServerResponse, logger: Logger): void {
  logger.information('Refused a {Method} that a page in a browser sent', method);
  response.writeHead(403, { 'Content-Type': 'text/plain', Connection: 'close' });
  response.end('pages in a browser may change nothing here\n');
}

/** Tells those who watch by metrics and logs what runs now. */
function announce(
  { logger, metrics }: ServerContext,
  { version, node, listeners, storage }: ServerStats,
  warnings: readonly string[],
): void {
  const info = metrics.gauge('build_info', 'Always 1; its labels say what runs.', ['version', 'node']);
  info.with(version, node).set(1);
  for (const warning of warnings) logger.warning('{Warning}', warning);
  logger.information('Granary {Version} serves {Listeners} from {Directory}', version, listeners, storage.directory);
}
