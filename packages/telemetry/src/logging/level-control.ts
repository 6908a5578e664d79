import type { LeveledLogger, LogLevel } from '../logger.js';

/** What {@link LevelControl} waits with; `setTimeout` and `clearTimeout` of Node are the default. */
export interface LevelTimers {
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
}

/** The longest time that a timer can wait: a little under 25 days. */
const MAX_MS = 2 ** 31 - 1;

const nodeTimers: LevelTimers = {
  // A level that ends some day must not keep the process from ending.
  setTimeout: (callback, ms) => setTimeout(callback, ms).unref(),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

/**
 * Changes the level of a logger, for good or for a time: `debug` for ten minutes, and then what it was before. For admin
 * endpoints and signals, so that neither forgets what the other did.
 */
export class LevelControl {
  readonly #logger: Pick<LeveledLogger, 'level' | 'setLevel'>;
  readonly #timers: LevelTimers;
  #temporary: { readonly timer: unknown; readonly before: LogLevel } | undefined;

  constructor(logger: Pick<LeveledLogger, 'level' | 'setLevel'>, timers: LevelTimers = nodeTimers) {
    this.#logger = logger;
    this.#timers = timers;
  }

  get level(): LogLevel {
    return this.#logger.level;
  }

  /** The level that comes back when the time is over; undefined when the level is there to stay. */
  get levelAfterwards(): LogLevel | undefined {
    return this.#temporary?.before;
  }

  /**
   * Sets the level. What was set for a time before is forgotten; a time that follows another one ends with the level
   * from before both.
   *
   * @param forMs how long, up to 2^31 − 1 ms; undefined: for good
   * @throws RangeError when there is no such level, or the time is none
   */
  set(level: LogLevel, forMs?: number): void {
    if (forMs !== undefined && !(forMs > 0 && forMs <= MAX_MS)) {
      throw new RangeError(`the time must be more than 0 and at most ${MAX_MS} ms; it is ${forMs}`);
    }
    const before = this.#temporary?.before ?? this.#logger.level;
    this.#logger.setLevel(level);
    this.close();
    if (forMs === undefined) return;
    const timer = this.#timers.setTimeout(() => {
      this.#temporary = undefined;
      this.#logger.setLevel(before);
    }, forMs);
    this.#temporary = { timer, before };
  }

  /** Lets the level stay what it is. */
  close(): void {
    if (this.#temporary !== undefined) this.#timers.clearTimeout(this.#temporary.timer);
    this.#temporary = undefined;
  }
}
