import type { CallContext, CallScope } from './call-scope.js';

/** A function that policies protect. A synchronous one works too. */
export type Protected<T> = (context: CallContext) => T | PromiseLike<T>;

/** Calls a protected function in a scope. Everything that goes wrong is a rejection, never an exception. */
export type Handler = <T>(fn: Protected<T>, scope: CallScope) => Promise<T>;

/**
 * One concern around a call: a function from the handler of what is inside to one that does its own part too. A policy
 * of your own passes on the scope that it was given, and settles soon after the scope has ended.
 */
export type Policy = (inner: Handler) => Handler;

/** Makes the call. */
export function invoke<T>(fn: Protected<T>, scope: CallScope): Promise<T> {
  try {
    return Promise.resolve(fn(scope)) as Promise<T>;
  } catch (error) {
    return Promise.reject(error);
  }
}
