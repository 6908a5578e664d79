/** Looks again only after this time, however often somebody asks: each look writes to the disk. */
const FRESH_MS = 1000;

/** Whether the store takes writes, looked at when somebody asks. */
export class Readiness {
  readonly #check: () => Promise<void>;
  readonly #clock: () => number;
  #answer: Promise<string | undefined> | undefined;
  #askedAt = 0;
  #running = false;

  /** @param check throws when the store can't take a write */
  constructor(check: () => Promise<void>, clock: () => number = Date.now) {
    this.#check = check;
    this.#clock = clock;
  }

  /** Why the store can't be written, or undefined. */
  notReady(): Promise<string | undefined> {
    const now = this.#clock();
    // On a disk that hangs, one look at a time is enough.
    if (this.#answer === undefined || (!this.#running && now - this.#askedAt >= FRESH_MS)) {
      this.#askedAt = now;
      this.#running = true;
      this.#answer = this.#look().finally(() => {
        this.#running = false;
      });
    }
    return this.#answer;
  }

  async #look(): Promise<string | undefined> {
    try {
      await this.#check();
      return undefined;
    } catch (error) {
      return `the store can't be written: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
}
