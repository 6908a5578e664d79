/** How long what was seen is believed. */
const LOOK_EVERY_MS = 1000;

/** Free space of a file system, looked at once in a while: what was promised to packages since then counts as taken. */
export class FreeSpace {
  readonly #look: () => Promise<number>;
  readonly #clock: () => number;
  #free = 0;
  #promised = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;

  /**
   * @param look Bytes that are free now
   * @param clock Milliseconds since 1970
   */
  constructor(look: () => Promise<number>, clock: () => number) {
    this.#look = look;
    this.#clock = clock;
  }

  /** Bytes that are free now. */
  async now(): Promise<number> {
    const free = await this.#look();
    this.#free = free;
    this.#promised = 0;
    this.#lookedAt = this.#clock();
    return free;
  }

  /** Whether so many bytes more leave at least so many. Looks before it says no. */
  async admits(bytes: number, least: number): Promise<boolean> {
    const isRecent = Math.abs(this.#clock() - this.#lookedAt) < LOOK_EVERY_MS;
    if (!isRecent || !this.#fits(bytes, least)) await this.now();
    if (!this.#fits(bytes, least)) return false;
    this.#promised += bytes;
    return true;
  }

  #fits(bytes: number, least: number): boolean {
    return this.#free - this.#promised - bytes >= least;
  }
}
