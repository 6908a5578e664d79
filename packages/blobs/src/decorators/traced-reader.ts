import type { Span } from '@granary/telemetry';
import type { BlobReader } from '../blob-store.js';
import { iterateReader } from '../buffer-reader.js';

/** Opens a reader in a span, which ends with the reader, or with the news that there is none. */
export async function readInSpan(
  span: Span,
  open: () => Promise<BlobReader | undefined>,
): Promise<BlobReader | undefined> {
  try {
    const reader = await open();
    span.setAttribute('cache.hit', reader !== undefined);
    if (reader) return new TracedReader(reader, span);
  } catch (error) {
    span.recordError(error);
    span.end();
    throw error;
  }
  span.end();
  return undefined;
}

/**
 * A reader whose span ends when it does. How long its consumer waited for bytes is told apart from how long the reader
 * waited for its consumer.
 */
class TracedReader implements BlobReader {
  readonly length: number;
  readonly #inner: BlobReader;
  readonly #span: Span;
  #bytes = 0;
  #waitedMs = 0;
  #ended = false;

  constructor(inner: BlobReader, span: Span) {
    this.length = inner.length;
    this.#inner = inner;
    this.#span = span;
  }

  get lasting(): boolean {
    return this.#inner.lasting === true;
  }

  async next(): Promise<Buffer | undefined> {
    const start = performance.now();
    try {
      const chunk = await this.#inner.next();
      this.#waitedMs += performance.now() - start;
      if (chunk) this.#bytes += chunk.length;
      else this.#end();
      return chunk;
    } catch (error) {
      this.#waitedMs += performance.now() - start;
      this.#span.recordError(error);
      this.#end();
      throw error;
    }
  }

  close(): Promise<void> {
    this.#end();
    return this.#inner.close();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return iterateReader(this);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#span.setAttributes({ 'cache.bytes_read': this.#bytes, 'cache.waited_ms': this.#waitedMs });
    this.#span.end();
  }
}
