import { isPending } from '../services/pending.js';
import { invalidRequest } from '../services/protocol-error.js';
import { decodeWriteRequest, type WriteRequest } from '../wire/index.js';
import type { IncomingMessages } from './incoming-messages.js';

/** Messages below this size are gathered: handing each over by itself costs more than a copy. */
const SMALL_BYTES = 4 * 1024;
const GATHER_BYTES = 32 * 1024;

/**
 * The data of one upload's messages, checked against the protocol as they come: the name stays, each offset is the
 * count of bytes before it, and the last message says so.
 */
export class UploadData implements AsyncIterable<Buffer> {
  /** Bytes of data so far, compressed ones as they are. */
  received = 0;
  /** Whether the client has said that it is done. */
  complete = false;
  readonly #messages: IncomingMessages;
  readonly #first: WriteRequest;

  private constructor(messages: IncomingMessages, first: WriteRequest) {
    this.#messages = messages;
    this.#first = first;
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

  get resourceName(): string {
    return this.#first.resourceName.toString();
  }

  /** The data, once. A chunk's memory is used again when the next one is asked for. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    let gathered: Buffer | undefined;
    let filled = 0;
    for (let message = this.#first; ; ) {
      const { data } = message;
      this.#check(message);
      this.received += data.length;
      if (filled > 0 && (data.length >= SMALL_BYTES || filled + data.length > GATHER_BYTES)) {
        yield (gathered as Buffer).subarray(0, filled);
        filled = 0;
      }
      if (data.length >= SMALL_BYTES) yield data;
      else if (data.length > 0) {
        gathered ??= Buffer.allocUnsafe(GATHER_BYTES);
        gathered.set(data, filled);
        filled += data.length;
      }
      if (message.finishWrite) {
        // Whatever still comes is to be noticed.
        this.#messages.goOn();
        break;
      }
      // Most messages of a busy client are here already: waiting for each would cost more than reading it.
      const next = this.#messages.next();
      const bytes = isPending(next) ? await next : next;
      if (!bytes) throw invalidRequest(`the upload ended after ${this.received} bytes without finish_write`);
      message = decodeWriteRequest(bytes);
    }
    if (this.#messages.isWaiting) throw afterTheEnd();
    if (filled > 0) yield (gathered as Buffer).subarray(0, filled);
    this.complete = true;
  }

  /** @throws ProtocolError when more has come after the message that was to be the last */
  checkEnd(): void {
    if (this.complete && this.#messages.isWaiting) throw afterTheEnd();
  }

  #check({ resourceName, writeOffset }: WriteRequest): void {
    if (resourceName.length > 0 && !resourceName.equals(this.#first.resourceName))
      throw invalidRequest('the resource name changed within the upload');
    if (writeOffset !== this.received)
      throw invalidRequest(`write_offset is ${writeOffset} where ${this.received} bytes came before`);
  }
}

function afterTheEnd(): Error {
  return invalidRequest('the upload goes on after finish_write');
}
