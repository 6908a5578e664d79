import { isThenable } from './is-thenable.js';

/** What listens may be written `async`: what it rejects with later must not end the process. */
export function ignoreLater(told: unknown): void {
  if (isThenable(told)) Promise.resolve(told).catch(() => {});
}
