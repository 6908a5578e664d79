/** Tells somebody who only listens, and so must not break what it listens to, not even later. Undefined when it throws. */
export function quietly<T>(tell: () => T): T | undefined {
  try {
    const told = tell();
    if (told instanceof Promise) told.catch(() => {});
    return told;
  } catch {
    return undefined;
  }
}
