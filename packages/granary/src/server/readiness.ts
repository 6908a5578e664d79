import { STORAGE_SERVICES } from '@granary/reapi';
import { type HealthCheck, HealthRegistry, type HealthStatus, type MetricRegistry } from '@granary/telemetry';
import type { ServerHealthReport } from '../admin/health-routes.js';

export interface ReadinessOptions {
  /** Throws when the store can't take a write. */
  readonly checkStore: () => Promise<void>;
  /** Whether the server is ready only while its upstreams answer. */
  readonly requireUpstream: boolean;
  readonly metrics: MetricRegistry;
  /** Whether the server ends. */
  readonly draining: () => boolean;
}

const VALUES: Readonly<Record<HealthStatus, number>> = { healthy: 0, degraded: 1, unhealthy: 2 };

/** What the server needs for its work, and whether it is there. */
export class Readiness {
  readonly registry = new HealthRegistry();
  readonly #requireUpstream: boolean;
  readonly #draining: () => boolean;

  constructor(options: ReadinessOptions) {
    this.#requireUpstream = options.requireUpstream;
    this.#draining = options.draining;
    this.registry.register('store', () => options.checkStore().then(() => undefined), { neededBy: STORAGE_SERVICES });
    options.metrics.gauge(
      'health_status',
      'How the last health check went: 0 healthy, 1 degraded, 2 unhealthy.',
      ['check'],
      { read: () => this.#values() },
    );
  }

  /**
   * Adds what a tier asks of its upstream. While it fails the server is degraded, or not ready with
   * `readiness.require_upstream`.
   *
   * @param name what the tier is called; the check is `upstream:NAME`
   * @param neededBy the gRPC services that ask this upstream. Default: all that store.
   * @returns a function that removes the check
   */
  addUpstream(name: string, check: HealthCheck, neededBy: readonly string[] = STORAGE_SERVICES): () => void {
    return this.registry.register(`upstream:${name}`, check, { required: this.#requireUpstream, neededBy });
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
    for (const { name, status } of this.registry.last().checks) yield [[name], VALUES[status]];
  }
}
