/** Calls what only listens: what it throws must not break what it listens to. */
export function quietly<T>(listen: () => T): T | undefined {
  try {
    return listen();
  } catch {
    return undefined;
  }
}
