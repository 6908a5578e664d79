import type { MaybePromise } from '@granary/blobs';

/** Whether an answer is still to come: what is there already is used without the cost of a promise. */
export function isPending<T>(value: MaybePromise<T>): value is Promise<T> {
  return value instanceof Promise;
}
