/** Something that can be in one {@link Ring}. */
export class Linked {
  #previous: Linked = this;
  #next: Linked = this;

  static insert(link: Linked, head: Linked): void {
    link.#previous = head;
    link.#next = head.#next;
    head.#next.#previous = link;
    head.#next = link;
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
 * A set whose members know their neighbours. A `Set` that changes with every call makes V8's young collections keep
 * calls that are long over, which cost a third of the throughput (bench/http-client.mjs).
 */
export class Ring<T extends Linked> {
  readonly #head = new Linked();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Any of the members; undefined when there is none. */
  get some(): T | undefined {
    const link = Linked.next(this.#head);
    return link === this.#head ? undefined : (link as T);
  }

  add(member: T): void {
    Linked.insert(member, this.#head);
    this.#size++;
  }

  delete(member: T): void {
    Linked.remove(member);
    this.#size--;
  }
}
