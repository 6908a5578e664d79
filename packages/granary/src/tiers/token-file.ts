import { readFile } from 'node:fs/promises';

/** Long enough that no request pays for it, short enough that a token which ends at once is missed for no longer. */
const FRESH_MS = 1000;

/** A token in a file that somebody else renews: read when it is needed, and again after a second. */
export class TokenFile {
  readonly #file: string;
  readonly #clock: () => number;
  #token: Promise<string> | undefined;
  #last: string | undefined;
  #readAt = 0;

  constructor(file: string, clock: () => number = () => performance.now()) {
    this.#file = file;
    this.#clock = clock;
  }

  /** @throws an error of the file system when the file could never be read; later the token that it had goes on */
  readonly read = (): Promise<string> => {
    const now = this.#clock();
    if (this.#token === undefined || now - this.#readAt >= FRESH_MS) {
      this.#readAt = now;
      this.#token = this.#reread();
    }
    return this.#token;
  };

  async #reread(): Promise<string> {
    try {
      this.#last = (await readFile(this.#file, 'utf8')).trim();
    } catch (error) {
      if (this.#last === undefined) {
        this.#token = undefined;
        throw error;
      }
    }
    return this.#last;
  }
}
