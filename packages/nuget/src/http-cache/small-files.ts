import { closeSync, futimesSync, openSync, renameSync, rmSync, statSync, write, writeSync } from 'node:fs';
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

  /** Whether there is anything of that name. */
  has(path: string): boolean {
    return this.#measured(() => statSync(path, { throwIfNoEntry: false }) !== undefined);
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
  move({ path, handle }: TemporaryFile, to: string, modifiedAt: number): void {
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

const writeAsync = promisify(write);

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
