import { ZstdError } from './zstd-error.js';

/**
 * Largest window that a decoder keeps: what RFC 8878 (3.1.1.1.2) asks every decoder to support and RFC 9659 allows on
 * the web at most. All levels of zstd up to 19 stay within it; only `--ultra` and `--long` do not.
 */
export const MAX_WINDOW_BYTES = 8 * 1024 * 1024;

/** Most bytes that one block holds, compressed or not (RFC 8878, 3.1.1.2.4). */
const MAX_BLOCK_BYTES = 128 * 1024;

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAX_HEADER_BYTES = 18;

const RLE = 1;
const COMPRESSED = 2;

/** What a frame is made of. The checksum counts as a part of the last block. */
export type FrameElement = 'header' | 'block' | 'skippable';

/**
 * Follows the frames and blocks of a Zstandard stream (RFC 8878, 3.1) without decoding them, through pieces of any
 * size. The decoders below it stop at the end of the first frame or go on too far, accept an input that ends early,
 * or take any window; with this in front of them all behave alike.
 */
export class FrameScanner {
  /** What the bytes that {@link advance} went over last belong to. */
  element: FrameElement = 'header';
  /** Whether these bytes ended that element. */
  complete = false;
  /** Whether they ended a frame, so that another one or nothing follows. */
  frameEnded = true;
  /** Bytes that the blocks so far hold at most. */
  bound = 0;
  /** Bytes that the current block holds at most. */
  blockBound = 0;
  /** The window of the current frame. */
  windowBytes = 0;

  readonly #maxBytes: number;
  readonly #head = new Uint8Array(MAX_HEADER_BYTES);
  readonly #view = new DataView(this.#head.buffer);
  #have = 0;
  #need = 5;
  #declared = 0;
  #hasChecksum = false;

  /** @param maxBytes most bytes that the frames may say they hold */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Goes over the bytes from `from`, to the end of the current element or of the bytes.
   *
   * @returns the index behind what it went over
   * @throws ZstdError
   */
  advance(bytes: Uint8Array, from: number): number {
    if (this.complete) this.#begin();
    let pos = from;
    while (pos < bytes.length && !this.complete) {
      const count = Math.min(this.#need - this.#have, bytes.length - pos);
      if (this.#have < MAX_HEADER_BYTES)
        this.#head.set(bytes.subarray(pos, pos + Math.min(count, MAX_HEADER_BYTES - this.#have)), this.#have);
      this.#have += count;
      pos += count;
      if (this.#have === this.#need) this.#reach();
    }
    return pos;
  }

  /** @throws ZstdError when the input ended within a frame */
  end(): void {
    if (this.frameEnded && (this.complete || this.#have === 0)) return;
    throw new ZstdError('MALFORMED', 'the compressed data ends early');
  }

  #begin(): void {
    this.complete = false;
    this.#have = 0;
    this.element = this.frameEnded ? 'header' : 'block';
    this.#need = this.frameEnded ? 5 : 3;
  }

  /** As many bytes are here as were asked for: they end the element or say how long it is. */
  #reach(): void {
    if (this.element === 'block') this.#reachBlock();
    else if (this.element === 'header') this.#reachHeader();
    else if (this.#have === 8) this.#grow(this.#view.getUint32(4, true));
    else this.complete = true;
  }

  #grow(count: number): void {
    this.#need += count;
    this.complete = count === 0;
  }

  #reachHeader(): void {
    if (this.#have > 5) {
      this.#readHeader();
      return;
    }
    const magic = this.#view.getUint32(0, true);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      this.element = 'skippable';
      this.#need = 8;
    } else if (magic !== MAGIC) throw new ZstdError('MALFORMED', 'this is not a Zstandard frame');
    else {
      this.frameEnded = false;
      this.#need = 5 + this.#windowField() + this.#dictionaryField() + this.#sizeField();
    }
  }

  get #descriptor(): number {
    return this.#head[4] as number;
  }

  #windowField(): number {
    return this.#descriptor & 0x20 ? 0 : 1;
  }

  #dictionaryField(): number {
    return [0, 1, 2, 4][this.#descriptor & 3] as number;
  }

  /** A frame without a window's size has its content's size, in one byte at least. So a header is never of 5 bytes. */
  #sizeField(): number {
    const flag = this.#descriptor >> 6;
    return flag === 0 ? 1 - this.#windowField() : 1 << flag;
  }

  #readHeader(): void {
    if (this.#descriptor & 0x08) throw new ZstdError('MALFORMED', 'a frame has a reserved bit set');
    const dictionaryAt = 5 + this.#windowField();
    const sizeAt = dictionaryAt + this.#dictionaryField();
    if (this.#head.subarray(dictionaryAt, sizeAt).some((byte) => byte !== 0))
      throw new ZstdError('UNSUPPORTED', 'a frame needs a dictionary');
    const size = this.#contentSize(sizeAt);
    this.windowBytes = this.#windowField() ? windowOf(this.#head[5] as number) : (size ?? 0);
    this.#declared += size ?? 0;
    if (this.#declared > this.#maxBytes) throw tooLarge(this.#maxBytes);
    if (this.windowBytes > MAX_WINDOW_BYTES)
      throw new ZstdError(
        'TOO_LARGE',
        `a frame needs a window of ${this.windowBytes} bytes; ${MAX_WINDOW_BYTES} is the most that is offered`,
      );
    this.#hasChecksum = (this.#descriptor & 0x04) !== 0;
    this.complete = true;
  }

  #contentSize(at: number): number | undefined {
    switch (this.#sizeField()) {
      case 0:
        return undefined;
      case 1:
        return this.#view.getUint8(at);
      case 2:
        return this.#view.getUint16(at, true) + 256;
      case 4:
        return this.#view.getUint32(at, true);
      default:
        return Number(this.#view.getBigUint64(at, true));
    }
  }

  #reachBlock(): void {
    if (this.#have > 3) {
      this.complete = true;
      return;
    }
    const header = (this.#head[0] as number) | ((this.#head[1] as number) << 8) | ((this.#head[2] as number) << 16);
    const type = (header >> 1) & 3;
    const size = header >> 3;
    const most = Math.min(this.windowBytes, MAX_BLOCK_BYTES);
    if (type > COMPRESSED || size > most) throw new ZstdError('MALFORMED', 'a block has an impossible header');
    this.blockBound = type === COMPRESSED ? most : size;
    this.bound += this.blockBound;
    const isLast = (header & 1) === 1;
    this.frameEnded = isLast;
    this.#grow((type === RLE ? 1 : size) + (isLast && this.#hasChecksum ? 4 : 0));
  }
}

export function tooLarge(maxBytes: number): ZstdError {
  return new ZstdError('TOO_LARGE', `the content is larger than the ${maxBytes} bytes that it may have`);
}

/** The window that a descriptor stands for (RFC 8878, 3.1.1.1.2). */
function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}
