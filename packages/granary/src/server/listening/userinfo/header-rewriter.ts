import { encodeHeader, type HeaderField, HpackDecoder, HpackError } from './hpack-decoder.js';

const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;
const HEADERS = 1;
const CONTINUATION = 9;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const PADDED = 0x8;
const PRIORITY = 0x20;
/** What every peer takes (RFC 9113, section 4.2), and what we announce. */
const MAX_FRAME_BYTES = 16_384;
const MAX_BLOCK_BYTES = 256 * 1024;
/** A header may come in more frames than it needs, but each of them takes memory, the empty ones too. */
const MAX_BLOCK_FRAMES = 64;

/**
 * Reads what a client sends over HTTP/2 and moves `user:password@` from the authority of its requests into an
 * `authorization` header. When the first request has nothing there, neither have the later ones of the connection, and
 * from then on everything passes as it is.
 */
export class HeaderRewriter {
  readonly #decoder = new HpackDecoder();
  #state: 'preface' | 'first' | 'rewriting' | 'passing' = 'preface';
  #held: Buffer = Buffer.alloc(0);
  /** A header whose end is still to come. */
  #header: { readonly streamId: number; readonly flags: number; readonly parts: Buffer[]; bytes: number } | undefined;

  /**
   * What to pass on for these bytes.
   *
   * @throws HpackError when the client doesn't keep to the protocol
   */
  rewrite(chunk: Buffer): Buffer[] {
    if (this.#state === 'passing') return [chunk];
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const out: Buffer[] = [];
    let at = 0;
    if (this.#state === 'preface' && bytes.length >= PREFACE_BYTES) {
      out.push(bytes.subarray(0, PREFACE_BYTES));
      at = PREFACE_BYTES;
      this.#state = 'first';
    }
    while (this.#state !== 'preface' && bytes.length - at >= FRAME_HEADER_BYTES) {
      const length = bytes.readUIntBE(at, 3);
      if (length > MAX_FRAME_BYTES) throw new HpackError(`a frame of ${length} bytes is larger than was offered`);
      const end = at + FRAME_HEADER_BYTES + length;
      if (end > bytes.length) break;
      const frame = bytes.subarray(at, end);
      at = end;
      out.push(...this.#frame(frame));
      if (this.#passing()) {
        if (at < bytes.length) out.push(bytes.subarray(at));
        at = bytes.length;
      }
    }
    this.#held = bytes.subarray(at);
    return out;
  }

  #passing(): boolean {
    return this.#state === 'passing';
  }

  #frame(frame: Buffer): Buffer[] {
    const type = frame[3] as number;
    if (this.#header === undefined && type !== HEADERS) return [frame];
    const flags = frame[4] as number;
    const streamId = frame.readUInt32BE(5) & 0x7fff_ffff;
    if (this.#header === undefined) this.#header = { streamId, flags, parts: [], bytes: 0 };
    else if (type !== CONTINUATION || streamId !== this.#header.streamId)
      throw new HpackError('a header is interrupted by another frame');
    const part = type === HEADERS ? headerPart(frame) : frame.subarray(FRAME_HEADER_BYTES);
    this.#header.parts.push(part);
    this.#header.bytes += part.length;
    if (this.#header.bytes > MAX_BLOCK_BYTES) throw new HpackError(`a header is larger than ${MAX_BLOCK_BYTES} bytes`);
    if (this.#header.parts.length > MAX_BLOCK_FRAMES)
      throw new HpackError(`a header comes in more than ${MAX_BLOCK_FRAMES} frames`);
    if (!(flags & END_HEADERS)) return [];
    const { parts, flags: firstFlags } = this.#header;
    this.#header = undefined;
    return this.#rewritten(streamId, firstFlags & END_STREAM, Buffer.concat(parts));
  }

  #rewritten(streamId: number, endStream: number, block: Buffer): Buffer[] {
    const fields = this.#decoder.decode(block);
    const authority = fields.find(({ name }) => name === ':authority')?.value;
    if (this.#state === 'first') {
      this.#state = authority?.includes('@') ? 'rewriting' : 'passing';
      // The block itself goes on: what it puts into the table is needed by the headers after it.
      if (this.#state === 'passing') return frames(streamId, endStream, block);
    }
    return frames(streamId, endStream, encodeHeader(withoutUserinfo(fields)));
  }
}

/** What a HEADERS frame holds of the header itself. */
function headerPart(frame: Buffer): Buffer {
  const flags = frame[4] as number;
  let start = FRAME_HEADER_BYTES;
  let end = frame.length;
  if (flags & PADDED) {
    end -= frame[start] ?? 0;
    start++;
  }
  if (flags & PRIORITY) start += 5;
  if (start > end) throw new HpackError('the padding of a frame is larger than the frame');
  return frame.subarray(start, end);
}

/** A header as frames of the size that everyone takes. */
function frames(streamId: number, endStream: number, block: Buffer): Buffer[] {
  const out: Buffer[] = [];
  let at = 0;
  do {
    const part = block.subarray(at, at + MAX_FRAME_BYTES);
    const first = at === 0;
    at += part.length;
    const head = Buffer.alloc(FRAME_HEADER_BYTES);
    head.writeUIntBE(part.length, 0, 3);
    head[3] = first ? HEADERS : CONTINUATION;
    head[4] = (first ? endStream : 0) | (at >= block.length ? END_HEADERS : 0);
    head.writeUInt32BE(streamId, 5);
    out.push(head, part);
  } while (at < block.length);
  return out;
}

function withoutUserinfo(fields: readonly HeaderField[]): HeaderField[] {
  const authority = fields.find(({ name }) => name === ':authority')?.value ?? '';
  const at = authority.lastIndexOf('@');
  if (at < 0) return [...fields];
  const rewritten = fields.map((field) =>
    field.name === ':authority' ? { name: field.name, value: authority.slice(at + 1) } : field,
  );
  if (fields.some(({ name }) => name === 'authorization')) return rewritten;
  return [...rewritten, { name: 'authorization', value: basic(authority.slice(0, at)) }];
}

/** What is no user and password becomes a header that no password belongs to: it is refused by those who know how. */
function basic(userinfo: string): string {
  let text = userinfo;
  try {
    text = userinfo.split(':').map(decodeURIComponent).join(':');
  } catch {
    text = '';
  }
  return `Basic ${Buffer.from(text, 'utf8').toString('base64') || '='}`;
}
