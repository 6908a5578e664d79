const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Ends the process with 0 when it is asked to end, while nothing has been started. By itself it would die of the signal,
 * and as process 1 of a container not even that: the kernel keeps from that one what it doesn't listen to.
 *
 * @returns a function that ends this, for whoever listens from then on
 */
export function endOnEarlySignals(): () => void {
  const end = () => process.exit(0);
  for (const signal of SIGNALS) process.on(signal, end);
  return () => {
    for (const signal of SIGNALS) process.off(signal, end);
  };
}
