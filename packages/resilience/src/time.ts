import { performance } from 'node:perf_hooks';

/** Milliseconds from a fixed point in the past; never goes back. */
export type Clock = () => number;

/** What policies wait with. `setTimeout` and `clearTimeout` of Node fit. */
export interface Timers {
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
}

/** A constant, because the property is computed at each reading, for a third of the clock's price. */
const ORIGIN = performance.timeOrigin;

/**
 * Milliseconds since 1970 by a clock that nobody sets: it starts at the wall clock's time and goes on steadily, so that
 * a corrected wall clock neither keeps a breaker open for an hour nor fills a bucket.
 */
export const steadyClock: Clock = () => ORIGIN + performance.now();

/** Node's own timers, looked up at each call so that a test's fake ones are used. */
export const nodeTimers: Timers = {
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};
