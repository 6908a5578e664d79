import {
  type CircuitStateChange,
  HttpCircuitBreaker,
  PerSourceLimiter,
  quietly,
  SemaphoreThrottle,
  type Throttle,
} from '@granary/resilience';
import { type HttpInterceptor, sourceOf } from '../dispatch.js';
import { circuitBreaker } from '../interceptors/circuit-breaker.js';
import { DEFAULT_TIMEOUT_MS, deadline } from '../interceptors/deadline.js';
import { decompress } from '../interceptors/decompress.js';
import { limits } from '../interceptors/limits.js';
import { observe } from '../interceptors/observe.js';
import { rateLimit } from '../interceptors/rate-limit.js';
import { DEFAULT_MAX_REDIRECTS, redirect } from '../interceptors/redirect.js';
import { type HttpRetryEvent, type HttpRetryOptions, retry } from '../interceptors/retry.js';
import { throttle } from '../interceptors/throttle.js';
import type { HttpClientState } from '../metrics.js';
import type { HttpClientOptions } from './options.js';

export const DEFAULT_MAX_HEADER_BYTES = 16 * 1024;

export interface Policies {
  /** From the outside in. */
  readonly interceptors: readonly HttpInterceptor[];
  readonly state: HttpClientState;
}

/** What a client's options ask for. */
export function policiesOf(options: HttpClientOptions): Policies {
  const { clock, timers, metrics, logger } = options;
  const tracer = options.tracer?.enabled ? options.tracer : undefined;
  const breakers = breakersOf(options);
  const limiter = limiterOf(options);
  const places = throttleOf(options);
  const policies = [
    (metrics || tracer || logger) && observe({ metrics, tracer, logger, clock }),
    deadline({ timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS, timers }),
    // Of HTTP/1.1 undici counts the headers as they come, of HTTP/2 nobody does.
    limits({
      maxHeaderBytes: (options.http2 ?? true) ? (options.maxHeaderBytes ?? DEFAULT_MAX_HEADER_BYTES) : Infinity,
    }),
    decompress(),
    redirect({ maxRedirects: options.maxRedirects ?? DEFAULT_MAX_REDIRECTS, timers }),
    options.retry !== false && retry(retryOptionsOf(options, breakers)),
    limiter && rateLimit(limiter, { onDecision: metrics?.rateLimited?.bind(metrics) }),
    places && throttle(places),
    breakers &&
      circuitBreaker(breakers, {
        onFailure: metrics?.hostFailed?.bind(metrics),
        opensWhenUnreachable: options.opensWhenUnreachable,
      }),
  ];
  return {
    interceptors: policies.filter((policy) => typeof policy === 'function'),
    state: {
      tokens: () => Array.from(limiter?.getAllStats() ?? [], ([source, { tokens }]) => [source, tokens]),
      circuits: () => Array.from(breakers?.getAllStats() ?? [], ([host, { state }]) => [host, state]),
    },
  };
}

function retryOptionsOf(
  { retry: given, metrics, clock, timers }: HttpClientOptions,
  circuitBreaker: HttpCircuitBreaker | undefined,
): HttpRetryOptions {
  const own = given || {};
  if (own.onRetry === undefined && metrics?.retried === undefined) return { clock, timers, ...own, circuitBreaker };
  const onRetry = (event: HttpRetryEvent) => {
    quietly(() => metrics?.retried?.(sourceOf(event.request), event.reason));
    return own.onRetry?.(event);
  };
  return { clock, timers, ...own, circuitBreaker, onRetry };
}

function breakersOf({ circuitBreaker: given, metrics, clock }: HttpClientOptions): HttpCircuitBreaker | undefined {
  if (given === false) return undefined;
  // Not by its class, which is another one where it was made by another copy of that package.
  if (given !== undefined && 'forHost' in given) return given;
  const onStateChange = (change: CircuitStateChange) => {
    quietly(() => metrics?.circuitStateChanged?.(change.name ?? '', change.to));
    return given?.onStateChange?.(change);
  };
  return new HttpCircuitBreaker({ clock, ...given, onStateChange });
}

function limiterOf({ rateLimiter: given, clock, timers }: HttpClientOptions): PerSourceLimiter | undefined {
  if (given === undefined || given === false) return undefined;
  if ('allow' in given) return given;
  return new PerSourceLimiter({ ...(clock && { clock }), ...(timers && { timers }), ...given });
}

function throttleOf({ throttle: given }: HttpClientOptions): Throttle | undefined {
  if (given === undefined || given === false) return undefined;
  return 'run' in given ? given : new SemaphoreThrottle(given.max, { maxQueue: given.maxQueue });
}
