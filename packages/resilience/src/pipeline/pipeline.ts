import { InvalidOptionError } from '../errors.js';
import { enter } from './enter.js';
import type { Handler, Policy, Protected } from './policy.js';
import { invokeRaced } from './raced-scope.js';

export interface CallOptions {
  /**
   * The caller's signal: when it is aborted, the call is rejected with its reason at once, and counts neither as success
   * nor as failure. Costs about 1 µs.
   */
  readonly signal?: AbortSignal | undefined;
}

/** Calls a function under policies. */
export type ProtectedCall = <T>(fn: Protected<T>, options?: CallOptions) => Promise<T>;

/**
 * Composes policies, the outermost first: `pipeline(a, b)` is `a` around `b` around the call. The same composition serves
 * any number of calls, of any functions, at the same time. Without policies it only calls.
 *
 * @throws InvalidOptionError for what is not a policy.
 */
export function pipeline(...policies: readonly Policy[]): ProtectedCall {
  const handler = policies.reduceRight<Handler>((inner, policy, i) => {
    if (typeof policy !== 'function') throw new InvalidOptionError(`policy ${i + 1}`, 'a function', policy);
    return neverThrowing(policy(inner));
  }, invokeRaced);
  return (fn, options) => enter(handler, fn, options?.signal);
}

/** What a policy throws becomes a rejection, so that those around it don't forget what they hold. */
function neverThrowing(handler: Handler): Handler {
  return (fn, scope) => {
    try {
      return handler(fn, scope);
    } catch (error) {
      return Promise.reject(error);
    }
  };
}
