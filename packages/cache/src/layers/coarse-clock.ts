const RESOLUTION_MS = 1;

// A test's fake timers put their own in their places.
const { now: wallClock } = Date;
const wait = setTimeout;

/**
 * The wall clock, read once a millisecond: reading it costs as much as looking a value up. While the event loop is held
 * up it stands still, so what one turn finds fresh stays fresh for that turn. Where a test tells the time it is asked
 * each time, because it may be set without a turn.
 */
export function coarseClock(): () => number {
  let now = 0;
  const forget = () => {
    now = 0;
  };
  return () => {
    if (Date.now !== wallClock) return Date.now();
    if (now === 0) {
      now = wallClock();
      wait(forget, RESOLUTION_MS).unref();
    }
    return now;
  };
}
