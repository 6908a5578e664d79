/**
 * What a function, layer or store of others answered, so that `instanceof Promise` says whether it has to be waited for.
 * Other promises become ones of this realm: those of Bluebird, queries that begin when they are asked for their result, and,
 * in the contexts that jest and vitest run tests in, all that come from Node itself, such as those of `node:fs/promises`.
 */
export function toMaybePromise<T>(answer: T | PromiseLike<T>): T | Promise<T> {
  if (answer instanceof Promise) return answer as Promise<T>;
  return isThenable(answer) ? Promise.resolve(answer) : answer;
}

/** Whether `await` would wait for it. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  if (value instanceof Promise) return true;
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false;
  return typeof (value as Partial<PromiseLike<T>>).then === 'function';
}
