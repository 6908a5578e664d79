/** Takes what has been counted; durations are in milliseconds and stand for each of the look-ups. */
export type TakeGets = (hits: number, misses: number, durationMs: number) => void;

/**
 * Look-ups in a layer that a chain has in memory in front of its others, counted where they happen: to tell a collector
 * of each takes longer than the look-up. The chain adds to the numbers, and says of one look-up in many how long it took;
 * the collector takes what was counted then, and whenever it is read.
 */
export class MemoryGets {
  /** Values that were there, which are the answers of the chain, too. */
  hits = 0;
  misses = 0;
  #durationMs = 0;
  readonly #take: TakeGets;

  /** @param take the collector's; what it throws reaches whoever looked something up */
  constructor(take: TakeGets) {
    this.#take = take;
  }

  /** A look-up took so long, in milliseconds; it stands for those that were counted since the last one that was timed. */
  took(durationMs: number): void {
    this.#durationMs = durationMs;
    this.settle();
  }

  /** Hands over what has been counted. For the collector, before it is read. */
  settle(): void {
    const { hits, misses } = this;
    if (hits === 0 && misses === 0) return;
    this.hits = 0;
    this.misses = 0;
    this.#take(hits, misses, this.#durationMs);
  }
}
