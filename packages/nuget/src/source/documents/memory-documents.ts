import type { Layer, MemoryLayer } from '@granary/cache';
import type { FeedDocument } from './document.js';

/** What all feeds of a client keep in memory, each under keys of its own. */
export interface HeldDocument {
  readonly document: FeedDocument;
  /** Grows with each document that comes into memory. */
  readonly number: number;
}

/** Numbers documents in the order in which they come into memory. */
export class DocumentCounter {
  last = 0;
}

export interface MemoryDocumentsOptions {
  readonly memory: MemoryLayer<HeldDocument>;
  /** In front of every key: tells the source. */
  readonly prefix: string;
  readonly counter: DocumentCounter;
  /**
   * How long a document stays from when it was fetched, so that the layers below are asked whether somebody else has a
   * newer one; undefined where there are none.
   */
  readonly maxAgeMs: number | undefined;
  readonly clock: () => number;
}

/** Documents in memory, as what they say and without their bytes. Values of a source are never seen by another one. */
export class MemoryDocuments implements Layer<FeedDocument> {
  readonly name = 'memory';
  readonly #options: MemoryDocumentsOptions;

  constructor(options: MemoryDocumentsOptions) {
    this.#options = options;
  }

  get(key: string): FeedDocument | undefined {
    const { memory, prefix } = this.#options;
    const held = memory.get(prefix + key);
    if (held === undefined || held.document.isReadable) return held?.document;
    memory.delete(prefix + key);
    return undefined;
  }

  set(key: string, document: FeedDocument): void {
    const { memory, prefix, counter, maxAgeMs, clock } = this.#options;
    const held = { document: document.withoutBody(), number: ++counter.last };
    if (maxAgeMs === undefined) memory.set(prefix + key, held);
    else {
      const ttlMs = document.fetchedAt + maxAgeMs - clock();
      if (ttlMs > 0) memory.set(prefix + key, held, { ttlMs });
      else memory.delete(prefix + key);
    }
  }

  delete(key: string): boolean {
    return this.#options.memory.delete(this.#options.prefix + key);
  }

  clear(): void {
    this.#options.memory.clearPrefix(this.#options.prefix);
  }

  /** Forgets a document that came no later than the one with this number. */
  forgetUntil(key: string, number: number): void {
    const { memory, prefix } = this.#options;
    const held = memory.get(prefix + key);
    if (held !== undefined && held.number <= number) memory.delete(prefix + key);
  }

  /** The memory belongs to whoever made it. */
  close(): void {}
}
