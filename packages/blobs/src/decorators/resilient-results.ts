import { withTimeout } from '@granary/resilience';
import type { ActionResultStore, OperationOptions } from '../blob-store.js';
import { StorePolicies, type StoreResilienceOptions } from '../tiered/resilience/store-policies.js';
import { underSignal } from './under-signal.js';

class ResilientResults implements ActionResultStore {
  readonly #inner: ActionResultStore;
  readonly #policies: StorePolicies;

  constructor(inner: ActionResultStore, options: StoreResilienceOptions) {
    this.#inner = inner;
    this.#policies = new StorePolicies(inner.name, options);
  }

  get name(): string {
    return this.#inner.name;
  }

  get(key: string, options?: OperationOptions): Promise<Buffer | undefined> {
    return this.#policies.whole('get of an action result', options, ({ signal }) =>
      this.#inner.get(key, underSignal(options, signal)),
    );
  }

  set(key: string, value: Buffer, options?: OperationOptions): Promise<void> {
    return this.#policies.whole('set of an action result', options, ({ signal }) =>
      this.#inner.set(key, value, underSignal(options, signal)),
    );
  }

  delete(key: string): Promise<boolean> {
    return this.#policies.whole('delete of an action result', undefined, () => this.#inner.delete(key));
  }

  async close(): Promise<void> {
    const { idleTimeoutMs, timers } = this.#policies;
    await withTimeout(() => this.#inner.close(), idleTimeoutMs, { timers }).catch((error: unknown) => {
      throw this.#policies.explain('close', error);
    });
  }
}

/**
 * The same for action results as `withResilience` for blobs; give both the same breaker and rate limit when they lie on
 * one machine. Every operation is retried: a result is written whole, and twice the same is the same.
 *
 * @throws InvalidOptionError that names the option
 */
export function withResilientResults(
  results: ActionResultStore,
  options: StoreResilienceOptions = {},
): ActionResultStore {
  return new ResilientResults(results, options);
}
