import { type ActionResultStore, isRemoteStoreError, type MaybePromise, type OperationOptions } from '@granary/blobs';
import { isCircuitOpen } from '@granary/resilience';
import type { MetricsCollector } from '@granary/telemetry';

/** Counts what is asked of a store of action results, as one layer of a cache. */
class MeteredResults implements ActionResultStore {
  readonly #inner: ActionResultStore;
  readonly #collector: MetricsCollector;

  constructor(inner: ActionResultStore, collector: MetricsCollector) {
    this.#inner = inner;
    this.#collector = collector;
  }

  get name(): string {
    return this.#inner.name;
  }

  get(key: string, options?: OperationOptions): MaybePromise<Buffer | undefined> {
    const start = performance.now();
    let value: MaybePromise<Buffer | undefined>;
    try {
      value = this.#inner.get(key, options);
    } catch (error) {
      this.#failed('get', error, options);
      throw error;
    }
    if (value instanceof Promise) return this.#getLate(value, start, options);
    this.#collector.recordGet(this.name, value !== undefined, performance.now() - start);
    return value;
  }

  async set(key: string, value: Buffer, options?: OperationOptions): Promise<void> {
    const start = performance.now();
    try {
      await this.#inner.set(key, value, options);
      this.#collector.recordSet(this.name, true, performance.now() - start);
    } catch (error) {
      if (this.#failed('set', error, options)) this.#collector.recordSet(this.name, false, performance.now() - start);
      throw error;
    }
  }

  async delete(key: string): Promise<boolean> {
    const start = performance.now();
    try {
      const found = await this.#inner.delete(key);
      this.#collector.recordDelete(this.name, true, performance.now() - start);
      return found;
    } catch (error) {
      if (this.#failed('delete', error, undefined))
        this.#collector.recordDelete(this.name, false, performance.now() - start);
      throw error;
    }
  }

  close(): MaybePromise<void> {
    return this.#inner.close();
  }

  async #getLate(
    late: Promise<Buffer | undefined>,
    start: number,
    options: OperationOptions | undefined,
  ): Promise<Buffer | undefined> {
    try {
      const value = await late;
      this.#collector.recordGet(this.name, value !== undefined, performance.now() - start);
      return value;
    } catch (error) {
      this.#failed('get', error, options);
      throw error;
    }
  }

  /** @returns false for a caller who went away, which is no error of the store */
  #failed(operation: string, error: unknown, options: OperationOptions | undefined): boolean {
    if (options?.signal?.aborted) return false;
    this.#collector.recordError(this.name, operation, errorType(error));
    return true;
  }
}

/** All failures of tiers have one code: what happened is told by their kind, or by the breaker that let nobody ask. */
function errorType(error: unknown): string {
  if (isRemoteStoreError(error)) return error.kind.toUpperCase();
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown };
  if (isCircuitOpen(cause)) return cause.code;
  return typeof code === 'string' ? code : 'error';
}

/** The store, and what is asked of it told to a collector under the store's name. */
export function withResultMetrics(results: ActionResultStore, collector: MetricsCollector): ActionResultStore {
  return new MeteredResults(results, collector);
}
