import type { CallScope, EndListener } from './call-scope.js';

/**
 * All calls under one signal share one listener on it. A signal walks through all its listeners when one is added, so a
 * thousand downloads under one signal would be slow, and Node warns of a leak from the eleventh listener on.
 */
class SharedListener {
  readonly #signal: AbortSignal;
  readonly #members = new Set<EndListener>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this);
  }

  add(member: EndListener): void {
    this.#members.add(member);
  }

  /** Whether nobody is left. */
  delete(member: EndListener): boolean {
    this.#members.delete(member);
    if (this.#members.size > 0) return false;
    this.#signal.removeEventListener('abort', this);
    return true;
  }

  /** How a signal calls a listener that is an object. */
  handleEvent(): void {
    for (const member of this.#members) member.end(this.#signal.reason);
  }
}

/** By signal, because calls that know nothing of each other share signals; nothing outlives the calls under way. */
const listeners = new WeakMap<AbortSignal, SharedListener>();

/** Ends the listener when the signal is aborted; at once if it is. */
export function listenToCaller(signal: AbortSignal, member: EndListener): void {
  if (signal.aborted) {
    member.end(signal.reason);
    return;
  }
  let shared = listeners.get(signal);
  if (shared === undefined) {
    shared = new SharedListener(signal);
    listeners.set(signal, shared);
  }
  shared.add(member);
}

export function unlistenToCaller(signal: AbortSignal, member: EndListener): void {
  if (listeners.get(signal)?.delete(member)) listeners.delete(signal);
}

/**
 * The caller's signal, as much of it as a breaker uses, with the listeners of the scope instead of its own. For a
 * breaker only the caller's abort is an abort; that the time is up is none, and reaches it as the call's error.
 */
class CallerSignalView implements EndListener {
  readonly #scope: CallScope;
  readonly #signal: AbortSignal;
  #listener: (() => void) | undefined;

  constructor(scope: CallScope, signal: AbortSignal) {
    this.#scope = scope;
    this.#signal = signal;
  }

  get aborted(): boolean {
    return this.#signal.aborted;
  }

  get reason(): unknown {
    return this.#signal.reason;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listener = listener;
    this.#scope.listen(this);
  }

  removeEventListener(): void {
    this.#scope.unlisten(this);
  }

  end(): void {
    if (this.aborted) this.#listener?.();
  }
}

/** Something that a breaker takes for the caller's signal. */
export const callerSignalOf = (scope: CallScope, signal: AbortSignal): AbortSignal =>
  new CallerSignalView(scope, signal) as unknown as AbortSignal;
