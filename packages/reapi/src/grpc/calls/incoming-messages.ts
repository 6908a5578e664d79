import type { MaybePromise } from '@granary/blobs';
import type { ServerReadableStream } from '@grpc/grpc-js';
import { ProtocolError } from '../../services/protocol-error.js';
import type { Edge } from './running-call.js';
import { CallEndedError } from './status.js';

/**
 * Bytes that wait for the handler before the client is held back. While a message of this size is being handled none
 * waits, as the stream has one more of its own: with 64 uploads at once each message ahead is 16 MiB.
 */
const MAX_WAITING_BYTES = 128 * 1024;

type StreamLimits = Pick<Edge, 'streamIdleMs' | 'maxMessageBytes'>;

interface Waiter {
  readonly resolve: (message: Buffer | undefined) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * A client's messages, one at a time, with what is waiting bounded in bytes. Cheaper than iterating over the stream:
 * a message that is there is handed out without a promise, which counts when an upload comes in thousands of small
 * ones (benchmark `ByteStream Write`).
 */
export class IncomingMessages {
  /** Bytes of all messages so far. */
  bytes = 0;
  readonly #call: ServerReadableStream<Buffer, Buffer>;
  readonly #idleMs: number;
  readonly #maxBytes: number;
  readonly #waiting: Buffer[] = [];
  #taken = 0;
  #waitingBytes = 0;
  #paused = false;
  #ended = false;
  #discarding = false;
  #error: unknown;
  #waiter: Waiter | undefined;

  constructor(call: ServerReadableStream<Buffer, Buffer>, { streamIdleMs, maxMessageBytes }: StreamLimits) {
    this.#call = call;
    this.#idleMs = streamIdleMs;
    this.#maxBytes = maxMessageBytes;
    readOneAhead(call);
    call.on('data', (message: Buffer) => this.#receive(message));
    call.once('end', () => this.#end());
    call.once('cancelled', () => this.#fail(new CallEndedError('CANCELLED')));
    if (call.cancelled) this.#fail(new CallEndedError('CANCELLED'));
  }

  /** Whether a message is there that was not asked for yet. */
  get isWaiting(): boolean {
    return this.#taken < this.#waiting.length;
  }

  /**
   * The next message, or undefined when the client has sent its last.
   *
   * @throws CallEndedError when the client goes away, ProtocolError `IDLE` when it stays silent, `MESSAGE_TOO_LARGE` when
   *   the message is over its limit
   */
  next(): MaybePromise<Buffer | undefined> {
    if (this.#taken < this.#waiting.length) return this.#take();
    if (this.#error) throw this.#error;
    if (this.#ended) return undefined;
    this.goOn();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(this.#idle()), this.#idleMs);
      this.#waiter = { resolve, reject, timer };
    });
  }

  /** Lets everything that still comes pass by, so that a client that goes on sending is not held back. */
  discard(): void {
    this.#discarding = true;
    this.#waiting.length = 0;
    this.#taken = 0;
    this.#waitingBytes = 0;
    this.#waiter?.resolve(undefined);
    this.#clearWaiter();
    this.#call.resume();
  }

  /** Lets messages come again, though nobody waits for one. */
  goOn(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#call.resume();
  }

  #receive(message: Buffer): void {
    if (this.#discarding) return;
    this.bytes += message.length;
    if (message.length > this.#maxBytes) {
      // What follows a message that is not handed out must not be either.
      this.#discarding = true;
      this.#fail(tooLarge(message, this.#maxBytes));
      return;
    }
    if (this.#waiter) {
      this.#waiter.resolve(message);
      this.#clearWaiter();
      if (message.length >= MAX_WAITING_BYTES) this.#holdBack();
      return;
    }
    this.#waiting.push(message);
    this.#waitingBytes += message.length;
    if (this.#waitingBytes >= MAX_WAITING_BYTES) this.#holdBack();
  }

  #take(): Buffer {
    const message = this.#waiting[this.#taken++] as Buffer;
    this.#waitingBytes -= message.length;
    if (this.#taken === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#taken = 0;
    }
    if (this.#waitingBytes < MAX_WAITING_BYTES / 2 && message.length < MAX_WAITING_BYTES) this.goOn();
    return message;
  }

  #holdBack(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#call.pause();
  }

  #end(): void {
    this.#ended = true;
    this.#waiter?.resolve(undefined);
    this.#clearWaiter();
  }

  #fail(error: unknown): void {
    this.#error = error;
    this.#waiter?.reject(error);
    this.#clearWaiter();
  }

  #clearWaiter(): void {
    clearTimeout(this.#waiter?.timer);
    this.#waiter = undefined;
  }

  #idle(): ProtocolError {
    return new ProtocolError('IDLE', `nothing came for ${this.#idleMs / 1000} s`);
  }
}

/** @throws ProtocolError `MESSAGE_TOO_LARGE` */
export function checkSize(message: Buffer, maxBytes: number): void {
  if (message.length > maxBytes) throw tooLarge(message, maxBytes);
}

function tooLarge({ length }: Buffer, maxBytes: number): ProtocolError {
  return new ProtocolError('MESSAGE_TOO_LARGE', `the message is too large: ${length} bytes, the limit is ${maxBytes}`);
}

/**
 * A stream of objects reads 16 of them ahead, whatever their size: with messages of megabytes, 64 uploads would hold
 * gigabytes. Node has no public way to change that for a stream that somebody else made; without it the only loss is
 * that bound.
 */
function readOneAhead(stream: object): void {
  const { _readableState: state } = stream as { _readableState?: { highWaterMark?: number } };
  if (state?.highWaterMark !== undefined) state.highWaterMark = 1;
}
