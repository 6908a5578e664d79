import { AsyncResource } from 'node:async_hooks';
import type { EndListener } from '../abort-listeners.js';

/** What a protected function is told about its call. */
export interface CallContext {
  /** Number of this attempt, from 1. */
  readonly attempt: number;
  /**
   * Aborted when the caller goes away or the time is up. An `AbortController` costs more than a microsecond, so there is
   * none until this is read; pass it on to what can stop early, and don't read it otherwise.
   */
  readonly signal: AbortSignal;
}

/**
 * The context of a call as policies see it: it can end before the call has (the caller aborted, the time is up), and
 * whoever waits or holds something on behalf of the call listens for that. This is what an `AbortSignal` is for, at a
 * twentieth of its price; a real signal exists only where a protected function reads one.
 */
export class CallScope implements CallContext {
  readonly attempt: number;
  /** The signal that the caller gave, for those who must tell an abort from the end of some time. */
  readonly callerSignal: AbortSignal | undefined;
  #ended = false;
  #reason: unknown;
  #controller: AbortController | undefined;
  /** Of whoever read the signal first: timers that many calls share ring in that of any of them. */
  #context: AsyncResource | undefined;
  /** Nearly always there is one listener. */
  #listener: EndListener | undefined;
  #others: Set<EndListener> | undefined;

  constructor(attempt = 1, callerSignal?: AbortSignal) {
    this.attempt = attempt;
    this.callerSignal = callerSignal;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.#context = new AsyncResource('CallScope');
      if (this.#ended) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Whether anything can end it before the call has ended. */
  get canEnd(): boolean {
    return false;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Why it ended: a `TimeoutError`, or the reason of the caller's signal. */
  get reason(): unknown {
    return this.#reason;
  }

  /** Ends the scope and tells everybody. */
  protected finish(reason: unknown): void {
    this.#ended = true;
    this.#reason = reason;
    const listener = this.#listener;
    const others = this.#others;
    this.#listener = undefined;
    this.#others = undefined;
    this.#context?.runInAsyncScope(() => this.#controller?.abort(reason));
    listener?.end(reason);
    if (others !== undefined) for (const other of others) other.end(reason);
  }

  /** Tells the listener when the scope ends; at once if it has. Whoever listens stops listening when done. */
  listen(listener: EndListener): void {
    if (this.#ended) listener.end(this.#reason);
    else if (this.#listener === undefined) this.#listener = listener;
    else {
      this.#others ??= new Set();
      this.#others.add(listener);
    }
  }

  unlisten(listener: EndListener): void {
    if (this.#listener === listener) this.#listener = undefined;
    else this.#others?.delete(listener);
  }
}

/** The scope of one attempt of several: all but the number is that of the whole call. */
export class AttemptScope extends CallScope {
  readonly #whole: CallScope;

  constructor(whole: CallScope, attempt: number) {
    super(attempt, whole.callerSignal);
    this.#whole = whole;
  }

  override get signal(): AbortSignal {
    return this.#whole.signal;
  }

  override get canEnd(): boolean {
    return this.#whole.canEnd;
  }

  override get ended(): boolean {
    return this.#whole.ended;
  }

  override get reason(): unknown {
    return this.#whole.reason;
  }

  override listen(listener: EndListener): void {
    this.#whole.listen(listener);
  }

  override unlisten(listener: EndListener): void {
    this.#whole.unlisten(listener);
  }
}
