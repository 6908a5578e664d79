import { decodeHuffman } from './huffman.js';

/** A header field; names and values are bytes, one character each. */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
}

/** A header block is not what RFC 7541 says, or too large. */
export class HpackError extends Error {
  override readonly name = 'HpackError';
}

const MAX_TABLE_BYTES = 4096;
/** What an entry of the table counts beside its text (RFC 7541, section 4.1). */
const ENTRY_OVERHEAD = 32;
const MAX_LIST_BYTES = 256 * 1024;

/** RFC 7541, appendix A, from index 1. */
const STATIC_TABLE: readonly HeaderField[] = (
  ':authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204|' +
  ':status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|accept-encoding=gzip, deflate|' +
  'accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|' +
  'content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|' +
  'cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|' +
  'last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|' +
  'server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate'
)
  .split('|')
  .map((entry) => {
    const [name = '', value = ''] = entry.split('=');
    return { name, value };
  });

/** Decodes the header blocks of one direction of a connection, in their order (RFC 7541). */
export class HpackDecoder {
  readonly #table: HeaderField[] = [];
  #tableBytes = 0;
  #tableLimit = MAX_TABLE_BYTES;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;

  /** @throws HpackError; the connection is of no use then */
  decode(block: Buffer): HeaderField[] {
    this.#block = block;
    this.#at = 0;
    const fields: HeaderField[] = [];
    let bytes = 0;
    while (this.#at < block.length) {
      const field = this.#field(block[this.#at] as number);
      if (!field) continue;
      bytes += size(field);
      // A few bytes can name a long entry of the table again and again.
      if (bytes > MAX_LIST_BYTES) throw new HpackError(`the header is larger than ${MAX_LIST_BYTES} bytes`);
      fields.push(field);
    }
    return fields;
  }

  #field(first: number): HeaderField | undefined {
    if (first & 0x80) return this.#entry(this.#integer(7));
    if ((first & 0xe0) === 0x20) {
      this.#resize(this.#integer(5));
      return undefined;
    }
    const indexed = (first & 0x40) !== 0;
    const nameIndex = this.#integer(indexed ? 6 : 4);
    const name = nameIndex === 0 ? this.#string() : this.#entry(nameIndex).name;
    const field = { name, value: this.#string() };
    if (indexed) this.#add(field);
    return field;
  }

  #entry(index: number): HeaderField {
    const field = STATIC_TABLE[index - 1] ?? this.#table[index - 1 - STATIC_TABLE.length];
    if (!field) throw new HpackError(`there is no header field ${index}`);
    return field;
  }

  #add(field: HeaderField): void {
    this.#table.unshift(field);
    this.#tableBytes += size(field);
    this.#evict();
  }

  #resize(limit: number): void {
    if (limit > MAX_TABLE_BYTES) throw new HpackError(`a table of ${limit} bytes is larger than was offered`);
    this.#tableLimit = limit;
    this.#evict();
  }

  #evict(): void {
    while (this.#tableBytes > this.#tableLimit) this.#tableBytes -= size(this.#table.pop() as HeaderField);
  }

  #integer(prefixBits: number): number {
    const mask = 2 ** prefixBits - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 1; ; shift *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * shift;
      if (value > 2 ** 28) throw new HpackError('a number is too large');
      if (byte < 0x80) return value;
      if (shift > 2 ** 28) throw new HpackError('a number is too long');
    }
  }

  #string(): string {
    const huffman = ((this.#block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const end = this.#at + length;
    if (end > this.#block.length) throw new HpackError('a string ends after the header');
    const bytes = this.#block.subarray(this.#at, end);
    this.#at = end;
    const text = huffman ? decodeHuffman(bytes) : bytes;
    if (!text) throw new HpackError('a string is not coded as it should');
    return text.toString('latin1');
  }

  #byte(): number {
    const byte = this.#block[this.#at++];
    if (byte === undefined) throw new HpackError('the header ends too early');
    return byte;
  }
}

function size({ name, value }: HeaderField): number {
  return name.length + value.length + ENTRY_OVERHEAD;
}

/** Encodes fields without any table, so that nobody need remember anything (RFC 7541, section 6.2.2). */
export function encodeHeader(fields: readonly HeaderField[]): Buffer {
  return Buffer.concat(
    fields.flatMap(({ name, value }) => [
      Buffer.of(0),
      encodeLength(name.length),
      Buffer.from(name, 'latin1'),
      encodeLength(value.length),
      Buffer.from(value, 'latin1'),
    ]),
  );
}

function encodeLength(length: number): Buffer {
  if (length < 127) return Buffer.of(length);
  const bytes = [127];
  let rest = length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}
