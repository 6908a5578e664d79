import type { Duplex } from 'node:stream';
import { type CircuitBreaker, HttpCircuitBreaker, type HttpCircuitBreakerOptions, quietly } from '@granary/resilience';
import {
  type Controller,
  type Handler,
  type HttpInterceptor,
  hostOf,
  type ResponseHeaders,
  type Trailers,
} from '../dispatch.js';
import { failureCode, isHostFailure, isRefusal, isUnreachable } from '../failure.js';
import { ForwardingHandler } from '../handlers/forwarding-handler.js';
import { NO_CONTROLLER } from '../handlers/waiting.js';
import { addCallEvent } from './client-span.js';
import { interceptor } from './interceptor.js';

export interface CircuitBreakerOptions {
  /** Hears of each failure that a breaker counts. What it throws is ignored. */
  readonly onFailure?: ((host: string) => void) | undefined;
  /** Whether a host to which there is no connection to be had opens its breaker at once. Default false. */
  readonly opensWhenUnreachable?: boolean | undefined;
}

/**
 * Asks the breaker of the host before each request, and tells it how it went: a status from 500 on (or whatever
 * `isFailureResult` of the breakers says), a broken connection and a timeout are failures, any other answer that came to
 * its end is a success, and a request that the caller aborted is neither. A connection that is refused is a quick failure
 * (`quickTimeoutMs`). A host whose breaker is open is not asked; the request fails with `CircuitOpenError`.
 *
 * @param given breakers that others use, too, or what to make some with
 * @throws InvalidOptionError that names the option
 */
export function circuitBreaker(
  given: HttpCircuitBreaker | HttpCircuitBreakerOptions = {},
  options: CircuitBreakerOptions = {},
): HttpInterceptor {
  const breakers = 'forHost' in given ? given : new HttpCircuitBreaker(given);
  return interceptor((dispatch) => (request, handler) => {
    const host = hostOf(request);
    const breaker = breakers.forHost(host);
    const permit = breaker.acquire();
    if (permit === 0) {
      addCallEvent(request, 'circuit_breaker.rejected', { 'circuit_breaker.host': host });
      handler.onResponseError?.(NO_CONTROLLER, breaker.rejection());
      return true;
    }
    return dispatch(request, new BreakerHandler(handler, breakers, breaker, permit, host, options));
  });
}

class BreakerHandler extends ForwardingHandler {
  readonly #breakers: HttpCircuitBreaker;
  readonly #breaker: CircuitBreaker;
  /** 0 once it is settled. */
  #permit: number;
  readonly #host: string;
  readonly #options: CircuitBreakerOptions;

  constructor(
    next: Handler,
    breakers: HttpCircuitBreaker,
    breaker: CircuitBreaker,
    permit: number,
    host: string,
    options: CircuitBreakerOptions,
  ) {
    super(next);
    this.#breakers = breakers;
    this.#breaker = breaker;
    this.#permit = permit;
    this.#host = host;
    this.#options = options;
  }

  override onRequestUpgrade(controller: Controller, status: number, headers: ResponseHeaders, socket: Duplex): void {
    if (this.#permit !== 0) this.#breaker.succeeded(this.#permit);
    this.#permit = 0;
    super.onRequestUpgrade(controller, status, headers, socket);
  }

  override onResponseStart(controller: Controller, status: number, headers: ResponseHeaders, message?: string): void {
    if (this.#permit !== 0 && this.#breakers.isFailure({ statusCode: status })) {
      this.#failed();
      this.#permit = 0;
    }
    super.onResponseStart(controller, status, headers, message);
  }

  override onResponseEnd(controller: Controller, trailers: Trailers): void {
    if (this.#permit !== 0) this.#breaker.succeeded(this.#permit);
    this.#permit = 0;
    super.onResponseEnd(controller, trailers);
  }

  override onResponseError(controller: Controller, error: Error): void {
    if (this.#permit !== 0) this.#settle(controller, error);
    this.#permit = 0;
    super.onResponseError(controller, error);
  }

  #settle(controller: Controller | undefined, error: Error): void {
    const code = failureCode(error);
    // What the caller ends says nothing about the host; but a deadline does, unless the reader was who kept it waiting.
    const isFailure = code === 'TIMEOUT' ? !controller?.paused : !controller?.aborted && isHostFailure(code);
    if (isFailure) this.#failed(this.#options.opensWhenUnreachable === true && isUnreachable(error), isRefusal(error));
    else this.#breaker.released(this.#permit);
  }

  #failed(isDecisive = false, isQuick = false): void {
    this.#breaker.failed(this.#permit, isDecisive, isQuick);
    quietly(() => this.#options.onFailure?.(this.#host));
  }
}
