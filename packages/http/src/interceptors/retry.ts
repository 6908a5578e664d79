import { AsyncResource } from 'node:async_hooks';
import {
  Backoff,
  type BackoffOptions,
  type Clock,
  type HttpCircuitBreaker,
  nodeTimers,
  quietly,
  type Timers,
} from '@granary/resilience';
import { checkCount } from '../check-options.js';
import {
  type Controller,
  type Dispatch,
  type Handler,
  type HttpDispatchOptions,
  type HttpInterceptor,
  hostOf,
  type ResponseHeaders,
} from '../dispatch.js';
import { failureCode } from '../failure.js';
import { RepeatingHandler } from '../handlers/repeating-handler.js';
import { firstValue } from '../headers.js';
import { isRepeatable } from '../request-body.js';
import { parseRetryAfter } from '../retry-after.js';
import { addCallEvent } from './client-span.js';
import { interceptor } from './interceptor.js';

/** A retry that is about to be waited for. */
export interface HttpRetryEvent {
  readonly request: HttpDispatchOptions;
  /** Number of the attempt that failed, from 1. */
  readonly attempt: number;
  /** The wait before the next one. */
  readonly delayMs: number;
  /** The status it was answered with, or the code of its error: few values, fit for a metric's label. */
  readonly reason: string;
}

export interface HttpRetryOptions extends BackoffOptions {
  /** Attempts after the first. Default 3. */
  readonly maxRetries?: number | undefined;
  /** Statuses worth another attempt. Default 408, 429, 500, 502, 503, 504. */
  readonly statusCodes?: readonly number[] | undefined;
  /** Methods that may be repeated. Default GET, HEAD, OPTIONS, PUT, DELETE, TRACE. */
  readonly methods?: readonly string[] | undefined;
  /** Ends the retries of a host as soon as its breaker is open. */
  readonly circuitBreaker?: HttpCircuitBreaker | undefined;
  /** Hears of each retry before its wait. What it throws is ignored. */
  readonly onRetry?: ((event: HttpRetryEvent) => void) | undefined;
  /** What dates in `Retry-After` are compared with: milliseconds since 1970. Default: the system's, as servers have it. */
  readonly clock?: Clock | undefined;
  readonly timers?: Timers | undefined;
}

const STATUS_CODES = [408, 429, 500, 502, 503, 504] as const;
const METHODS = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'] as const;

/**
 * Repeats what failed: network errors, timeouts of an attempt, and answers that say "not now". Only methods that may be
 * repeated are (`idempotent: true` in a request says that this one may, whatever its method), and only bodies that can
 * be: none, a string, bytes, or a function that makes a new stream. Waits grow, and `Retry-After` is waited for instead
 * where it is given, but never longer than `maxDelayMs`. The answer to the last attempt is handed on, whatever it is.
 *
 * Not repeated: what was aborted, what a breaker, rate limiter or limit refused, certificates that aren't trusted, and a
 * response that broke off after its headers were handed on, because part of it has been used already (unless the request
 * is `restartable`).
 */
export function retry(options: HttpRetryOptions = {}): HttpInterceptor {
  const plan = new RetryPlan(options);
  return interceptor((dispatch) => (request, handler) => {
    const allowed = request.idempotent ?? plan.methods.has(request.method);
    if (!allowed || !isRepeatable(request.body)) return dispatch(request, handler);
    return new RetryHandler(handler, dispatch, request, plan).start();
  });
}

class RetryPlan {
  readonly maxRetries: number;
  readonly statusCodes: ReadonlySet<number>;
  readonly methods: ReadonlySet<string>;
  readonly backoff: Backoff;
  readonly circuitBreaker: HttpCircuitBreaker | undefined;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly onRetry: ((event: HttpRetryEvent) => void) | undefined;

  constructor(options: HttpRetryOptions) {
    this.maxRetries = checkCount('maxRetries', options.maxRetries ?? 3);
    this.statusCodes = new Set(options.statusCodes ?? STATUS_CODES);
    this.methods = new Set(options.methods ?? METHODS);
    this.backoff = new Backoff(options);
    this.circuitBreaker = options.circuitBreaker;
    this.clock = options.clock ?? (() => Date.now());
    this.timers = options.timers ?? nodeTimers;
    this.onRetry = options.onRetry;
  }
}

class RetryHandler extends RepeatingHandler {
  readonly #request: HttpDispatchOptions;
  readonly #plan: RetryPlan;
  /** Of the request, for who hears of its retries: answers come in that of whoever made the connection. */
  readonly #context: AsyncResource | undefined;
  #attempt = 1;
  /** A response was handed on that no other may follow. */
  #isAnswered = false;
  #timer: unknown;
  #isDiscarded = true;

  constructor(next: Handler, dispatch: Dispatch, request: HttpDispatchOptions, plan: RetryPlan) {
    super(next, dispatch);
    this.#request = request;
    this.#plan = plan;
    this.#context = plan.onRetry && new AsyncResource('HttpRetry');
  }

  start(): boolean {
    return this.send(this.#request);
  }

  override onResponseStart(_: Controller, status: number, headers: ResponseHeaders, message?: string): void {
    if (this.#plan.statusCodes.has(status) && this.#mayRetry()) {
      const asked = parseRetryAfter(firstValue(headers['retry-after']), this.#plan.clock());
      this.discard();
      this.#isDiscarded = false;
      this.#retryLater(String(status), asked);
      return;
    }
    // Of a refusal nobody wants the body, so its end is no reason to ask again.
    if (status >= 200) this.#isAnswered = this.#request.restartable !== true || status >= 300;
    this.next.onResponseStart?.(this, status, headers, message);
  }

  protected override recovers(error: Error): boolean {
    const code = failureCode(error);
    if (this.#isAnswered || !(code === 'NETWORK' || code === 'TIMEOUT') || !this.#mayRetry()) return false;
    this.#retryLater(code, undefined);
    return true;
  }

  protected override discarded(): void {
    this.#isDiscarded = true;
    if (this.#timer === undefined) this.#again();
  }

  protected override cancel(): void {
    this.#plan.timers.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #mayRetry(): boolean {
    const { maxRetries, circuitBreaker } = this.#plan;
    return this.#attempt <= maxRetries && circuitBreaker?.getState(hostOf(this.#request)) !== 'open';
  }

  #retryLater(reason: string, askedMs: number | undefined): void {
    const { backoff, timers } = this.#plan;
    const delayMs = askedMs === undefined ? backoff.delayMs(this.#attempt) : Math.min(askedMs, backoff.maxDelayMs);
    const attempt = { 'retry.reason': reason, 'retry.attempt': this.#attempt, 'retry.delay_ms': delayMs };
    addCallEvent(this.#request, 'retry', attempt);
    this.#tell({ request: this.#request, attempt: this.#attempt, delayMs, reason });
    this.#attempt++;
    this.#timer = timers.setTimeout(() => {
      this.#timer = undefined;
      // A refusal that still trickles in has had its time.
      if (this.#isDiscarded) this.#again();
      else this.cutOff();
    }, delayMs);
  }

  #tell(event: HttpRetryEvent): void {
    quietly(() => this.#context?.runInAsyncScope(() => this.#plan.onRetry?.(event)));
  }

  #again(): void {
    this.send(this.#request);
  }
}
