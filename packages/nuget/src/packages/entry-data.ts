import { type Readable, Transform, type TransformCallback } from 'node:stream';
import { promisify } from 'node:util';
import {
  crc32,
  createInflateRaw,
  type InflateRaw,
  type InputType,
  inflateRaw,
  inflateRawSync,
  type ZlibOptions,
} from 'node:zlib';
import { NuGetError } from '../errors.js';
import { shown } from './entry-path.js';
import { invalidPackage } from './invalid-package.js';
import { type RandomAccessSource, RangeStream } from './random-access.js';
import { isDeflated, locateData, type ZipEntry } from './zip-directory.js';

/** Bytes that are decompressed in one go. */
const CHUNK = 64 * 1024;

/**
 * An entry's data as a stream, which fails when size or CRC aren't those of the directory: what has been read before is
 * known to be right only when the stream has ended.
 */
export async function streamEntry(source: RandomAccessSource, entry: ZipEntry): Promise<Readable> {
  const start = await locateData(source, entry);
  const range = new RangeStream(source, start, start + entry.compressedSize);
  const inflate = isDeflated(entry) ? createInflateRaw({ chunkSize: CHUNK }) : undefined;
  const checked = new CheckedData(entry, inflate);
  // Errors are translated on their way to the stream that the caller has; a pipeline would pass them on as they are.
  const fail = (error: Error): void => void checked.destroy(unreadable(error, entry) as Error);
  range.on('error', fail);
  inflate?.on('error', fail);
  (inflate === undefined ? range : range.pipe(inflate)).pipe(checked);
  checked.once('close', () => {
    range.destroy();
    inflate?.destroy();
  });
  return checked;
}

/** An entry's data in one piece: for what is known to be small. */
export async function readEntry(source: RandomAccessSource, entry: ZipEntry): Promise<Buffer> {
  const start = await locateData(source, entry);
  const raw = source.peek?.(start, entry.compressedSize) ?? (await source.read(start, entry.compressedSize));
  const check = new DataCheck(entry);
  let data = raw;
  let consumed: number | undefined;
  if (isDeflated(entry)) {
    try {
      const { buffer, engine } = await inflate(raw, entry.size);
      data = buffer;
      consumed = engine.bytesWritten;
    } catch (error) {
      throw unreadable(error, entry);
    }
  }
  check.update(data);
  check.end(consumed);
  return data;
}

/** With `info`, zlib answers with its engine too, which knows how much it has consumed. */
interface Inflated {
  readonly buffer: Buffer;
  readonly engine: InflateRaw;
}

const inflateElsewhere = promisify(inflateRaw) as unknown as (
  data: InputType,
  options: ZlibOptions,
) => Promise<Inflated>;

/** Nuspecs and the like take less time than handing them to another thread does. */
function inflate(raw: Buffer, size: number): Inflated | Promise<Inflated> {
  const options = { maxOutputLength: size + 1, info: true };
  return raw.length <= CHUNK && size <= CHUNK
    ? (inflateRawSync(raw, options) as unknown as Inflated)
    : inflateElsewhere(raw, options);
}

function unreadable(error: unknown, entry: ZipEntry): unknown {
  return invalidPackage(error, `has ${shown(entry.path)}, which can't be read`);
}

/** Counts and sums up an entry's data. */
class DataCheck {
  readonly #entry: ZipEntry;
  #size = 0;
  #crc = 0;

  constructor(entry: ZipEntry) {
    this.#entry = entry;
  }

  update(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > this.#entry.size) throw this.#wrong(`is longer than the ${this.#entry.size} bytes that it says`);
    this.#crc = crc32(chunk, this.#crc);
  }

  /** @param consumed - How many of the compressed bytes made the data; undefined when they are the data. */
  end(consumed: number | undefined): void {
    const { size, crc32: expected, compressedSize } = this.#entry;
    if (this.#size !== size) throw this.#wrong(`has ${this.#size} bytes, not the ${size} that it says`);
    if (this.#crc !== expected) throw this.#wrong('is damaged: its CRC differs');
    if (consumed !== undefined && consumed !== compressedSize) {
      throw this.#wrong(`has ${compressedSize - consumed} bytes behind its data`);
    }
  }

  #wrong(what: string): NuGetError {
    return new NuGetError('INVALID_PACKAGE', `${shown(this.#entry.path)} ${what}`);
  }
}

class CheckedData extends Transform {
  readonly #check: DataCheck;
  readonly #inflate: InflateRaw | undefined;

  constructor(entry: ZipEntry, inflate: InflateRaw | undefined) {
    super();
    this.#check = new DataCheck(entry);
    this.#inflate = inflate;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#check.update(chunk);
    } catch (error) {
      done(error as Error);
      return;
    }
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    try {
      this.#check.end(this.#inflate?.bytesWritten);
    } catch (error) {
      done(error as Error);
      return;
    }
    done();
  }
}
