import { fstat, read as readFd } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';

/** Something that bytes can be read from at any place: a file, memory, a part of something larger. */
export interface RandomAccessSource {
  /** Bytes in all; it must not change. */
  readonly size: number;
  /** The bytes from a position on: as many as asked for, fewer only where the source ends. They are not changed. */
  read(position: number, length: number): Promise<Buffer>;
  /** The same without a wait, where that can be had; undefined where it can't. */
  peek?(position: number, length: number): Buffer | undefined;
}

/** What can be read as a source: a path, an open file, bytes, or a source. */
export type RandomAccessInput = string | number | FileHandle | Uint8Array | RandomAccessSource;

/** A source, and how to give back what was opened for it. */
export interface OpenedSource {
  readonly source: RandomAccessSource;
  readonly close: () => Promise<void>;
}

const nothingToClose = async (): Promise<void> => {};
const fstatAsync = promisify(fstat);
const readAsync = promisify(readFd);

/** Opens paths; what the caller has opened stays the caller's to close. */
export async function openSource(input: RandomAccessInput): Promise<OpenedSource> {
  if (typeof input === 'string') {
    const handle = await open(input, 'r');
    try {
      return { source: await fileSource(handle), close: () => handle.close() };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
  if (typeof input === 'number') return { source: await fdSource(input), close: nothingToClose };
  if (input instanceof Uint8Array) return { source: bytesSource(input), close: nothingToClose };
  if ('fd' in input) return { source: await fileSource(input), close: nothingToClose };
  return { source: input, close: nothingToClose };
}

function bytesSource(bytes: Uint8Array): RandomAccessSource {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const peek = (position: number, length: number) => buffer.subarray(position, position + length);
  return { size: buffer.length, read: async (position, length) => peek(position, length), peek };
}

async function fileSource(handle: FileHandle): Promise<RandomAccessSource> {
  const { size } = await handle.stat();
  return {
    size,
    read: (position, length) =>
      readFully(size, position, length, async (into, at) => (await handle.read(into, 0, into.length, at)).bytesRead),
  };
}

async function fdSource(fd: number): Promise<RandomAccessSource> {
  const { size } = await fstatAsync(fd);
  return {
    size,
    read: (position, length) =>
      readFully(size, position, length, async (into, at) => {
        return (await readAsync(fd, into, 0, into.length, at)).bytesRead;
      }),
  };
}

/** The system may give fewer bytes than asked for long before the end. */
async function readFully(
  size: number,
  position: number,
  length: number,
  read: (into: Buffer, at: number) => Promise<number>,
): Promise<Buffer> {
  const wanted = Math.max(0, Math.min(length, size - position));
  const bytes = Buffer.allocUnsafe(wanted);
  let done = 0;
  while (done < wanted) {
    const count = await read(bytes.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

/** More than a header, and little to read in vain where headers lie far apart. */
const BLOCK = 16 * 1024;
const CHUNK = 64 * 1024;

/**
 * Keeps the block that was read last: an archive's directory is read in steps of a few bytes, and lies in one piece,
 * most often in the block in which its end was looked for.
 */
export class BlockSource implements RandomAccessSource {
  readonly size: number;
  readonly #source: RandomAccessSource;
  #block: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(source: RandomAccessSource) {
    this.#source = source;
    this.size = source.size;
  }

  async read(position: number, length: number): Promise<Buffer> {
    const bytes = this.peek(position, length);
    return bytes ?? this.#keep(await this.#source.read(position, Math.max(length, BLOCK)), position, length);
  }

  peek(position: number, length: number): Buffer | undefined {
    const from = position - this.#start;
    if (from >= 0 && from + length <= this.#block.length) return this.#block.subarray(from, from + length);
    const bytes = this.#source.peek?.(position, Math.max(length, BLOCK));
    return bytes && this.#keep(bytes, position, length);
  }

  #keep(bytes: Buffer, position: number, length: number): Buffer {
    if (bytes.length <= 2 * CHUNK) {
      this.#block = bytes;
      this.#start = position;
    }
    return bytes.subarray(0, length);
  }
}

/** The bytes of a source between two positions. What ends the stream is the end of the range, or of the source. */
export class RangeStream extends Readable {
  readonly #source: RandomAccessSource;
  readonly #end: number;
  #position: number;

  constructor(source: RandomAccessSource, start: number, end: number) {
    super({ highWaterMark: CHUNK });
    this.#source = source;
    this.#position = start;
    this.#end = end;
  }

  override _read(): void {
    const length = Math.min(CHUNK, this.#end - this.#position);
    if (length <= 0) {
      this.push(null);
      return;
    }
    this.#source.read(this.#position, length).then(
      (bytes) => {
        this.#position = bytes.length < length ? this.#end : this.#position + bytes.length;
        this.push(bytes.length === 0 ? null : bytes);
      },
      (error: Error) => this.destroy(error),
    );
  }
}
