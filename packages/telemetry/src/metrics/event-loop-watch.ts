import { type EventLoopUtilization, type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** How often the event loop is looked at; a wake-up costs some microseconds. */
const RESOLUTION_MS = 20;
/** Shortest time that is told of, so that each of several scrapers sees it whole. */
const WINDOW_MS = 10_000;

interface Window {
  readonly p50: number;
  readonly p99: number;
  readonly utilization: number;
}

/**
 * How late the event loop is and how busy: of the time since it was read last, if that is more than ten seconds, else of
 * the time before that. Two scrapers don't take each other's numbers away.
 */
export class EventLoopWatch {
  readonly #delays: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #now: () => number;
  #since: number;
  #busy: EventLoopUtilization = performance.eventLoopUtilization();
  #last: Window | undefined;
  #closed = false;

  /** @param now milliseconds, of the window */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#since = now();
    this.#delays.enable();
  }

  /** Seconds that half of all timers are late by, at least. Undefined when it is closed. */
  get p50(): number | undefined {
    return this.#read()?.p50;
  }

  /** Seconds that one timer in a hundred is late by, at least. */
  get p99(): number | undefined {
    return this.#read()?.p99;
  }

  /** Share of the time that the loop did something, from 0 to 1. */
  get utilization(): number | undefined {
    return this.#read()?.utilization;
  }

  /** Stops watching. Can be called again. */
  close(): void {
    this.#closed = true;
    this.#delays.disable();
  }

  #read(): Window | undefined {
    if (this.#closed) return undefined;
    const now = this.#now();
    const isOver = now - this.#since >= WINDOW_MS;
    if (!isOver && this.#last !== undefined) return this.#last;
    const busy = performance.eventLoopUtilization();
    const window = {
      p50: this.#lateness(50),
      p99: this.#lateness(99),
      utilization: performance.eventLoopUtilization(busy, this.#busy).utilization,
    };
    if (isOver) {
      this.#delays.reset();
      this.#since = now;
      this.#busy = busy;
      this.#last = window;
    }
    return window;
  }

  /** Node tells the time between two looks, of which most was meant to pass. */
  #lateness(percentile: number): number {
    if (this.#delays.count === 0) return 0;
    return Math.max(0, this.#delays.percentile(percentile) / 1e9 - RESOLUTION_MS / 1000);
  }
}
