import { isThenable } from './maybe-promise.js';

/**
 * Tells somebody who only listens, such as a logger, a collector of metrics or a callback of the caller's: who must not
 * break what it listens to, not even later.
 *
 * @returns what it returned; undefined when it threw
 */
export function quietly<T>(tell: () => T): T | undefined {
  try {
    const told = tell();
    ignoreLater(told);
    return told;
  } catch {
    return undefined;
  }
}

/**
 * What listens may be written `async`: what it rejects with later must not end the process. {@link quietly} does that; this
 * is for hot paths, with a `try` of their own instead of a function for each call.
 */
export function ignoreLater(told: unknown): void {
  if (isThenable(told)) Promise.resolve(told).catch(() => {});
}
