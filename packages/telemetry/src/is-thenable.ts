/**
 * Whether `await` would wait for it: also for a promise of another realm, such as Node's own in the contexts that jest runs
 * tests in, and for a query that begins when it is asked for its result.
 */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value instanceof Promise) return true;
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false;
  return typeof (value as Partial<PromiseLike<unknown>>).then === 'function';
}
