const TWO_31 = 0x8000_0000;
const TWO_32 = 0x1_0000_0000;

/** Bytes that a whole number takes as a varint; a negative one always takes ten. */
export function varintSize(value: number): number {
  if (value < 0) return 10;
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Bytes of a field whose tag takes one byte and whose value has a length in front. */
export function delimitedSize(length: number): number {
  return 1 + varintSize(length) + length;
}

/** As {@link delimitedSize}; nothing at all for an empty value, which proto3 leaves out. */
export function optionalSize(length: number): number {
  return length === 0 ? 0 : delimitedSize(length);
}

/** Bytes of a number's field with a tag of one byte; nothing for 0, which proto3 leaves out. */
export function numberSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

/**
 * Writes protobuf's wire format into one buffer of exactly the size that the caller computed before. All tags here
 * are of one byte: no message in this protocol has a field above 15 that Granary writes.
 */
export class WireWriter {
  readonly bytes: Buffer;
  pos = 0;

  /** @param memory how many bytes the message has, or the memory that it is written to */
  constructor(memory: number | Buffer) {
    this.bytes = typeof memory === 'number' ? Buffer.allocUnsafe(memory) : memory;
  }

  /** The finished message. The memory was not cleared, so a size that was computed wrong must not go unnoticed. */
  finish(): Buffer {
    if (this.pos !== this.bytes.length)
      throw new Error(`a message was announced as ${this.bytes.length} bytes and has ${this.pos}`);
    return this.bytes;
  }

  /** Tag and length of a value that the caller writes next. */
  header(tag: number, length: number): void {
    this.bytes[this.pos++] = tag;
    this.varint(length);
  }

  /** A number's field; nothing for 0. */
  number(tag: number, value: number): void {
    if (value === 0) return;
    this.bytes[this.pos++] = tag;
    this.varint(value);
  }

  /** A field of bytes; nothing for none. */
  data(tag: number, data: Uint8Array): void {
    if (data.length !== 0) this.message(tag, data);
  }

  /** A message that is encoded already; an empty one is written too, since it differs from none. */
  message(tag: number, data: Uint8Array): void {
    this.header(tag, data.length);
    this.bytes.set(data, this.pos);
    this.pos += data.length;
  }

  /** A field of text of which the length in UTF-8 is known; nothing for none. */
  text(tag: number, text: string, length: number): void {
    if (length !== 0) this.element(tag, text, length);
  }

  /** One text of a repeated field, which is written even when it is empty. */
  element(tag: number, text: string, length: number): void {
    this.header(tag, length);
    this.pos += this.bytes.write(text, this.pos, length === text.length ? 'latin1' : 'utf8');
  }

  varint(value: number): void {
    const { bytes } = this;
    let { pos } = this;
    if (value >= 0) {
      let rest = value;
      for (; rest >= TWO_31; rest = Math.floor(rest / 0x80)) bytes[pos++] = (rest % 0x80) | 0x80;
      for (; rest >= 0x80; rest >>>= 7) bytes[pos++] = (rest & 0x7f) | 0x80;
      bytes[pos++] = rest;
    } else {
      // Two's complement in 64 bits: four times seven bits of the lower half, four of it and three of the upper one, …
      const low = value | 0;
      const high = Math.floor(value / TWO_32) | 0;
      for (let shift = 0; shift < 28; shift += 7) bytes[pos++] = ((low >>> shift) & 0x7f) | 0x80;
      bytes[pos++] = (low >>> 28) | ((high & 7) << 4) | 0x80;
      for (let shift = 3; shift < 31; shift += 7) bytes[pos++] = ((high >>> shift) & 0x7f) | 0x80;
      bytes[pos++] = high >>> 31;
    }
    this.pos = pos;
  }
}
