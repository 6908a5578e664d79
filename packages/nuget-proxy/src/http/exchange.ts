import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger, Span } from '@granary/telemetry';
import { endHttpServerSpan, type HttpServerSpans, tracedLogger, traceOf } from '@granary/telemetry/server';
import type { Answer, CacheState, FeedCall, PushCall } from '../feed/feed-content.js';
import { worseOf } from '../feed/heard.js';
import type { RenderedDocuments } from './answers/rendered-documents.js';
import { drain } from './drain.js';
import type { FeedHooks, FeedRight } from './hooks.js';
import { HttpError } from './http-error.js';
import { pathOf } from './nuget-path.js';
import type { Uploads } from './uploads/uploads.js';

/** A body up to this size is read to its end before it is refused, so that its connection can be used again. */
const MAX_DRAINED_BYTES = 1024 * 1024;
/** How long a client may go on sending what was refused, so that it gets to read why. */
const LINGER_MS = 2000;
const NOT_PRINTABLE = /[^\x20-\x7e]/g;
const MAX_REASON = 200;

/** Names and values by turns, as Node writes them fastest. */
export type HeaderList = readonly (string | number)[];

/** The body of an error. */
export interface ErrorBody {
  readonly type: string;
  readonly text: string;
}

/** What every request of a handler has around it. */
export interface FeedEdge {
  readonly hooks: FeedHooks;
  readonly logger: Logger;
  readonly spans: HttpServerSpans;
  readonly documents: RenderedDocuments;
  readonly uploads: Uploads;
  /** How long a client may send nothing of its body, in milliseconds. */
  readonly bodyIdleMs: number;
  /** How long a client may take nothing of an answer, in milliseconds. */
  readonly sendIdleMs: number;
}

