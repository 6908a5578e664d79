import type { ServerWritableStream } from '@grpc/grpc-js';
import { ProtocolError } from '../../services/protocol-error.js';
import { FRAME_HEADER_BYTES, FramedMessages } from './framed-response.js';
import { CallEndedError } from './status.js';

/**
 * Messages to a client, one in flight at a time: that keeps what a slow client costs at one message, and means that
 * grpc-js copies a message while it is handed over, so its memory is free as soon as {@link send} returns. Large
 * ones are sent by {@link sendFramed}.
 */
export class OutgoingMessages {
  bytes = 0;
  readonly #call: ServerWritableStream<Buffer, Buffer>;
  readonly #idleMs: number;
  #reject: ((error: unknown) => void) | undefined;
  #framed: FramedMessages | undefined;
  #isPrepared = false;

  constructor(call: ServerWritableStream<Buffer, Buffer>, idleMs: number) {
    this.#call = call;
    this.#idleMs = idleMs;
    call.once('cancelled', () => this.#reject?.(new CallEndedError('CANCELLED')));
  }

  /**
   * Hands a message over; the promise settles when the next one may follow, and must be waited for before.
   *
   * @throws CallEndedError when the client goes away, ProtocolError `IDLE` when it stops taking
   */
  send(message: Buffer): Promise<void> {
    const sent = new Promise<void>((resolve, reject) => {
      if (this.#call.cancelled) throw new CallEndedError('CANCELLED');
      const timer = setTimeout(() => this.#reject?.(this.#idle()), this.#idleMs);
      const settle = () => {
        clearTimeout(timer);
        this.#reject = undefined;
      };
      this.#reject = (error) => {
        settle();
        reject(error);
      };
      this.bytes += message.length;
      this.#call.write(message, (error: Error | null | undefined) => {
        if (error) return this.#reject?.(new CallEndedError('CANCELLED'));
        settle();
        resolve();
      });
    });
    // A caller may prepare the next message before it waits; a failure meanwhile is not lost, only seen later.
    sent.catch(() => {});
    return sent;
  }

  /**
   * The same without a copy, where grpc-js lets us: the memory is free only when the promise has resolved. After one that
   * rejects it must never be used again, as the socket may still have it.
   *
   * @param bytes begin with `FRAME_HEADER_BYTES` bytes to be overwritten
   */
  sendFramed(bytes: Buffer): Promise<void> {
    if (!this.#isPrepared) {
      this.#isPrepared = true;
      this.#framed = FramedMessages.of(this.#call);
    }
    return this.send(this.#framed?.next(bytes) ?? bytes.subarray(FRAME_HEADER_BYTES));
  }

  /** Hands over the last message, and ends the stream without waiting. */
  finish(message: Buffer | undefined): void {
    if (message && !this.#call.cancelled) {
      this.bytes += message.length;
      this.#call.write(message);
    }
    this.#call.end();
  }

  #idle(): ProtocolError {
    return new ProtocolError('IDLE', `the client took nothing for ${this.#idleMs / 1000} s`);
  }
}
