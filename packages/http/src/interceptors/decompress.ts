import { checkBytes } from '../check-options.js';
import { ACCEPTED_ENCODINGS, DECODERS } from '../decoders.js';
import {
  type Controller,
  type Handler,
  type HttpDispatchOptions,
  type HttpInterceptor,
  hostOf,
  type ResponseHeaders,
  type Trailers,
} from '../dispatch.js';
import { DecodingStage } from '../handlers/decoding-stage.js';
import { ForwardingHandler } from '../handlers/forwarding-handler.js';
import { headerRecord } from '../headers.js';
import { HttpError, type HttpErrorCode } from '../http-error.js';
import { interceptor } from './interceptor.js';

export interface DecompressOptions {
  /** Longest body after decompression, in bytes; a request's own `maxBodyBytes` goes first. Default: none. */
  readonly maxBodyBytes?: number | undefined;
}

/** Encodings one over another that are taken off; more are nobody's, except an attacker's. */
const MAX_ENCODINGS = 3;

/**
 * Asks for compressed responses, unless the request is for a range or says itself what it accepts, and takes the compression off: gzip,
 * deflate, brotli, and zstd where the runtime has it. `content-encoding` and `content-length` go with it. An encoding
 * that is not known is handed on as it came, header included. A request with `decompress: false` is left alone.
 *
 * Fails with `DECODE_FAILED` when the data is damaged or cut off, with `BODY_TOO_LARGE` when more than `maxBodyBytes`
 * come out. Never more than a few chunks are in memory, whatever the ratio.
 */
export function decompress({ maxBodyBytes = Infinity }: DecompressOptions = {}): HttpInterceptor {
  checkBytes('maxBodyBytes', maxBodyBytes);
  return interceptor((dispatch) => (options, handler) => {
    if (options.decompress === false) return dispatch(options, handler);
    const limit = options.maxBodyBytes ?? maxBodyBytes;
    return dispatch(acceptingAll(options), new DecompressHandler(handler, options, limit, 0));
  });
}

function acceptingAll(options: HttpDispatchOptions): HttpDispatchOptions {
  const given = options.headers;
  // The client's headers are a record in lower case that has it already; looking is cheaper than copying.
  if (given && 'accept-encoding' in given) return options;
  const headers = headerRecord(given);
  // A part of what is compressed can't be decompressed.
  headers['accept-encoding'] ??= headers['range'] === undefined ? ACCEPTED_ENCODINGS : 'identity';
  return { ...options, headers };
}

/** Takes the outermost encoding off, and leaves those below to another one like it. */
class DecompressHandler extends ForwardingHandler {
  readonly #options: HttpDispatchOptions;
  readonly #maxBytes: number;
  readonly #depth: number;
  #stage: DecodingStage | undefined;
  #status: number | undefined;

  constructor(next: Handler, options: HttpDispatchOptions, maxBytes: number, depth: number) {
    super(next);
    this.#options = options;
    this.#maxBytes = maxBytes;
    this.#depth = depth;
  }

  override onResponseStart(controller: Controller, status: number, headers: ResponseHeaders, message?: string): void {
    // What is left of a response that broke off, where another attempt begins anew.
    this.#stage?.cancel();
    this.#stage = undefined;
    this.#status = status;
    const encodings = this.#encodings(status, headers);
    const outermost = encodings.pop();
    const makeDecoder = outermost === undefined ? undefined : DECODERS.get(outermost);
    if (makeDecoder === undefined) {
      super.onResponseStart(controller, status, headers, message);
      return;
    }
    if (this.#depth === MAX_ENCODINGS) {
      controller.abort(this.error('DECODE_FAILED', 'too many encodings'));
      return;
    }
    const { 'content-encoding': _, 'content-length': __, ...decoded } = headers;
    if (encodings.length > 0) decoded['content-encoding'] = encodings.join(', ');
    const inner = new DecompressHandler(this.next, this.#options, this.#maxBytes, this.#depth + 1);
    this.#stage = new DecodingStage(inner, controller, makeDecoder, this.#maxBytes, this);
    inner.onResponseStart(this.#stage, status, decoded, message);
  }

  override onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#stage === undefined) super.onResponseData(controller, chunk);
    else this.#stage.write(chunk);
  }

  override onResponseEnd(controller: Controller, trailers: Trailers): void {
    if (this.#stage === undefined) super.onResponseEnd(controller, trailers);
    else this.#stage.end(trailers);
  }

  override onResponseError(controller: Controller, error: Error): void {
    if (this.#stage === undefined) super.onResponseError(controller, error);
    else this.#stage.fail(error);
  }

  error(code: HttpErrorCode, what: string, cause?: unknown): HttpError {
    const { method, progress } = this.#options;
    return new HttpError(code, what, {
      method,
      host: progress?.url.host ?? hostOf(this.#options),
      statusCode: this.#status,
      attempts: progress?.attempts,
      cause,
    });
  }

  #encodings(status: number, headers: ResponseHeaders): string[] {
    const value = headers['content-encoding'];
    // These never have a body, whatever their headers say of that of another response.
    if (value === undefined || this.#options.method === 'HEAD' || status < 200 || status === 204 || status === 304) {
      return [];
    }
    const names = (Array.isArray(value) ? value.join(',') : value).toLowerCase().split(',');
    return names.map((name) => name.trim()).filter((name) => name !== '' && name !== 'identity');
  }
}
