import type { Credentials } from '@granary/reapi';
import type { LevelControl, Logger, LogLevel } from '@granary/telemetry';
import type { AccessPolicy } from '../access/policy.js';
import { createAdminHandler } from '../admin/admin-handler.js';
import { logLevelRoute } from '../admin/log-level.js';
import type { Profiling } from '../admin/profiling.js';
import type { Listeners } from './listening/listeners.js';
import type { Readiness } from './readiness.js';
import type { ServerContext } from './server-context.js';
import type { ServerStats } from './stats.js';

export interface AdminParts {
  readonly readiness: Readiness;
  readonly policy: AccessPolicy;
  readonly profiling: Profiling;
  readonly logLevel: LevelControl | undefined;
  readonly stats: () => ServerStats;
}

/** Starts what people and monitors ask: all of it on one port, and health and metrics alone on another. */
export async function startAdminListeners(
  { version, config, logger, metrics }: ServerContext,
  listeners: Listeners,
  { readiness, policy, profiling, logLevel, stats }: AdminParts,
): Promise<void> {
  const sources = {
    health: readiness,
    metrics: (accept?: string) => metrics.scrape(accept),
    version: () => ({ version, node: process.versions.node }),
    authorize: policy.authorizeAdmin.bind(policy),
    isAdmin: (credentials: Credentials) => policy.allows(credentials, 'admin'),
    logger: logger.forContext('component', 'admin'),
  };
  const { admin } = config.listen;
  if (admin) {
    const routes = {
      ...(logLevel && { '/log-level': logLevelRoute(logLevel, changesTo(logger)) }),
      ...profiling.routesFor(admin),
    };
    await listeners.startHttp('listen.admin', admin, 'admin', createAdminHandler({ ...sources, stats, routes }));
  }
  const { metrics_addr: address } = config.telemetry;
  if (address) {
    const handle = createAdminHandler({ ...sources, routes: profiling.routesFor(address) });
    await listeners.startHttp('telemetry.metrics_addr', address, 'metrics', handle);
  }
}

/** Tells the log that its level was changed. */
function changesTo(logger: Logger): (level: LogLevel, forMs?: number) => void {
  return (level, forMs) => {
    const changed = 'The level of the log is {LogLevel}, as the admin port was told';
    const changedForATime = 'The level of the log is {LogLevel} for {ForMs} ms, as the admin port was told';
    if (forMs === undefined) logger.information(changed, level);
    else logger.information(changedForATime, level, forMs);
  };
}
