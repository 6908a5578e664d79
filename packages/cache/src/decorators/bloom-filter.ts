/**
 * Which keys were added, by a few bits of each: `mayHave` never says no for one that was, and says yes for one that
 * wasn't about as seldom as it was made for, as long as no more keys were added than it was made for.
 */
export class BloomFilter {
  readonly #bits: Uint32Array;
  readonly #size: number;
  readonly #hashes: number;
  #set = 0;

  constructor(capacity: number, falsePositiveRate: number) {
    this.#size = Math.max(32, Math.ceil((-capacity * Math.log(falsePositiveRate)) / Math.LN2 ** 2));
    this.#hashes = Math.max(1, Math.round((this.#size / capacity) * Math.LN2));
    this.#bits = new Uint32Array(Math.ceil(this.#size / 32));
  }

  get bytes(): number {
    return this.#bits.byteLength;
  }

  /** Whether it says yes too often. With as many keys as it was made for, half of the bits are set. */
  get isSaturated(): boolean {
    return this.#set > this.#size * 0.55;
  }

  add(key: string): void {
    const step = hash(key, 0x85ebca6b) | 1;
    let position = hash(key, 0x9747b28c);
    for (let i = 0; i < this.#hashes; i++) {
      const bit = (position >>> 0) % this.#size;
      const word = this.#bits[bit >>> 5] as number;
      const mask = 1 << (bit & 31);
      if ((word & mask) === 0) {
        this.#bits[bit >>> 5] = word | mask;
        this.#set++;
      }
      position = (position + step) | 0;
    }
  }

  mayHave(key: string): boolean {
    const step = hash(key, 0x85ebca6b) | 1;
    let position = hash(key, 0x9747b28c);
    for (let i = 0; i < this.#hashes; i++) {
      const bit = (position >>> 0) % this.#size;
      if (((this.#bits[bit >>> 5] as number) & (1 << (bit & 31))) === 0) return false;
      position = (position + step) | 0;
    }
    return true;
  }
}

/** 32 bits of a string's code units, well mixed. */
function hash(key: string, seed: number): number {
  let h = seed ^ key.length;
  for (let i = 0; i < key.length; i++) {
    h = Math.imul(h ^ key.charCodeAt(i), 0x01000193);
    h ^= h >>> 15;
  }
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return h ^ (h >>> 16);
}
