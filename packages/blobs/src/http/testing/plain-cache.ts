import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Answers a request itself; whether it did. */
type Answer = (request: IncomingMessage, response: ServerResponse) => boolean | undefined;

interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

/**
 * A server that keeps what it is sent under the path that it is sent to, and verifies nothing, as nginx does. Tests put
 * the oddities of other servers in front with `answer`.
 */
export class PlainCache implements AsyncDisposable {
  readonly files = new Map<string, Buffer>();
  readonly requests: SeenRequest[] = [];
  /** Made so far. */
  connections = 0;
  answer: Answer | undefined;
  /** Whether parts are sent when they are asked for. */
  ranges = true;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      response.on('error', () => {});
      request.on('error', () => {});
      void this.#serve(request, response).catch(() => response.destroy());
    });
    this.#server.on('connection', () => this.connections++);
  }

  static async start(answer?: Answer): Promise<PlainCache> {
    const cache = new PlainCache();
    cache.answer = answer;
    cache.#server.listen(0, '127.0.0.1');
    await once(cache.#server, 'listening');
    return cache;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  count(method: string): number {
    return this.requests.filter((request) => request.method === method).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    this.requests.push({ method, path: url, headers });
    if (this.answer?.(request, response)) return;
    if (method === 'PUT') {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      this.files.set(url, Buffer.concat(chunks));
      response.writeHead(201).end();
      return;
    }
    const bytes = this.files.get(url);
    if (!bytes) return void response.writeHead(404, { 'content-type': 'text/plain' }).end('no such file');
    const range = this.ranges ? /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') : null;
    if (method === 'HEAD' || !range) {
      response.writeHead(200, { 'content-length': bytes.length }).end(method === 'HEAD' ? undefined : bytes);
      return;
    }
    const [first, last] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
    if (first > last) return void response.writeHead(416).end();
    const length = last - first + 1;
    response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${bytes.length}`, 'content-length': length });
    response.end(bytes.subarray(first, last + 1));
  }
}
