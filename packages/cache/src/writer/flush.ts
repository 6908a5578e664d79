/** Waits for all writes up to a turn. */
export class Flush {
  /** Resolves when none is left: with true if all of them were written. */
  readonly done: Promise<boolean>;
  readonly #upTo: number;
  #left: number;
  #allWritten = true;
  #resolve: (allWritten: boolean) => void = () => {};

  constructor(upTo: number, left: number) {
    this.#upTo = upTo;
    this.#left = left;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** A write has ended; whether this was the last that was waited for. */
  ended(turn: number, written: boolean): boolean {
    if (turn > this.#upTo) return false;
    if (!written) this.#allWritten = false;
    if (--this.#left > 0) return false;
    this.#resolve(this.#allWritten);
    return true;
  }
}
