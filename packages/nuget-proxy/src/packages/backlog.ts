import type { Timers } from '@granary/resilience';

/** How often it is looked whether packages still come. */
const LOOK_EVERY_MS = 50;

/** Looks after which is done what waits, although packages still come: two seconds. */
const MOST_LOOKS = 40;

/** What was put off is done so many at a time. */
const MOST_AT_ONCE = 8;

/** Work that was put off. */
export interface Deferred {
  /** Resolves when it is done; never rejects. */
  readonly done: Promise<void>;
  /** Does it now. */
  hurry(): void;
}

interface Waiting {
  readonly work: () => Promise<void>;
  readonly resolve: () => void;
}

/**
 * What can wait until packages no longer come: to store one takes longer than to fetch it, and who restores waits for the
 * next one meanwhile. It is done when none has come for a twentieth to a tenth of a second, after two seconds at the latest,
 * and at once when somebody needs it or there is too much of it. What a killed process had not done is fetched again.
 */
export class Backlog {
  readonly #timers: Timers;
  readonly #waiting = new Set<Waiting>();
  #timer: unknown;
  #looks = 0;
  #isQuiet = false;
  #isFlushing = false;
  #isClosed = false;
  #running = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** @param work never rejects */
  add(work: () => Promise<void>): Deferred {
    let resolve = () => {};
    const done = new Promise<void>((resolved) => {
      resolve = resolved;
    });
    const waiting: Waiting = { work, resolve };
    this.#waiting.add(waiting);
    this.#isQuiet = false;
    if (this.#isFlushing || this.#isClosed) this.flush();
    else if (this.#timer === undefined) this.#look();
    return {
      done,
      hurry: () => {
        if (this.#waiting.has(waiting)) this.#begin(waiting);
      },
    };
  }

  /** Does all that waits from now on, in order. */
  flush(): void {
    this.#isFlushing = this.#waiting.size > 0;
    this.#next();
  }

  /** Puts nothing off any more. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.flush();
  }

  #look(): void {
    this.#timer = this.#timers.setTimeout(() => {
      this.#timer = undefined;
      if (this.#isQuiet || ++this.#looks >= MOST_LOOKS) return this.flush();
      this.#isQuiet = true;
      this.#look();
    }, LOOK_EVERY_MS);
  }

  #stopLooking(): void {
    this.#timers.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#looks = 0;
  }

  #next(): void {
    while (this.#isFlushing && this.#running < MOST_AT_ONCE) {
      const [waiting] = this.#waiting;
      if (waiting === undefined) this.#isFlushing = false;
      else this.#begin(waiting);
    }
  }

  #begin(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    if (this.#waiting.size === 0) this.#stopLooking();
    this.#running++;
    void waiting.work().then(() => {
      this.#running--;
      waiting.resolve();
      this.#next();
    });
  }
}
