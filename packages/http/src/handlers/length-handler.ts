import { errors } from 'undici';
import type { Controller, Handler, ResponseHeaders, Trailers } from '../dispatch.js';
import { firstValue } from '../headers.js';
import { ForwardingHandler } from './forwarding-handler.js';

const LENGTH = /^\d+$/;

/**
 * Holds a response to the length that it says. Over HTTP/1.1 undici does so itself; over HTTP/2 version 7 takes a stream
 * for complete that was cancelled, or whose connection was lost, in the middle of its body.
 */
export class LengthHandler extends ForwardingHandler {
  readonly #isHead: boolean;
  /** Undefined where it says none, or where that is of a body which doesn't come. */
  #expected: number | undefined;
  #bytes = 0;

  constructor(next: Handler, method: string) {
    super(next);
    this.#isHead = method === 'HEAD';
  }

  override onResponseStart(controller: Controller, status: number, headers: ResponseHeaders, message?: string): void {
    const length = firstValue(headers['content-length']);
    const hasBody = !this.#isHead && status >= 200 && status !== 204 && status !== 304;
    this.#expected = hasBody && length !== undefined && LENGTH.test(length) ? Number(length) : undefined;
    super.onResponseStart(controller, status, headers, message);
  }

  override onResponseData(controller: Controller, chunk: Buffer): void {
    this.#bytes += chunk.length;
    super.onResponseData(controller, chunk);
  }

  override onResponseEnd(controller: Controller, trailers: Trailers): void {
    if (this.#expected === undefined || this.#bytes === this.#expected) super.onResponseEnd(controller, trailers);
    else super.onResponseError(controller, new errors.ResponseContentLengthMismatchError());
  }
}
