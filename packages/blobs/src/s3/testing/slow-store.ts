import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { S3TierOptions } from '../options.js';
import { S3Tier } from '../s3-tier.js';
import { CREDENTIALS } from './test-bucket.js';

/** A bucket at the end of a line which carries no more of what is uploaded than a test lets through. */
export class SlowStore implements AsyncDisposable {
  /** Bytes of bodies that have come through. */
  received = 0;
  readonly #server: Server;
  #allowed = 0;
  readonly #waiting: (() => void)[] = [];
  #onUsedUp: (() => void) | undefined;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<SlowStore> {
    const store = new SlowStore();
    store.#server.listen(0, '127.0.0.1');
    await once(store.#server, 'listening');
    return store;
  }

  tier(options: Partial<S3TierOptions>): S3Tier {
    const { port } = this.#server.address() as AddressInfo;
    return new S3Tier({
      name: 'far',
      mode: 'write-through',
      bucket: 'cache',
      endpoint: `http://127.0.0.1:${port}`,
      credentials: CREDENTIALS,
      ...options,
    });
  }

  /** Resolves when so many more bytes have come through and others wait, or when it is over. */
  async let(bytes: number, over: Promise<unknown>): Promise<void> {
    this.#allowed += bytes;
    const usedUp = new Promise<void>((resolve) => {
      this.#onUsedUp = resolve;
    });
    for (const wake of this.#waiting.splice(0)) wake();
    await Promise.race([usedUp, over]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '' } = request;
    if (method === 'HEAD') return void response.writeHead(404).end();
    if (method === 'PUT') {
      await this.#take(request);
      return void response.writeHead(200, { etag: '"tag"' }).end();
    }
    request.resume();
    const root = url.includes('uploads') ? 'InitiateMultipartUploadResult' : 'CompleteMultipartUploadResult';
    response.end(`<${root}><UploadId>id</UploadId><ETag>"tag"</ETag></${root}>`);
  }

  async #take(request: IncomingMessage): Promise<void> {
    for await (const chunk of request) {
      while (this.#allowed <= 0) {
        this.#onUsedUp?.();
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
      this.#allowed -= chunk.length;
      this.received += chunk.length;
    }
  }
}
