import type { Duplex } from 'node:stream';
import type { Controller, Dispatch, Handler, HttpDispatchOptions, ResponseHeaders, Trailers } from '../dispatch.js';

/** Bodies of responses that nobody sees are read up to here, to keep the connection; longer ones are cut off with it. */
const MAX_DISCARDED_BYTES = 64 * 1024;

/**
 * Sends a request again where a subclass says so: the handler of every attempt, and the one controller that the next
 * handler sees, whichever attempt is running. Between attempts an abort is answered at once.
 */
export abstract class RepeatingHandler implements Handler, Controller {
  protected readonly next: Handler;
  readonly #dispatch: Dispatch;
  /** Of the running attempt. */
  #target: Controller | undefined;
  #announced = false;
  #over = false;
  #discarding = false;
  #discardedBytes = 0;
  #aborted = false;
  #reason: Error | null = null;

  constructor(next: Handler, dispatch: Dispatch) {
    this.next = next;
    this.#dispatch = dispatch;
  }

  /** Decides about a response; either calls {@link discard}, or hands it on and answers true. */
  abstract onResponseStart(
    controller: Controller,
    statusCode: number,
    headers: ResponseHeaders,
    statusMessage?: string,
  ): void;

  /** The response that was discarded is over, and the connection free. */
  protected abstract discarded(): void;

  /** The attempt failed before its response was handed on, by no abort; answers whether there will be another. */
  protected abstract recovers(error: Error): boolean;

  /** The caller gives up between two attempts. */
  protected abstract cancel(): void;

  protected send(options: HttpDispatchOptions): boolean {
    this.#target = undefined;
    try {
      return this.#dispatch(options, this);
    } catch (error) {
      this.fail(error as Error);
      return false;
    }
  }

  protected fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.next.onResponseError?.(this, error);
  }

  /** Reads the rest of a response away instead of handing it on. */
  protected discard(): void {
    this.#discarding = true;
    this.#discardedBytes = 0;
  }

  /** Cuts the response that is being discarded off. */
  protected cutOff(): void {
    if (this.#discarding) this.#target?.abort(new Error('the rest of the response is not needed'));
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): Error | null {
    return this.#reason;
  }

  get paused(): boolean {
    return this.#target?.paused ?? false;
  }

  get rawHeaders(): NonNullable<Controller['rawHeaders']> | null {
    return this.#target?.rawHeaders ?? null;
  }

  get rawTrailers(): NonNullable<Controller['rawTrailers']> | null {
    return this.#target?.rawTrailers ?? null;
  }

  pause(): void {
    this.#target?.pause();
  }

  resume(): void {
    this.#target?.resume();
  }

  abort(reason: Error): void {
    if (this.#aborted || this.#over) return;
    this.#aborted = true;
    this.#reason = reason;
    if (this.#target !== undefined) {
      this.#target.abort(reason);
      return;
    }
    this.cancel();
    this.fail(reason);
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.#target = controller;
    if (this.#aborted) {
      controller.abort(this.#reason as Error);
      return;
    }
    if (this.#announced) return;
    this.#announced = true;
    this.next.onRequestStart?.(this, context);
  }

  onRequestUpgrade(_controller: Controller, statusCode: number, headers: ResponseHeaders, socket: Duplex): void {
    this.next.onRequestUpgrade?.(this, statusCode, headers, socket);
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (!this.#discarding) {
      this.next.onResponseData?.(this, chunk);
      return;
    }
    this.#discardedBytes += chunk.length;
    if (this.#discardedBytes > MAX_DISCARDED_BYTES) this.cutOff();
  }

  onResponseEnd(_controller: Controller, trailers: Trailers): void {
    if (this.#discarding) {
      this.#discarded();
      return;
    }
    this.#over = true;
    this.next.onResponseEnd?.(this, trailers);
  }

  onResponseError(_controller: Controller, error: Error): void {
    if (this.#over) return;
    if (this.#aborted) {
      this.cancel();
      this.fail(error);
    } else if (this.#discarding) {
      this.#discarded();
    } else {
      this.#target = undefined;
      if (!this.recovers(error)) this.fail(error);
    }
  }

  #discarded(): void {
    this.#discarding = false;
    this.#target = undefined;
    this.discarded();
  }
}
