import type { Timers } from '@granary/resilience';
import type { Span } from '@granary/telemetry';
import { type BlobReader, CHUNK_HEADROOM } from '../../blob-store.js';
import type { TierAccess } from '../tier-access.js';
import { ArrivedChunks } from './arrived-chunks.js';

/** How long the next chunk waits at most while nobody wants it: a crowd that stands still holds no tier up for long. */
const PATIENCE_MS = 100;

/** A blob on its way from one tier. */
export interface Delivery {
  readonly from: TierAccess;
  readonly reader: BlobReader;
  readonly span: Span;
}

export interface IntakeOptions {
  readonly size: number;
  /** Bytes that may be in memory now, for the store that takes them and for readers. */
  readonly memoryBytes: () => number;
  /** Whether all who read along have so much before them that more would only push it out of the memory. */
  readonly isFarAhead: (received: number) => boolean;
  readonly timers: Timers;
  /** The delivery that goes on where one broke off; rejects when there is none. */
  readonly resume: (received: number, brokenOff: Delivery, failure: unknown) => Promise<Delivery>;
  /** Told when there are more bytes. */
  readonly onNews: () => void;
}

/**
 * What comes of a blob for one attempt to store it, from one delivery after the other. It is received ahead of the
 * store, so that neither the tier nor the readers wait while that is busy with its disk.
 */
export class Intake {
  readonly chunks = new ArrivedChunks();
  /** The tiers that something came from, or should have. */
  readonly sources: TierAccess[] = [];
  readonly #options: IntakeOptions;
  #delivery: Delivery;
  /** Bytes that the store has taken. */
  #takenTo = 0;
  /** Bytes that it is busy with. */
  #givenBytes = 0;
  /** Whether nobody takes anything any more. */
  #closed = false;
  #end: { readonly failure?: unknown } | undefined;
  #onRoom: (() => void) | undefined;
  #onChunk: (() => void) | undefined;

  constructor(first: Delivery, options: IntakeOptions) {
    this.#delivery = first;
    this.sources.push(first.from);
    this.#options = options;
  }

  /** The bytes for the store. Once. */
  source(): AsyncIterableIterator<Uint8Array, undefined> {
    void this.#receive();
    const source: AsyncIterableIterator<Uint8Array, undefined> = {
      next: () => this.#take(),
      return: async () => {
        this.close();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => source,
    };
    return source;
  }

  /** Looks again whether the next chunk is wanted. */
  wake(): void {
    this.#onRoom?.();
  }

  /** Ends it, whatever is under way. Not waited for: what hangs would hold up everybody. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    end(this.#delivery);
    this.#onRoom?.();
    this.#onChunk?.();
  }

  /** The next chunk for the store, which is done with the one before. */
  async #take(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#takenTo += this.#givenBytes;
    this.#givenBytes = 0;
    this.chunks.trim(this.#options.memoryBytes(), this.#takenTo);
    this.#onRoom?.();
    for (;;) {
      const chunk = this.chunks.at(this.#takenTo);
      if (chunk) {
        this.#givenBytes = chunk.length;
        return { done: false, value: chunk };
      }
      if (this.#end) {
        this.close();
        if ('failure' in this.#end) throw this.#end.failure;
        return { done: true, value: undefined };
      }
      if (this.#closed) throw new DOMException('nobody takes the blob any more', 'AbortError');
      await new Promise<void>((resolve) => {
        this.#onChunk = resolve;
      });
    }
  }

  /** Never rejects. */
  async #receive(): Promise<void> {
    try {
      while (!this.#closed) {
        const failure = await this.#receiveAll();
        if (this.#closed) return;
        if (failure === undefined) break;
        const brokenOff = this.#delivery;
        brokenOff.span.recordError(failure);
        end(brokenOff);
        const next = await this.#options.resume(this.chunks.end, brokenOff, failure);
        if (this.#closed) return end(next);
        this.#delivery = next;
        this.sources.push(next.from);
      }
      this.#end = {};
    } catch (failure) {
      this.#end = { failure };
    }
    this.#onChunk?.();
  }

  /** Receives what a delivery has, and returns why that is not all. */
  async #receiveAll(): Promise<unknown> {
    const { reader } = this.#delivery;
    try {
      while (await this.#receiveChunk(reader));
      if (this.#closed) return undefined;
    } catch (error) {
      return error ?? new Error('reading failed');
    }
    const { end: received } = this.chunks;
    const { size } = this.#options;
    return received < size ? new Error(`it ended after ${received} of ${size} bytes`) : undefined;
  }

  /**
   * A call of its own for each chunk, since what waits for the next one would hold on to the last: of 64 blobs at once that
   * is 16 MiB (benchmark `tiers`). False at the end.
   */
  async #receiveChunk(reader: BlobReader): Promise<boolean> {
    await this.#room();
    if (this.#options.isFarAhead(this.chunks.end)) await this.#patience();
    if (this.#closed) return false;
    const chunk = await reader.next();
    if (!chunk || this.#closed) return false;
    if (chunk.length === 0) return true;
    this.chunks.push(reader.lasting ? chunk : copyOf(chunk));
    this.#onChunk?.();
    this.#options.onNews();
    return true;
  }

  /** Waits until as much has been taken that the next chunk has room: one always has. */
  async #room(): Promise<void> {
    for (;;) {
      const ahead = this.chunks.end - this.#takenTo;
      // Half of the memory is for what has been stored, and is still to be read.
      if (this.#closed || ahead === 0 || 2 * ahead <= this.#options.memoryBytes()) return;
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve;
      });
    }
  }

  /** Waits until somebody wants more, or long enough. */
  async #patience(): Promise<void> {
    const { timers, isFarAhead } = this.#options;
    let isOver = false;
    const timer = timers.setTimeout(() => {
      isOver = true;
      this.#onRoom?.();
    }, PATIENCE_MS);
    while (!isOver && !this.#closed && isFarAhead(this.chunks.end)) {
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve;
      });
    }
    timers.clearTimeout(timer);
  }
}

function copyOf(chunk: Buffer): Buffer {
  const memory = Buffer.allocUnsafeSlow(CHUNK_HEADROOM + chunk.length);
  chunk.copy(memory, CHUNK_HEADROOM);
  return memory.subarray(CHUNK_HEADROOM);
}

function end({ reader, span }: Delivery): void {
  void reader.close().catch(() => {});
  span.end();
}
