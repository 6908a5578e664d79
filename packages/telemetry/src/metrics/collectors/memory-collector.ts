import { OVERFLOW_LABEL } from '../family.js';
import type { CollectedCircuitState, MetricsCollector } from './collector.js';
import { LatencyHistogram, type LatencyStats } from './latency-histogram.js';
import { MemoryGets } from './memory-gets.js';

/** What has been told of a layer so far. */
export interface LayerMetrics {
  readonly hits: number;
  readonly misses: number;
  /** Those that succeeded. */
  readonly sets: number;
  /** Those that succeeded. */
  readonly deletes: number;
  readonly errors: number;
  /** As it was told last. */
  readonly queueDepth: number;
  readonly droppedWrites: number;
  /** Of those that were made in the background. */
  readonly failedWrites: number;
  readonly circuitState: CollectedCircuitState;
  readonly circuitOpens: number;
  readonly getLatency: LatencyStats;
  readonly setLatency: LatencyStats;
}

/** What has been told of chains so far. */
export interface ChainMetrics {
  readonly totalHits: number;
  readonly totalMisses: number;
  /** By the place of the layer that had the value, from 0. */
  readonly hitsByLayer: readonly number[];
  readonly latency: LatencyStats;
}

export interface MetricsSnapshot {
  readonly layerMetrics: Readonly<Record<string, LayerMetrics>>;
  readonly chainMetrics: ChainMetrics;
}

/** Layers that are told apart; what comes later is counted under `other`, and so are layers of a chain from there on. */
const MAX_LAYERS = 100;

class LayerRecord {
  hits = 0;
  misses = 0;
  sets = 0;
  deletes = 0;
  errors = 0;
  queueDepth = 0;
  droppedWrites = 0;
  failedWrites = 0;
  circuitState: CollectedCircuitState = 'closed';
  circuitOpens = 0;
  readonly getLatency = new LatencyHistogram();
  readonly setLatency = new LatencyHistogram();
}

/**
 * Collects in memory, for tests and for programs that look at their own numbers. It takes some 8 KiB a layer, however
 * much is told; the first 100 layers are told apart.
 */
export class MemoryCollector implements MetricsCollector {
  readonly #layers = new Map<string, LayerRecord>();
  readonly #memory = new Map<string, MemoryGets>();
  #hitsByLayer: number[] = [];
  #misses = 0;
  #latency = new LatencyHistogram();

  /** The numbers as they are now; later ones don't change it. */
  snapshot(): MetricsSnapshot {
    this.#settle();
    const layerMetrics: Record<string, LayerMetrics> = Object.create(null);
    for (const [layer, record] of this.#layers) {
      layerMetrics[layer] = {
        ...record,
        getLatency: record.getLatency.stats(),
        setLatency: record.setLatency.stats(),
      };
    }
    const hitsByLayer = Array.from(this.#hitsByLayer, (hits = 0) => hits);
    const totalHits = hitsByLayer.reduce((sum, hits) => sum + hits, 0);
    const chainMetrics = { totalHits, totalMisses: this.#misses, hitsByLayer, latency: this.#latency.stats() };
    return { layerMetrics, chainMetrics };
  }

  /** Begins anew. */
  reset(): void {
    this.#settle();
    this.#layers.clear();
    this.#hitsByLayer = [];
    this.#misses = 0;
    this.#latency = new LatencyHistogram();
  }

  recordGet(layer: string, hit: boolean, durationMs: number): void {
    const record = this.#layer(layer);
    if (hit) record.hits++;
    else record.misses++;
    record.getLatency.record(durationMs);
  }

  recordSet(layer: string, success: boolean, durationMs: number): void {
    const record = this.#layer(layer);
    if (success) record.sets++;
    record.setLatency.record(durationMs);
  }

  recordDelete(layer: string, success: boolean, _durationMs: number): void {
    if (success) this.#layer(layer).deletes++;
  }

  recordError(layer: string, _operation: string, _errorType: string): void {
    this.#layer(layer).errors++;
  }

  recordCircuitState(layer: string, state: CollectedCircuitState): void {
    const record = this.#layer(layer);
    if (state === 'open') record.circuitOpens++;
    record.circuitState = state;
  }

  recordQueueDepth(layer: string, depth: number): void {
    this.#layer(layer).queueDepth = depth;
  }

  recordWriteDropped(layer: string): void {
    this.#layer(layer).droppedWrites++;
  }

  recordAsyncWrite(layer: string, success: boolean, _durationMs: number): void {
    if (!success) this.#layer(layer).failedWrites++;
  }

  recordChainGet(hit: boolean, layerIndex: number, totalDurationMs: number): void {
    this.#latency.record(totalDurationMs);
    if (!hit) this.#misses++;
    else {
      const index = Math.min(Math.max(layerIndex, 0), MAX_LAYERS);
      this.#hitsByLayer[index] = (this.#hitsByLayer[index] ?? 0) + 1;
    }
  }

  memoryGets(layer: string): MemoryGets | undefined {
    const known = this.#memory.get(layer);
    if (known !== undefined || this.#memory.size >= MAX_LAYERS) return known;
    const gets = new MemoryGets((hits, misses, durationMs) => {
      const record = this.#layer(layer);
      record.hits += hits;
      record.misses += misses;
      record.getLatency.record(durationMs, hits + misses);
      this.#latency.record(durationMs, hits);
      this.#hitsByLayer[0] = (this.#hitsByLayer[0] ?? 0) + hits;
    });
    this.#memory.set(layer, gets);
    return gets;
  }

  #settle(): void {
    for (const gets of this.#memory.values()) gets.settle();
  }

  #layer(name: string): LayerRecord {
    return this.#layers.get(name) ?? this.#newLayer(name);
  }

  #newLayer(name: string): LayerRecord {
    const label = this.#layers.size < MAX_LAYERS ? name : OVERFLOW_LABEL;
    let record = this.#layers.get(label);
    if (record === undefined) {
      record = new LayerRecord();
      this.#layers.set(label, record);
    }
    return record;
  }
}
