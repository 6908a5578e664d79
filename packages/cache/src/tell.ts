/** Tells a listener, whose errors, even later ones, must not decide what a cache does. */
export function tell(listener: () => unknown): void {
  try {
    ignoreLater(listener());
  } catch {}
}

/** For hot paths, with a `try` of their own instead of a function for each call. */
export function ignoreLater(told: unknown): void {
  if (told instanceof Promise) told.catch(() => {});
}
