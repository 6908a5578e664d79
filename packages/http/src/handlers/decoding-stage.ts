import type { Decoder, MakeDecoder } from '../decoders.js';
import type { Controller, Handler, Trailers } from '../dispatch.js';
import type { HttpError, HttpErrorCode } from '../http-error.js';

/** Makes errors that know the request. */
export interface DecodingErrors {
  error(code: HttpErrorCode, what: string, cause?: unknown): HttpError;
}

/** Data on its way through a decoder, with back pressure both ways. */
export class DecodingStage implements Controller {
  readonly #next: Handler;
  readonly #source: Controller;
  readonly #makeDecoder: MakeDecoder;
  readonly #maxBytes: number;
  readonly #errors: DecodingErrors;
  #decoder: Decoder | undefined;
  /** The encoding has come to its end; its source may still say more, or not have said yet that this was all. */
  #decoded = false;
  #sourceEnded = false;
  #over = false;
  #bytes = 0;
  #paused = false;
  #aborted = false;
  #reason: Error | null = null;

  constructor(next: Handler, source: Controller, makeDecoder: MakeDecoder, maxBytes: number, errors: DecodingErrors) {
    this.#next = next;
    this.#source = source;
    this.#makeDecoder = makeDecoder;
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
    if (this.#decoder) this.#decoder.stream.pause();
    else this.#source.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#decoder) this.#decoder.stream.resume();
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
    // What follows the end of an encoding is padding, and the decoder would never take it.
    if (this.#over || this.#decoded || chunk.length === 0) return;
    this.#decoder ??= this.#start(chunk);
    this.#decoder.frames?.push(chunk);
    if (!this.#decoder.stream.write(chunk)) this.#source.pause();
  }

  end(trailers: Trailers): void {
    this.#sourceEnded = true;
    if (this.#over) return;
    if (this.#decoder === undefined || this.#decoded) {
      this.#finish(trailers);
    } else if (this.#decoder.frames?.complete === false) {
      this.abort(this.#errors.error('DECODE_FAILED', 'the body is cut off'));
    } else {
      this.#decoder.stream.once('end', () => this.#finish(trailers));
      this.#decoder.stream.end();
    }
  }

  /** Lets nothing more through. */
  cancel(): void {
    this.#over = true;
    this.#decoder?.stream.destroy();
  }

  fail(error: Error): void {
    if (this.#over) return;
    this.cancel();
    this.#next.onResponseError?.(this, error);
  }

  #start(firstChunk: Buffer): Decoder {
    const decoder = this.#makeDecoder(firstChunk);
    const { stream } = decoder;
    stream.on('data', (chunk: Buffer) => this.#forward(chunk));
    stream.on('drain', () => {
      if (!this.#sourceEnded) this.#source.resume();
    });
    stream.on('error', (error) =>
      this.abort(this.#errors.error('DECODE_FAILED', "the body can't be decompressed", error)),
    );
    stream.once('end', () => {
      this.#decoded = true;
      if (!this.#sourceEnded) this.#source.resume();
    });
    if (this.#paused) stream.pause();
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
