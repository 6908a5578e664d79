import { isUtf8 } from 'node:buffer';
import { WireFormatError } from './wire-format-error.js';

/** How a field's value is laid out (protobuf encoding guide, "Message Structure"). */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const GROUP_START = 3;
const GROUP_END = 4;
const FIXED32 = 5;

const MAX_GROUP_DEPTH = 64;
const TWO_32 = 0x1_0000_0000;
/** What an absent field of bytes reads as. */
export const NO_BYTES: Buffer = Buffer.alloc(0);

/**
 * Reads protobuf's wire format out of a buffer. Everything it returns is a number, a string or a view; no read goes
 * beyond `end`, whatever the bytes claim.
 *
 * Codecs loop `while (reader.pos < reader.end) switch (reader.tag())` over whole tags, so that a known field of an
 * unexpected wire type falls to `default: reader.skip(tag)` like an unknown one, as proto3 wants it.
 */
export class WireReader {
  readonly bytes: Buffer;
  pos = 0;
  end: number;
  /** The upper half of the varint that {@link low} read last. */
  private high = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.end = bytes.length;
  }

  /** The next field's number and wire type, as they are written: `number << 3 | type`. */
  tag(): number {
    const tag = this.low() >>> 0;
    if (this.high !== 0 || tag < 8) throw new WireFormatError(`no field has the tag ${tag} (at byte ${this.pos})`);
    return tag;
  }

  int32(): number {
    return this.low();
  }

  bool(): boolean {
    return this.low() !== 0 || this.high !== 0;
  }

  /** @throws WireFormatError when the value is beyond ±(2^53 − 1) */
  int64(): number {
    const low = this.low();
    const value = this.high * TWO_32 + (low >>> 0);
    if (!Number.isSafeInteger(value))
      throw new WireFormatError(`a 64-bit number is outside of ±(2^53-1) (at byte ${this.pos})`);
    return value;
  }

  /** An offset or a limit: one beyond ±(2^53 − 1) lies beyond every blob, and so does the nearest safe number. */
  position(): number {
    const low = this.low();
    const value = this.high * TWO_32 + (low >>> 0);
    return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));
  }

  /** The length of what follows, which is checked to be there. */
  length(): number {
    const length = this.low();
    if (this.high !== 0 || length < 0 || length > this.end - this.pos)
      throw new WireFormatError(`${this.end - this.pos} bytes are left where a field needs more (at byte ${this.pos})`);
    return length;
  }

  /** A view, not a copy. */
  view(): Buffer {
    const length = this.length();
    if (length === 0) return NO_BYTES;
    const start = this.pos;
    this.pos = start + length;
    return this.bytes.subarray(start, this.pos);
  }

  string(): string {
    const length = this.length();
    const start = this.pos;
    this.pos = start + length;
    return this.textAt(start, length);
  }

  /** The text in a part of the buffer. */
  textAt(start: number, length: number): string {
    if (length === 0) return '';
    const text = this.bytes.toString('utf8', start, start + length);
    if (text.includes('\ufffd') && !isUtf8(this.bytes.subarray(start, start + length)))
      throw new WireFormatError(`a string is not valid UTF-8 (at byte ${start})`);
    return text;
  }

  /** Narrows the reader to the message that begins here; the result is what {@link leave} needs afterwards. */
  enter(): number {
    const outer = this.end;
    const length = this.length();
    this.end = this.pos + length;
    return outer;
  }

  leave(outer: number): void {
    this.pos = this.end;
    this.end = outer;
  }

  /** Passes over the value of a field that nobody asked for. */
  skip(tag: number, depth = 0): void {
    switch (tag & 7) {
      case VARINT:
        this.low();
        return;
      case FIXED64:
        this.advance(8);
        return;
      case BYTES:
        this.advance(this.length());
        return;
      case GROUP_START:
        if (depth === MAX_GROUP_DEPTH) throw new WireFormatError(`groups lie more than ${depth} deep`);
        for (;;) {
          const inner = this.tag();
          if ((inner & 7) !== GROUP_END) this.skip(inner, depth + 1);
          else if (inner >>> 3 === tag >>> 3) return;
          else throw new WireFormatError(`a group ends that did not begin (at byte ${this.pos})`);
        }
      case FIXED32:
        this.advance(4);
        return;
      default:
        throw new WireFormatError(`a field has the impossible wire type ${tag & 7} (at byte ${this.pos})`);
    }
  }

  private advance(count: number): void {
    if (count > this.end - this.pos) throw new WireFormatError(`the message ends within a field (at byte ${this.pos})`);
    this.pos += count;
  }

  /** A varint's lower 32 bits, signed; the upper ones go to `high`. */
  private low(): number {
    const { bytes, end } = this;
    let { pos } = this;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (pos >= end) throw new WireFormatError(`the message ends within a number (at byte ${pos})`);
      const byte = bytes[pos++] as number;
      if (shift < 28) low |= (byte & 0x7f) << shift;
      else if (shift === 28) {
        low |= (byte & 0x0f) << 28;
        high = (byte & 0x7f) >> 4;
      } else high |= (byte & 0x7f) << (shift - 32);
      if (byte < 0x80) {
        this.pos = pos;
        this.high = high;
        return low;
      }
    }
    throw new WireFormatError(`a number goes on beyond ten bytes (at byte ${pos})`);
  }
}
