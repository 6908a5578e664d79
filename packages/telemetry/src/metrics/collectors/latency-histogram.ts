/** How long something took, in milliseconds. Percentiles are at most 4.5 % too high, the greatest value is exact. */
export interface LatencyStats {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
  readonly count: number;
}

/** Buckets for each doubling. */
const STEPS = 16;
/** What is shorter counts as this: 100 ns, in milliseconds. */
const SHORTEST_MS = 1e-4;
/** Enough for an hour; what is longer falls into the last bucket. */
const BUCKETS = 1 + Math.ceil(Math.log2(3_600_000 / SHORTEST_MS) * STEPS);

/** The distribution of any number of durations in some 4 KiB: buckets that grow with what they hold. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #max = 0;

  /** What is negative or not a number is ignored. */
  record(ms: number, times = 1): void {
    if (!(ms >= 0)) return;
    const bucket = ms <= SHORTEST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log2(ms / SHORTEST_MS) * STEPS));
    (this.#counts[bucket] as number) += times;
    this.#count += times;
    if (ms > this.#max) this.#max = ms;
  }

  stats(): LatencyStats {
    return {
      p50: this.#percentile(0.5),
      p95: this.#percentile(0.95),
      p99: this.#percentile(0.99),
      max: this.#max,
      count: this.#count,
    };
  }

  #percentile(share: number): number {
    let left = Math.max(1, Math.ceil(this.#count * share));
    for (let bucket = 0; bucket < BUCKETS - 1; bucket++) {
      left -= this.#counts[bucket] as number;
      if (left <= 0) return Math.min(this.#max, SHORTEST_MS * 2 ** (bucket / STEPS));
    }
    return this.#max;
  }
}
