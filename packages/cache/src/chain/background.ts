/** Work that nobody waits for: bounded, its errors handled elsewhere, and waited for before the chain closes. */
export class Background {
  readonly #work = new Set<Promise<unknown>>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#work.size;
  }

  get hasRoom(): boolean {
    return this.#work.size < this.#max;
  }

  /** Whether there was room for it. If not, the caller has to wait for the work, or not to begin it. */
  add(work: Promise<unknown>): boolean {
    if (!this.hasRoom) return false;
    this.#work.add(work);
    const done = () => this.#work.delete(work);
    work.then(done, done);
    return true;
  }

  /** Resolves when nothing is left, not even what began meanwhile. */
  async idle(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled(this.#work);
  }
}