/** One request and its answer, from its first byte to its record. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly edge: FeedEdge;
  /** Stands for the request in its trace. */
  readonly span: Span;
  /** Whether the client waits to be told that its body is wanted. */
  isWaiting: boolean;
  bytesIn = 0;
  bytesOut = 0;
  /** What is asked for, for the record: of a small set. */
  service = 'other';
  /** Whom it is asked of, for the record. */
  feed: string | undefined;
  /** Where the answer comes from, for the record. */
  state: CacheState | undefined;
  /** How the protocol writes the sentence of an error. Default: plain text. */
  describeError: (message: string) => ErrorBody = plainError;
  readonly #startedAt: number;
  #controller: AbortController | undefined;
  #query: URLSearchParams | undefined;
  /** Whether a feed was asked for something to read. */
  #isAsked = false;
  /** Where it is known from that there is no such thing. */
  #nothing: CacheState | undefined;
  #failure: unknown;
  /** The status that an answer would have had which broke off. */
  #broken: number | undefined;
  /** All of the answer was sent, though its end waits for a client who still sends. */
  #isTold = false;

  constructor(edge: FeedEdge, request: IncomingMessage, response: ServerResponse) {
    const isRecorded = edge.hooks.onRequest !== undefined;
    this.edge = edge;
    this.request = request;
    this.response = response;
    this.isWaiting = request.headers.expect?.toLowerCase() === '100-continue';
    this.#startedAt = isRecorded ? performance.now() : 0;
    this.span = edge.spans.start(request);
    if (isRecorded || this.span.recording) response.once('close', () => this.#finish());
  }

  /** For what goes wrong in this exchange: made when it is asked for. */
  get logger(): Logger {
    return tracedLogger(this.edge.logger, this.span);
  }

  get isHead(): boolean {
    return this.request.method === 'HEAD';
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

  /** What goes with every call of a feed: dear, so not for what is answered without waiting. */
  get call(): FeedCall {
    this.#isAsked = true;
    return { signal: this.signal, span: this.span, onNothing: (state) => this.heardNothing(state) };
  }

  /** What goes with every call that changes something. */
  get pushCall(): PushCall {
    return { signal: this.signal, span: this.span, apiKey: this.apiKey };
  }

  get apiKey(): string | undefined {
    return this.request.headers['x-nuget-apikey']?.toString();
  }

  get query(): URLSearchParams {
    if (this.#query) return this.#query;
    const { url = '' } = this.request;
    const start = url.indexOf('?');
    this.#query = new URLSearchParams(start < 0 ? '' : url.slice(start + 1));
    return this.#query;
  }

  /** A feed knows that there is no such thing. */
  heardNothing(state: CacheState): void {
    this.#isAsked = true;
    this.#nothing = this.#nothing === undefined ? state : worseOf(this.#nothing, state);
  }

  /** Where it is known from that there is no such thing: of what is this server's own nobody tells, as it is at hand. */
  get stateOfNothing(): CacheState {
    return this.#nothing ?? 'hit';
  }

  /** @throws an error with a code of AccessDenial */
  authorize(right: FeedRight): string | Promise<string> | undefined {
    const { headers, socket } = this.request;
    const { authorize } = this.edge.hooks;
    return authorize?.(
      { authorization: headers.authorization, apiKey: this.apiKey, authority: headers.host, socket },
      right,
    );
  }

  /** @throws HttpError 405 with these methods, where the request's is none of them */
  allow(...methods: readonly string[]): void {
    if (methods.includes(this.request.method ?? '')) return;
    const allowed = methods.join(', ');
    throw new HttpError(405, `allowed here: ${allowed}`, { Allow: allowed });
  }

  /** The headers that say where an answer comes from; sets the record's state. */
  cacheHeaders({ state, asOf }: Pick<Answer<unknown>, 'state' | 'asOf'>): HeaderList {
    this.state = state;
    if (state !== 'stale') return ['X-Cache', state];
    const stale = ['X-Cache', state, 'Warning', '110 - "Response is Stale"'];
    return asOf === 0 ? stale : [...stale, 'Age', Math.max(0, Math.floor((Date.now() - asOf) / 1000))];
  }

  /** How long something may be kept: what was asked for with credentials not by proxies that others ask, too. */
  cacheControl(directives: string): string {
    const { authorization } = this.request.headers;
    return authorization === undefined && this.apiKey === undefined ? directives : `private, ${directives}`;
  }

  /** Sends headers; the body follows in {@link response}. */
  begin(status: number, headers: HeaderList): void {
    this.response.writeHead(status, ['X-Content-Type-Options', 'nosniff', ...headers]);
  }

  /** Sends a whole answer, or what would be its headers for HEAD. */
  answer(status: number, headers: HeaderList, body?: Uint8Array): void {
    const hasLength = status !== 204 && status !== 304;
    this.begin(status, hasLength ? ['Content-Length', body?.length ?? 0, ...headers] : headers);
    if (this.isHead || body === undefined) {
      this.response.end();
      return;
    }
    this.bytesOut += body.length;
    this.response.end(body);
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
      if (!response.destroyed) this.#broken = error.status;
      response.destroy();
      return;
    }
    // A body that was never asked for may come or not: only a new connection tells what is what.
    const drained = !this.isWaiting && (await drain(request, this.#received, MAX_DRAINED_BYTES, LINGER_MS));
    if (response.destroyed) return;
    // Clients show people the reason of a status, and nothing of the body.
    response.statusMessage = error.message.replace(NOT_PRINTABLE, '?').slice(0, MAX_REASON);
    const { type, text } = this.describeError(error.message);
    const body = Buffer.from(text);
    this.state ??= this.#stateOfError(error);
    const cache = this.state === undefined ? [] : ['X-Cache', this.state];
    const described = ['Cache-Control', 'no-store', 'Content-Type', type, ...cache];
    const headers = [...described, ...Object.entries(error.headers).flat()];
    if (drained) {
      this.answer(error.status, headers, body);
      return;
    }
    // A connection that is closed on a client that still sends takes the answer with it: first let it be read. Who has
    // read it may close before the end; and who waits to be asked for its body may send it all the same, as proxies do.
    this.begin(error.status, ['Content-Length', body.length, 'Connection', 'close', ...headers]);
    response.write(body, this.#told);
    this.bytesOut += body.length;
    await drain(request, this.#received, Number.POSITIVE_INFINITY, LINGER_MS);
    response.end();
  }

  /** Undefined where what a feed said has nothing to do with it. */
  #stateOfError({ status }: HttpError): CacheState | undefined {
    if (!this.#isAsked) return undefined;
    if (status === 404) return this.stateOfNothing;
    return status > 500 ? 'miss' : undefined;
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
    if (this.edge.hooks.onRequest) this.#record();
  }

  #record(): void {
    const { request, response } = this;
    const { hooks } = this.edge;
    try {
      const wanted = hooks.wantsDetails?.() === true;
      hooks.onRequest?.({
        protocol: 'nuget',
        service: this.service,
        method: request.method ?? '',
        code: String(this.#isComplete ? response.statusCode : (this.#broken ?? 499)),
        durationMs: performance.now() - this.#startedAt,
        bytesIn: this.bytesIn,
        bytesOut: this.bytesOut,
        feed: this.feed,
        state: this.state,
        ...(wanted && {
          peer: `${request.socket.remoteAddress ?? ''}:${request.socket.remotePort ?? ''}`,
          subject: pathOf(request.url ?? ''),
        }),
        ...(this.#failure !== undefined && { error: this.#failure }),
        ...traceOf(this.span, wanted),
      });
    } catch {
      // A listener that throws must not take the connection with it.
    }
  }
}

function plainError(message: string): ErrorBody {
  return { type: 'text/plain; charset=utf-8', text: `${message}\n` };
}
