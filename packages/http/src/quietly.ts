/** Tells somebody who only listens, and so must not break what it listens to. Undefined when it throws. */
export function quietly<T>(tell: () => T): T | undefined {
  try {
    return tell();
  } catch {
    return undefined;
  }
}
