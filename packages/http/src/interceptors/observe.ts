import { type Clock, steadyClock } from '@granary/resilience';
import { type Logger, nullLogger } from '@granary/telemetry';
import {
  type Controller,
  type Handler,
  type HttpDispatchOptions,
  type HttpInterceptor,
  hostOf,
  interceptor,
  type ResponseHeaders,
  sourceOf,
  type Trailers,
} from '../dispatch.js';
import { failureCode } from '../failure.js';
import { ForwardingHandler } from '../handlers/forwarding-handler.js';
import { headerRecord } from '../headers.js';
import type { HttpMetrics } from '../metrics.js';
import type { HttpSpan, HttpTracer } from '../tracer.js';

export interface ObserveOptions {
  readonly metrics?: HttpMetrics | undefined;
  readonly tracer?: HttpTracer | undefined;
  /** Gets a record for each request at `debug`, with method, host, status and duration: never a path or a query. */
  readonly logger?: Logger | undefined;
  /** What durations are measured with. */
  readonly clock?: Clock | undefined;
}

/**
 * Tells metrics, tracer and logger of every request, from its start to the end of its body. Nothing is measured that
 * nobody listens to, and whoever listens can't break a request.
 */
export function observe({
  metrics,
  tracer,
  logger = nullLogger,
  clock = steadyClock,
}: ObserveOptions): HttpInterceptor {
  const observers = { metrics, tracer, logger, clock };
  return interceptor((dispatch) => (options, handler) => {
    if (tracer !== undefined) return dispatchTraced(dispatch, options, handler, observers, tracer);
    if (metrics?.requestFinished === undefined && !logger.isEnabled('debug')) return dispatch(options, handler);
    return dispatch(options, new ObservingHandler(handler, options, observers, undefined));
  });
}

interface Observers {
  readonly metrics: HttpMetrics | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
}

function dispatchTraced(
  dispatch: (options: HttpDispatchOptions, handler: Handler) => boolean,
  options: HttpDispatchOptions,
  handler: Handler,
  observers: Observers,
  tracer: HttpTracer,
): boolean {
  const { method } = options;
  const url = new URL(options.origin ?? '');
  const headers = headerRecord(options.headers);
  const span = quietly(() => {
    const started = tracer.startSpan(method, {
      'http.request.method': method,
      'server.address': url.hostname,
      'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
    });
    started.inject?.(headers);
    return started;
  });
  return dispatch({ ...options, headers }, new ObservingHandler(handler, options, observers, span));
}

class ObservingHandler extends ForwardingHandler {
  readonly #options: HttpDispatchOptions;
  readonly #observers: Observers;
  readonly #span: HttpSpan | undefined;
  readonly #startedAt: number;
  #statusCode: number | undefined;

  constructor(next: Handler, options: HttpDispatchOptions, observers: Observers, span: HttpSpan | undefined) {
    super(next);
    this.#options = options;
    this.#observers = observers;
    this.#span = span;
    this.#startedAt = observers.clock();
  }

  override onResponseStart(controller: Controller, status: number, headers: ResponseHeaders, message?: string): void {
    this.#statusCode = status;
    super.onResponseStart(controller, status, headers, message);
  }

  override onResponseEnd(controller: Controller, trailers: Trailers): void {
    quietly(() => this.#report(undefined));
    super.onResponseEnd(controller, trailers);
  }

  override onResponseError(controller: Controller, error: Error): void {
    quietly(() => this.#report(error));
    super.onResponseError(controller, error);
  }

  #report(error: unknown): void {
    const { metrics, logger, clock } = this.#observers;
    const { method, progress } = this.#options;
    const statusCode = this.#statusCode;
    const elapsed = clock() - this.#startedAt;
    const status = error === undefined && statusCode !== undefined ? statusCode : 'error';
    metrics?.requestFinished?.(sourceOf(this.#options), method, status, elapsed);
    const host = progress?.url.host ?? hostOf(this.#options);
    const outcome = error === undefined ? statusCode : failureCode(error);
    logger.debug('{Method} {Host} {StatusCode} {Elapsed}', method, host, outcome, elapsed);
    if (this.#span === undefined) return;
    const resends = (progress?.attempts ?? 1) - 1;
    if (resends > 0) this.#span.setAttribute('http.request.resend_count', resends);
    if (statusCode !== undefined) this.#span.setAttribute('http.response.status_code', statusCode);
    this.#span.end({ statusCode, error });
  }
}

function quietly<T>(tell: () => T): T | undefined {
  try {
    return tell();
  } catch {
    // Who only listens must not break the call.
    return undefined;
  }
}
