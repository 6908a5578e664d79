import type { WaitOptions } from '../limiter/wait-queue.js';

/** Decides how many calls run at the same time. NuGet's clients know the same thing as `IThrottle`. */
export interface Throttle {
  /**
   * Runs the function when there is room for it, and gives what it gives. When the signal is aborted before that, the
   * function is not called and the promise rejects with the signal's reason; what runs already is not interrupted.
   */
  run<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T>;
}

/** Room for everybody: runs each function at once. */
export const nullThrottle: Throttle = {
  async run(fn, options) {
    options?.signal?.throwIfAborted();
    return fn();
  },
};
