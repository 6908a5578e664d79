import { listenForAbort, unlistenForAbort } from './abort-listeners.js';
import { isThenable } from './maybe-promise.js';

/**
 * Waits for work that may pay no heed to its signal, or that others wait for too, but no longer than until the signal is
 * aborted; then rejects with its reason. The work itself goes on. What is there already is handed back as it is.
 *
 * @param late gets what came when nobody waited any more, such as to close it
 */
export function untilAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  late?: (value: T) => void,
): Promise<T>;
export function untilAborted<T>(
  work: T | Promise<T>,
  signal: AbortSignal | undefined,
  late?: (value: T) => void,
): T | Promise<T>;
export function untilAborted<T>(
  work: T | Promise<T>,
  signal: AbortSignal | undefined,
  late: (value: T) => void = () => {},
): T | Promise<T> {
  if (signal === undefined || !isThenable(work)) return work;
  return new Promise((resolve, reject) => {
    let isOver = false;
    const listener = {
      end: (reason: unknown) => {
        isOver = true;
        reject(reason);
      },
    };
    listenForAbort(signal, listener);
    work.then(
      (value) => {
        unlistenForAbort(signal, listener);
        if (isOver) late(value);
        else resolve(value);
      },
      (error: unknown) => {
        unlistenForAbort(signal, listener);
        reject(error);
      },
    );
  });
}
