import type { Timers } from '../time.js';

interface Alarm {
  readonly at: number;
  readonly callback: () => void;
}

/**
 * Time that stands still until a test moves it: a clock and timers in one. Alarms ring in the order of their times,
 * those of one time in the order in which they were set, and the clock shows an alarm's own time while it rings.
 */
export class ManualTime implements Timers {
  #now: number;
  readonly #alarms = new Set<Alarm>();

  constructor(startMs = 1_000_000) {
    this.#now = startMs;
  }

  /** The clock, to be handed to a policy. */
  readonly clock = (): number => this.#now;

  /** How many timers are set. */
  get pending(): number {
    return this.#alarms.size;
  }

  setTimeout(callback: () => void, ms: number): unknown {
    const alarm = { at: this.#now + Math.max(ms, 1), callback };
    this.#alarms.add(alarm);
    return alarm;
  }

  clearTimeout(handle: unknown): void {
    this.#alarms.delete(handle as Alarm);
  }

  /** Moves the clock on and rings what is due, giving promises time to settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#alarms.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      await settle();
    }
    this.#now = end;
  }

  #next(until: number): Alarm | undefined {
    let next: Alarm | undefined;
    for (const alarm of this.#alarms) if (alarm.at <= until && (!next || alarm.at < next.at)) next = alarm;
    return next;
  }
}

/** Lets every promise that is settled by now run its reactions, and those of these. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
