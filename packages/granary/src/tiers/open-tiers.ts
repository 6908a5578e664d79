import {
  type ActionResultStore,
  type BlobStore,
  type EntryPins,
  resilientTier,
  type SizeLookup,
  type StoreRecorder,
  type Tier,
  TierBreaker,
  TieredActionResultStore,
  TieredBlobStore,
  WriteBehindQueue,
  withRecorder,
  writeBehindTargets,
} from '@granary/blobs';
import { referencesOf, type WalkLimits } from '@granary/reapi';
import { TokenBucket } from '@granary/resilience';
import {
  type Logger,
  type MetricRegistry,
  type MetricsCollector,
  PrometheusCollector,
  type Tracer,
} from '@granary/telemetry';
import type { Config } from '../config/schema.js';
import { type TierConfig, tiersOf } from '../config/tier-schema.js';
import { StoreMetrics } from '../metrics/store-metrics.js';
import { openTier } from './open-tier.js';
import { withResultMetrics } from './result-metrics.js';

/** How long a stop waits for what is written behind; the rest is kept for the next start. */
const DRAIN_MS = 2000;

export interface TiersOptions {
  readonly tiers: readonly TierConfig[];
  /** Where what comes from the tiers is kept. */
  readonly local: BlobStore;
  /** The same, not measured: what is sent to tiers is no hit. */
  readonly unmeasured: BlobStore & SizeLookup;
  readonly actionResults: ActionResultStore;
  readonly settings: Config['tiering'];
  /** Largest trees of output directories that are looked into for what a result names. */
  readonly walk: WalkLimits;
  /** For the tiers that are written behind; undefined where there are none. */
  readonly queue: WriteBehindQueue | undefined;
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
  const { local, unmeasured, settings, queue, metrics, tracer, logger } = options;
  const collector = new PrometheusCollector(metrics);
  const tiers: Tier[] = [];
  try {
    for (const [i, config] of options.tiers.entries()) {
      const tier = await openTier(config, `tiers[${i}]`, logger);
      const asked = new StoreMetrics(metrics, tier.name, false);
      tiers.push(measured(guarded(tier, config, collector, logger), asked, collector));
    }
  } catch (error) {
    await Promise.allSettled(tiers.map((tier) => tier.close()));
    throw error;
  }
  const blobs = new TieredBlobStore({
    local,
    sentFrom: unmeasured,
    sizes: unmeasured,
    tiers,
    existence: { maxEntries: settings.known_blobs, ttlMs: settings.known_for },
    writeBehind: queue,
    tracer,
    logger,
  });
  const actionResults = new TieredActionResultStore({
    local: withResultMetrics(options.actionResults, collector),
    sentFrom: options.actionResults,
    tiers,
    blobs,
    referencesOf: (key, value, asked) => referencesOf(key, value, blobs, options.walk, asked),
    writeBehind: queue,
    negativeTtlMs: settings.negative_ttl,
    tracer,
    logger,
  });
  queue?.start(writeBehindTargets(blobs, actionResults));
  return {
    blobs,
    actionResults,
    tiers,
    async close() {
      await queue?.close(DRAIN_MS);
      await actionResults.close();
      await blobs.close();
    },
  };
}

/** Opens the queue of what is written behind, before the store whose blobs it keeps from being evicted. */
export function openWriteBehind(
  directory: string,
  config: Config,
  pins: EntryPins,
  metrics: MetricRegistry,
  logger: Logger,
): Promise<WriteBehindQueue> {
  return WriteBehindQueue.open({
    directory,
    pins,
    maxEntries: config.tiering.write_behind_entries,
    maxBytes: writeBehindBytes(config, logger),
    metrics: new PrometheusCollector(metrics),
    logger,
  });
}

/**
 * Most bytes that wait for each tier. What waits can't be evicted: without a share for the rest a tier that is gone would
 * fill the store until it takes no uploads any more, instead of losing what the queue has no room for.
 */
function writeBehindBytes(config: Config, logger: Logger): number {
  const behind = tiersOf(config).filter(({ mode }) => mode === 'write-behind').length;
  const wanted = config.tiering.write_behind_size;
  const share = Math.floor(config.storage.max_size / 2 / Math.max(1, behind));
  if (wanted > share)
    logger.information('At most {Bytes} bytes wait for each tier: half of storage.max_size is for what waits', share);
  return Math.min(wanted, share);
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

/** The tier, and what is asked of it counted. */
function measured(tier: Tier, recorder: StoreRecorder, collector: MetricsCollector): Tier {
  return {
    name: tier.name,
    mode: tier.mode,
    required: tier.required,
    blobs: tier.blobs && withRecorder(tier.blobs, recorder),
    actionResults: tier.actionResults && withResultMetrics(tier.actionResults, collector),
    maxBlobBytes: tier.maxBlobBytes,
    checksAtOnce: tier.checksAtOnce,
    maxCalls: tier.maxCalls,
    timeoutMs: tier.timeoutMs,
    sizes: tier.sizes,
    onDamaged: (digest, reason) => tier.onDamaged?.(digest, reason),
    check: (signal) => tier.check(signal),
    close: () => tier.close(),
  };
}
