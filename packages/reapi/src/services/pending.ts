import type { MaybePromise } from '@granary/blobs';

/**
 * Whether an answer is still to come: what is there already is used without the cost of a promise. A store of others may
 * answer with another realm's promise, as Node's own are in the contexts that jest runs tests in.
 */
export function isPending<T>(value: MaybePromise<T>): value is Promise<T> {
  if (value instanceof Promise) return true;
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
