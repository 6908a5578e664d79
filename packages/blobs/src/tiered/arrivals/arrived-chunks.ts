/** Chunks from this size on are handed out as they came; smaller ones are gathered, or each would be a message of its own. */
const SHARED_FROM_BYTES = 128 * 1024;

interface Arrived {
  readonly start: number;
  readonly bytes: Buffer;
}

/** The latest part of a blob that arrives, in the chunks that it came in, which all its readers share. */
export class ArrivedChunks {
  readonly #chunks: Arrived[] = [];
  #start = 0;
  #end = 0;

  /** Where the bytes begin that are still here. */
  get start(): number {
    return this.#start;
  }

  /** Where they end. */
  get end(): number {
    return this.#end;
  }

  /** @param bytes nobody writes into any more, but headers of one form in front of it */
  push(bytes: Buffer): void {
    this.#chunks.push({ start: this.#end, bytes });
    this.#end += bytes.length;
  }

  /** Lets the oldest chunks go until no more than so many bytes are here, but none that ends behind a position. */
  trim(mostBytes: number, position: number): void {
    for (let first = this.#chunks[0]; first; first = this.#chunks[0]) {
      const end = first.start + first.bytes.length;
      if (end > position || this.#end - this.#start <= mostBytes) return;
      this.#chunks.shift();
      this.#start = end;
    }
  }

  /** The chunk that begins at a position. */
  at(position: number): Buffer | undefined {
    const chunk = this.#chunks[this.#indexOf(position)];
    return chunk?.start === position ? chunk.bytes : undefined;
  }

  /** The same when it ends at the limit at the latest, and is large enough to be handed out by itself. */
  shared(position: number, limit: number): Buffer | undefined {
    const chunk = this.at(position);
    return chunk && chunk.length >= SHARED_FROM_BYTES && position + chunk.length <= limit ? chunk : undefined;
  }

  /** Copies bytes from a position on, of as many chunks as it takes; returns how many. */
  copy(target: Buffer, targetStart: number, length: number, position: number): number {
    let copied = 0;
    for (let i = this.#indexOf(position); i < this.#chunks.length && copied < length; i++) {
      const { start, bytes } = this.#chunks[i] as Arrived;
      const from = position + copied - start;
      copied += bytes.copy(target, targetStart + copied, from, from + length - copied);
    }
    return copied;
  }

  /** Of the chunk that a position lies in; their number for one that lies in none. */
  #indexOf(position: number): number {
    if (position < this.#start || position >= this.#end) return this.#chunks.length;
    let [low, high] = [0, this.#chunks.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#chunks[middle] as Arrived).start <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
