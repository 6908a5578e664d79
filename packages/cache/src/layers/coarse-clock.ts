const RESOLUTION_MS = 1;

/**
 * The wall clock, read once a millisecond: reading it costs as much as looking a value up. While the event loop is held
 * up it stands still, so what one turn finds fresh stays fresh for that turn.
 */
export function coarseClock(): () => number {
  let now = 0;
  const forget = () => {
    now = 0;
  };
  return () => {
    if (now === 0) {
      now = Date.now();
      setTimeout(forget, RESOLUTION_MS).unref();
    }
    return now;
  };
}
