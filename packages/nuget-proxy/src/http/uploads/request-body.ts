import type { IncomingMessage } from 'node:http';
import type { Exchange } from '../exchange.js';
import { HttpError } from '../http-error.js';

/**
 * A request's body, chunk by chunk. A client that asks first whether it is wanted (`Expect: 100-continue`) is told to go
 * on when the first chunk is read.
 */
export class RequestBody {
  readonly #exchange: Exchange;
  readonly #request: IncomingMessage;
  readonly #idleMs: number;
  #wake: (() => void) | undefined;
  readonly #woken = () => this.#wake?.();

  /** @param idleMs how long the client may send nothing */
  constructor(exchange: Exchange, idleMs: number) {
    this.#exchange = exchange;
    this.#request = exchange.request;
    this.#idleMs = idleMs;
    for (const event of WAKING) this.#request.on(event, this.#woken);
  }

  /**
   * The next bytes; undefined at the end.
   *
   * @throws HttpError 400 when the client goes away, 408 when it sends nothing for too long
   */
  async next(): Promise<Buffer | undefined> {
    this.#greet();
    for (;;) {
      const chunk = this.#request.read() as Buffer | null;
      if (chunk !== null) {
        this.#exchange.bytesIn += chunk.length;
        return chunk;
      }
      if (this.#request.readableEnded && this.#request.complete) return undefined;
      if (this.#request.destroyed) throw new HttpError(400, 'the body ended before its end');
      await this.#more();
    }
  }

  /** Leaves the rest of the body unread. */
  close(): void {
    for (const event of WAKING) this.#request.off(event, this.#woken);
    // Of a connection that breaks later, and that nobody waits for.
    this.#request.on('error', () => {});
  }

  #greet(): void {
    if (!this.#exchange.isWaiting) return;
    this.#exchange.isWaiting = false;
    this.#exchange.response.writeContinue();
  }

  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#wake = undefined;
        reject(new HttpError(408, 'the client sends nothing'));
      }, this.#idleMs);
      this.#wake = () => {
        this.#wake = undefined;
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/**
 * A small body as a whole.
 *
 * @throws HttpError 400 when the client goes away, 408 when it sends nothing for too long, 413
 */
export async function readBody(exchange: Exchange, maxBytes: number): Promise<Buffer> {
  const body = new RequestBody(exchange, exchange.edge.bodyIdleMs);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) {
      size += chunk.length;
      if (size > maxBytes) throw new HttpError(413, `a body has at most ${maxBytes} bytes here`);
      chunks.push(chunk);
    }
  } finally {
    body.close();
  }
  return Buffer.concat(chunks);
}

const WAKING = ['readable', 'end', 'error', 'close'] as const;
