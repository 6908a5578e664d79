import { type CallContext, isTimeout } from '@granary/resilience';
import type { Span } from '@granary/telemetry';
import { isRemoteStoreError } from '../../remote/remote-store-error.js';

/** One attempt of a call. */
export type Attempt<T> = (context: CallContext) => T | PromiseLike<T>;

/** The attempts of a call, with an event on its span for each but the first that says what became of the one before. */
export function withRetryEvents<T>(span: Span, attempt: Attempt<T>): Attempt<T> {
  let failure: string | undefined;
  return async (context) => {
    // One that was given up says nothing by itself.
    const reason = failure ?? 'timeout';
    failure = undefined;
    if (context.attempt > 1) span.addEvent('retry', { 'retry.reason': reason, 'retry.attempt': context.attempt - 1 });
    try {
      return await attempt(context);
    } catch (error) {
      failure = reasonOf(error);
      throw error;
    }
  };
}

/** Says on a call's span that the tier wasn't asked because it failed too often. */
export function addRejection(span: Span | undefined, tier: string): void {
  if (span?.recording) span.addEvent('circuit_breaker.rejected', { 'cache.tier': tier });
}

function reasonOf(error: unknown): string {
  if (isRemoteStoreError(error)) return error.kind;
  if (isTimeout(error)) return 'timeout';
  return error instanceof Error ? error.name : 'error';
}
