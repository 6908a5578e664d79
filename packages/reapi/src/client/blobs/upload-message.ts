import { delimitedSize, numberSize, optionalSize, varintSize, WireWriter } from '../../wire/wire-writer.js';

const RESOURCE_NAME = 0x0a;
const WRITE_OFFSET = 0x10;
const FINISH_WRITE = 0x18;
const DATA = 0x52;

/** Bytes that offset, flag and the data's own header take at most. */
const NUMBERS_BYTES = 32;

/**
 * A `WriteRequest` that is filled piece by piece: the data is put where it travels from, and the header right in front
 * of it when it is complete. Its memory is used again for the next message.
 */
export class UploadMessage {
  readonly #name: Buffer;
  readonly #start: number;
  readonly #memory: Buffer;
  #length = 0;
  #offset = 0;

  /** @param name goes with the first message and is left out of the others */
  constructor(name: string, maxBytes: number) {
    this.#name = Buffer.from(name);
    this.#start = delimitedSize(this.#name.length) + NUMBERS_BYTES;
    this.#memory = Buffer.allocUnsafeSlow(this.#start + maxBytes);
  }

  /** Bytes of the messages before this one. */
  get offset(): number {
    return this.#offset;
  }

  get isFull(): boolean {
    return this.#start + this.#length === this.#memory.length;
  }

  /** Takes as many of the bytes from `at` on as there is room for; how many. */
  add(bytes: Uint8Array, at: number): number {
    const end = this.#start + this.#length;
    const count = Math.min(bytes.length - at, this.#memory.length - end);
    this.#memory.set(bytes.subarray(at, at + count), end);
    this.#length += count;
    return count;
  }

  /** The message; what is added from now on belongs to the next one, and overwrites this one. */
  encode(finishWrite: boolean): Buffer {
    const name = this.#offset === 0 ? this.#name : this.#name.subarray(0, 0);
    const length = this.#length;
    const finish = finishWrite ? 1 : 0;
    const header =
      optionalSize(name.length) +
      numberSize(this.#offset) +
      numberSize(finish) +
      (length === 0 ? 0 : 1 + varintSize(length));
    const from = this.#start - header;
    const writer = new WireWriter(this.#memory.subarray(from, this.#start));
    writer.data(RESOURCE_NAME, name);
    writer.number(WRITE_OFFSET, this.#offset);
    writer.number(FINISH_WRITE, finish);
    if (length > 0) writer.header(DATA, length);
    writer.finish();
    this.#offset += length;
    this.#length = 0;
    return this.#memory.subarray(from, this.#start + length);
  }
}
