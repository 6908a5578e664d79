import { type EndListener, listenForAbort, unlistenForAbort } from '../abort-listeners.js';

/**
 * Singleflight: work that all callers of one key share. Each waits as long as its own signal lets it; only when the last has gone is
 * the work told to stop. A caller without a signal never goes.
 *
 * Answered at once, it never makes a promise; and an abort controller is made only where somebody reads the signal.
 */
export class Flight<T> {
  #answer: { readonly value: T } | { readonly error: unknown } | undefined;
  #promise: Promise<T> | undefined;
  #resolve: ((value: T) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #callers = 0;
  #controller: AbortController | undefined;
  #stopped: { readonly reason: unknown } | undefined;

  /** Whether callers still wait for the answer. */
  get isOpen(): boolean {
    return this.#answer === undefined;
  }

  /** Aborted when nobody wants the work any more. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#stopped !== undefined) this.#controller.abort(this.#stopped.reason);
    }
    return this.#controller.signal;
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  /** The answer: at once where it is there, and rejecting with the signal's reason when that is aborted first. */
  join(signal: AbortSignal | undefined): T | Promise<T> {
    if (this.#answer !== undefined) {
      return 'value' in this.#answer ? this.#answer.value : Promise.reject(this.#answer.error);
    }
    if (signal === undefined) {
      this.pin();
      return this.#shared();
    }
    this.#callers++;
    return new Promise((resolve, reject) => {
      const caller = new Caller(this, reject);
      listenForAbort(signal, caller);
      this.#shared().then(
        (value) => {
          unlistenForAbort(signal, caller);
          caller.left();
          resolve(value);
        },
        (error: unknown) => {
          unlistenForAbort(signal, caller);
          caller.left();
          reject(error);
        },
      );
    });
  }

  /** Makes the work go on although nobody waits for it. */
  pin(): void {
    this.#callers = Number.POSITIVE_INFINITY;
  }

  /** What everyone who waits, or comes later, is answered. Only the first answer counts. */
  answer(value: T): void {
    if (this.#answer !== undefined) return;
    this.#answer = { value };
    this.#resolve?.(value);
  }

  fail(error: unknown): void {
    if (this.#answer !== undefined) return;
    this.#answer = { error };
    this.#reject?.(error);
  }

  /** Tells the work to stop. */
  stop(reason: unknown): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = { reason };
    this.#controller?.abort(reason);
  }

  /** A caller has gone. */
  leave(reason: unknown): void {
    if (--this.#callers === 0 && this.isOpen) this.abandon(reason);
  }

  /** The last caller has gone. */
  protected abandon(reason: unknown): void {
    this.stop(reason);
    this.fail(reason);
  }

  #shared(): Promise<T> {
    if (this.#promise === undefined) {
      this.#promise = new Promise((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
      });
      // Those who wait handle its rejection; where all of them have gone, nobody needs to.
      this.#promise.catch(() => {});
    }
    return this.#promise;
  }
}

interface Leavable {
  leave(reason: unknown): void;
}

class Caller implements EndListener {
  #flight: Leavable | undefined;
  #reject: ((reason: unknown) => void) | undefined;

  constructor(flight: Leavable, reject: (reason: unknown) => void) {
    this.#flight = flight;
    this.#reject = reject;
  }

  end(reason: unknown): void {
    this.#reject?.(reason);
    this.#flight?.leave(reason);
  }

  /** Its signal may live long, and remainders of what that remembers with it: nothing is kept for them. */
  left(): void {
    this.#flight = undefined;
    this.#reject = undefined;
  }
}
