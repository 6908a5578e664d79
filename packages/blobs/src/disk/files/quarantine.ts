import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileSystem } from './file-system.js';

const MOST_FILES = 64;
const MOST_BYTES = 256 * 1024 * 1024;

/**
 * Keeps the latest few damaged things for whoever wants to know what happened to them. They are no part of the store
 * any more; what goes over the bounds is removed, the oldest first.
 */
export class Quarantine {
  readonly #directory: string;
  readonly #fs: FileSystem;
  readonly #clock: () => number;
  #last = Promise.resolve();

  constructor(directory: string, fs: FileSystem, clock: () => number) {
    this.#directory = directory;
    this.#fs = fs;
    this.#clock = clock;
  }

  /** Moves a file here; one that is over the bounds by itself is removed. */
  moveFile(path: string, name: string): Promise<void> {
    return this.#inTurn(async () => {
      const { size } = await this.#fs.status(path);
      if (size > MOST_BYTES) await this.#fs.unlink(path);
      else await this.#fs.rename(path, this.#placeOf(name));
    });
  }

  keepBytes(bytes: Uint8Array, name: string): Promise<void> {
    return this.#inTurn(() => writeFile(this.#placeOf(name), bytes));
  }

  #placeOf(name: string): string {
    return join(this.#directory, `${name}-${this.#clock()}`);
  }

  /** One at a time, and never in the way of an answer: what fails here is of no consequence. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last
      .then(work)
      .then(() => this.#trim())
      .catch(() => {});
    return this.#last;
  }

  async #trim(): Promise<void> {
    const names = await this.#fs.list(this.#directory);
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#directory, name);
        return { path, size: (await this.#fs.status(path)).size, since: timeIn(name) };
      }),
    );
    files.sort((a, b) => b.since - a.since);
    let bytes = 0;
    for (const [i, file] of files.entries()) {
      bytes += file.size;
      if (i >= MOST_FILES || bytes > MOST_BYTES) await this.#fs.unlink(file.path);
    }
  }
}

/** When it came here, which its file's own time doesn't tell: that is when the blob was written. */
function timeIn(name: string): number {
  return Number(name.slice(name.lastIndexOf('-') + 1)) || 0;
}
