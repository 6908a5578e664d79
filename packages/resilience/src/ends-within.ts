import { MAX_TIMER_MS, nodeTimers, type Timers } from './time.js';

/**
 * Waits for work, but no longer than so many milliseconds (24.8 days at most).
 *
 * @returns whether the work has ended in time
 * @throws what the work is rejected with in time
 */
export async function endsWithin(ms: number, work: Promise<unknown>, timers: Timers = nodeTimers): Promise<boolean> {
  let timer: unknown;
  const late = new Promise<boolean>((resolve) => {
    timer = timers.setTimeout(() => resolve(false), Math.min(ms, MAX_TIMER_MS));
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    timers.clearTimeout(timer);
  }
}
