import type { EndListener } from '../abort-listeners.js';
import { CallScope } from './call-scope.js';
import { type Handler, invoke, type Protected } from './policy.js';

/** A scope that doesn't wait for its call: when it ends, its promise is rejected with the reason, whatever the call does. */
export abstract class RacedScope extends CallScope implements EndListener {
  #reject: ((reason: unknown) => void) | undefined;

  override get canEnd(): boolean {
    return true;
  }

  /** Begins to watch for what ends this scope. */
  protected abstract attach(): void;

  /** Stops watching; called at least once after {@link attach}, whichever way the call went. */
  protected abstract detach(): void;

  run<T>(inner: Handler, fn: Protected<T>): Promise<T> {
    const result = inner(fn, this);
    return new Promise<T>((resolve, reject) => {
      this.#reject = reject;
      this.attach();
      // A result that comes too late is passed to a promise that is settled: nobody hears of it, not even of a rejection.
      result.then(
        (value) => {
          this.detach();
          resolve(value);
        },
        (error: unknown) => {
          this.detach();
          reject(error);
        },
      );
    });
  }

  end(reason: unknown): void {
    if (this.ended) return;
    this.finish(reason);
    this.detach();
    this.#reject?.(reason);
  }
}

/** The innermost handler of a pipeline: the call, which those around needn't wait for once its scope has ended. */
export const invokeRaced: Handler = (fn, scope) =>
  scope.canEnd ? new BareCallScope(scope).run(invoke, fn) : invoke(fn, scope);

/** Ends when the scope around it does, and is the same to the function. */
class BareCallScope extends RacedScope {
  readonly #outer: CallScope;

  constructor(outer: CallScope) {
    super(outer.attempt, outer.callerSignal);
    this.#outer = outer;
  }

  override get signal(): AbortSignal {
    return this.#outer.signal;
  }

  protected override attach(): void {
    this.#outer.listen(this);
  }

  protected override detach(): void {
    this.#outer.unlisten(this);
  }
}
