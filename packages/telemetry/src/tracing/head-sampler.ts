import type { SpanContext } from './tracer.js';

/**
 * Decides at the head of a trace whether it is recorded: as the caller decided, and for a trace that begins here by
 * chance. It costs one random number, and a trace that isn't recorded never meets an SDK.
 */
export class HeadSampler {
  /** Share of the traces that begin here which are recorded, 0 to 1. */
  readonly ratio: number;
  readonly #random: () => number;

  /**
   * @param random 0 inclusive to 1 exclusive
   * @throws RangeError for a ratio that isn't 0 to 1
   */
  constructor(ratio: number, random: () => number = Math.random) {
    if (!(ratio >= 0 && ratio <= 1)) throw new RangeError(`the sample ratio is ${ratio}; allowed: 0 to 1`);
    this.ratio = ratio;
    this.#random = random;
  }

  decide(parent: Pick<SpanContext, 'sampled'> | undefined): boolean {
    return parent === undefined ? this.#random() < this.ratio : parent.sampled;
  }
}
