import { pipeline } from '@granary/resilience';
import type { MaybePromise, OpOptions } from '../layer.js';

const withoutPolicies = pipeline();

/** Lets the caller of a write go whose layer pays no heed to signals. The write goes on, in its place among the others. */
export function untilAborted<T>(write: MaybePromise<T>, options: OpOptions | undefined): MaybePromise<T> {
  const signal = options?.signal;
  if (signal === undefined || !(write instanceof Promise)) return write;
  // Where the signal is aborted already, by the layer's doing, nobody else asks what became of the write.
  write.catch(() => {});
  return withoutPolicies(() => write, { signal });
}
