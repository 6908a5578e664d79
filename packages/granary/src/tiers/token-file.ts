import { readFile } from 'node:fs/promises';

/** Whoever rotates tokens writes the new one long before the old one ends. */
const FRESH_MS = 60_000;

/** A token in a file that somebody else renews: read when it is needed, and again after a minute. */
export class TokenFile {
  readonly #file: string;
  readonly #clock: () => number;
  #token: Promise<string> | undefined;
  #readAt = 0;

  constructor(file: string, clock: () => number = () => performance.now()) {
    this.#file = file;
    this.#clock = clock;
  }

  /** @throws an error of the file system while the file can't be read */
  readonly read = (): Promise<string> => {
    const now = this.#clock();
    if (this.#token === undefined || now - this.#readAt >= FRESH_MS) {
      this.#readAt = now;
      const token = readFile(this.#file, 'utf8').then((text) => text.trim());
      this.#token = token;
      // A file that is missing for a moment must not be missing for a minute.
      token.catch(() => {
        if (this.#token === token) this.#token = undefined;
      });
    }
    return this.#token;
  };
}
