import type { MaybePromise } from '../layer.js';

/** What was changed, so that whoever has a copy drops it. */
export type InvalidationMessage =
  /** These keys were written or deleted. */
  | { readonly type: 'keys'; readonly keys: readonly string[] }
  /** What has this tag is being deleted. The keys follow as `keys`, as far as the sender knows them. */
  | { readonly type: 'tag'; readonly tag: string }
  /** Everything was deleted. */
  | { readonly type: 'clear' }
  /** Messages may have been lost, so that every copy may be old. Comes from the bus itself. */
  | { readonly type: 'lost' };

/** What it throws is ignored, so that the others are told all the same. */
export type InvalidationListener = (message: InvalidationMessage) => void;

/**
 * Tells those who share slow layers what was changed, so that each drops it from the fast layers of its own.
 *
 * A message says that copies are old, not what is new, so it may come twice and in any order. It comes soon after the
 * change, not with it: until then the others may answer what was there before. Whoever is told must also not write back
 * what it began to read before, as when the key had been written here.
 */
export interface InvalidationBus {
  /**
   * Tells everyone but `except`, the caller's own listener. Resolves when the message is on its way.
   *
   * @throws LayerUnavailableError when it can't be sent now; everyone is told `lost` as soon as that can be sent
   */
  publish(message: InvalidationMessage, except?: InvalidationListener): MaybePromise<void>;
  /** @returns what ends the subscription */
  subscribe(listener: InvalidationListener): () => void;
  /** Nobody is told anything any more. May be called twice. */
  close(): MaybePromise<void>;
}
