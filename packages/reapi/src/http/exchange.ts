import type { IncomingMessage, ServerResponse } from 'node:http';
// The global of this name is looked up at each use.
import { performance } from 'node:perf_hooks';
import type { OperationOptions } from '@granary/blobs';
import type { Logger, Span } from '@granary/telemetry';
import { endHttpServerSpan, type HttpServerSpans, tracedLogger, traceOf } from '@granary/telemetry/server';
import type { EdgeHooks, Right } from '../edge/hooks.js';
import { VIA_HEADER, viaFrom } from '../edge/via.js';
import { type CachePath, subjectOf } from './cache-path.js';
import { HttpError } from './http-error.js';
import { countRest, drain } from './rest-of-body.js';

/** A body up to this size is read to its end before it is refused, so that its connection can be used again. */
const MAX_DRAINED_BYTES = 1024 * 1024;
/** How long a client may go on sending what was refused, so that it gets to read why. */
const LINGER_MS = 2000;

/** Names and values by turns, as Node writes them fastest. */
export type HeaderList = readonly (string | number)[];

/** What every request of a handler has around it. */
export interface HttpEdge {
  readonly hooks: EdgeHooks;
  readonly logger: Logger;
  readonly spans: HttpServerSpans;
  /** This server as others know it, to notice a circle of servers; undefined for one that asks no others. */
  readonly serverId: string | undefined;
}

