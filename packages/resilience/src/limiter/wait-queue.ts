import { type EndListener, listenForAbort, unlistenForAbort } from '../abort-listeners.js';
import { QueueFullError } from '../errors.js';
import { wholeNumber } from '../whole-number.js';

/** How a caller who waits can be told to stop waiting. */
export interface WaitOptions {
  /** Ends the wait: the promise rejects with the signal's reason and the place in the queue is given up. */
  readonly signal?: AbortSignal | undefined;
}

export interface QueueOptions {
  /**
   * How many callers may wait; who comes when so many do gets a `QueueFullError`. Default 10 000, which is enough for any
   * burst and a few MiB at most; 0 lets nobody wait.
   */
  readonly maxQueue?: number | undefined;
}

/**
 * Callers who wait, in the order in which they came. Joining, being served and leaving cost the same however long the
 * queue is. The owner says who is served and when.
 */
export class WaitQueue {
  readonly #what: string;
  readonly #maxQueue: number;
  readonly #onLeave: () => void;
  readonly #groups = new Map<AbortSignal, SignalGroup>();
  #first: Waiter | undefined;
  #last: Waiter | undefined;
  #size = 0;
  #amount = 0;

  /**
   * @param what what they wait for, as an error message calls it
   * @param onLeave called after an abort has taken callers out of the queue, once for all who share the signal
   */
  constructor(what: string, options: QueueOptions, onLeave: () => void = () => {}) {
    const { maxQueue = 10_000 } = options;
    this.#what = what;
    this.#maxQueue = wholeNumber('maxQueue', maxQueue, 0);
    this.#onLeave = onLeave;
  }

  /** How many callers wait. */
  get size(): number {
    return this.#size;
  }

  /** What all who wait want together. */
  get amount(): number {
    return this.#amount;
  }

  /** What the first in the queue wants; undefined when nobody waits. */
  get firstAmount(): number | undefined {
    return this.#first?.amount;
  }

  /**
   * Joins at the end. Resolves when served, rejects with the signal's reason when that is aborted before; it must not be
   * aborted already.
   *
   * @throws {@link QueueFullError}
   */
  join(amount: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#size >= this.#maxQueue) throw new QueueFullError(this.#what, this.#maxQueue);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { amount, resolve, reject, group: undefined, previous: this.#last, next: undefined };
      if (this.#last) this.#last.next = waiter;
      else this.#first = waiter;
      this.#last = waiter;
      this.#size++;
      this.#amount += amount;
      if (signal) this.#joinGroup(waiter, signal);
    });
  }

  /** Serves the first in the queue. */
  serve(): void {
    const waiter = this.#first;
    if (!waiter) return;
    this.#unlink(waiter);
    const { group } = waiter;
    if (group?.members.delete(waiter) && group.members.size === 0) {
      unlistenForAbort(group.signal, group);
      this.#groups.delete(group.signal);
    }
    waiter.resolve();
  }

  #joinGroup(waiter: Waiter, signal: AbortSignal): void {
    let group = this.#groups.get(signal);
    if (!group) {
      group = new SignalGroup(signal, (aborted) => this.#leave(aborted));
      this.#groups.set(signal, group);
      listenForAbort(signal, group);
    }
    group.members.add(waiter);
    waiter.group = group;
  }

  #leave(group: SignalGroup): void {
    this.#groups.delete(group.signal);
    for (const waiter of group.members) {
      this.#unlink(waiter);
      waiter.reject(group.signal.reason);
    }
    this.#onLeave();
  }

  #unlink(waiter: Waiter): void {
    const { previous, next } = waiter;
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    // Else one that has become old keeps all that came after it, until the next full collection of garbage.
    waiter.previous = undefined;
    waiter.next = undefined;
    this.#size--;
    this.#amount -= waiter.amount;
  }
}

interface Waiter {
  readonly amount: number;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  group: SignalGroup | undefined;
  previous: Waiter | undefined;
  next: Waiter | undefined;
}

/** Those in one queue who share a signal: they leave together, and those behind them move up once. */
class SignalGroup implements EndListener {
  readonly signal: AbortSignal;
  readonly members = new Set<Waiter>();
  readonly #onAbort: (group: SignalGroup) => void;

  constructor(signal: AbortSignal, onAbort: (group: SignalGroup) => void) {
    this.signal = signal;
    this.#onAbort = onAbort;
  }

  end(): void {
    this.#onAbort(this);
  }
}
