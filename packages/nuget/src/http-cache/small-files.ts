import { closeSync, futimesSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { type TemporaryFile, temporaryPath } from './temporary-files.js';

/** Longer files take so long to write that handing them to another thread doesn't matter any more. */
export const SMALL_BYTES = 64 * 1024;
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
   */
  write(folder: string, path: string, bytes: Uint8Array, modifiedAt?: number): void {
    const temporary = temporaryPath(folder);
    this.#measured(() => {
      const file = openSync(temporary, 'wx', 0o600);
      try {
        try {
          for (let offset = 0; offset < bytes.length; ) offset += writeSync(file, bytes, offset);
          if (modifiedAt !== undefined) futimesSync(file, modifiedAt / 1000, modifiedAt / 1000);
        } finally {
          closeSync(file);
        }
        renameSync(temporary, path);
      } catch (error) {
        rmSync(temporary, { force: true });
        throw error;
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
