import { AsyncResource } from 'node:async_hooks';
import type { Duplex } from 'node:stream';
import { type Clock, quietly, steadyClock } from '@granary/resilience';
import { type Logger, nullLogger, type Span, type Tracer } from '@granary/telemetry';
import {
  type Controller,
  type Handler,
  type HttpDispatchOptions,
  type HttpInterceptor,
  hostOf,
  type ResponseHeaders,
  sourceOf,
  type Trailers,
} from '../dispatch.js';
import { failureCode } from '../failure.js';
import { ForwardingHandler } from '../handlers/forwarding-handler.js';
import { headerRecord } from '../headers.js';
import type { HttpMetrics } from '../metrics.js';
import { endClientSpan, startClientSpan } from './client-span.js';
import { interceptor } from './interceptor.js';

export interface ObserveOptions {
  readonly metrics?: HttpMetrics | undefined;
  /** Starts a span for each request, whose context the request carries. */
  readonly tracer?: Tracer | undefined;
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
  const observers = { metrics, logger, clock };
  return interceptor((dispatch) => (options, handler) => {
    if (tracer?.enabled) return dispatchTraced(dispatch, options, handler, observers, tracer);
    if (!isListening(observers)) return dispatch(options, handler);
    return dispatch(options, new ObservingHandler(handler, options, observers, undefined));
  });
}

interface Observers {
  readonly metrics: HttpMetrics | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
}

const isListening = ({ metrics, logger }: Observers): boolean =>
  metrics?.requestFinished !== undefined || quietly(() => logger.isEnabled('debug')) === true;

function dispatchTraced(
  dispatch: (options: HttpDispatchOptions, handler: Handler) => boolean,
  options: HttpDispatchOptions,
  handler: Handler,
  observers: Observers,
  tracer: Tracer,
): boolean {
  const headers = headerRecord(options.headers);
  const span = quietly(() => {
    const started = startClientSpan(tracer, options);
    started.inject((name, value) => {
      headers[name] = value;
    });
    return started;
  });
  const traced = { ...options, headers, span };
  if (!span?.recording && !isListening(observers)) {
    span?.end();
    return dispatch(traced, handler);
  }
  return dispatch(traced, new ObservingHandler(handler, traced, observers, span));
}

class ObservingHandler extends ForwardingHandler {
  readonly #options: HttpDispatchOptions;
  readonly #observers: Observers;
  readonly #span: Span | undefined;
  readonly #startedAt: number;
  /** Of the request: answers come in that of whoever made the connection, and its log record would be of that one's trace. */
  readonly #context = new AsyncResource('HttpRequest');
  #statusCode: number | undefined;
  #isGivenUp = false;

  constructor(next: Handler, options: HttpDispatchOptions, observers: Observers, span: Span | undefined) {
    super(next);
    this.#options = options;
    this.#observers = observers;
    this.#span = span;
    this.#startedAt = observers.clock();
  }

  override onRequestUpgrade(controller: Controller, status: number, headers: ResponseHeaders, socket: Duplex): void {
    this.#statusCode = status;
    this.#over(undefined);
    super.onRequestUpgrade(controller, status, headers, socket);
  }

  override onResponseStart(controller: Controller, status: number, headers: ResponseHeaders, message?: string): void {
    this.#statusCode = status;
    super.onResponseStart(controller, status, headers, message);
  }

  override onResponseEnd(controller: Controller, trailers: Trailers): void {
    this.#over(undefined);
    super.onResponseEnd(controller, trailers);
  }

  override onResponseError(controller: Controller, error: Error): void {
    this.#isGivenUp = controller?.aborted === true && isReasonOfCaller(error);
    this.#over(error);
    super.onResponseError(controller, error);
  }

  #over(error: unknown): void {
    quietly(() => this.#context.runInAsyncScope(this.#report, this, error));
    quietly(() => this.#endSpan(error));
  }

  #report(error: unknown): void {
    const { metrics, logger, clock } = this.#observers;
    const { method, progress } = this.#options;
    const statusCode = this.#statusCode;
    const elapsed = clock() - this.#startedAt;
    const failed = this.#isGivenUp ? 'cancelled' : 'error';
    const status = error === undefined && statusCode !== undefined ? statusCode : failed;
    const source = sourceOf(this.#options);
    const span = this.#span?.recording ? this.#span : undefined;
    quietly(() =>
      span === undefined
        ? metrics?.requestFinished?.(source, method, status, elapsed)
        : metrics?.requestFinished?.(source, method, status, elapsed, span),
    );
    if (!logger.isEnabled('debug')) return;
    const host = progress?.url.host ?? hostOf(this.#options);
    const outcome = error === undefined ? statusCode : failureCode(error);
    quietly(() => logger.debug('{Method} {Host} {StatusCode} in {Elapsed:F1} ms', method, host, outcome, elapsed));
  }

  #endSpan(error: unknown): void {
    if (this.#span !== undefined) endClientSpan(this.#span, this.#options, this.#statusCode, error);
  }
}

/**
 * Whether a call was ended because nobody wants its answer any more, which says nothing about who was asked. A time limit
 * that passed does, and so does what has a code: that is a failure, whoever noticed it.
 */
function isReasonOfCaller(error: unknown): boolean {
  const { code, name } = Object(error) as { readonly code?: unknown; readonly name?: unknown };
  return typeof code !== 'string' && name !== 'TimeoutError';
}
