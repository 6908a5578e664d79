import { STORAGE_SERVICES } from '@granary/reapi';
import {
  type HealthCheck,
  HealthRegistry,
  type HealthReport,
  type HealthStatus,
  type Logger,
  type MetricRegistry,
} from '@granary/telemetry';
import type { ServerHealthReport } from '../admin/health-routes.js';

export interface ReadinessOptions {
  /** Throws when the store can't take a write. */
  readonly checkStore: () => Promise<void>;
  /** Whether the server is ready only while its upstreams answer. */
  readonly requireUpstream: boolean;
  readonly metrics: MetricRegistry;
  /** Told when a check changes. */
  readonly logger: Logger;
  /** Whether the server ends. */
  readonly draining: () => boolean;
}

const VALUES: Readonly<Record<HealthStatus, number>> = { healthy: 0, degraded: 1, unhealthy: 2 };

/** What the server needs for its work, and whether it is there. */
export class Readiness {
  readonly registry = new HealthRegistry();
  readonly #requireUpstream: boolean;
  readonly #draining: () => boolean;
  readonly #logger: Logger;
  readonly #logged = new Map<string, HealthStatus>();

  constructor(options: ReadinessOptions) {
    this.#requireUpstream = options.requireUpstream;
    this.#draining = options.draining;
    this.#logger = options.logger;
    this.registry.register('store', () => checkStore(options.checkStore), { neededBy: STORAGE_SERVICES });
    this.registry.onChange((report) => this.#log(report));
    options.metrics.gauge(
      'health_status',
      'How the last health check went: 0 healthy, 1 degraded, or unhealthy and not required, 2 unhealthy.',
      ['check'],
      { read: () => this.#values() },
    );
  }

  /**
   * Adds what a tier asks of its upstream. While it fails the server is degraded, or not ready with
   * `readiness.require_upstream`.
   *
   * @param name what the tier is called; the check is `upstream:NAME`
   */
  addUpstream(name: string, check: HealthCheck): void {
    const required = this.#requireUpstream;
    this.registry.register(`upstream:${name}`, check, { required, neededBy: STORAGE_SERVICES });
  }

  /** How everything is. While the server ends there is nothing to look at. */
  async report(): Promise<ServerHealthReport> {
    return this.#draining() ? this.last() : { ...(await this.registry.report()), draining: this.#draining() };
  }

  last(): ServerHealthReport {
    return { ...this.registry.last(), draining: this.#draining() };
  }

  async close(): Promise<void> {
    this.registry.close();
  }

  /** A scrape can't wait, so it shows what was found last and causes a look for the next one. */
  *#values(): Generator<readonly [readonly [string], number]> {
    void this.registry.report();
    for (const { name, required, status } of this.registry.last().checks) {
      // As bad as it is for the server: alerts wake people for what is unhealthy.
      const value = VALUES[status];
      yield [[name], required ? value : Math.min(value, VALUES.degraded)];
    }
  }

  #log({ checks }: HealthReport): void {
    for (const { name, status, reason } of checks) {
      const before = this.#logged.get(name) ?? 'healthy';
      if (status === before) continue;
      this.#logged.set(name, status);
      if (status === 'healthy') this.#logger.information('Health check {Check} is healthy again', name);
      else
        this.#logger.warning('Health check {Check} is {Status}: {Reason}', name, status, reason ?? 'no reason given');
    }
  }
}

/** Everybody may ask how the server is, but where the store lies is nothing to tell everybody. */
async function checkStore(check: () => Promise<void>): Promise<undefined> {
  try {
    await check();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(reason.replace(/, \w+ '.*'$/s, ''), { cause: error });
  }
}
