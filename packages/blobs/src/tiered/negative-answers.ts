import { type Clock, steadyClock } from '@granary/resilience';

/**
 * Keys that no tier had a moment ago, so that a build that asks for the same again and again doesn't ask them each time.
 * Bounded: the oldest goes first.
 */
export class NegativeAnswers {
  readonly #ttlMs: number;
  readonly #most: number;
  readonly #clock: Clock;
  /** Until when each is believed, in the order in which they end. */
  readonly #until = new Map<string, number>();

  /** @param ttlMs 0 remembers nothing */
  constructor(ttlMs: number, most: number, clock: Clock = steadyClock) {
    this.#ttlMs = ttlMs;
    this.#most = most;
    this.#clock = clock;
  }

  get count(): number {
    return this.#until.size;
  }

  has(key: string): boolean {
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (this.#clock() < until) return true;
    this.#until.delete(key);
    return false;
  }

  add(key: string): void {
    if (this.#ttlMs === 0) return;
    this.#until.delete(key);
    for (const oldest of this.#until.keys()) {
      if (this.#until.size < this.#most) break;
      this.#until.delete(oldest);
    }
    this.#until.set(key, this.#clock() + this.#ttlMs);
  }

  /** The key has been written. */
  forget(key: string): void {
    this.#until.delete(key);
  }
}
