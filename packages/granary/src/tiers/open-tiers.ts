import {
  type ActionResultStore,
  type BlobStore,
  resilientTier,
  type SizeLookup,
  type StoreRecorder,
  type Tier,
  TierBreaker,
  TieredBlobStore,
  withRecorder,
} from '@granary/blobs';
import { TokenBucket } from '@granary/resilience';
import { type Logger, type MetricRegistry, PrometheusCollector, type Tracer } from '@granary/telemetry';
import type { TierConfig } from '../config/tier-schema.js';
import { StoreMetrics } from '../metrics/store-metrics.js';
import { openTier } from './open-tier.js';

export interface TiersOptions {
  readonly tiers: readonly TierConfig[];
  /** Where what comes from the tiers is kept. */
  readonly local: BlobStore;
  readonly sizes: SizeLookup;
  readonly actionResults: ActionResultStore;
  readonly metrics: MetricRegistry;
  readonly tracer: Tracer;
  readonly logger: Logger;
}

/** The stores of a server that has other caches behind it. */
export interface TieredStores {
  readonly blobs: BlobStore & SizeLookup;
  readonly actionResults: ActionResultStore;
  readonly tiers: readonly Tier[];
  /** Ends what is under way and closes the tiers; the local store stays open. */
  close(): Promise<void>;
}

/**
 * Puts the tiers of the configuration behind the local store, each with its policies and its metrics. Doesn't wait for
 * any of them.
 *
 * @throws ConfigError when a tier's settings or files are wrong; those that were opened are closed again
 */
export async function openTiers(options: TiersOptions): Promise<TieredStores> {
  const { local, sizes, metrics, tracer, logger } = options;
  const collector = new PrometheusCollector(metrics);
  const tiers: Tier[] = [];
  try {
    for (const [i, config] of options.tiers.entries()) {
      const tier = await openTier(config, `tiers[${i}]`, logger);
      tiers.push(measured(guarded(tier, config, collector, logger), new StoreMetrics(metrics, tier.name)));
    }
  } catch (error) {
    await Promise.allSettled(tiers.map((tier) => tier.close()));
    throw error;
  }
  const blobs = new TieredBlobStore({ local, sizes, tiers, tracer, logger });
  return { blobs, actionResults: options.actionResults, tiers, close: () => blobs.close() };
}

/** How a tier is, for readiness: one that may be missing leaves the server degraded, and not more. */
export async function checkTier(tier: Tier, signal: AbortSignal): Promise<undefined> {
  await tier.check(signal);
}

/** The tier with its policies; what becomes of its breaker is logged and counted. */
function guarded(tier: Tier, config: TierConfig, collector: PrometheusCollector, logger: Logger): Tier {
  collector.recordCircuitState(tier.name, 'closed');
  const breaker =
    config.circuit_breaker === 'off'
      ? undefined
      : new TierBreaker({
          name: tier.name,
          maxFailures: config.failures,
          timeoutMs: config.rest,
          onStateChange: ({ from, to }) => {
            collector.recordCircuitState(tier.name, to);
            if (to === 'open' && from === 'closed')
              logger.warning('The tier {Tier} keeps failing and is left alone for {RestMs} ms', tier.name, config.rest);
            if (to === 'closed') logger.information('The tier {Tier} works again', tier.name);
          },
        });
  return resilientTier(tier, {
    timeoutMs: config.timeout,
    attemptTimeoutMs: config.attempt_timeout,
    idleTimeoutMs: config.idle_timeout,
    retry: { maxRetries: config.retries },
    rateLimit: config.rate_limit
      ? new TokenBucket({ capacity: config.rate_limit, refillRate: config.rate_limit })
      : undefined,
    breaker,
  });
}

function measured(tier: Tier, recorder: StoreRecorder): Tier {
  const blobs = tier.blobs && withRecorder(tier.blobs, recorder);
  return Object.create(tier, { blobs: { value: blobs, enumerable: true } }) as Tier;
}
