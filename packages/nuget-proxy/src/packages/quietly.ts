/** Calls what only listens: what it throws must not break what it listens to. */
export function quietly(listen: () => void): void {
  try {
    listen();
  } catch {}
}
