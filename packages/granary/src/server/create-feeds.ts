import { withTracing } from '@granary/blobs';
import type { AccessPolicy } from '../access/policy.js';
import { namesFeeds } from '../config/nuget-schema.js';
import type { RequestMetrics } from '../metrics/request-metrics.js';
import { feedHooks } from '../nuget/feed-hooks.js';
import { FeedLoader } from '../nuget/feed-loader.js';
import { LazyNuGet } from '../nuget/lazy-nuget.js';
import { NuGetMetrics } from '../nuget/nuget-metrics.js';
import type { FeedCollectors } from '../nuget/nuget-service.js';
import type { ServerStores } from './open-stores.js';
import type { ServerContext } from './server-context.js';

/** The NuGet feeds over the server's store. */
export function createFeeds(
  { config, logger, metrics: registry, tracer, closers }: ServerContext,
  stores: ServerStores,
  policy: AccessPolicy,
  requestMetrics: RequestMetrics,
): LazyNuGet {
  const { disk, local, keptPackages, nugetDirectory } = stores;
  const metrics = new NuGetMetrics(registry);
  const nugetLogger = logger.forContext('component', 'nuget');
  const loader = new FeedLoader({ load: () => import('../nuget/nuget-service.js') });
  if (namesFeeds(config.nuget)) loader.loadSoon();
  closers.add(async () => loader.close());
  let collectors: FeedCollectors | undefined;
  const feeds = new LazyNuGet(async () => {
    const { feedCollectors, openNuGet } = await loader.load();
    // What opens again after it failed counts where it did.
    collectors ??= feedCollectors(registry);
    return openNuGet({
      config: config.nuget,
      directory: nugetDirectory,
      incomingDirectory: disk.incomingDirectory,
      minFreeBytes: config.storage.min_free,
      makeRoom: (bytes) => disk.makeRoom(bytes),
      // Not the tiers: who may write to those could pass off packages. A feed of another server is a source.
      blobs: withTracing(local, tracer),
      actionResults: disk.actionResults,
      kept: await keptPackages.packages(),
      hooks: feedHooks(policy, requestMetrics, logger),
      isOwnKey: (apiKey) => policy.isToken(apiKey),
      metrics,
      collectors,
      logger: nugetLogger,
      tracer,
    });
  }, nugetLogger);
  closers.add(() => feeds.close());
  return feeds;
}
