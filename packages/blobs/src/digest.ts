import { type DigestFunction, HASH_BYTES, hashBytes } from './digest-function.js';
import { InvalidDigestError } from './errors.js';

const HEX_DIGITS = '0123456789abcdef';
const NOT_HEX = 0x100;

/** Value of each character code as a hexadecimal digit; upper case is not one, as the protocol demands. */
const NIBBLES = new Uint16Array(256).fill(NOT_HEX);
for (let value = 0; value < 16; value++) NIBBLES[HEX_DIGITS.charCodeAt(value)] = value;

const HEX_CODES = Buffer.from(HEX_DIGITS, 'latin1');

/** Whole words are read and written at once: a view of bytes for each digest would cost more than its hash. */
const LITTLE_ENDIAN = new Uint8Array(Int32Array.of(1).buffer)[0] === 1;

/** The byte that two digits stand for, or a number above 0xff. */
function hexByte(text: Uint8Array, at: number): number {
  return ((NIBBLES[text[at] as number] as number) << 4) | (NIBBLES[text[at + 1] as number] as number);
}

function writeByte(text: Uint8Array, at: number, byte: number): number {
  text[at] = HEX_CODES[(byte >>> 4) & 15] as number;
  text[at + 1] = HEX_CODES[byte & 15] as number;
  return at + 2;
}

/**
 * The name of a blob: a digest function, the hash of the content and the content's size in bytes.
 *
 * The hash lies in `words` from index `at`, so that the digests of one request share one allocation and the
 * index compares whole words. A digest keeps those shared words alive: hold on to {@link compact} for long.
 */
export class Digest {
  readonly function: DigestFunction;
  readonly size: number;
  /** Memory that the hash lies in, in the order of its bytes. */
  readonly words: Int32Array;
  /** Index in `words` where the hash begins. */
  readonly at: number;

  private constructor(fn: DigestFunction, size: number, words: Int32Array, at: number) {
    this.function = fn;
    this.size = size;
    this.words = words;
    this.at = at;
  }

  /**
   * Parses the text form of a hash.
   *
   * @throws InvalidDigestError when the hash has another length than the function's, digits other than `0-9a-f`,
   *   or when the size is negative, fractional or beyond 2^53 − 1
   */
  static parse(fn: DigestFunction, hex: string, size: number): Digest {
    if (hex.length !== HASH_BYTES[fn] * 2) throw wrongLength(fn, hex.length);
    return Digest.readHex(fn, Buffer.from(hex, 'latin1'), 0, size, new Int32Array(HASH_BYTES[fn] / 4), 0);
  }

  /**
   * Reads a hash in text form out of `text` into `words[at …]`, which the digest then refers to. Decoding a
   * request with many digests allocates the words once (benchmark `FindMissingBlobs`, 1000 digests).
   *
   * @throws InvalidDigestError as {@link parse} does; the caller has checked the hash's length
   */
  static readHex(
    fn: DigestFunction,
    text: Uint8Array,
    offset: number,
    size: number,
    words: Int32Array,
    at: number,
  ): Digest {
    if (!Number.isSafeInteger(size) || size < 0)
      throw new InvalidDigestError(`size ${size} is not a whole number from 0 to 2^53-1`);
    let seen = 0;
    const end = at + HASH_BYTES[fn] / 4;
    for (let word = at, from = offset; word < end; word++, from += 8) {
      const b0 = hexByte(text, from);
      const b1 = hexByte(text, from + 2);
      const b2 = hexByte(text, from + 4);
      const b3 = hexByte(text, from + 6);
      seen |= b0 | b1 | b2 | b3;
      words[word] = LITTLE_ENDIAN ? b0 | (b1 << 8) | (b2 << 16) | (b3 << 24) : (b0 << 24) | (b1 << 16) | (b2 << 8) | b3;
    }
    if (seen > 0xff) throw new InvalidDigestError(`a ${fn} hash has only the digits 0-9 and a-f, in lower case`);
    return new Digest(fn, size, words, at);
  }

  /** Writes the hash in text form to `text` from `offset`; the end of what was written. */
  writeHex(text: Uint8Array, offset: number): number {
    const { words } = this;
    let to = offset;
    const end = this.at + HASH_BYTES[this.function] / 4;
    for (let at = this.at; at < end; at++) {
      const word = words[at] as number;
      to = writeByte(text, to, LITTLE_ENDIAN ? word : word >>> 24);
      to = writeByte(text, to, word >>> (LITTLE_ENDIAN ? 8 : 16));
      to = writeByte(text, to, word >>> (LITTLE_ENDIAN ? 16 : 8));
      to = writeByte(text, to, LITTLE_ENDIAN ? word >>> 24 : word);
    }
    return to;
  }

  /** @throws InvalidDigestError when the hash has another length than the function's */
  static fromBytes(fn: DigestFunction, hash: Uint8Array, size: number): Digest {
    if (hash.length !== HASH_BYTES[fn]) throw wrongLength(fn, hash.length * 2);
    if (!Number.isSafeInteger(size) || size < 0)
      throw new InvalidDigestError(`size ${size} is not a whole number from 0 to 2^53-1`);
    const words = new Int32Array(hash.length / 4);
    new Uint8Array(words.buffer).set(hash);
    return new Digest(fn, size, words, 0);
  }

  /** The digest of bytes that are all in memory. */
  static of(fn: DigestFunction, bytes: Uint8Array): Digest {
    return Digest.fromBytes(fn, hashBytes(fn, bytes), bytes.length);
  }

  /** The raw hash: a view, not a copy. */
  get bytes(): Buffer {
    return Buffer.from(this.words.buffer, this.words.byteOffset + this.at * 4, HASH_BYTES[this.function]);
  }

  /** The hash in lower-case hexadecimal. */
  get hash(): string {
    return this.bytes.toString('hex');
  }

  equals(other: Digest): boolean {
    return this.size === other.size && this.function === other.function && this.bytes.equals(other.bytes);
  }

  /** The same digest in memory of its own: itself, where that is so already. */
  compact(): Digest {
    if (this.words.length === HASH_BYTES[this.function] / 4) return this;
    return Digest.fromBytes(this.function, this.bytes, this.size);
  }

  /** `HASH/SIZE`, as resource names have it. */
  toString(): string {
    return `${this.hash}/${this.size}`;
  }
}

function wrongLength(fn: DigestFunction, digits: number): InvalidDigestError {
  return new InvalidDigestError(`a ${fn} hash has ${HASH_BYTES[fn] * 2} hexadecimal digits, not ${digits}`);
}

const empties = new Map<DigestFunction, Digest>();

/** The digest of no bytes at all, which every store holds. */
export function emptyDigest(fn: DigestFunction): Digest {
  const known = empties.get(fn);
  if (known) return known;
  const digest = Digest.of(fn, new Uint8Array(0));
  empties.set(fn, digest);
  return digest;
}

/** Whether this names the empty blob: no bytes, and the hash of no bytes. */
export function isEmptyDigest(digest: Digest): boolean {
  return digest.size === 0 && digest.equals(emptyDigest(digest.function));
}
