import { listenForAbort, unlistenForAbort } from '@granary/resilience';

/**
 * Waits for work that may ignore its signal, no longer than until that is aborted; then rejects with its reason.
 *
 * @param late gets what came when nobody waited any more
 */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal, late: (value: T) => void = () => {}): Promise<T> {
  return new Promise((resolve, reject) => {
    let over = false;
    const listener = {
      end: (reason: unknown) => {
        over = true;
        reject(reason);
      },
    };
    listenForAbort(signal, listener);
    work.then(
      (value) => {
        unlistenForAbort(signal, listener);
        if (over) late(value);
        else resolve(value);
      },
      (error: unknown) => {
        unlistenForAbort(signal, listener);
        reject(error);
      },
    );
  });
}
