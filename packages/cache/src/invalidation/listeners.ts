import { quietly } from '@granary/resilience';
import type { InvalidationListener, InvalidationMessage } from './invalidation-bus.js';

/** Those who listen to a bus in this process. */
export class Listeners {
  readonly #listeners = new Set<InvalidationListener>();

  /** @returns what takes it away again */
  add(listener: InvalidationListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  tell(message: InvalidationMessage, except?: InvalidationListener): void {
    for (const listener of this.#listeners) {
      if (listener === except) continue;
      quietly(() => listener(message));
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}
