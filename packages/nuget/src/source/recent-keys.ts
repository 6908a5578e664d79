/** Keys that something is true of for a short time. The oldest go when there are too many. */
export class RecentKeys {
  readonly #until = new Map<string, number>();
  readonly #max: number;
  readonly #clock: () => number;

  constructor(max: number, clock: () => number) {
    this.#max = max;
    this.#clock = clock;
  }

  add(key: string, ms: number): void {
    if (ms <= 0) return;
    this.#until.delete(key);
    this.#until.set(key, this.#clock() + ms);
    if (this.#until.size <= this.#max) return;
    for (const oldest of this.#until.keys()) {
      this.#until.delete(oldest);
      break;
    }
  }

  has(key: string): boolean {
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (this.#clock() < until) return true;
    this.#until.delete(key);
    return false;
  }

  delete(key: string): void {
    this.#until.delete(key);
  }

  clear(): void {
    this.#until.clear();
  }
}
