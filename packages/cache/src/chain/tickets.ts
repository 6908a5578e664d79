/** What reads a key in order to write it somewhere else holds one; a write of that key meanwhile makes it worthless. */
export interface Ticket {
  /** Whether what was read may still be written. */
  readonly current: boolean;
}

class KeyTicket implements Ticket {
  current = true;
  holders = 0;
}

/** Most keys that a batch remembers as changed; after more, every key counts as changed. */
const MAX_CHANGED = 10_000;

/** One ticket for many keys: what changed is noted, because to note each key that is read costs more. */
export class BatchTicket {
  readonly #changed = new Set<string>();
  #all = false;

  isCurrent(key: string): boolean {
    return !this.#all && !this.#changed.has(key);
  }

  change(key: string): void {
    if (this.#changed.size < MAX_CHANGED) this.#changed.add(key);
    else this.#all = true;
  }

  changeAll(): void {
    this.#all = true;
  }
}

/**
 * Makes writes win over the loads and warm-ups that began before them. All work in flight on a key shares a ticket, and
 * the ticket lives only as long as that work, so that nothing is kept for keys that rest.
 */
export class Tickets {
  readonly #byKey = new Map<string, KeyTicket>();
  readonly #batches = new Set<BatchTicket>();

  /** How many keys have work in flight. */
  get size(): number {
    return this.#byKey.size;
  }

  take(key: string): Ticket {
    let ticket = this.#byKey.get(key);
    if (ticket === undefined) {
      ticket = new KeyTicket();
      this.#byKey.set(key, ticket);
    }
    ticket.holders++;
    return ticket;
  }

  giveBack(key: string, ticket: Ticket): void {
    const known = ticket as KeyTicket;
    if (--known.holders === 0 && this.#byKey.get(key) === known) this.#byKey.delete(key);
  }

  takeBatch(): BatchTicket {
    const batch = new BatchTicket();
    this.#batches.add(batch);
    return batch;
  }

  giveBackBatch(batch: BatchTicket): void {
    this.#batches.delete(batch);
  }

  /** The key is being written: what was read of it before is old. */
  supersede(key: string): void {
    if (this.#byKey.size > 0) {
      const ticket = this.#byKey.get(key);
      if (ticket !== undefined) {
        ticket.current = false;
        this.#byKey.delete(key);
      }
    }
    if (this.#batches.size > 0) for (const batch of this.#batches) batch.change(key);
  }

  supersedeAll(): void {
    for (const ticket of this.#byKey.values()) ticket.current = false;
    this.#byKey.clear();
    for (const batch of this.#batches) batch.changeAll();
  }
}
