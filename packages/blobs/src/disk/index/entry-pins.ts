import type { Digest } from '../../digest.js';
import { actionResultKey, blobKey, keyText } from './entry-key.js';

/**
 * Entries of a disk store that are not evicted: each stays as long as somebody holds it. Whoever needs entries kept from
 * the first moment makes the pins, holds what he needs, and opens the store with them.
 */
export class EntryPins {
  readonly #holders = new Map<string, number>();

  /** Entries that are held now. */
  get count(): number {
    return this.#holders.size;
  }

  /** @param key as text; see {@link blobPin} */
  pin(key: string): void {
    this.#holders.set(key, (this.#holders.get(key) ?? 0) + 1);
  }

  /** Ends one {@link pin}. */
  unpin(key: string): void {
    const holders = this.#holders.get(key) ?? 0;
    if (holders > 1) this.#holders.set(key, holders - 1);
    else this.#holders.delete(key);
  }

  isPinned(key: string): boolean {
    return this.#holders.has(key);
  }

  /** How many hold an entry now. */
  holders(key: string): number {
    return this.#holders.get(key) ?? 0;
  }
}

/** What a blob is pinned by. */
export function blobPin(digest: Digest): string {
  return keyText(blobKey(digest));
}

/** What an action's result is pinned by. */
export function actionResultPin(key: string): string {
  return keyText(actionResultKey(key));
}
