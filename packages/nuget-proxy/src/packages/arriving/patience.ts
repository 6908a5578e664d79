import type { Timers } from '@granary/resilience';
import { IdleWatch } from './idle-watch.js';

/** Whoever waits has a time limit, too, and waits for all of them. */
const MAX_SILENCES = 2;

/**
 * How long a source may send nothing of a package, in the middle of it or before it goes on there; and how often, whatever
 * comes in between.
 */
export class Patience {
  readonly #watch: IdleWatch;
  #silences = 0;
  #giveUp = (): void => {};

  constructor(idleTimeoutMs: number, timers: Timers) {
    this.#watch = new IdleWatch(idleTimeoutMs, timers, () => this.#giveUp());
  }

  get isOver(): boolean {
    return this.#silences >= MAX_SILENCES;
  }

  heard(): void {
    this.#watch.heard();
  }

  /** It broke off: if it had been silent, the next answer has time anew. */
  broke(): void {
    if (!this.#watch.isNearlyIdle) return;
    this.#silences++;
    this.#watch.heard();
  }

  /** What ends that which is being waited for now; replaces what was said before. */
  whenSilent(giveUp: () => void): void {
    this.#giveUp = giveUp;
  }

  stop(): void {
    this.#watch.stop();
  }
}
