import { formatAddress } from '../config/address.js';
import type { RequestMetrics } from '../metrics/request-metrics.js';
import type { LazyNuGet } from '../nuget/lazy-nuget.js';
import type { ServerStores } from './open-stores.js';
import type { ServerLifecycle } from './running-server.js';
import type { ServerContext } from './server-context.js';
import type { ServerStats } from './stats.js';

/** The parts of a server that know how it is doing. */
export interface MeasuredParts {
  readonly lifecycle: ServerLifecycle;
  readonly stores: ServerStores;
  readonly requestMetrics: RequestMetrics;
  readonly feeds: LazyNuGet | undefined;
}

export function gatherStats({ version, config }: ServerContext, parts: MeasuredParts): ServerStats {
  const { lifecycle, stores, requestMetrics, feeds } = parts;
  const { disk, diskMetrics, directory } = stores;
  return {
    version,
    node: process.versions.node,
    pid: process.pid,
    state: lifecycle.state,
    uptimeMs: lifecycle.uptimeMs,
    listeners: Object.fromEntries(lifecycle.listeners.map(({ key, address }) => [key, formatAddress(address)])),
    storage: { ...disk.stats(), directory, durability: config.storage.durability },
    requests: requestMetrics.totals,
    actionResults: requestMetrics.actionResults,
    blobs: diskMetrics.blobs,
    nuget: feeds?.stats(),
    memoryBytes: process.memoryUsage.rss(),
  };
}
