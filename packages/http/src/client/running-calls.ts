/** Something that can be in one {@link RunningCalls}. */
export class Linked {
  #previous: Linked = this;
  #next: Linked = this;

  /** Follows `other` from now on. */
  static insert(link: Linked, other: Linked): void {
    link.#previous = other;
    link.#next = other.#next;
    other.#next.#previous = link;
    other.#next = link;
  }

  static remove(link: Linked): void {
    link.#previous.#next = link.#next;
    link.#next.#previous = link.#previous;
    link.#previous = link;
    link.#next = link;
  }

  static next(link: Linked): Linked {
    return link.#next;
  }
}

/**
 * The calls that run. A ring through the calls themselves: a `Set` that changes with every call makes V8's young
 * collections keep calls that are long over, which cost a third of the throughput (bench/http-client.mjs).
 */
export class RunningCalls<T extends Linked> {
  readonly #head = new Linked();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(call: T): void {
    Linked.insert(call, this.#head);
    this.#size++;
  }

  delete(call: T): void {
    Linked.remove(call);
    this.#size--;
  }

  /** One of those that run; undefined when none does. */
  get some(): T | undefined {
    const link = Linked.next(this.#head);
    return link === this.#head ? undefined : (link as T);
  }
}
