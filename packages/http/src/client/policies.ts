import {
  type CircuitStateChange,
  HttpCircuitBreaker,
  PerSourceLimiter,
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
import type { HttpClientOptions } from './options.js';

/** What a client's options ask for, from the outside in. */
export function policiesOf(options: HttpClientOptions): HttpInterceptor[] {
  const { clock, timers, metrics, logger } = options;
  const tracer = options.tracer?.enabled ? options.tracer : undefined;
  const breakers = breakersOf(options);
  const limiter = limiterOf(options);
  const places = throttleOf(options);
  const policies = [
    (metrics || tracer || logger) && observe({ metrics, tracer, logger, clock }),
    deadline({ timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS, timers }),
    limits(),
    decompress(),
    redirect({ maxRedirects: options.maxRedirects ?? DEFAULT_MAX_REDIRECTS }),
    options.retry !== false && retry(retryOptionsOf(options, breakers)),
    limiter && rateLimit(limiter, { onDecision: metrics?.rateLimited?.bind(metrics) }),
    places && throttle(places),
    breakers && circuitBreaker(breakers),
  ];
  return policies.filter((policy) => typeof policy === 'function');
}

function retryOptionsOf(
  { retry: given, metrics, clock, timers }: HttpClientOptions,
  circuitBreaker: HttpCircuitBreaker | undefined,
): HttpRetryOptions {
  const own = given || {};
  const onRetry = (event: HttpRetryEvent) => {
    metrics?.retried?.(sourceOf(event.request), event.reason);
    own.onRetry?.(event);
  };
  return { clock, timers, ...own, circuitBreaker, onRetry };
}

function breakersOf({ circuitBreaker: given, metrics, clock }: HttpClientOptions): HttpCircuitBreaker | undefined {
  if (given === false) return undefined;
  if (given instanceof HttpCircuitBreaker) return given;
  const onStateChange = (change: CircuitStateChange) => {
    metrics?.circuitStateChanged?.(change.name ?? '', change.to);
    given?.onStateChange?.(change);
  };
  return new HttpCircuitBreaker({ clock, ...given, onStateChange });
}

function limiterOf({ rateLimiter: given, clock, timers }: HttpClientOptions): PerSourceLimiter | undefined {
  if (given === undefined || given === false) return undefined;
  if (given instanceof PerSourceLimiter) return given;
  return new PerSourceLimiter({ ...(clock && { clock }), ...(timers && { timers }), ...given });
}

function throttleOf({ throttle: given }: HttpClientOptions): Throttle | undefined {
  if (given === undefined || given === false) return undefined;
  return 'run' in given ? given : new SemaphoreThrottle(given.max, { maxQueue: given.maxQueue });
}
