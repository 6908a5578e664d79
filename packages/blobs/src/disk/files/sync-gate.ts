/**
 * Lets few syncs run at once. Each occupies a thread of Node's pool of four until the disk is done, and reads need
 * threads too.
 */
export class SyncGate {
  readonly #most: number;
  readonly #queue: (() => void)[] = [];
  #running = 0;

  constructor(most = 2) {
    this.#most = most;
  }

  /** Whether the next one has to wait for its turn. */
  get isFull(): boolean {
    return this.#running >= this.#most;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.isFull) await new Promise<void>((resolve) => this.#queue.push(resolve));
    else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#queue.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
