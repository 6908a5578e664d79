import { isTimeout, nodeTimers, retry, type Timers } from '@granary/resilience';
import { isNuGetError } from '../errors.js';

export interface BodyRetryOptions {
  readonly signal: AbortSignal | undefined;
  readonly timers: Timers | undefined;
  /** Hears of an attempt that failed and is followed by another one. */
  readonly onRetry?: ((error: unknown) => void) | undefined;
}

const MAX_RETRIES = 2;
const DELAY_MS = 250;

/**
 * Receives something, again when it broke off on the way or is not what it should be. What failed before the body came
 * isn't asked for again here, since the HTTP client has done that; so an attempt says when the body begins.
 */
export async function retryBody<T>(
  attempt: (bodyBegins: () => void) => Promise<T>,
  options: BodyRetryOptions,
): Promise<T> {
  const { signal, timers = nodeTimers, onRetry } = options;
  let began = false;
  const bodyBegins = () => {
    began = true;
  };
  const shouldRetry = (error: unknown) => began && mayPass(error);
  let first: { readonly error: unknown } | undefined;
  try {
    // Hardly one breaks off, and to watch over the first attempt costs more than the rest of it does here.
    return await attempt(bodyBegins);
  } catch (error) {
    if (!shouldRetry(error)) throw error;
    first = { error };
  }
  const work = () => {
    if (first !== undefined) {
      const { error } = first;
      first = undefined;
      return Promise.reject(error);
    }
    began = false;
    return attempt(bodyBegins);
  };
  return retry(work, {
    maxRetries: MAX_RETRIES,
    initialDelayMs: DELAY_MS,
    signal,
    timers,
    shouldRetry,
    onRetry: ({ error }) => onRetry?.(error),
  });
}

const mayPass = (error: unknown): boolean =>
  isNuGetError(error) &&
  (error.code === 'INVALID_PACKAGE' || (error.code === 'SOURCE_UNAVAILABLE' && !isOverTime(error.cause)));

/** Whether all of the time was used up that there is for the answer with all attempts, and not only for its next bytes. */
const isOverTime = (error: unknown): boolean => error instanceof Error && isTimeout(error.cause);
