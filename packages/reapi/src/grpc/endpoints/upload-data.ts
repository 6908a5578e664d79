import type { MaybePromise } from '@granary/blobs';
import { isPending } from '../../services/pending.js';
import { invalidRequest } from '../../services/protocol-error.js';
import { decodeWriteRequest, type WriteRequest } from '../../wire/index.js';
import type { IncomingMessages } from '../calls/incoming-messages.js';

/** Messages below this size are gathered: handing each over by itself costs more than a copy. */
const SMALL_BYTES = 4 * 1024;
const GATHER_BYTES = 32 * 1024;

/**
 * The data of one upload's messages, checked against the protocol as they come: the name stays, each offset is the
 * count of bytes before it, and the last message says so.
 *
 * Not a generator: one would hold on to messages of turns before, which with 64 uploads at once is 48 MiB (benchmark
 * `memory`).
 */
export class UploadData implements AsyncIterableIterator<Buffer, undefined> {
  /** A copy, since the message that it came in is to be forgotten. */
  readonly resourceName: string;
  /** Bytes of data so far, compressed ones as they are. */
  received = 0;
  /** Whether the client has said that it is done. */
  complete = false;
  readonly #messages: IncomingMessages;
  readonly #name: Buffer;
  #first: WriteRequest | undefined;
  #isLast = false;
  /** Where small data gathers. */
  #gathered: Buffer | undefined;
  #filled = 0;
  /** Data that comes behind what has gathered. */
  #held: Buffer | undefined;

  private constructor(messages: IncomingMessages, first: WriteRequest) {
    this.#messages = messages;
    this.#first = first;
    this.#name = Buffer.from(first.resourceName);
    this.resourceName = this.#name.toString();
  }

  /**
   * Waits for the first message, which has the name.
   *
   * @throws ProtocolError when there is none
   */
  static async begin(messages: IncomingMessages): Promise<UploadData> {
    const first = await messages.next();
    if (!first) throw invalidRequest('the upload ended before its first message');
    return new UploadData(messages, decodeWriteRequest(first));
  }

  /** The data, once. A chunk's memory is used again when the next one is asked for. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined && held.length >= SMALL_BYTES) return { done: false, value: held };
    if (held !== undefined) this.#gather(held);
    while (!this.#isLast) {
      // Most messages of a busy client are here already: waiting for each would cost more than reading it.
      const next = this.#first ?? this.#nextMessage();
      this.#first = undefined;
      const data = this.#check(isPending(next) ? await next : next);
      if (data.length < SMALL_BYTES && this.#filled + data.length <= GATHER_BYTES) {
        this.#gather(data);
        continue;
      }
      if (this.#filled === 0) return { done: false, value: data };
      this.#held = data;
      return { done: false, value: this.#takeGathered() };
    }
    if (this.#messages.isWaiting) throw afterTheEnd();
    if (this.#filled > 0) return { done: false, value: this.#takeGathered() };
    this.complete = true;
    return { done: true, value: undefined };
  }

  /** @throws ProtocolError when more has come after the message that was to be the last */
  checkEnd(): void {
    if (this.complete && this.#messages.isWaiting) throw afterTheEnd();
  }

  #nextMessage(): MaybePromise<WriteRequest> {
    const next = this.#messages.next();
    return isPending(next) ? next.then((bytes) => this.#decode(bytes)) : this.#decode(next);
  }

  #decode(bytes: Buffer | undefined): WriteRequest {
    if (!bytes) throw invalidRequest(`the upload ended after ${this.received} bytes without finish_write`);
    return decodeWriteRequest(bytes);
  }

  /** The data of the message that comes next. */
  #check({ resourceName, writeOffset, data, finishWrite }: WriteRequest): Buffer {
    if (resourceName.length > 0 && !resourceName.equals(this.#name))
      throw invalidRequest('the resource name changed within the upload');
    if (writeOffset !== this.received)
      throw invalidRequest(`write_offset is ${writeOffset} where ${this.received} bytes came before`);
    this.received += data.length;
    if (finishWrite) {
      this.#isLast = true;
      // Whatever still comes is to be noticed.
      this.#messages.goOn();
    }
    return data;
  }

  #gather(data: Buffer): void {
    if (data.length === 0) return;
    this.#gathered ??= Buffer.allocUnsafe(GATHER_BYTES);
    this.#gathered.set(data, this.#filled);
    this.#filled += data.length;
  }

  #takeGathered(): Buffer {
    const gathered = this.#gathered as Buffer;
    const filled = this.#filled;
    this.#filled = 0;
    return gathered.subarray(0, filled);
  }
}

function afterTheEnd(): Error {
  return invalidRequest('the upload goes on after finish_write');
}
