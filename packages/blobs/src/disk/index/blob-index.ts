import { randomInt } from 'node:crypto';
import { type EntryKey, tableWordsOf } from './entry-key.js';

/** The entry's bytes were compared with its hash (or written) since the process started. */
export const VERIFIED = 1;
/** The bytes are a file of their own; otherwise they lie in the database. */
export const IN_FILE = 2;
/** Used since its last use was written to the database. */
export const DIRTY = 4;

const SEGMENTS = 256;
const SLOT_BITS = 23;
const SLOT_MASK = (1 << SLOT_BITS) - 1;
const SLOT_WORDS = 12;
const SLOT_DOUBLES = SLOT_WORDS / 2;
const SIZE_LOW = 8;
/** Bits 0–20: high part of the size. Bits 21–23: kind. Bits 24–31: flags. */
const PACKED = 9;
const KIND_SHIFT = 21;
const FLAG_SHIFT = 24;
const SIZE_HIGH_MASK = (1 << KIND_SHIFT) - 1;
const USE_DOUBLE = 5;
const TWO_32 = 2 ** 32;
/** With linear probing a miss looks at 8 slots on average at this fill, which lie side by side. */
const MOST_FILL = 0.75;
const GROWTH = 1.2;
const FEWEST_SLOTS = 16;

interface Segment {
  words: Int32Array;
  /** The same memory. */
  doubles: Float64Array;
  capacity: number;
  count: number;
  dirty: number;
}

/**
 * What the store holds, in memory: for each entry 32 bytes of its hash, kind, flags, size and last use, in 48 bytes.
 *
 * Open addressing over typed arrays, split by hash into segments that grow one at a time and by a fifth, so that
 * growing neither stops the process nor doubles the memory. The multipliers that place an entry are drawn at random:
 * whoever chooses hashes can't choose collisions. Decision 003 has the numbers.
 *
 * A handle names an entry until the next {@link insert} or {@link remove}.
 */
export class BlobIndex {
  readonly #segments: Segment[];
  readonly #multiplierA: number;
  readonly #multiplierB: number;
  #count = 0;

  /**
   * @param options.expected entries to make room for at once. Default 0.
   * @param options.seed fixes the places of entries, for tests and benchmarks
   */
  constructor(options: { readonly expected?: number; readonly seed?: number } = {}) {
    const seed = options.seed ?? randomInt(2 ** 31);
    this.#multiplierA = Math.imul(seed, 0x9e3779b1) | 1;
    this.#multiplierB = Math.imul(seed ^ 0x5bd1e995, 0x85ebca6b) | 1;
    const slots = Math.max(FEWEST_SLOTS, Math.ceil(((options.expected ?? 0) / SEGMENTS / MOST_FILL) * 1.05));
    this.#segments = Array.from({ length: SEGMENTS }, () => emptySegment(slots));
  }

  get count(): number {
    return this.#count;
  }

