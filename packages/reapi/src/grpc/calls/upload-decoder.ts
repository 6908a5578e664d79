import { decodeWriteRequestHead, encodeWriteRequestHead, type WriteRequestHead } from '../../wire/index.js';
import { FRAME_HEADER_BYTES, writeFrameHeader } from './framed-response.js';

/** Data that one message has at most after the split; smaller messages stay as they are. */
const PART_BYTES = 128 * 1024;
/** Within so many bytes the data of a large message begins, or it isn't split. */
const HEAD_BYTES = 1024;
const NOTHING: Buffer = Buffer.alloc(0);

/** What grpc-js takes frames apart with: each result is a whole message behind its frame's header. */
interface Decoder {
  write(chunk: Buffer): Buffer[];
}

interface Layer {
  readonly call?: Layer;
  readonly nextCall?: Layer;
  decoder?: Decoder;
}

/**
 * Lets an upload's messages be taken apart by an {@link UploadDecoder}. grpc-js has no option for that, so this looks
 * through its layers; where they change, large messages take their memory and everything else goes on.
 */
export function splitLargeWrites(call: object, maxMessageBytes: number): void {
  for (let layer: Layer | undefined = call; layer; layer = layer.call ?? layer.nextCall) {
    if (typeof layer.decoder?.write !== 'function') continue;
    layer.decoder = new UploadDecoder(layer.decoder, maxMessageBytes);
    return;
  }
}

/**
 * Hands the data of a large `WriteRequest` on while it arrives, as several smaller ones. Clients send up to 4 MiB in a
 * message, and grpc-js hands out none before it is whole: 64 uploads held 650 MiB so (benchmark `memory`). What is small,
 * compressed, over its limit, or has its data not at its end is left to grpc-js's own decoder.
 */
export class UploadDecoder implements Decoder {
  readonly #whole: Decoder;
  readonly #maxMessageBytes: number;
  /** What is still to come of a message that is left to the other decoder. */
  #wholeBytes = 0;
  /** The message that is being split. */
  #large: LargeWrite | undefined;
  /** The beginning of a message of which too little is there to tell. */
  #beginning = NOTHING;

  /** @param whole decoder of grpc-js, which nothing was written to */
  constructor(whole: Decoder, maxMessageBytes: number) {
    this.#whole = whole;
    this.#maxMessageBytes = maxMessageBytes;
  }

  write(chunk: Buffer): Buffer[] {
    const bytes = this.#beginning.length > 0 ? Buffer.concat([this.#beginning, chunk]) : chunk;
    this.#beginning = NOTHING;
    const messages: Buffer[] = [];
    let at = 0;
    while (at < bytes.length) {
      const begin = at;
      if (this.#large) at = this.#takeLarge(this.#large, bytes, at, messages);
      else at = this.#passWhole(bytes, at, messages);
      if (at > begin) continue;
      this.#beginning = Buffer.from(bytes.subarray(at));
      break;
    }
    return messages;
  }

  #takeLarge(large: LargeWrite, bytes: Buffer, from: number, messages: Buffer[]): number {
    const end = large.take(bytes, from, messages);
    if (large.isComplete) this.#large = undefined;
    return end;
  }

  /** Gives the other decoder its messages; ends where a large one begins, or one that can't be told yet. */
  #passWhole(bytes: Buffer, from: number, messages: Buffer[]): number {
    let end = from;
    do {
      const passed = Math.min(this.#wholeBytes, bytes.length - end);
      this.#wholeBytes -= passed;
      end += passed;
    } while (this.#beginsWhole(bytes, end));
    if (end > from) messages.push(...this.#whole.write(bytes.subarray(from, end)));
    return this.#large ? end + this.#large.dataAt : end;
  }

  /** Whether a message begins here that is left to the other decoder. */
  #beginsWhole(bytes: Buffer, at: number): boolean {
    const left = bytes.length - at;
    if (left < FRAME_HEADER_BYTES) return false;
    const size = bytes.readUInt32BE(at + 1);
    if (bytes[at] === 0 && size > PART_BYTES && size <= this.#maxMessageBytes) {
      if (left < HEAD_BYTES) return false;
      const head = decodeWriteRequestHead(bytes.subarray(at + FRAME_HEADER_BYTES, at + HEAD_BYTES));
      if (head && head.dataAt + head.dataLength === size) {
        this.#large = new LargeWrite(head);
        return false;
      }
    }
    this.#wholeBytes = FRAME_HEADER_BYTES + size;
    return true;
  }
}

/** One message on its way to become several. */
class LargeWrite {
  /** Where its data begins, counted from its frame's header. */
  readonly dataAt: number;
  readonly #finishWrite: boolean;
  /** Only the first part has it. */
  #resourceName: Buffer;
  #writeOffset: number;
  #left: number;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;

  constructor({ resourceName, writeOffset, finishWrite, dataAt, dataLength }: WriteRequestHead) {
    this.dataAt = FRAME_HEADER_BYTES + dataAt;
    this.#resourceName = Buffer.from(resourceName);
    this.#writeOffset = writeOffset;
    this.#finishWrite = finishWrite;
    this.#left = dataLength;
  }

  get isComplete(): boolean {
    return this.#left === 0;
  }

  /** Takes what is its own of the bytes, and returns where that ends. */
  take(bytes: Buffer, from: number, messages: Buffer[]): number {
    let at = from;
    while (at < bytes.length && this.#left > 0) {
      const length = Math.min(PART_BYTES - this.#gatheredBytes, this.#left, bytes.length - at);
      this.#gathered.push(bytes.subarray(at, at + length));
      this.#gatheredBytes += length;
      this.#left -= length;
      at += length;
      if (this.#gatheredBytes === PART_BYTES || this.#left === 0) messages.push(this.#part());
    }
    return at;
  }

  #part(): Buffer {
    const length = this.#gatheredBytes;
    const fields = {
      resourceName: this.#resourceName,
      writeOffset: this.#writeOffset,
      finishWrite: this.#finishWrite && this.#left === 0,
    };
    const message = Buffer.concat([encodeWriteRequestHead(fields, length, FRAME_HEADER_BYTES), ...this.#gathered]);
    writeFrameHeader(message);
    this.#resourceName = NOTHING;
    this.#writeOffset += length;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    return message;
  }
}
