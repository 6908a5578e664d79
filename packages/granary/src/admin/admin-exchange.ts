import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { type AdminRequest, type Answer, AnswerError } from './route.js';

const MAX_BODY_BYTES = 4096;

/** One request and its answer. */
export class AdminExchange implements AdminRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #controller = new AbortController();
  #reading = false;

  constructor(request: IncomingMessage, response: ServerResponse) {
    const [path = '', query] = (request.url ?? '').split(/\?(.*)/s, 2);
    this.path = path;
    this.query = new URLSearchParams(query);
    this.#request = request;
    this.#response = response;
    request.on('error', () => {});
    response.once('close', () => {
      if (!response.writableFinished) this.#controller.abort(new Error('the client went away'));
    });
  }

  get method(): string {
    return this.#request.method ?? '';
  }

  get headers(): IncomingHttpHeaders {
    return this.#request.headers;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async body(maxBytes = MAX_BODY_BYTES): Promise<Buffer> {
    const request = this.#request;
    const tooLong = () => new AnswerError(413, `the body is longer than ${maxBytes} bytes`, { Connection: 'close' });
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLong();
    this.#reading = true;
    if (request.headers.expect !== undefined) this.#response.writeContinue();
    const chunks: Buffer[] = [];
    let bytes = 0;
    // Leaving the loop early must not end the connection, over which the answer goes.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      bytes += (chunk as Buffer).length;
      if (bytes > maxBytes) throw tooLong();
      chunks.push(chunk as Buffer);
    }
    return Buffer.concat(chunks);
  }

  /** Sends the answer; to HEAD without its body. */
  async send({ status, contentType, body, headers }: Answer): Promise<void> {
    const response = this.#response;
    const stream = typeof body === 'string' || Buffer.isBuffer(body) ? undefined : body;
    if (response.destroyed) {
      stream?.destroy();
      return;
    }
    // What a request brings is of no interest, but unread it would block the connection.
    if (!this.#reading) this.#request.resume();
    response.writeHead(status, {
      'Content-Type': contentType,
      ...(!stream && { 'Content-Length': Buffer.byteLength(body as string | Buffer) }),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...headers,
    });
    if (this.method === 'HEAD') {
      stream?.destroy();
      response.end();
    } else if (stream) await pipeline(stream, response);
    else response.end(body);
  }

  /** Gives up, where not even an error can be answered. */
  abandon(): void {
    this.#response.destroy();
  }
}
