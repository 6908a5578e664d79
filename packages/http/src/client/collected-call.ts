import type { Controller, ResponseHeaders } from '../dispatch.js';
import { Call, type CallOwner } from './call.js';

/** Bodies of refusals are read up to here to keep the connection; longer ones are cut off with it. */
const MAX_IGNORED_BYTES = 64 * 1024;

/** A call that is answered when the whole body is there, and refused when the status isn't 2xx. */
export class CollectedCall<T> extends Call<T> {
  readonly restartable = true;
  readonly #decode: (body: Buffer) => T;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #refused = false;

  constructor(
    method: string,
    url: URL,
    signal: AbortSignal | undefined,
    owner: CallOwner,
    decode: (body: Buffer) => T,
  ) {
    super(method, url, signal, owner);
    this.#decode = decode;
  }

  protected override start(_controller: Controller, statusCode: number, _headers: ResponseHeaders): void {
    // It may be a second start, after the body of the first broke off.
    this.#chunks.length = 0;
    this.#bytes = 0;
    this.#refused = statusCode >= 300;
    if (this.#refused) this.reject(this.error('HTTP_STATUS', `the server answered ${statusCode}`));
  }

  protected override receive(controller: Controller, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (!this.#refused) this.#chunks.push(chunk);
    else if (this.#bytes > MAX_IGNORED_BYTES) controller.abort(new Error('the rest of the response is not needed'));
  }

  protected override complete(): void {
    if (this.#refused) return;
    const [first] = this.#chunks;
    const body = this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks, this.#bytes);
    try {
      this.succeed(this.#decode(body));
    } catch (error) {
      this.reject(this.error('DECODE_FAILED', 'the body is no JSON', error));
    }
  }

  protected override break(): void {
    this.#chunks.length = 0;
  }
}
