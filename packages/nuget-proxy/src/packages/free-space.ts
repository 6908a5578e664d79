/** How long what was seen is believed. */
const LOOK_EVERY_MS = 1000;

/** Free space of a file system, looked at once in a while: what was promised to packages since then counts as taken. */
export class FreeSpace {
  readonly #look: () => Promise<number>;
  readonly #clock: () => number;
  readonly #makeRoom: (bytes: number) => Promise<void>;
  #free = 0;
  #promised = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;

  /**
   * @param look Bytes that are free now
   * @param clock Milliseconds since 1970
   * @param makeRoom Asked for so many bytes before anything is refused
   */
  constructor(look: () => Promise<number>, clock: () => number, makeRoom: (bytes: number) => Promise<void>) {
    this.#look = look;
    this.#clock = clock;
    this.#makeRoom = makeRoom;
  }

  /** Whether so many bytes more leave at least so many; then they are promised. Looks before it says no. */
  async admits(bytes: number, least: number): Promise<boolean> {
    const isRecent = Math.abs(this.#clock() - this.#lookedAt) < LOOK_EVERY_MS;
    const fits = isRecent && this.#free - this.#promised - bytes >= least;
    if (!fits && !(await this.leaves(bytes, least))) return false;
    this.#promised += bytes;
    return true;
  }

  /** Whether so many bytes more leave at least so many of what is free now. */
  async leaves(bytes: number, least: number): Promise<boolean> {
    if ((await this.#now()) - bytes >= least) return true;
    await this.#makeRoom(bytes);
    return (await this.#now()) - bytes >= least;
  }

  async #now(): Promise<number> {
    const free = await this.#look();
    this.#free = free;
    this.#promised = 0;
    this.#lookedAt = this.#clock();
    return free;
  }
}
