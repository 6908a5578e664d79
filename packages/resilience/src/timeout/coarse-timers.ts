import { checkNumber } from '../check-number.js';
import { type Clock, nodeTimers, steadyClock, type Timers } from '../time.js';

export interface CoarseTimersOptions {
  /** How many milliseconds late a callback may be called. Default 10; at least 1. */
  readonly resolutionMs?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Where the few real timers are set. Default: Node's. */
  readonly timers?: Timers | undefined;
}

/** Ticks of one turn of the wheel; what is due later stays in its slot for another turn. */
const SLOTS = 256;

/** A place in a ring of timers. Alone it points to itself. */
class Link {
  previous: Link = this;
  next: Link = this;

  get isAlone(): boolean {
    return this.next === this;
  }

  joinBefore(other: Link): void {
    this.previous = other.previous;
    this.next = other;
    other.previous.next = this;
    other.previous = this;
  }

  leave(): void {
    this.previous.next = this.next;
    this.next.previous = this.previous;
    this.previous = this;
    this.next = this;
  }
}

class CoarseTimer extends Link {
  readonly callback: () => void;
  readonly ms: number;
  /** Number of the tick at which it is due; known from the first tick after it was set. */
  dueTick = 0;

  constructor(callback: () => void, ms: number) {
    super();
    this.callback = callback;
    this.ms = ms;
  }
}

/**
 * Timers for what is nearly always cleared before it rings, such as timeouts. Setting and clearing one costs a few
 * pointers, while a tick is near: no real timer, and no look at the clock. A real timer ticks only while something is set, at most every half
 * of the resolution; what was set since the last tick counts from this one, so that a callback is never called early,
 * and at most `resolutionMs` late (later only when the event loop was blocked). Callbacks of one tick are called in no
 * particular order.
 *
 * As with Node's own timers, the process waits for what is set; when all is cleared, it may live half the resolution
 * longer. They are not made not to hold it: somebody waits for the promise that such a timer settles.
 *
 * @throws InvalidOptionError when the resolution isn't a number of at least 1.
 */
export class CoarseTimers implements Timers {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #tickMs: number;
  /** Set since the last tick. */
  readonly #fresh = new Link();
  /** What is due at a tick, by the tick's number modulo the number of slots. */
  readonly #wheel: Link[] = [];
  /** Number of the last tick that was looked at. */
  #tick = 0;
  #size = 0;
  #alarm: unknown;
  /** How many alarms were set: of several, only the last is heard. */
  #alarms = 0;
  #alarmAt = 0;
  /** Whose alarm it is: one that a test's fake timers have never rings after them, and one of Node not in their time. */
  #alarmSetWith = setTimeout;
  /** Whether the next tick comes within half of the resolution, without anything to be done for it. */
  #ticksSoon = false;

  constructor({ resolutionMs = 10, clock = steadyClock, timers = nodeTimers }: CoarseTimersOptions = {}) {
    const isResolution = resolutionMs >= 1 && Number.isFinite(resolutionMs);
    checkNumber('resolutionMs', resolutionMs, isResolution, 'a number of at least 1');
    this.#clock = clock;
    this.#timers = timers;
    this.#tickMs = resolutionMs / 2;
  }

  /** How many timers are set. */
  get size(): number {
    return this.#size;
  }

  /** Calls back once, after at least so many milliseconds (at least 1). O(1). */
  setTimeout(callback: () => void, ms: number): unknown {
    const timer = new CoarseTimer(callback, ms >= 1 ? ms : 1);
    timer.joinBefore(this.#fresh);
    this.#size++;
    if (this.#alarmSetWith !== setTimeout) this.#stop();
    if (!this.#ticksSoon) this.#tickSoon(this.#clock());
    return timer;
  }

  /** Takes a timer back; one that rang, or that these timers don't know, changes nothing. O(1). */
  clearTimeout(handle: unknown): void {
    if (!(handle instanceof CoarseTimer) || handle.isAlone) return;
    handle.leave();
    if (--this.#size === 0 && !this.#ticksSoon) this.#stop();
  }

  /** Makes the next tick come within half of the resolution, and no later than it would have. */
  #tickSoon(now: number): void {
    if (this.#alarm !== undefined && this.#alarmAt <= now + this.#tickMs) this.#ticksSoon = true;
    else this.#tickIn(this.#tickMs, now);
  }

  #tickIn(ms: number, now: number): void {
    this.#stop();
    this.#ticksSoon = ms <= this.#tickMs;
    this.#alarmAt = now + Math.ceil(ms);
    const alarm = ++this.#alarms;
    this.#alarm = this.#timers.setTimeout(() => {
      if (alarm === this.#alarms) this.#onTick();
    }, Math.ceil(ms));
  }

  #stop(): void {
    if (this.#alarm !== undefined && this.#alarmSetWith === setTimeout) this.#timers.clearTimeout(this.#alarm);
    this.#alarm = undefined;
    this.#alarmSetWith = setTimeout;
    this.#ticksSoon = false;
  }

  #onTick(): void {
    this.#alarm = undefined;
    // What callbacks set waits for the end of this tick to be given the next one.
    this.#ticksSoon = true;
    const now = this.#clock();
    const due = this.#turn(now);
    this.#placeFresh(now);
    for (let timer = due.next; timer !== due; timer = due.next) {
      timer.leave();
      this.#size--;
      ring(timer as CoarseTimer);
    }
    this.#ticksSoon = false;
    if (!this.#fresh.isAlone) this.#tickIn(this.#tickMs, now);
    else if (this.#size > 0) this.#tickIn(this.#untilNextSlot(now), now);
  }

  /** Turns the wheel to this time and gives what is due. */
  #turn(now: number): Link {
    const due = new Link();
    const current = Math.floor(now / this.#tickMs);
    for (let tick = Math.max(this.#tick, current - SLOTS) + 1; tick <= current; tick++) {
      const slot = this.#slot(tick);
      for (let timer = slot.next; timer !== slot; ) {
        const { next } = timer;
        if ((timer as CoarseTimer).dueTick <= current) {
          timer.leave();
          timer.joinBefore(due);
        }
        timer = next;
      }
    }
    this.#tick = current;
    return due;
  }

  #placeFresh(now: number): void {
    const fresh = this.#fresh;
    for (let timer = fresh.next as CoarseTimer; timer !== fresh; timer = fresh.next as CoarseTimer) {
      timer.dueTick = Math.ceil((now + timer.ms) / this.#tickMs);
      timer.leave();
      timer.joinBefore(this.#slot(timer.dueTick));
    }
  }

  #untilNextSlot(now: number): number {
    let tick = this.#tick + 1;
    while (tick < this.#tick + SLOTS && this.#slot(tick).isAlone) tick++;
    return tick * this.#tickMs - now;
  }

  #slot(tick: number): Link {
    const index = tick % SLOTS;
    const known = this.#wheel[index];
    if (known !== undefined) return known;
    const slot = new Link();
    this.#wheel[index] = slot;
    return slot;
  }
}

/** One callback that throws must not keep the others from being called; its error goes where Node's timers send theirs. */
function ring({ callback }: CoarseTimer): void {
  try {
    callback();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** The timers that timeouts of this process share: at most 10 ms late. */
export const coarseTimers: CoarseTimers = new CoarseTimers();
