import type { Duplex } from 'node:stream';
import { coarseTimers, TimeoutError, type Timers } from '@granary/resilience';
import { checkMs } from '../check-options.js';
import type { Controller, Handler, HttpInterceptor, ResponseHeaders, Trailers } from '../dispatch.js';
import { ForwardingHandler } from '../handlers/forwarding-handler.js';
import { NO_CONTROLLER } from '../handlers/waiting.js';
import { interceptor } from './interceptor.js';

export interface DeadlineOptions {
  /** From the start to the last byte of the body; a request's own `timeoutMs` goes first; 0 is none. Default 100,000. */
  readonly timeoutMs?: number | undefined;
  /** Default: timers that all timeouts share, never early and at most 10 ms late. */
  readonly timers?: Timers | undefined;
}

export const DEFAULT_TIMEOUT_MS = 100_000;

/**
 * Gives a request so much time in all: waiting for its turn, connecting, retries and redirects inside of it, and the
 * body included. What is not complete by then fails with `TimeoutError`, and its connection is closed.
 */
export function deadline({
  timeoutMs = DEFAULT_TIMEOUT_MS,
  timers = coarseTimers,
}: DeadlineOptions = {}): HttpInterceptor {
  checkMs('timeoutMs', timeoutMs);
  return interceptor((dispatch) => (options, handler) => {
    const ms = options.timeoutMs ?? timeoutMs;
    if (ms === 0 || ms === Infinity) return dispatch(options, handler);
    return dispatch(options, new DeadlineHandler(handler, ms, timers));
  });
}

class DeadlineHandler extends ForwardingHandler {
  readonly #ms: number;
  readonly #timers: Timers;
  readonly #timer: unknown;
  #controller: Controller | undefined;
  #expired: TimeoutError | undefined;
  /** The next handler was told before there was anything to abort. */
  #isTold = false;

  constructor(next: Handler, ms: number, timers: Timers) {
    super(next);
    this.#ms = ms;
    this.#timers = timers;
    this.#timer = timers.setTimeout(() => this.#expire(), ms);
  }

  override onRequestStart(controller: Controller, context: unknown): void {
    this.#controller = controller;
    // It waited for a connection when its time was over, and nobody could tell it so.
    if (this.#expired !== undefined) {
      controller.abort(this.#expired);
      return;
    }
    super.onRequestStart(controller, context);
  }

  override onRequestUpgrade(controller: Controller, status: number, headers: ResponseHeaders, socket: Duplex): void {
    this.#timers.clearTimeout(this.#timer);
    super.onRequestUpgrade(controller, status, headers, socket);
  }

  override onResponseStart(controller: Controller, status: number, headers: ResponseHeaders, message?: string): void {
    this.#controller = controller;
    super.onResponseStart(controller, status, headers, message);
  }

  override onResponseEnd(controller: Controller, trailers: Trailers): void {
    this.#timers.clearTimeout(this.#timer);
    super.onResponseEnd(controller, trailers);
  }

  override onResponseError(controller: Controller, error: Error): void {
    this.#timers.clearTimeout(this.#timer);
    if (!this.#isTold) super.onResponseError(controller, error);
  }

  #expire(): void {
    this.#expired = new TimeoutError(this.#ms);
    if (this.#controller !== undefined) {
      this.#controller.abort(this.#expired);
      return;
    }
    this.#isTold = true;
    this.next.onResponseError?.(NO_CONTROLLER, this.#expired);
  }
}
