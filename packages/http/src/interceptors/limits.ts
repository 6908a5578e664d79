import { checkBytes } from '../check-options.js';
import {
  type Controller,
  type Handler,
  type HttpDispatchOptions,
  type HttpInterceptor,
  hostOf,
  type ResponseHeaders,
} from '../dispatch.js';
import { ForwardingHandler } from '../handlers/forwarding-handler.js';
import { firstValue } from '../headers.js';
import { HttpError } from '../http-error.js';
import { interceptor } from './interceptor.js';

export interface LimitsOptions {
  /** Longest body of a response, in bytes as they come past; a request's own `maxBodyBytes` goes first. Default: none. */
  readonly maxBodyBytes?: number | undefined;
  /** Names and values of a response's headers together, in bytes. Default: none. */
  readonly maxHeaderBytes?: number | undefined;
}

/**
 * Ends responses that are longer than anyone asked for, with `BODY_TOO_LARGE` or `HEADERS_TOO_LARGE`: at once where the
 * length is announced, else as soon as it is passed. Put it outside `decompress()` to count what comes out of that.
 *
 * undici limits the headers of HTTP/1.1 to 16 KiB itself, before they get here; set the agent's `maxHeaderSize` for more.
 */
export function limits({ maxBodyBytes = Infinity, maxHeaderBytes = Infinity }: LimitsOptions = {}): HttpInterceptor {
  checkBytes('maxBodyBytes', maxBodyBytes);
  checkBytes('maxHeaderBytes', maxHeaderBytes);
  return interceptor((dispatch) => (options, handler) => {
    const maxBytes = options.maxBodyBytes ?? maxBodyBytes;
    if (maxBytes === Infinity && maxHeaderBytes === Infinity) return dispatch(options, handler);
    return dispatch(options, new LimitingHandler(handler, options, maxBytes, maxHeaderBytes));
  });
}

class LimitingHandler extends ForwardingHandler {
  readonly #options: HttpDispatchOptions;
  readonly #maxBodyBytes: number;
  readonly #maxHeaderBytes: number;
  #bytes = 0;
  #status: number | undefined;

  constructor(next: Handler, options: HttpDispatchOptions, maxBodyBytes: number, maxHeaderBytes: number) {
    super(next);
    this.#options = options;
    this.#maxBodyBytes = maxBodyBytes;
    this.#maxHeaderBytes = maxHeaderBytes;
  }

  override onResponseStart(controller: Controller, status: number, headers: ResponseHeaders, message?: string): void {
    this.#status = status;
    if (this.#maxHeaderBytes !== Infinity && headerBytes(headers) > this.#maxHeaderBytes) {
      controller.abort(this.#error('HEADERS_TOO_LARGE', `response headers of over ${this.#maxHeaderBytes} bytes`));
      return;
    }
    this.#bytes = 0;
    // The length of a response to HEAD, or of one that says 304, is that of a body which doesn't come.
    const hasBody = this.#options.method !== 'HEAD' && status !== 304;
    if (hasBody && Number(firstValue(headers['content-length']) ?? 0) > this.#maxBodyBytes) {
      controller.abort(this.#tooLong());
      return;
    }
    super.onResponseStart(controller, status, headers, message);
  }

  override onResponseData(controller: Controller, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBodyBytes) {
      controller.abort(this.#tooLong());
      return;
    }
    super.onResponseData(controller, chunk);
  }

  #tooLong(): HttpError {
    return this.#error('BODY_TOO_LARGE', `a response body of over ${this.#maxBodyBytes} bytes`);
  }

  #error(code: 'BODY_TOO_LARGE' | 'HEADERS_TOO_LARGE', what: string): HttpError {
    const { method, progress } = this.#options;
    return new HttpError(code, what, {
      method,
      host: progress?.url.host ?? hostOf(this.#options),
      statusCode: this.#status,
      attempts: progress?.attempts,
    });
  }
}

function headerBytes(headers: ResponseHeaders): number {
  let bytes = 0;
  // With loops of the plainest kind, because it is done for every response.
  for (const name in headers) {
    const value = headers[name] ?? '';
    if (typeof value === 'string') bytes += name.length + value.length;
    else for (const one of value) bytes += name.length + one.length;
  }
  return bytes;
}
