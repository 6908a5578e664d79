/**
 * The places for probes while a breaker is half-open once. Each is taken until a time, after which its holder is taken
 * for lost and another may have the place: a caller that never says how its call ended must not keep the breaker
 * half-open for ever. As long as nobody else needs the place, even its late result counts.
 */
export class ProbeSlots {
  readonly #max: number;
  /** By permit: until when. All are held for the same time, so the first to end is the first in the map. */
  readonly #held = new Map<number, number>();
  /** Until when the places without a permit are taken; the first to end is the first in the list. */
  readonly #leases: number[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether there is a place at this time; what is lost by then makes room. */
  hasRoom(now: number): boolean {
    if (this.#taken < this.#max) return true;
    for (const [permit, until] of this.#held) {
      if (now < until) break;
      this.#held.delete(permit);
    }
    while (this.#leases[0] !== undefined && this.#leases[0] <= now) this.#leases.shift();
    return this.#taken < this.#max;
  }

  hold(permit: number, until: number): void {
    this.#held.set(permit, until);
  }

  lease(until: number): void {
    this.#leases.push(until);
  }

  /** Gives back the place of a permit; false when it has none here, or none any more. */
  settle(permit: number): boolean {
    return this.#held.delete(permit);
  }

  /** Gives back the oldest place without a permit; false when there is none. */
  settleLease(): boolean {
    return this.#leases.shift() !== undefined;
  }

  /** How many are taken and not lost at this time. */
  active(now: number): number {
    return [...this.#held.values(), ...this.#leases].filter((until) => now < until).length;
  }

  get #taken(): number {
    return this.#held.size + this.#leases.length;
  }
}
