import { listenForAbort, unlistenForAbort } from '../abort-listeners.js';
import { CallScope } from './call-scope.js';
import type { Handler, Protected } from './policy.js';
import { RacedScope } from './raced-scope.js';

/** Runs a handler on behalf of a caller: rejects with the signal's reason as soon as it is aborted. */
export function enter<T>(handler: Handler, fn: Protected<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return handler(fn, new CallScope());
  if (signal.aborted) return Promise.reject(signal.reason);
  return new CallerScope(signal).run(handler, fn);
}

/** The scope of a call whose caller may abort it. */
class CallerScope extends RacedScope {
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    super(1, signal);
    this.#signal = signal;
  }

  override get signal(): AbortSignal {
    return this.#signal;
  }

  protected override attach(): void {
    listenForAbort(this.#signal, this);
  }

  protected override detach(): void {
    unlistenForAbort(this.#signal, this);
  }
}
