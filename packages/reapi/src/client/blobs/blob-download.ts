import {
  type BlobReader,
  CHUNK_BYTES,
  CHUNK_HEADROOM,
  type Digest,
  iterateReader,
  type OperationOptions,
} from '@granary/blobs';
import { status as CODES } from '@grpc/grpc-js';
import { formatBlobName } from '../../resource-name.js';
import { decodeReadResponse, encodeReadRequest } from '../../wire/index.js';
import { decompressStream, ZstdError } from '../../zstd/index.js';
import { hasStatus } from '../connection/call-failure.js';
import type { Peer } from '../connection/peer.js';
import type { StreamCall } from '../connection/stream-call.js';
import { answered } from './answered.js';

const READ = '/google.bytestream.ByteStream/Read';

/** What is wanted of a blob. */
export interface DownloadRange {
  readonly offset: number;
  /** More than 0. */
  readonly length: number;
}

/**
 * Opens a `ByteStream.Read`, which is done when the first bytes are here; undefined when the blob is not there.
 *
 * @param zstd whether it is to travel compressed, which only a whole blob can
 */
export async function openDownload(
  peer: Peer,
  digest: Digest,
  range: DownloadRange,
  zstd: boolean,
  options: OperationOptions | undefined,
): Promise<BlobReader | undefined> {
  const resourceName = formatBlobName({ instance: peer.instance, digest, compressor: zstd ? 'zstd' : 'identity' });
  const call = await peer.stream(READ, 'download', options);
  // No limit: bazel-remote ends with an error where a piece of its own reaches beyond one. The call is ended instead.
  const request = encodeReadRequest({ resourceName, readOffset: range.offset, readLimit: 0 });
  void call.send(request);
  call.halfClose();
  const received = new ReceivedData(peer, call);
  try {
    if (!(await received.first())) throw tooShort(peer, digest, 0, range.length);
  } catch (error) {
    call.cancel(error);
    if (hasStatus(error, CODES.NOT_FOUND)) return undefined;
    throw error;
  }
  const content = zstd ? decompressStream(received, range.length) : received;
  return new Download(peer, digest, range, call, content, zstd);
}

/** The data of a call's messages, the first of which may be waited for. */
class ReceivedData implements AsyncIterableIterator<Buffer> {
  readonly #peer: Peer;
  readonly #call: StreamCall;
  #first: Buffer | undefined;

  constructor(peer: Peer, call: StreamCall) {
    this.#peer = peer;
    this.#call = call;
  }

  /** Whether there is any. */
  async first(): Promise<boolean> {
    this.#first = await this.take();
    return this.#first !== undefined;
  }

  /** Never empty: messages without data are passed over, of which the peer may send as many as it has patience for. */
  async take(): Promise<Buffer | undefined> {
    const first = this.#first;
    this.#first = undefined;
    if (first) return first;
    for (;;) {
      const message = await this.#call.next();
      if (!message) return undefined;
      const data = answered(this.#peer, 'ByteStream.Read', () => decodeReadResponse(message));
      if (data.length > 0) return data;
    }
  }

  async next(): Promise<IteratorResult<Buffer>> {
    const value = await this.take();
    return value ? { value, done: false } : { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/**
 * A message from this size on has memory of its own, and in front of its data as many bytes as a chunk's headroom: those
 * of its own headers.
 */
const OWN_MEMORY_BYTES = 16 * 1024;

/** A blob on its way from a peer: at most one message, one chunk and what the window lets the peer send are here. */
class Download implements BlobReader {
  readonly length: number;
  readonly lasting = true;
  readonly #peer: Peer;
  readonly #digest: Digest;
  readonly #call: StreamCall;
  readonly #content: AsyncIterator<Buffer>;
  readonly #isTail: boolean;
  readonly #isDecoded: boolean;
  #rest: Buffer | undefined;
  #seen = 0;
  #done = false;

  constructor(
    peer: Peer,
    digest: Digest,
    { offset, length }: DownloadRange,
    call: StreamCall,
    content: AsyncIterator<Buffer>,
    isDecoded: boolean,
  ) {
    this.length = length;
    this.#isTail = offset + length === digest.size;
    this.#peer = peer;
    this.#digest = digest;
    this.#call = call;
    this.#content = content;
    this.#isDecoded = isDecoded;
  }

  async next(): Promise<Buffer | undefined> {
    if (this.#done) return undefined;
    try {
      const data = this.#rest ?? (await this.#take());
      if (this.#done || !data) {
        this.#done = true;
        return undefined;
      }
      if (this.#isChunk(data)) return data;
      // Copied once: the bytes in front of a chunk belong to whoever takes it.
      const size = Math.min(data.length, CHUNK_BYTES);
      this.#rest = data.length > size ? data.subarray(size) : undefined;
      const memory = Buffer.allocUnsafeSlow(CHUNK_HEADROOM + size);
      data.copy(memory, CHUNK_HEADROOM, 0, size);
      return memory.subarray(CHUNK_HEADROOM);
    } catch (error) {
      // What is under way when the reader is closed ends like the blob.
      if (this.#done) return undefined;
      this.#leave();
      throw this.#explained(error);
    }
  }

  async close(): Promise<void> {
    this.#leave();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return iterateReader(this);
  }

  /** Whether it can be handed out as it lies: all of the data of a message that is no larger than a chunk. */
  #isChunk(data: Buffer): boolean {
    if (this.#isDecoded || data === this.#rest) return false;
    return data.length >= OWN_MEMORY_BYTES && data.length <= CHUNK_BYTES && data.byteOffset >= CHUNK_HEADROOM;
  }

  #leave(): undefined {
    this.#done = true;
    this.#rest = undefined;
    this.#call.cancel(undefined);
    // A decoder has memory to give back; it is not waited for.
    void this.#content.return?.().catch(() => {});
  }

  async #take(): Promise<Buffer | undefined> {
    if (this.#seen === this.length) return this.#expectEnd();
    const { value: data } = (await this.#content.next()) as IteratorResult<Buffer, undefined>;
    if (this.#done) return undefined;
    if (!data) throw tooShort(this.#peer, this.#digest, this.#seen, this.length);
    const left = this.length - this.#seen;
    this.#seen += Math.min(left, data.length);
    if (data.length <= left) return data;
    if (this.#isTail) throw this.#tooLong();
    return data.subarray(0, left);
  }

  /** All bytes are here: of what the peer still says, only more bytes are of interest. */
  async #expectEnd(): Promise<undefined> {
    if (!this.#isTail) return this.#leave();
    let more: IteratorResult<Buffer>;
    try {
      more = await this.#content.next();
    } catch (error) {
      if (error instanceof ZstdError) throw error;
      return;
    }
    if (!more.done && !this.#done) throw this.#tooLong();
  }

  #explained(error: unknown): unknown {
    if (!(error instanceof ZstdError)) return error;
    return this.#peer.failure('invalid', `ByteStream.Read of ${this.#digest}: ${error.message}`, { cause: error });
  }

  #tooLong(): Error {
    return this.#peer.failure('invalid', `ByteStream.Read of ${this.#digest} gave more than ${this.length} bytes`);
  }
}

function tooShort(peer: Peer, digest: Digest, seen: number, length: number): Error {
  return peer.failure('invalid', `ByteStream.Read of ${digest} ended after ${seen} of ${length} bytes`);
}
