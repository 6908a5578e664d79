import { isThenable } from '../../is-thenable.js';
import type { CollectedCircuitState, MetricsCollector } from './collector.js';

type Told = Exclude<keyof MetricsCollector, 'enabled'>;

/** Tells several collectors. One that throws, or rejects later, keeps neither the others nor its caller from going on. */
export class CompositeCollector implements MetricsCollector {
  readonly #collectors: readonly MetricsCollector[];
  #errors = 0;

  /** @param collectors stay their owner's, who closes those that need it */
  constructor(collectors: Iterable<MetricsCollector>) {
    this.#collectors = [...collectors];
  }

  /** Whether any of them listens. */
  get enabled(): boolean {
    return this.#collectors.some(saysThatItListens);
  }

  /** How often one of them threw or rejected. */
  get errors(): number {
    return this.#errors;
  }

  recordGet(layer: string, hit: boolean, durationMs: number): void {
    this.#tell('recordGet', layer, hit, durationMs);
  }

  recordSet(layer: string, success: boolean, durationMs: number): void {
    this.#tell('recordSet', layer, success, durationMs);
  }

  recordDelete(layer: string, success: boolean, durationMs: number): void {
    this.#tell('recordDelete', layer, success, durationMs);
  }

  recordError(layer: string, operation: string, errorType: string): void {
    this.#tell('recordError', layer, operation, errorType);
  }

  recordCircuitState(layer: string, state: CollectedCircuitState): void {
    this.#tell('recordCircuitState', layer, state, undefined);
  }

  recordQueueDepth(layer: string, depth: number): void {
    this.#tell('recordQueueDepth', layer, depth, undefined);
  }

  recordWriteDropped(layer: string): void {
    this.#tell('recordWriteDropped', layer, undefined, undefined);
  }

  recordAsyncWrite(layer: string, success: boolean, durationMs: number): void {
    this.#tell('recordAsyncWrite', layer, success, durationMs);
  }

  recordChainGet(hit: boolean, layerIndex: number, totalDurationMs: number): void {
    this.#tell('recordChainGet', hit, layerIndex, totalDurationMs);
  }

  readonly #failed = (): void => {
    this.#errors++;
  };

  /** Three arguments, and no array of them, because hits in memory come by here. */
  #tell(what: Told, a: unknown, b: unknown, c: unknown): void {
    for (const collector of this.#collectors) {
      try {
        if (!listens(collector)) continue;
        const told = (collector[what] as (this: MetricsCollector, ...told: unknown[]) => unknown).call(
          collector,
          a,
          b,
          c,
        );
        if (isThenable(told)) Promise.resolve(told).catch(this.#failed);
      } catch {
        this.#failed();
      }
    }
  }
}

const listens = (collector: MetricsCollector): boolean => collector.enabled !== false;

function saysThatItListens(collector: MetricsCollector): boolean {
  try {
    return listens(collector);
  } catch {
    return false;
  }
}
