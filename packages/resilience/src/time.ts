import { endianness } from 'node:os';
import { performance } from 'node:perf_hooks';
import process from 'node:process';

/** Milliseconds from a fixed point in the past; never goes back. */
export type Clock = () => number;

/** What policies wait with. `setTimeout` and `clearTimeout` of Node fit. */
export interface Timers {
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
}

/** The longest time that Node's timers can measure, 24.8 days; set to more they ring at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

const { hrtime } = process;
const NodesDate = Date;
const nodesSetTimeout = setTimeout;

/** The `Date` that is there as long as nobody has told another time than Node's; undefined from then on. */
let onlyDate: DateConstructor | undefined = Date;
/** The `Date` of those who tell the time at present: Node, or a test's fake timers, which put their own in its place. */
let currentDate = Date;
/** How fake timers tell it. */
let read: Clock = () => inMs(hrtime());
/** What is added to the time that is told, because fake timers begin anew and time never goes back. */
let shiftMs = 0;
/** What fake timers told last: some begin anew when they are taken away, or are set back by hand. */
let latestMs = Number.NEGATIVE_INFINITY;

/**
 * Milliseconds since a moment that is nobody's business: for durations. The same clock as `performance.now()`, read for
 * less (benchmark `allow()`). Under a test's fake timers it goes on with their time, and with Node's after them.
 */
export const monotonicClock: Clock = () => (Date === onlyDate ? nodesMs() : shiftedMs());

// To look these up in the process would cost a tenth of the whole, and a bigint that is only put into memory is never
// made: what takes arrays of `hrtime()` apart needs a tenth more (benchmark `allow()`).
const { bigint: nodesNs } = hrtime;
const ns = new BigUint64Array(1);
const halves = new Uint32Array(ns.buffer);
const [LOW, HIGH] = endianness() === 'LE' ? [0, 1] : [1, 0];
const MS_OF_HIGH = 2 ** 32 * 1e-6;

function nodesMs(): number {
  ns[0] = nodesNs();
  return (halves[HIGH] as number) * MS_OF_HIGH + (halves[LOW] as number) * 1e-6;
}

function shiftedMs(): number {
  if (Date !== currentDate) changeClocks();
  if (currentDate === NodesDate) return nodesMs() + shiftMs;
  latestMs = Math.max(latestMs, read() + shiftMs);
  return latestMs;
}

const inMs = (time: readonly [seconds: number, nanoseconds: number]): number => time[0] * 1e3 + time[1] * 1e-6;

function changeClocks(): void {
  const { hrtime: current } = process;
  const before = Math.max(latestMs, read() + shiftMs);
  onlyDate = undefined;
  currentDate = Date;
  // Some fake the timers and the date alone, Node's own among them.
  read = current === hrtime && setTimeout !== nodesSetTimeout ? Date.now : () => inMs(current());
  // A fake `hrtime` began with 0: what it tells has passed already.
  shiftMs = before - (current === hrtime ? read() : 0);
}

/** When {@link monotonicClock} was 0: a constant, because `timeOrigin` is computed at each reading. */
const ORIGIN = performance.timeOrigin + performance.now() - monotonicClock();

/**
 * Milliseconds since 1970 by a clock that nobody sets: it starts at the wall clock's time and goes on steadily, so that
 * a corrected wall clock neither keeps a breaker open for an hour nor fills a bucket. Of so large a number a quarter of a
 * microsecond is the least that can be told.
 */
export const steadyClock: Clock = () => ORIGIN + monotonicClock();

/** Node's own timers, looked up at each call so that a test's fake ones are used. */
export const nodeTimers: Timers = {
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};
