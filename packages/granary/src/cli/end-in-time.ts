import type { RootLogger } from '@granary/telemetry';

/** What closing may take when running requests have had their time: with a grace of 20 s less than the 30 s that Kubernetes gives. */
export const CLOSING_MS = 8_000;

/**
 * Ends the process when the server doesn't end: what a stalled disk holds up comes back when the disk does, if ever. The
 * store survives that.
 *
 * @param kill ends the process. Default: {@link killProcess}
 * @returns a function that calls it off
 */
export function endInTime(
  graceMs: number,
  logger: Pick<RootLogger, 'error' | 'flush'>,
  kill = killProcess,
): () => void {
  const timer = setTimeout(() => {
    logger.error(
      'The server has not ended {ClosingMs} ms after running requests had their time, as where a disk hangs: it is killed',
      CLOSING_MS,
    );
    logger.flush();
    kill();
  }, graceMs + CLOSING_MS);
  return () => clearTimeout(timer);
}

/** Not `process.exit`, which waits for the threads that read and write files, and those are what hangs. */
function killProcess(): void {
  process.kill(process.pid, 'SIGKILL');
  // The kernel keeps even that from process 1 of a container.
  process.abort();
}
