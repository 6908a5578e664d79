import { Digest, type DigestFunction, HASH_BYTES, InvalidDigestError, inferDigestFunction } from '@granary/blobs';
import { digestFunctionOf } from './digest-functions.js';
import { MalformedDigest, type RequestedDigest } from './messages.js';
import type { WireReader } from './wire-reader.js';
import { delimitedSize, numberSize, optionalSize, type WireWriter } from './wire-writer.js';

const HASH = 0x0a;
const SIZE_BYTES = 0x10;

/** Digests that one block of a {@link DigestArena} holds at most. */
const BLOCK_DIGESTS = 256;

/** Digests that cost next to nothing even if none is valid, so that each can be told what is wrong with it. */
const FEW_DIGESTS = 1024;

/** Where a `Digest` message's fields lie in the buffer; reused from one digest to the next. */
export class DigestSpan {
  hashAt = 0;
  hashLength = 0;
  size = 0;

  clear(): this {
    this.hashAt = 0;
    this.hashLength = 0;
    this.size = 0;
    return this;
  }

  /** Whether the message says nothing: some clients write an empty one for a digest that they don't have. */
  get isEmpty(): boolean {
    return this.hashLength === 0 && this.size === 0;
  }

  /** Reads the message that begins at the reader; a field that it leaves out keeps its value, as merging demands. */
  read(reader: WireReader): this {
    const outer = reader.enter();
    while (reader.pos < reader.end) {
      const tag = reader.tag();
      if (tag === HASH) {
        this.hashLength = reader.length();
        this.hashAt = reader.pos;
        reader.pos += this.hashLength;
      } else if (tag === SIZE_BYTES) this.size = reader.int64();
      else reader.skip(tag);
    }
    reader.leave(outer);
    return this;
  }
}

/** The function that a request's number stands for; 0 is inferred from the length of the hashes. */
export function resolveDigestFunction(number: number, hexLength: number): DigestFunction | undefined {
  return number === 0 ? (inferDigestFunction(hexLength) ?? 'sha256') : digestFunctionOf(number);
}

/**
 * Makes the digests of one message out of its bytes, many in one allocation. The allocations follow the bytes that
 * are there, never a number that the bytes claim.
 */
export class DigestArena {
  readonly function: DigestFunction;
  private readonly bytes: Buffer;
  private readonly hexLength: number;
  private words = new Int32Array(0);
  private at = 0;
  private left: number;
  private readonly errors = new Map<string, InvalidDigestError>();

  /** @param expected digests that will be read, as far as it is known */
  constructor(fn: DigestFunction, bytes: Buffer, expected = BLOCK_DIGESTS) {
    this.function = fn;
    this.bytes = bytes;
    this.hexLength = HASH_BYTES[fn] * 2;
    this.left = Math.min(expected, Math.ceil(bytes.length / this.hexLength));
  }

  /** @throws InvalidDigestError */
  digest(span: DigestSpan): Digest {
    if (span.hashLength !== this.hexLength) throw this.wrongLength(span.hashLength);
    if (this.at === this.words.length) this.grow();
    const digest = Digest.readHex(this.function, this.bytes, span.hashAt, span.size, this.words, this.at);
    this.at += this.hexLength / 8;
    return digest;
  }

  /** A digest as it was asked for, valid or not. */
  requested(reader: WireReader, span: DigestSpan): RequestedDigest {
    const digest = this.digestOrError(span);
    if (digest instanceof Digest) return digest;
    return new MalformedDigest(reader.textAt(span.hashAt, span.hashLength), span.size, digest);
  }

  private digestOrError(span: DigestSpan): Digest | InvalidDigestError {
    // What is wrong with many digests of one message is said once: an error costs a thousand times its few bytes.
    if (span.hashLength !== this.hexLength)
      return this.shared(`length ${span.hashLength}`, () => this.wrongLength(span.hashLength));
    if (span.size < 0) return this.shared('size', () => new InvalidDigestError('the size of a blob is not negative'));
    try {
      return this.digest(span);
    } catch (error) {
      if (!(error instanceof InvalidDigestError)) throw error;
      return this.shared('digits', () => error);
    }
  }

  private shared(reason: string, make: () => InvalidDigestError): InvalidDigestError {
    const known = this.errors.get(reason);
    if (known) return known;
    const error = make();
    this.errors.set(reason, error);
    return error;
  }

  private wrongLength(length: number): InvalidDigestError {
    return new InvalidDigestError(`a ${this.function} hash has ${this.hexLength} hexadecimal digits, not ${length}`);
  }

  private grow(): void {
    const count = Math.max(1, this.left);
    this.left = Math.min(BLOCK_DIGESTS, count);
    this.words = new Int32Array((count * this.hexLength) / 8);
    this.at = 0;
  }
}

/**
 * Refuses a message with many digests, more than its bytes could hold if all were valid, before anything is made for
 * them.
 *
 * @throws InvalidDigestError
 */
export function checkDigestCount(count: number, hexLength: number, bytes: Buffer): void {
  if (count > FEW_DIGESTS && count * hexLength > bytes.length)
    throw new InvalidDigestError(
      `${count} digests in ${bytes.length} bytes can't all have a hash of ${hexLength} hexadecimal digits`,
    );
}

/** Bytes of a digest's fields, without the header of the message. */
export function digestSize(digest: Digest): number {
  return delimitedSize(HASH_BYTES[digest.function] * 2) + numberSize(digest.size);
}

/** Writes a digest's fields. */
export function writeDigest(writer: WireWriter, digest: Digest): void {
  writer.header(HASH, HASH_BYTES[digest.function] * 2);
  writer.pos = digest.writeHex(writer.bytes, writer.pos);
  writer.number(SIZE_BYTES, digest.size);
}

/** Bytes of the fields of a digest as it was sent, without the header of the message. */
export function requestedDigestSize(digest: RequestedDigest): number {
  if (digest instanceof Digest) return digestSize(digest);
  return optionalSize(Buffer.byteLength(digest.hash)) + numberSize(digest.size);
}

export function writeRequestedDigest(writer: WireWriter, digest: RequestedDigest): void {
  if (digest instanceof Digest) writeDigest(writer, digest);
  else {
    writer.text(HASH, digest.hash, Buffer.byteLength(digest.hash));
    writer.number(SIZE_BYTES, digest.size);
  }
}