/** One request and its answer, from its first byte to its record. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Stands for the request in its trace. */
  readonly span: Span;
  bytesIn = 0;
  bytesOut = 0;
  readonly #edge: HttpEdge;
  readonly #startedAt: number;
  /** Whether the client waits to be told that its body is wanted. */
  #isWaiting: boolean;
  #controller: AbortController | undefined;
  #path: CachePath | undefined;
  #via: readonly string[] | undefined;
  #failure: unknown;
  #restArrived: Promise<void> | undefined;
  /** All of the answer was sent, though its end waits for a client who still sends. */
  #isTold = false;

  constructor(edge: HttpEdge, request: IncomingMessage, response: ServerResponse) {
    const isRecorded = edge.hooks.onRequest !== undefined;
    this.#edge = edge;
    this.request = request;
    this.response = response;
    this.#isWaiting = request.headers.expect?.toLowerCase() === '100-continue';
    this.#startedAt = isRecorded ? performance.now() : 0;
    this.span = edge.spans.start(request);
    if (isRecorded || this.span.recording) response.once('close', () => this.#finish());
  }

  /** For what goes wrong in this exchange: made when it is asked for. */
  get logger(): Logger {
    return tracedLogger(this.#edge.logger, this.span);
  }

  /** Options for a store that answers at once, and for which a signal would be too dear. */
  get spanOnly(): OperationOptions | undefined {
    const { span, via } = this;
    return span.recording || via ? { span, via } : undefined;
  }

  /** The servers that the request has passed, this one at the end. */
  get via(): readonly string[] | undefined {
    return this.#via;
  }

  /** What the request is about, for the record. */
  set path(path: CachePath) {
    this.#path = path;
  }

  /** Aborts when the client goes away before its answer is complete; made when somebody asks for it. */
  get signal(): AbortSignal {
    if (this.#controller) return this.#controller.signal;
    const controller = new AbortController();
    this.#controller = controller;
    const abort = () => controller.abort(new HttpError(499, 'the client went away'));
    if (this.response.destroyed) abort();
    else
      this.response.once('close', () => {
        if (!this.response.writableFinished) abort();
      });
    return controller.signal;
  }

  /**
   * @throws AccessDeniedError
   * @throws LoopError when the request was here before
   */
  authorize(right: Right) {
    const { headers, socket } = this.request;
    const { serverId } = this.#edge;
    if (serverId !== undefined) this.#via = viaFrom(headers[VIA_HEADER]?.toString(), serverId);
    return this.#edge.hooks.authorize?.(
      { authorization: headers.authorization, authority: headers.host, socket },
      right,
    );
  }

  /** Sends headers; the body follows in {@link response}. */
  begin(status: number, headers: HeaderList): void {
    this.response.writeHead(status, ['X-Content-Type-Options', 'nosniff', ...headers]);
  }

  /** Tells a client that waits for it that its body is wanted. */
  askForBody(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.response.writeContinue();
  }

  /**
   * Says that what was sent is here. Nobody reads the rest of a body that was not wanted: it is counted all the same, and
   * the answer doesn't wait for it.
   */
  async answerUpload(): Promise<void> {
    if (this.#isWaiting) {
      await this.#answerAndClose(200, []);
      return;
    }
    if (this.#edge.hooks.onRequest) this.#restArrived = countRest(this.request, this.#received);
    this.answer(200, []);
  }

  /** Sends a whole answer. */
  answer(status: number, headers: HeaderList, body?: Uint8Array): void {
    this.bytesOut += body?.length ?? 0;
    this.begin(status, ['Content-Length', body?.length ?? 0, ...headers]);
    this.response.end(body);
  }

  /** Sends the headers that an answer with this body would have. */
  answerHead(status: number, headers: HeaderList): void {
    this.begin(status, headers);
    this.response.end();
  }

  /**
   * Ends the exchange with an error. Once the body of a success is under way nothing can be said any more: the
   * connection breaks, so that the client can't take what it has for the whole.
   *
   * @param cause what the record says of a failure that is ours
   */
  async fail(error: HttpError, cause?: unknown): Promise<void> {
    const { response, request } = this;
    this.#failure = cause;
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    // A body that was never asked for may come or not: only a new connection tells what is what.
    const drained = !this.#isWaiting && (await drain(request, this.#received, MAX_DRAINED_BYTES));
    if (response.destroyed) return;
    const body = request.method === 'HEAD' ? undefined : Buffer.from(`${error.message}\n`);
    const headers = [...Object.entries(error.headers).flat(), 'Content-Type', 'text/plain; charset=utf-8'];
    if (drained) {
      this.answer(error.status, headers, body);
      return;
    }
    await this.#answerAndClose(error.status, headers, body);
  }

  /**
   * Sends a whole answer to a client that may send on. A connection that is closed meanwhile takes the answer with it:
   * first let it be read. Who has read it may close before the end; and who waits to be asked for its body may send it
   * all the same, as proxies do.
   */
  async #answerAndClose(status: number, headers: HeaderList, body?: Uint8Array): Promise<void> {
    const { request, response } = this;
    this.bytesOut += body?.length ?? 0;
    this.begin(status, ['Content-Length', body?.length ?? 0, 'Connection', 'close', ...headers]);
    // An empty one, too, sends the headers and tells when they are out; but nothing sends a body for HEAD.
    response.write(body ?? '', this.#told);
    if (request.method === 'HEAD') response.flushHeaders();
    await drain(request, this.#received, Number.POSITIVE_INFINITY, LINGER_MS);
    response.end();
  }

  readonly #told = (error?: Error | null): void => {
    this.#isTold = !error;
  };

  readonly #received = (bytes: number): void => {
    this.bytesIn += bytes;
  };

  get #isComplete(): boolean {
    return this.response.writableFinished || this.#isTold;
  }

  #finish(): void {
    if (this.span.recording) endHttpServerSpan(this.span, this.response, this.#failure, this.#isComplete);
    if (!this.#edge.hooks.onRequest) return;
    const durationMs = performance.now() - this.#startedAt;
    if (this.#restArrived) void this.#restArrived.then(() => this.#record(durationMs));
    else this.#record(durationMs);
  }

  #record(durationMs: number): void {
    const { request, response } = this;
    const { hooks } = this.#edge;
    const wanted = hooks.wantsDetails?.() === true;
    try {
      const trace = traceOf(this.span, wanted);
      hooks.onRequest?.({
        protocol: 'http',
        service: this.#path?.kind ?? 'other',
        method: request.method ?? '',
        code: this.#isComplete ? String(response.statusCode) : '499',
        durationMs,
        bytesIn: this.bytesIn,
        bytesOut: this.bytesOut,
        peer: wanted ? `${request.socket.remoteAddress ?? ''}:${request.socket.remotePort ?? ''}` : undefined,
        subject: wanted && this.#path ? subjectOf(this.#path) : undefined,
        error: this.#failure,
        traceId: trace?.traceId,
        spanId: trace?.spanId,
        sampled: trace?.sampled,
      });
    } catch {
      // A listener that throws must not take the connection with it.
    }
  }
}
