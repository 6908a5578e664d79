const MAGIC = 0xfd2fb528;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const RLE_BLOCK = 1;

/** What comes next: a part of known length, and what it means. */
type Part = 'magic' | 'skippable size' | 'descriptor' | 'block header' | 'checksum';

const PART_BYTES: Readonly<Record<Part, number>> = {
  magic: 4,
  'skippable size': 4,
  descriptor: 1,
  'block header': 3,
  checksum: 4,
};

/**
 * Follows the frames of a zstd stream (RFC 8878, section 3.1) without decoding them, to know whether it ends where a
 * frame does: the decoder of Node 22 takes a stream that is cut off for a whole one. It looks at the few bytes of each
 * header and skips the rest.
 */
export class ZstdFrames {
  #part: Part = 'magic';
  /** Bytes of the part that have come. */
  #have = 0;
  #value = 0;
  /** Bytes to pass over before the part begins. */
  #skip = 0;
  #hasChecksum = false;

  /** Whether everything that came so far is whole frames. */
  get complete(): boolean {
    return this.#part === 'magic' && this.#have === 0 && this.#skip === 0;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, chunk.length - at);
        this.#skip -= passed;
        at += passed;
      } else {
        this.#value += (chunk[at++] as number) * 256 ** this.#have++;
        if (this.#have === PART_BYTES[this.#part]) this.#read(this.#value);
      }
    }
  }

  #read(value: number): void {
    switch (this.#part) {
      case 'magic':
        // What is neither kind of frame is the decoder's to refuse.
        this.#expect(value === MAGIC ? 'descriptor' : 'skippable size');
        break;
      case 'skippable size':
        this.#expect('magic', value);
        break;
      case 'descriptor':
        this.#hasChecksum = (value & 0b100) !== 0;
        this.#expect('block header', headerBytes(value));
        break;
      case 'block header': {
        const size = ((value >> 1) & 0b11) === RLE_BLOCK ? 1 : value >> 3;
        const isLast = (value & 1) === 1;
        this.#expect(isLast ? (this.#hasChecksum ? 'checksum' : 'magic') : 'block header', size);
        break;
      }
      case 'checksum':
        this.#expect('magic');
        break;
    }
  }

  #expect(part: Part, skip = 0): void {
    this.#part = part;
    this.#skip = skip;
    this.#have = 0;
    this.#value = 0;
  }
}

/** Bytes of a frame's header after its descriptor: window, dictionary, size of the content. */
function headerBytes(descriptor: number): number {
  const isSingleSegment = (descriptor & 0b10_0000) !== 0;
  const sizeFlag = descriptor >> 6;
  const contentSize = isSingleSegment && sizeFlag === 0 ? 1 : (CONTENT_SIZE_BYTES[sizeFlag] as number);
  return (isSingleSegment ? 0 : 1) + (DICTIONARY_ID_BYTES[descriptor & 0b11] as number) + contentSize;
}
