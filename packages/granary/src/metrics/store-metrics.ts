import type { DiskBlobStoreStats, Eviction, StoreOperation, StoreOutcome, StoreRecorder } from '@granary/blobs';
import { type Counter, DURATION_BUCKETS, type Histogram, type MetricRegistry, SIZE_BUCKETS } from '@granary/telemetry';
import type { HitCount } from './request-metrics.js';

interface OperationSeries {
  readonly byOutcome: ReadonlyMap<StoreOutcome, Counter>;
  readonly latency: Histogram;
  readonly size: Histogram | undefined;
}

const OUTCOMES: readonly StoreOutcome[] = ['hit', 'miss', 'ok', 'error'];

/** Counts what is asked of a store, and shows how full it is. */
export class StoreMetrics implements StoreRecorder {
  readonly #operations: ReadonlyMap<StoreOperation, OperationSeries>;
  readonly #evictions;
  readonly #evictedBytes;

  /** @param tier name of the store */
  constructor(registry: MetricRegistry, tier: string) {
    const requests = registry.counter('cache_requests_total', 'Operations of a tier by their outcome.', [
      'method',
      'tier',
      'status',
    ]);
    const latency = registry.histogram(
      'cache_latency_seconds',
      'Time of an operation of a tier.',
      ['method', 'tier'],
      DURATION_BUCKETS,
    );
    const sizes = registry.histogram(
      'blob_size_bytes',
      'Sizes of blobs that were read and written.',
      ['method'],
      SIZE_BUCKETS,
    );
    const series = (operation: StoreOperation): OperationSeries => ({
      byOutcome: new Map(OUTCOMES.map((outcome) => [outcome, requests.with(operation, tier, outcome)])),
      latency: latency.with(operation, tier),
      size: operation === 'find' || operation === 'delete' ? undefined : sizes.with(operation),
    });
    const operations: readonly StoreOperation[] = ['find', 'get', 'read', 'write', 'delete'];
    this.#operations = new Map(operations.map((operation) => [operation, series(operation)]));
    this.#evictions = registry.counter('janitor_evictions_total', 'Blobs and action results that were evicted.').with();
    this.#evictedBytes = registry.counter('janitor_evicted_bytes_total', 'Bytes that were evicted.').with();
  }

  recordOperation(operation: StoreOperation, outcome: StoreOutcome, durationMs: number, bytes: number): void {
    const series = this.#operations.get(operation);
    series?.byOutcome.get(outcome)?.add();
    series?.latency.observe(durationMs / 1000);
    if (outcome === 'hit' || outcome === 'ok') series?.size?.observe(bytes);
  }

  recordEviction(eviction: Eviction): void {
    this.#evictions.add(eviction.count);
    this.#evictedBytes.add(eviction.bytes);
  }

  /** Blobs that were asked for and were there or not. */
  get blobs(): HitCount {
    const count = (outcome: StoreOutcome) =>
      (['get', 'read'] as const).reduce(
        (sum, operation) => sum + (this.#operations.get(operation)?.byOutcome.get(outcome)?.value ?? 0),
        0,
      );
    return { hits: count('hit'), misses: count('miss') };
  }
}

/** Shows what the store holds, as of each scrape. */
export function addStoreGauges(registry: MetricRegistry, stats: () => DiskBlobStoreStats): void {
  const gauge = (name: string, help: string, read: (stats: DiskBlobStoreStats) => number) =>
    registry.gauge(name, help, [], { read: () => read(stats()) });
  gauge('disk_usage_bytes', 'Bytes that the store takes on the disk.', ({ bytes }) => bytes);
  gauge(
    'disk_limit_bytes',
    'Bytes that the store may take on the disk (storage.max_size).',
    ({ maxBytes }) => maxBytes,
  );
  gauge('disk_free_bytes', 'Bytes free on the file system of the store.', ({ freeBytes }) => freeBytes);
  gauge('disk_reserved_bytes', 'Bytes set aside for uploads that are under way.', ({ reservedBytes }) => reservedBytes);
  gauge('blobs', 'Blobs in the store.', ({ blobs }) => blobs);
  gauge('action_results', 'Action results in the store.', ({ actionResults }) => actionResults);
  gauge('quarantined', 'Blobs and action results found damaged since the start.', ({ quarantined }) => quarantined);
  gauge(
    'longest_item_idle_seconds',
    'How long the entry evicted last had not been used; 0 before the first eviction.',
    ({ longestIdleMs }) => longestIdleMs / 1000,
  );
}
