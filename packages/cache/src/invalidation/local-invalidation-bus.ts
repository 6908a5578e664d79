import { CacheClosedError } from '../errors.js';
import type { InvalidationBus, InvalidationListener, InvalidationMessage } from './invalidation-bus.js';
import { Listeners } from './listeners.js';

/** A bus within one process: for several chains over the same layers, and for tests. Listeners are called at once. */
export class LocalInvalidationBus implements InvalidationBus {
  readonly #listeners = new Listeners();
  #closed = false;

  /** @throws CacheClosedError after {@link close} */
  publish(message: InvalidationMessage, except?: InvalidationListener): void {
    if (this.#closed) throw new CacheClosedError('the invalidation bus');
    this.#listeners.tell(message, except);
  }

  /** @throws CacheClosedError after {@link close} */
  subscribe(listener: InvalidationListener): () => void {
    if (this.#closed) throw new CacheClosedError('the invalidation bus');
    return this.#listeners.add(listener);
  }

  close(): void {
    this.#closed = true;
    this.#listeners.clear();
  }
}
