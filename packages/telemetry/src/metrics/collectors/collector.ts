import type { MemoryGets } from './memory-gets.js';

/** State of a circuit breaker, as metrics know it. */
export type CollectedCircuitState = 'closed' | 'open' | 'half-open';

/**
 * What library code tells about caches, and all that it knows of metrics. Durations are in milliseconds. Layer names are
 * few and stable; keys are never told. Whoever calls guards against what a collector throws.
 */
export interface MetricsCollector {
  /**
   * False when nobody listens: then nothing is told, and no time is taken. Default true.
   */
  readonly enabled?: boolean;
  recordGet(layer: string, hit: boolean, durationMs: number): void;
  recordSet(layer: string, success: boolean, durationMs: number): void;
  recordDelete(layer: string, success: boolean, durationMs: number): void;
  /** @param operation `get`, `set`, `delete`, …; errorType: an error's code, or `error` */
  recordError(layer: string, operation: string, errorType: string): void;
  /** A breaker has changed into this state. */
  recordCircuitState(layer: string, state: CollectedCircuitState): void;
  recordQueueDepth(layer: string, depth: number): void;
  recordWriteDropped(layer: string): void;
  recordAsyncWrite(layer: string, success: boolean, durationMs: number): void;
  /** @param layerIndex place of the layer that had the value, from 0; −1 for a miss */
  recordChainGet(hit: boolean, layerIndex: number, totalDurationMs: number): void;
  /**
   * Where a chain counts look-ups in a layer in memory that is its first, for collectors that can be read: the same
   * object for the same name. Without it, or where it answers `undefined`, each look-up is told by {@link recordGet} and
   * {@link recordChainGet}, which costs some ten times as much.
   */
  memoryGets?(layer: string): MemoryGets | undefined;
}

const nothing = (): void => {};

/** Collects nothing. Callers that know it take no time. */
export const noopCollector: MetricsCollector = {
  enabled: false,
  recordGet: nothing,
  recordSet: nothing,
  recordDelete: nothing,
  recordError: nothing,
  recordCircuitState: nothing,
  recordQueueDepth: nothing,
  recordWriteDropped: nothing,
  recordAsyncWrite: nothing,
  recordChainGet: nothing,
};
