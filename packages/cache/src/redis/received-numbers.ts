/** Most senders that are remembered; of more, those that were silent the longest are taken for new ones again. */
const MAX_SENDERS = 1000;
/** So many missing at once are lost, however soon they might come. */
const MAX_MISSING = 1000;

interface Sender {
  last: number;
  /** Numbers that are missing, with the tick since which they are. */
  readonly missing: Map<number, number>;
}

/**
 * Notices lost messages by their numbers, since pub/sub itself never tells of them. In a cluster they may overtake each
 * other, so what is missing has time until the next tick but one.
 */
export class ReceivedNumbers {
  readonly #senders = new Map<string, Sender>();
  #tick = 0;
  #overflow = false;

  /** A message came from this sender. Of one that is not known yet, numbering begins here. */
  received(id: string, number: number): void {
    const sender = this.#senders.get(id) ?? { last: number, missing: new Map<number, number>() };
    this.#senders.delete(id);
    this.#senders.set(id, sender);
    if (number <= sender.last) {
      sender.missing.delete(number);
    } else {
      this.#miss(sender, sender.last + 1, number);
      sender.last = number;
    }
    if (this.#senders.size > MAX_SENDERS) this.#forgetOldest();
  }

  /** The sender has sent messages up to this number. */
  sent(id: string, number: number): void {
    const sender = this.#senders.get(id);
    if (sender === undefined) {
      this.received(id, number);
    } else if (number > sender.last) {
      this.#miss(sender, sender.last + 1, number + 1);
      sender.last = number;
    }
  }

  /** Called from time to time. @returns whether something is lost that hasn't been reported */
  tick(): boolean {
    let lost = this.#overflow;
    this.#overflow = false;
    for (const { missing } of this.#senders.values()) {
      for (const [number, since] of missing) {
        if (since === this.#tick) continue;
        missing.delete(number);
        lost = true;
      }
    }
    this.#tick++;
    return lost;
  }

  #miss(sender: Sender, from: number, to: number): void {
    if (to - from + sender.missing.size > MAX_MISSING) {
      sender.missing.clear();
      this.#overflow = true;
      return;
    }
    for (let number = from; number < to; number++) sender.missing.set(number, this.#tick);
  }

  #forgetOldest(): void {
    const [oldest] = this.#senders.keys();
    if (oldest !== undefined) this.#senders.delete(oldest);
  }
}
