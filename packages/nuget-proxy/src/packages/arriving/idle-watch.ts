import type { Timers } from '@granary/resilience';

/** Parts of the time limit at whose ends it is looked at. */
const PARTS = 4;

/**
 * Notices that nothing was heard for a time, at the latest a quarter of it later: one timer in a while, and none for each
 * thing that is heard. When something is heard again, it begins anew.
 */
export class IdleWatch {
  readonly #partMs: number;
  readonly #timers: Timers;
  readonly #onIdle: () => void;
  #silentParts = 0;
  #timer: unknown;

  constructor(idleMs: number, timers: Timers, onIdle: () => void) {
    this.#partMs = Math.ceil(idleMs / PARTS);
    this.#timers = timers;
    this.#onIdle = onIdle;
    this.#wait();
  }

  /** Whether it has been silent for most of the time, so that somebody who measures it himself may have noticed first. */
  get isNearlyIdle(): boolean {
    return this.#silentParts >= PARTS - 1;
  }

  heard(): void {
    this.#silentParts = 0;
  }

  stop(): void {
    this.#timers.clearTimeout(this.#timer);
  }

  #wait(): void {
    this.#timer = this.#timers.setTimeout(() => {
      this.#wait();
      // The part in which something was heard counts as silent when it ends, however short the rest of it was.
      if (++this.#silentParts === PARTS + 1) this.#onIdle();
    }, this.#partMs);
  }
}
