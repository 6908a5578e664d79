import { type IdleTimers, IdleWatch } from './idle-watch.js';

/** A source that fell silent is asked once more: clients have time limits, too, and wait for both. */
const MAX_SILENCES = 2;

/**
 * How long a source may send nothing of a package, in the middle of it or before it goes on: so often in all, whatever
 * comes in between, and however often it is asked again.
 */
export class Patience {
  readonly #watch: IdleWatch;
  #silences = 0;
  #giveUp = (): void => {};

  constructor(idleTimeoutMs: number, timers: IdleTimers) {
    this.#watch = new IdleWatch(idleTimeoutMs, timers, () => {
      this.#silences++;
      this.#giveUp();
    });
  }

  get isOver(): boolean {
    return this.#silences >= MAX_SILENCES;
  }

  heard(): void {
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
