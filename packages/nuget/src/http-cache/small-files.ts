import {
  closeSync,
  fstatSync,
  futimesSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  write,
  writeSync,
  writevSync,
} from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { type TemporaryFile, temporaryPath } from './temporary-files.js';

/** What is written to a file in one go without another thread; more takes so long that handing it over doesn't matter. */
const SMALL_BYTES = 64 * 1024;
/** Longest file that is written in one go at all. */
export const WHOLE_BYTES = 256 * 1024;
/** Steps that take longer on average go over a network, or to a disk that is busy. One alone may be bad luck. */
const SLOW_MS = 3;
const SLOW_FOR_MS = 10_000;
/** Weight of a step in the average. */
const WEIGHT = 1 / 8;

/**
 * Small files, read and written in one go. A restore keeps hundreds of them, and handing each step of that to the thread
 * pool costs ten times what the step does. Where steps turn out to be slow, that is left to the pool for a while, so that
 * nobody waits for a network drive: ask {@link areFast} first.
 */
export class SmallFiles {
  #averageMs = 0;
  #slowUntil = Number.NEGATIVE_INFINITY;

  get areFast(): boolean {
    return performance.now() >= this.#slowUntil;
  }

  /** What there is of that name; undefined where there is nothing. */
  stat(path: string): Stats | undefined {
    return this.#measured(() => statSync(path, { throwIfNoEntry: false }));
  }

  /** A file of at most {@link WHOLE_BYTES}, whole; `long` for a longer one, undefined where there is none. */
  read(path: string): WholeFile | 'long' | undefined {
    return this.#measured(() => {
      const found = statSync(path, { throwIfNoEntry: false });
      if (found === undefined || !found.isFile()) return undefined;
      return found.size > WHOLE_BYTES ? 'long' : readWhole(path);
    });
  }

  /** A part of a file that is open: as many bytes as there is room for, fewer only where the file ends. */
  readPart({ fd }: FileHandle, into: Buffer, position: number): number {
    return this.#measured(() => readAllSync(fd, into, position));
  }

  /** Writes chunks one behind another to a file that is open, where the last ones ended. */
  append({ fd }: FileHandle, chunks: readonly Uint8Array[]): void {
    this.#measured(() => {
      const written = writevSync(fd, chunks);
      let skipped = 0;
      for (const chunk of chunks) {
        const from = Math.max(0, written - skipped);
        if (from < chunk.length) writeAllSync(fd, chunk, from);
        skipped += chunk.length;
      }
    });
  }

  /**
   * Writes a file under another name and moves it into its place. What fails leaves everything as it was.
   *
   * @param modifiedAt - Milliseconds since 1970. Default: now
   * @returns undefined when it is done; of a longer file only the bytes go to the thread pool
   */
  write(folder: string, path: string, bytes: Uint8Array, modifiedAt?: number): Promise<void> | undefined {
    const temporary = temporaryPath(folder);
    const file = this.#measured(() => openSync(temporary, 'wx', 0o600));
    if (bytes.length > SMALL_BYTES) return this.#writeLonger(file, temporary, path, bytes, modifiedAt);
    this.#measured(() => {
      try {
        try {
          writeAllSync(file, bytes, 0);
        } catch (error) {
          closeSync(file);
          throw error;
        }
        finish(file, temporary, path, modifiedAt);
      } catch (error) {
        rmSync(temporary, { force: true });
        throw error;
      }
    });
    return undefined;
  }

  /**
   * Writes a file where it is. Whoever reads it meanwhile may see a part, so this is for what tells by itself whether it is
   * whole.
   */
  overwrite(path: string, bytes: Uint8Array): void {
    this.#measured(() => {
      const file = openSync(path, 'w', 0o600);
      try {
        writeAllSync(file, bytes, 0);
      } finally {
        closeSync(file);
      }
    });
  }

  /** Moves a file that is open into its place, as old as `modifiedAt` says. Its length doesn't matter. */
  move({ path, handle }: Pick<TemporaryFile, 'path' | 'handle'>, to: string, modifiedAt: number): void {
    this.#measured(() => {
      futimesSync(handle.fd, modifiedAt / 1000, modifiedAt / 1000);
      renameSync(path, to);
    });
  }

  async #writeLonger(
    file: number,
    temporary: string,
    path: string,
    bytes: Uint8Array,
    modifiedAt: number | undefined,
  ): Promise<void> {
    try {
      try {
        const { bytesWritten } = await writeAsync(file, bytes);
        writeAllSync(file, bytes, bytesWritten);
      } catch (error) {
        closeSync(file);
        throw error;
      }
      this.#measured(() => finish(file, temporary, path, modifiedAt));
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  }

  #measured<T>(work: () => T): T {
    const start = performance.now();
    try {
      return work();
    } finally {
      const end = performance.now();
      this.#averageMs += (end - start - this.#averageMs) * WEIGHT;
      if (this.#averageMs > SLOW_MS) {
        this.#averageMs = 0;
        this.#slowUntil = end + SLOW_FOR_MS;
      }
    }
  }
}

/** A file that was read in one go. */
export interface WholeFile {
  readonly bytes: Buffer;
  readonly stats: Stats;
}

const writeAsync = promisify(write);

/** It may be gone since it was seen, or another one. */
function readWhole(path: string): WholeFile | 'long' | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const stats = fstatSync(file);
    if (stats.size > WHOLE_BYTES) return 'long';
    const bytes = Buffer.allocUnsafeSlow(stats.size);
    return readAllSync(file, bytes, 0) === stats.size ? { bytes, stats } : 'long';
  } finally {
    closeSync(file);
  }
}

function readAllSync(file: number, into: Buffer, position: number): number {
  let done = 0;
  while (done < into.length) {
    const count = readSync(file, into, done, into.length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

function writeAllSync(file: number, bytes: Uint8Array, from: number): void {
  for (let offset = from; offset < bytes.length; ) offset += writeSync(file, bytes, offset);
}

/** Closes a file, as old as it should be, and moves it into its place. */
function finish(file: number, temporary: string, path: string, modifiedAt: number | undefined): void {
  try {
    if (modifiedAt !== undefined) futimesSync(file, modifiedAt / 1000, modifiedAt / 1000);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
