import { toMaybePromise } from '@granary/resilience';
import type { MaybePromise } from '../../layer.js';

/** Why a write isn't in a layer. */
export class Failed {
  readonly error: unknown;
  /** Whether it was up to this write, whose caller left or whose value isn't right, and not to the layer. */
  readonly isOwn: boolean;

  constructor(error: unknown, signal?: AbortSignal) {
    this.error = error;
    this.isOwn = isRefusal(error) || signal?.aborted === true;
  }
}

/** Whether a layer refused the value as invalid. By the code: a layer may have another copy of this package. */
export function isRefusal(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'INVALID_VALUE';
}

/** What it answers, or why it failed. */
export function attempt<T>(perform: () => MaybePromise<T>): MaybePromise<T | Failed> {
  try {
    const result = toMaybePromise(perform());
    return result instanceof Promise ? result.catch((error: unknown) => new Failed(error)) : result;
  } catch (error) {
    return new Failed(error);
  }
}

/** Performs them all, and waits only where one has to be waited for. */
export function settleAll<I, R, A>(
  items: Iterable<I>,
  perform: (item: I) => MaybePromise<R>,
  combine: (results: R[]) => A,
): MaybePromise<A> {
  const results = Array.from(items, perform);
  if (results.some((result) => result instanceof Promise)) return Promise.all(results).then(combine);
  return combine(results as R[]);
}

export function firstFailure(results: readonly unknown[]): Failed | undefined {
  return results.find((result) => result instanceof Failed) as Failed | undefined;
}
