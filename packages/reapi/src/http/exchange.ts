import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EdgeHooks, Right } from '../edge/hooks.js';
import { type CachePath, subjectOf } from './cache-path.js';
import { HttpError } from './http-error.js';

/** A body up to this size is read to its end before it is refused, so that its connection can be used again. */
const MAX_DRAINED_BYTES = 1024 * 1024;
const NO_SNIFFING = { 'X-Content-Type-Options': 'nosniff' };

/** One request and its answer, from its first byte to its record. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  bytesIn = 0;
  bytesOut = 0;
  readonly #hooks: EdgeHooks;
  readonly #startedAt: number;
  #controller: AbortController | undefined;
  #path: CachePath | undefined;

  constructor(hooks: EdgeHooks, request: IncomingMessage, response: ServerResponse) {
    this.#hooks = hooks;
    this.request = request;
    this.response = response;
    this.#startedAt = hooks.onRequest ? performance.now() : 0;
    if (hooks.onRequest) response.once('close', () => this.#record());
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

  /** @throws AccessDeniedError */
  authorize(right: Right) {
    const { headers, socket } = this.request;
    return this.#hooks.authorize?.({ authorization: headers.authorization, authority: headers.host, socket }, right);
  }

  /** Sends headers; the body follows in {@link response}. */
  begin(status: number, headers: Readonly<Record<string, string | number>>): void {
    this.response.writeHead(status, { ...NO_SNIFFING, ...headers });
  }

  /** Sends a whole answer. */
  answer(status: number, headers: Readonly<Record<string, string | number>>, body?: Uint8Array): void {
    this.begin(status, { ...headers, 'Content-Length': body?.length ?? 0 });
    this.#end(body);
  }

  /** Sends the headers that an answer with this body would have. */
  answerHead(status: number, headers: Readonly<Record<string, string | number>>): void {
    this.begin(status, headers);
    this.#end(undefined);
  }

  /**
   * Ends the exchange with an error. Once the body of a success is under way nothing can be said any more: the
   * connection breaks, so that the client can't take what it has for the whole.
   */
  async fail(error: HttpError): Promise<void> {
    const { response, request } = this;
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const drained = await drain(request);
    if (response.destroyed) return;
    const body = Buffer.from(`${error.message}\n`);
    this.answer(
      error.status,
      { ...error.headers, 'Content-Type': 'text/plain; charset=utf-8', ...(!drained && { Connection: 'close' }) },
      request.method === 'HEAD' ? undefined : body,
    );
  }

  #end(body: Uint8Array | undefined): void {
    this.bytesOut += body?.length ?? 0;
    this.response.end(body);
  }

  #record(): void {
    const { request, response } = this;
    const wanted = this.#path && this.#hooks.wantsSubject?.();
    try {
      this.#hooks.onRequest?.({
        protocol: 'http',
        service: this.#path?.kind ?? 'other',
        method: request.method ?? '',
        code: response.writableFinished ? String(response.statusCode) : '499',
        durationMs: performance.now() - this.#startedAt,
        bytesIn: this.bytesIn,
        bytesOut: this.bytesOut,
        peer: `${request.socket.remoteAddress ?? ''}:${request.socket.remotePort ?? ''}`,
        ...(wanted && this.#path && { subject: subjectOf(this.#path) }),
      });
    } catch {
      // A listener that throws must not take the connection with it.
    }
  }
}

/** Lets the rest of a small body pass by; false when it is too large for that, or waits to be asked for. */
async function drain(request: IncomingMessage): Promise<boolean> {
  if (request.complete || request.readableEnded) return true;
  if (request.destroyed) return false;
  const announced = request.headers['content-length'];
  if (announced === undefined && request.headers['transfer-encoding'] === undefined) return true;
  if (request.headers.expect !== undefined || Number(announced) > MAX_DRAINED_BYTES) return false;
  let bytes = 0;
  return new Promise((resolve) => {
    const settle = (drained: boolean) => {
      request.removeAllListeners('data');
      resolve(drained);
    };
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_DRAINED_BYTES) settle(false);
    });
    request.once('end', () => settle(true));
    request.once('close', () => settle(false));
    request.resume();
  });
}