  /** Entries whose last use is newer than the database's. */
  get dirtyCount(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.dirty, 0);
  }

  get segmentCount(): number {
    return SEGMENTS;
  }

  /** Bytes of memory that the table takes. */
  get memoryBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.words.byteLength, 0);
  }

  /** The entry's handle, or −1. Hot path: benchmark `FindMissingBlobs`, 1000 digests. */
  find(kind: number, words: Int32Array, at: number): number {
    const number = (words[at] as number) & (SEGMENTS - 1);
    const segment = this.#segments[number] as Segment;
    const { words: table, capacity } = segment;
    const length = tableWordsOf(kind);
    let slot = this.#home(words[at + 1] as number, words[at + 2] as number, capacity);
    for (;;) {
      const base = slot * SLOT_WORDS;
      const found = ((table[base + PACKED] as number) >>> KIND_SHIFT) & 7;
      if (found === 0) return -1;
      if (found === kind) {
        let i = 0;
        while (i < length && table[base + i] === words[at + i]) i++;
        if (i === length) return (number << SLOT_BITS) | slot;
      }
      slot = slot + 1 === capacity ? 0 : slot + 1;
    }
  }

  size(handle: number): number {
    const { words } = this.#segmentOf(handle);
    const base = (handle & SLOT_MASK) * SLOT_WORDS;
    return ((words[base + PACKED] as number) & SIZE_HIGH_MASK) * TWO_32 + ((words[base + SIZE_LOW] as number) >>> 0);
  }

  /** When the entry was used last: milliseconds since the epoch, with a fraction that keeps the order of uses. */
  lastUse(handle: number): number {
    return this.#segmentOf(handle).doubles[(handle & SLOT_MASK) * SLOT_DOUBLES + USE_DOUBLE] as number;
  }

  hasFlag(handle: number, flag: number): boolean {
    const packed = this.#segmentOf(handle).words[(handle & SLOT_MASK) * SLOT_WORDS + PACKED] as number;
    return ((packed >>> FLAG_SHIFT) & flag) !== 0;
  }

  setFlag(handle: number, flag: number): void {
    const segment = this.#segmentOf(handle);
    const at = (handle & SLOT_MASK) * SLOT_WORDS + PACKED;
    const before = segment.words[at] as number;
    const after = before | (flag << FLAG_SHIFT);
    if (before === after) return;
    segment.words[at] = after;
    if (flag & DIRTY && !((before >>> FLAG_SHIFT) & DIRTY)) segment.dirty++;
  }

  clearFlag(handle: number, flag: number): void {
    const segment = this.#segmentOf(handle);
    const at = (handle & SLOT_MASK) * SLOT_WORDS + PACKED;
    const before = segment.words[at] as number;
    segment.words[at] = before & ~(flag << FLAG_SHIFT);
    if (flag & DIRTY && (before >>> FLAG_SHIFT) & DIRTY) segment.dirty--;
  }

  /** Notes a use, to be written to the database later. */
  touch(handle: number, use: number): void {
    this.#segmentOf(handle).doubles[(handle & SLOT_MASK) * SLOT_DOUBLES + USE_DOUBLE] = use;
    this.setFlag(handle, DIRTY);
  }

  /** Adds an entry, or replaces what is known of it. */
  insert(key: EntryKey, size: number, lastUse: number, flags: number): number {
    let handle = this.find(key.kind, key.words, key.at);
    if (handle === -1) handle = this.#claim(key);
    const segment = this.#segmentOf(handle);
    const slot = handle & SLOT_MASK;
    const at = slot * SLOT_WORDS + PACKED;
    if (((segment.words[at] as number) >>> FLAG_SHIFT) & DIRTY) segment.dirty--;
    if (flags & DIRTY) segment.dirty++;
    segment.words[slot * SLOT_WORDS + SIZE_LOW] = size | 0;
    segment.words[at] = Math.floor(size / TWO_32) | (key.kind << KIND_SHIFT) | (flags << FLAG_SHIFT);
    segment.doubles[slot * SLOT_DOUBLES + USE_DOUBLE] = lastUse;
    return handle;
  }

  /** Removes an entry and closes the gap, so that no tombstones slow later lookups. */
  remove(handle: number): void {
    const segment = this.#segmentOf(handle);
    const { words, capacity } = segment;
    let hole = handle & SLOT_MASK;
    if (((words[hole * SLOT_WORDS + PACKED] as number) >>> FLAG_SHIFT) & DIRTY) segment.dirty--;
    segment.count--;
    this.#count--;
    for (let slot = hole; ; ) {
      slot = slot + 1 === capacity ? 0 : slot + 1;
      const base = slot * SLOT_WORDS;
      if (words[base + PACKED] === 0) break;
      const home = this.#home(words[base + 1] as number, words[base + 2] as number, capacity);
      const reachable = hole < slot ? home > hole && home <= slot : home > hole || home <= slot;
      if (reachable) continue;
      words.copyWithin(hole * SLOT_WORDS, base, base + SLOT_WORDS);
      hole = slot;
    }
    words.fill(0, hole * SLOT_WORDS, (hole + 1) * SLOT_WORDS);
  }

  /** Visits the entries of one segment; the visitor must not insert or remove. */
  scan(number: number, visit: (handle: number) => void): void {
    const segment = this.#segments[number] as Segment;
    for (let slot = 0; slot < segment.capacity; slot++)
      if (segment.words[slot * SLOT_WORDS + PACKED] !== 0) visit((number << SLOT_BITS) | slot);
  }

  /** Entries of one segment that are dirty, so that a walk can pass the others by. */
  dirtyIn(number: number): number {
    return (this.#segments[number] as Segment).dirty;
  }

  /** A handle of some entry, at or after a place that the caller draws; undefined when there is none. */
  sample(random: number): number | undefined {
    const drawn = Math.floor(random * SEGMENTS);
    let number = drawn;
    while ((this.#segments[number] as Segment).count === 0) {
      number = (number + 1) % SEGMENTS;
      if (number === drawn) return undefined;
    }
    const segment = this.#segments[number] as Segment;
    let slot = Math.floor((random * SEGMENTS - drawn) * segment.capacity);
    while (segment.words[slot * SLOT_WORDS + PACKED] === 0) slot = slot + 1 === segment.capacity ? 0 : slot + 1;
    return (number << SLOT_BITS) | slot;
  }

  kind(handle: number): number {
    return ((this.#segmentOf(handle).words[(handle & SLOT_MASK) * SLOT_WORDS + PACKED] as number) >>> KIND_SHIFT) & 7;
  }

  /** A copy of the entry's key, of a longer hash only as much as the table has. */
  key(handle: number): EntryKey {
    const base = (handle & SLOT_MASK) * SLOT_WORDS;
    const kind = this.kind(handle);
    const length = tableWordsOf(kind);
    return { kind, words: this.#segmentOf(handle).words.slice(base, base + length), at: 0 };
  }

  #segmentOf(handle: number): Segment {
    return this.#segments[handle >>> SLOT_BITS] as Segment;
  }

  #home(a: number, b: number, capacity: number): number {
    const mixed = (Math.imul(a, this.#multiplierA) + Math.imul(b, this.#multiplierB)) >>> 0;
    return Math.floor((mixed * capacity) / TWO_32);
  }

  /** Takes a free slot for a key that is not in the table and writes the hash into it. */
  #claim(key: EntryKey): number {
    const number = (key.words[key.at] as number) & (SEGMENTS - 1);
    let segment = this.#segments[number] as Segment;
    if (segment.count + 1 > segment.capacity * MOST_FILL) {
      segment = this.#grow(segment);
      this.#segments[number] = segment;
    }
    const slot = this.#freeSlot(segment, key.words[key.at + 1] as number, key.words[key.at + 2] as number);
    const length = tableWordsOf(key.kind);
    segment.words.set(key.words.subarray(key.at, key.at + length), slot * SLOT_WORDS);
    segment.count++;
    this.#count++;
    return (number << SLOT_BITS) | slot;
  }

  #freeSlot(segment: Segment, a: number, b: number): number {
    let slot = this.#home(a, b, segment.capacity);
    while (segment.words[slot * SLOT_WORDS + PACKED] !== 0) slot = slot + 1 === segment.capacity ? 0 : slot + 1;
    return slot;
  }

  #grow(old: Segment): Segment {
    const grown = emptySegment(Math.ceil(old.capacity * GROWTH));
    grown.count = old.count;
    grown.dirty = old.dirty;
    for (let base = 0; base < old.words.length; base += SLOT_WORDS) {
      if (old.words[base + PACKED] === 0) continue;
      const slot = this.#freeSlot(grown, old.words[base + 1] as number, old.words[base + 2] as number);
      grown.words.set(old.words.subarray(base, base + SLOT_WORDS), slot * SLOT_WORDS);
    }
    return grown;
  }
}

function emptySegment(capacity: number): Segment {
  const words = new Int32Array(capacity * SLOT_WORDS);
  return { words, doubles: new Float64Array(words.buffer), capacity, count: 0, dirty: 0 };
}
