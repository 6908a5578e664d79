import { DURATION_BUCKETS, type MetricRegistry, type SpanContext } from '@granary/telemetry';
import type { CacheType, NuGetCacheState, NuGetMetrics } from './metrics.js';

const CACHE_TYPES: readonly CacheType[] = ['metadata', 'package'];
const STATUSES = ['success', 'failure'];

/**
 * Counts what NuGet clients do for Prometheus. Make it once for a registry and give it to every client as `metrics`.
 *
 * | family | labels | |
 * | --- | --- | --- |
 * | `cache_hits_total` | `cache_type` | answers from a cache; `metadata` or `package` |
 * | `cache_misses_total` | `cache_type` | questions that went to a source |
 * | `cache_size_bytes` | `tier` | at the time of the scrape; `memory` or `disk` |
 * | `package_downloads_total` | `status` | downloads, those from the cache too; `success` or `failure` |
 * | `package_download_duration_seconds` | | histogram: verification included |
 *
 * Downloads that are traced are exemplars of their duration.
 *
 * @throws when the registry has these already
 */
export function registryNuGetMetrics(registry: MetricRegistry): NuGetMetrics {
  return new RegistryNuGetMetrics(registry);
}

class RegistryNuGetMetrics implements NuGetMetrics {
  readonly #hits;
  readonly #misses;
  readonly #downloads;
  readonly #durations;
  readonly #caches = new Set<NuGetCacheState>();

  constructor(registry: MetricRegistry) {
    this.#hits = registry.counter(
      'cache_hits_total',
      'Look-ups of the NuGet client that a cache answered.',
      ['cache_type'],
      { values: { cache_type: CACHE_TYPES } },
    );
    this.#misses = registry.counter(
      'cache_misses_total',
      'Look-ups of the NuGet client that a source had to be asked for.',
      ['cache_type'],
      { values: { cache_type: CACHE_TYPES } },
    );
    registry.gauge('cache_size_bytes', 'Size of the caches of the NuGet client.', ['tier'], {
      read: () => this.#sizes(),
    });
    this.#downloads = registry.counter(
      'package_downloads_total',
      'Downloads of packages: all of the NuGet client, from sources those of the feed proxy.',
      ['status'],
      { values: { status: STATUSES } },
    );
    this.#durations = registry.histogram(
      'package_download_duration_seconds',
      'Time until a package was there and verified.',
      [],
      DURATION_BUCKETS,
    );
  }

  cacheHit(type: CacheType): void {
    this.#hits.with(type).add();
  }

  cacheMiss(type: CacheType): void {
    this.#misses.with(type).add();
  }

  packageDownloaded(status: 'success' | 'failure', durationMs: number, trace?: SpanContext): void {
    this.#downloads.with(status).add();
    const durations = this.#durations.with();
    if (trace === undefined) durations.observe(durationMs / 1000);
    else durations.observeWithExemplar(durationMs / 1000, trace.traceId, trace.spanId);
  }

  cacheStarted(state: NuGetCacheState): () => void {
    this.#caches.add(state);
    return () => this.#caches.delete(state);
  }

  #sizes(): Iterable<readonly [string[], number]> {
    const sizes = new Map<string, number>();
    for (const cache of this.#caches) {
      for (const [tier, bytes] of cache.bytes()) sizes.set(tier, (sizes.get(tier) ?? 0) + bytes);
    }
    return Array.from(sizes, ([tier, bytes]) => [[tier], bytes]);
  }
}
