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
  #last = Promise.resolve();

  constructor(directory: string, fs: FileSystem) {
    this.#directory = directory;
    this.#fs = fs;
  }

  /** Moves a file here; one that is over the bounds by itself is removed. */
  moveFile(path: string, name: string): Promise<void> {
    return this.#inTurn(async () => {
      const { size } = await this.#fs.status(path);
      if (size > MOST_BYTES) await this.#fs.unlink(path);
      else await this.#fs.rename(path, join(this.#directory, name));
    });
  }

  keepBytes(bytes: Uint8Array, name: string): Promise<void> {
    return this.#inTurn(() => writeFile(join(this.#directory, name), bytes));
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
      names.map(async (name) => ({ path: join(this.#directory, name), ...(await this.#statusOf(name)) })),
    );
    files.sort((a, b) => b.mtimeMs - a.mtimeMs);
    let bytes = 0;
    for (const [i, file] of files.entries()) {
      bytes += file.size;
      if (i >= MOST_FILES || bytes > MOST_BYTES) await this.#fs.unlink(file.path);
    }
  }

  async #statusOf(name: string): Promise<{ size: number; mtimeMs: number }> {
    const { size, mtimeMs } = await this.#fs.status(join(this.#directory, name));
    return { size, mtimeMs };
  }
}
