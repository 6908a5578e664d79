/** What is to be done to a key: written, or deleted. */
export type Change<V> =
  | {
      readonly kind: 'set';
      readonly value: V;
      /** When the value stops being fresh, in milliseconds since 1970; undefined where the layer decides. */
      readonly expiresAt: number | undefined;
      readonly graceMs: number | undefined;
    }
  | { readonly kind: 'delete' };

/** A change on its way to the layer. A newer one to the same key takes its place, and so its turn. */
export class PendingWrite<V> {
  /** Rises from write to write; what supersedes another keeps its number. */
  readonly turn: number;
  change: Change<V>;
  bytes: number;

  constructor(turn: number, change: Change<V>, bytes: number) {
    this.turn = turn;
    this.change = change;
    this.bytes = bytes;
  }
}

/** The changes of one key: at most one under way and one after it, so that they can't overtake each other. */
export class KeyLine<V> {
  readonly key: string;
  running: PendingWrite<V> | undefined;
  queued: PendingWrite<V> | undefined;
  /** The next in the {@link ReadyList}. */
  next: KeyLine<V> | undefined;

  constructor(key: string) {
    this.key = key;
  }
}

/** Keys with a change that can start now, in the order in which they came. */
export class ReadyList<V> {
  #first: KeyLine<V> | undefined;
  #last: KeyLine<V> | undefined;

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  push(line: KeyLine<V>): void {
    if (this.#last === undefined) this.#first = line;
    else this.#last.next = line;
    this.#last = line;
  }

  shift(): KeyLine<V> | undefined {
    const first = this.#first;
    if (first === undefined) return undefined;
    this.#first = first.next;
    if (this.#first === undefined) this.#last = undefined;
    first.next = undefined;
    return first;
  }

  clear(): void {
    this.#first = undefined;
    this.#last = undefined;
  }
}

/** A caller who waits for room. */
export class WaitingWrite<V> {
  readonly write: PendingWrite<V>;
  /** Resolves with true when the write has room or a newer one has taken its place, with false when all is given up. */
  readonly answer: Promise<boolean>;
  isAnswered = false;
  #resolve: (accepted: boolean) => void = () => {};

  constructor(write: PendingWrite<V>) {
    this.write = write;
    this.answer = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  settle(accepted: boolean): void {
    this.isAnswered = true;
    this.#resolve(accepted);
  }
}
