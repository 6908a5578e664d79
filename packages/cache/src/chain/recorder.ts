import { ignoreLater, monotonicClock } from '@granary/resilience';
import { MemoryGets, type MetricsCollector } from '@granary/telemetry';
import { errorType } from './chain-spans.js';

/** Tells a collector, whose errors must not decide what a cache answers. Where nobody listens it isn't made at all. */
export class Recorder {
  readonly #collector: MetricsCollector;
  /**
   * When the clock was looked at last. Where that was a moment ago, at the end of a step or before the first, it says
   * when the next began, too: a look costs as much as all else that is told of a get.
   */
  at = 0;
  /** The chain's clock as a layer's last answer was judged by, so that nobody need look at it for the same answer again. */
  judgedAt = 0;

  constructor(collector: MetricsCollector) {
    this.#collector = collector;
  }

  /** Milliseconds, for durations. */
  now(): number {
    this.at = monotonicClock();
    return this.at;
  }

  /** Where look-ups in memory are counted, if the collector has such a place. */
  memoryGets(layer: string): MemoryGets | undefined {
    try {
      const gets = this.#collector.memoryGets?.(layer);
      // Mocks that answer whatever is called, and collectors of another version, are told of each look-up.
      return gets instanceof MemoryGets ? gets : undefined;
    } catch {
      return undefined;
    }
  }

  get(layer: string, hit: boolean, durationMs: number): void {
    try {
      ignoreLater(this.#collector.recordGet(layer, hit, durationMs));
    } catch {}
  }

  set(layer: string, success: boolean, durationMs: number): void {
    try {
      ignoreLater(this.#collector.recordSet(layer, success, durationMs));
    } catch {}
  }

  delete(layer: string, success: boolean, durationMs: number): void {
    try {
      ignoreLater(this.#collector.recordDelete(layer, success, durationMs));
    } catch {}
  }

  error(layer: string, operation: string, error: unknown): void {
    try {
      ignoreLater(this.#collector.recordError(layer, operation, errorType(error)));
    } catch {}
  }

  chainGet(layerIndex: number, durationMs: number): void {
    try {
      ignoreLater(this.#collector.recordChainGet(layerIndex >= 0, layerIndex, durationMs));
    } catch {}
  }

  dropped(layer: string): void {
    try {
      ignoreLater(this.#collector.recordWriteDropped(layer));
    } catch {}
  }
}
