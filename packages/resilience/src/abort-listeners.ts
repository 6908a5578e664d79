/** Is told when something that it depends on ends early. */
export interface EndListener {
  end(reason: unknown): void;
}

/**
 * All calls under one signal share one listener on it. A signal walks through all its listeners when one is added, so a
 * thousand downloads under one signal would be slow, and Node warns of a leak from the eleventh listener on.
 */
class SharedListener {
  readonly #signal: AbortSignal;
  readonly #members = new Set<EndListener>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this, { once: true });
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
    listeners.delete(this.#signal);
    for (const member of this.#members) member.end(this.#signal.reason);
  }
}

/** By signal, because calls that know nothing of each other share signals; nothing outlives the calls under way. */
const listeners = new WeakMap<AbortSignal, SharedListener>();

/** Ends the listener when the signal is aborted; at once if it is. */
export function listenForAbort(signal: AbortSignal, member: EndListener): void {
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

/** Takes a listener back; the last one takes the listener on the signal along. */
export function unlistenForAbort(signal: AbortSignal, member: EndListener): void {
  if (listeners.get(signal)?.delete(member)) listeners.delete(signal);
}
