import { types } from 'node:util';
import type { WatchedStream } from './reset-limit.js';

/** A power of two: streams that are open at once on one connection, and mostly opened one after another. */
const SLOTS = 256;

/**
 * Open streams of an HTTP/2 connection by their id: what Node uses of the `Map` that it keeps them in. A stream has the slot
 * that its id names; where an older one has that still, it is with the others, in a `Map`.
 *
 * Nothing here leads from one stream to a later one. What is left of a `Map` when it is built anew, every some hundred
 * streams, leads to the new one, so that one such remainder which has become old keeps all that come after it, with every
 * stream that was open when they ended, until the next full collection (docs/decisions/015).
 */
export class StreamTable<Stream> {
  /** Of the streams in their slots; 0 where there is none. */
  readonly #ids: number[] = new Array(SLOTS).fill(0);
  readonly #streams: (Stream | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #others = new Map<number, Stream>();
  readonly #onSet: ((stream: Stream) => void) | undefined;
  #size = 0;

  /** @param onSet told of each stream that is set */
  constructor(onSet?: (stream: Stream) => void) {
    this.#onSet = onSet;
  }

  get size(): number {
    return this.#size;
  }

  get(id: number): Stream | undefined {
    const slot = slotOf(id);
    if (this.#ids[slot] === id) return this.#streams[slot];
    return this.#others.size === 0 ? undefined : this.#others.get(id);
  }

  /** @param id of none that is there */
  set(id: number, stream: Stream): this {
    const slot = slotOf(id);
    this.#size++;
    if (this.#ids[slot] === 0) {
      this.#ids[slot] = id;
      this.#streams[slot] = stream;
    } else {
      this.#others.set(id, stream);
    }
    this.#onSet?.(stream);
    return this;
  }

  delete(id: number): boolean {
    const slot = slotOf(id);
    if (this.#ids[slot] === id) {
      this.#ids[slot] = 0;
      this.#streams[slot] = undefined;
    } else if (!this.#others.delete(id)) {
      return false;
    }
    this.#size--;
    return true;
  }

  /** Those that are deleted meanwhile are left out. */
  forEach(tell: (stream: Stream, id: number) => void): void {
    for (let slot = 0; slot < SLOTS; slot++) {
      const id = this.#ids[slot];
      if (id) tell(this.#streams[slot] as Stream, id);
    }
    this.#others.forEach(tell);
  }
}

/** Clients' streams have odd ids. */
const slotOf = (id: number): number => (id >>> 1) & (SLOTS - 1);

/**
 * Lets a session that has no stream yet keep its streams in such a table. Node has no option for that, so this looks for
 * its `Map`; where it doesn't find that, calls cost more (benchmark `FindMissingBlobs 1`), and everything else is the same.
 *
 * @param onBegin told of each stream before anything of it is read
 * @returns whether it does
 */
export function useStreamTable(session: object, onBegin?: (stream: WatchedStream) => void): boolean {
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'state');
  const state = key && (session as Record<symbol, { streams?: unknown } | undefined>)[key];
  if (!types.isMap(state?.streams) || state.streams.size > 0) return false;
  state.streams = new StreamTable(onBegin);
  return true;
}
