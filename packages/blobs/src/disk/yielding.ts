import { setImmediate } from 'node:timers/promises';

/** Background work gives way after this long, so that it never delays an answer by more. */
const SLICE_MS = 3;

/** Gives the event loop its turn whenever background work has had its share. */
export class Yielder {
  #since = performance.now();

  /** Undefined while there is time left, else a promise to wait for. */
  pause(): Promise<void> | undefined {
    if (performance.now() - this.#since < SLICE_MS) return undefined;
    return setImmediate().then(() => {
      this.#since = performance.now();
    });
  }
}
