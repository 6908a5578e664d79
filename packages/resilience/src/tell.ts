/** Tells a listener, who must not break what it listens to: what it throws is ignored, and so is what it rejects with later. */
export function tell<E>(listener: (event: E) => unknown, event: E): void {
  try {
    const later = listener(event);
    if (later instanceof Promise) later.catch(() => {});
  } catch {}
}
