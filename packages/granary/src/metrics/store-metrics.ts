import type { DiskBlobStoreStats, Eviction, StoreOperation, StoreOutcome, StoreRecorder } from '@granary/blobs';
import { type Counter, DURATION_BUCKETS, type Histogram, type MetricRegistry, SIZE_BUCKETS } from '@granary/telemetry';
import type { HitCount } from './request-metrics.js';

interface OperationSeries {
  readonly byOutcome: Readonly<Record<StoreOutcome, Counter>>;
  readonly latency: Histogram;
  readonly size: Histogram | undefined;
}

/** Counts what is asked of a store, and shows how full it is. */
export class StoreMetrics implements StoreRecorder {
  readonly #operations: Readonly<Record<StoreOperation, OperationSeries>>;
  readonly #evictions;
  readonly #evictedBytes;

  /**
   * @param tier name of the store
   * @param isOwn whether it is this server's disk: the sizes of its blobs alone are counted, since each that comes from
   * another tier, or goes there, is written here or read here, too
   */
  constructor(registry: MetricRegistry, tier: string, isOwn: boolean) {
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
      "Sizes of blobs that were read from this server's disk and written to it.",
      ['method'],
      SIZE_BUCKETS,
    );
    const sizeOf = (operation: StoreOperation) => (isOwn ? sizes.with(operation) : undefined);
    const series = (operation: StoreOperation, size?: Histogram): OperationSeries => ({
      byOutcome: {
        hit: requests.with(operation, tier, 'hit'),
        miss: requests.with(operation, tier, 'miss'),
        ok: requests.with(operation, tier, 'ok'),
        error: requests.with(operation, tier, 'error'),
      },
      latency: latency.with(operation, tier),
      size,
    });
    this.#operations = {
      find: series('find'),
      get: series('get', sizeOf('get')),
      read: series('read', sizeOf('read')),
      write: series('write', sizeOf('write')),
      delete: series('delete'),
    };
    this.#evictions = registry.counter('janitor_evictions_total', 'Blobs and action results that were evicted.').with();
    this.#evictedBytes = registry.counter('janitor_evicted_bytes_total', 'Bytes that were evicted.').with();
  }

  recordOperation(operation: StoreOperation, outcome: StoreOutcome, durationMs: number, bytes: number): void {
    const { byOutcome, latency, size } = this.#operations[operation];
    byOutcome[outcome].add();
    latency.observe(durationMs / 1000);
    if (outcome === 'hit' || outcome === 'ok') size?.observe(bytes);
  }

  recordEviction(eviction: Eviction): void {
    this.#evictions.add(eviction.count);
    this.#evictedBytes.add(eviction.bytes);
  }

  /** Blobs that were asked for and were there or not. */
  get blobs(): HitCount {
    const { get, read } = this.#operations;
    const count = (outcome: StoreOutcome) => get.byOutcome[outcome].value + read.byOutcome[outcome].value;
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
