/** A clock that goes on where it was when the one that it follows is set back: what waits by it waits no longer for that. */
export function forwardClock(clock: () => number): () => number {
  let last = clock();
  let lostMs = 0;
  return () => {
    const now = clock();
    if (now < last) lostMs += last - now;
    last = now;
    return now + lostMs;
  };
}
