import type { Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { checkBytes } from '../check-options.js';
import {
  type Controller,
  type Handler,
  type HttpDispatchOptions,
  type HttpInterceptor,
  hostOf,
  interceptor,
  type ResponseHeaders,
  type Trailers,
} from '../dispatch.js';
import { ForwardingHandler } from '../handlers/forwarding-handler.js';
import { headerRecord } from '../headers.js';
import { HttpError, type HttpErrorCode } from '../http-error.js';
import { ZstdFrames } from '../zstd-frames.js';

export interface DecompressOptions {
  /** Longest body after decompression, in bytes; a request's own `maxBodyBytes` goes first. Default: none. */
  readonly maxBodyBytes?: number | undefined;
}

/** Encodings one over another that are taken off; more are nobody's, except an attacker's. */
const MAX_ENCODINGS = 3;

type MakeDecoder = (firstChunk: Buffer) => Transform;

const inflate: MakeDecoder = (chunk) =>
  // "deflate" means zlib's format, but some servers send the bare stream. Zlib's first byte ends in 8, that of a bare
  // stream practically never.
  ((chunk[0] as number) & 0x0f) === 8 ? zlib.createInflate() : zlib.createInflateRaw();

// Newer runtimes have it, and the types of the oldest one don't.
const { createZstdDecompress } = zlib as { createZstdDecompress?: () => Transform };

const DECODERS: ReadonlyMap<string, MakeDecoder> = new Map<string, MakeDecoder>([
  ['gzip', () => zlib.createGunzip()],
  ['x-gzip', () => zlib.createGunzip()],
  ['deflate', inflate],
  ['br', () => zlib.createBrotliDecompress()],
  ...(createZstdDecompress ? ([['zstd', createZstdDecompress]] as const) : []),
]);

/** What `Accept-Encoding` says when the caller says nothing. */
export const ACCEPTED_ENCODINGS = ['gzip', 'deflate', 'br', 'zstd'].filter((name) => DECODERS.has(name)).join(', ');

/**
 * Asks for compressed responses, unless the request says itself what it accepts, and takes the compression off: gzip,
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
  headers['accept-encoding'] ??= ACCEPTED_ENCODINGS;
  return { ...options, headers };
}

/** Takes the outermost encoding off, and leaves those below to another one like it. */
class DecompressHandler extends ForwardingHandler {
  readonly #options: HttpDispatchOptions;
  readonly #maxBytes: number;
  readonly #depth: number;
  #stage: DecodingStage | undefined;

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
    const frames = outermost === 'zstd' ? new ZstdFrames() : undefined;
    this.#stage = new DecodingStage(inner, controller, makeDecoder, frames, this.#maxBytes, this);
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

/** Data on its way through a decoder, with back pressure both ways. */
class DecodingStage implements Controller {
  readonly #next: Handler;
  readonly #source: Controller;
  readonly #makeDecoder: MakeDecoder;
  readonly #frames: ZstdFrames | undefined;
  readonly #maxBytes: number;
  readonly #errors: DecompressHandler;
  #decoder: Transform | undefined;
  #sourceEnded = false;
  #over = false;
  #bytes = 0;
  #paused = false;
  #aborted = false;
  #reason: Error | null = null;

  constructor(
    next: Handler,
    source: Controller,
    makeDecoder: MakeDecoder,
    frames: ZstdFrames | undefined,
    maxBytes: number,
    errors: DecompressHandler,
  ) {
    this.#next = next;
    this.#source = source;
    this.#makeDecoder = makeDecoder;
    this.#frames = frames;
    this.#maxBytes = maxBytes;
    this.#errors = errors;
  }

  get aborted(): boolean {
    return this.#aborted || this.#source.aborted;
  }

  get reason(): Error | null {
    return this.#reason ?? this.#source.reason;
  }

  get paused(): boolean {
    return this.#paused;
  }

  get rawTrailers(): NonNullable<Controller['rawTrailers']> | null {
    return this.#source.rawTrailers ?? null;
  }

  pause(): void {
    this.#paused = true;
    if (this.#decoder) this.#decoder.pause();
    else this.#source.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#decoder) this.#decoder.resume();
    else this.#source.resume();
  }

  /** Ends the response: through its source while that is running, so that the connection goes too. */
  abort(reason: Error): void {
    if (this.#over || this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    if (this.#sourceEnded) this.fail(reason);
    else this.#source.abort(reason);
  }

  write(chunk: Buffer): void {
    if (this.#over || chunk.length === 0) return;
    this.#frames?.push(chunk);
    this.#decoder ??= this.#start(chunk);
    if (!this.#decoder.write(chunk)) this.#source.pause();
  }

  end(trailers: Trailers): void {
    this.#sourceEnded = true;
    if (this.#over) return;
    if (this.#decoder === undefined) {
      this.#finish(trailers);
    } else if (this.#frames?.complete === false) {
      this.abort(this.#errors.error('DECODE_FAILED', 'the body is cut off'));
    } else {
      this.#decoder.once('end', () => this.#finish(trailers));
      this.#decoder.end();
    }
  }

  /** Lets nothing more through. */
  cancel(): void {
    this.#over = true;
    this.#decoder?.destroy();
  }

  fail(error: Error): void {
    if (this.#over) return;
    this.cancel();
    this.#next.onResponseError?.(this, error);
  }

  #start(firstChunk: Buffer): Transform {
    const decoder = this.#makeDecoder(firstChunk);
    decoder.on('data', (chunk: Buffer) => this.#forward(chunk));
    decoder.on('drain', () => {
      if (!this.#sourceEnded) this.#source.resume();
    });
    decoder.on('error', (error) =>
      this.abort(this.#errors.error('DECODE_FAILED', "the body can't be decompressed", error)),
    );
    if (this.#paused) decoder.pause();
    return decoder;
  }

  #forward(chunk: Buffer): void {
    if (this.#over) return;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) {
      this.abort(this.#errors.error('BODY_TOO_LARGE', `a response body of over ${this.#maxBytes} bytes`));
      return;
    }
    this.#next.onResponseData?.(this, chunk);
  }

  #finish(trailers: Trailers): void {
    if (this.#over) return;
    this.#over = true;
    this.#next.onResponseEnd?.(this, trailers);
  }
}
