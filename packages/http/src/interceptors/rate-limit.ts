import { PerSourceLimiter, type PerSourceLimiterOptions, quietly } from '@granary/resilience';
import { type HttpInterceptor, sourceOf } from '../dispatch.js';
import { waitForTurn } from '../handlers/waiting.js';
import { addCallEvent } from './client-span.js';
import { interceptor } from './interceptor.js';

export interface RateLimitOptions {
  /** Hears of each request whether its token was there at once. What it throws is ignored. */
  readonly onDecision?: ((source: string, allowed: boolean) => void) | undefined;
}

/**
 * Takes a token of the request's source (its `source`, else its host) before it is sent, and waits for one when there is
 * none; an abort ends the wait. Fails with what the limiter refuses with.
 *
 * @param given a limiter that others use, too, or what to make one with
 * @throws InvalidOptionError that names the option
 */
export function rateLimit(
  given: PerSourceLimiter | PerSourceLimiterOptions = {},
  { onDecision }: RateLimitOptions = {},
): HttpInterceptor {
  const limiter = 'allow' in given ? given : new PerSourceLimiter(given);
  return interceptor((dispatch) => (options, handler) => {
    const source = sourceOf(options);
    const allowed = limiter.allow(source);
    if (onDecision !== undefined) quietly(() => onDecision(source, allowed));
    if (allowed) return dispatch(options, handler);
    addCallEvent(options, 'rate_limit.waiting');
    waitForTurn(handler, async (signal, admit) => {
      await limiter.wait(source, { signal });
      const admitted = admit();
      addCallEvent(options, 'rate_limit.admitted');
      dispatch(options, admitted);
    });
    return true;
  });
}
