import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { Coding } from './negotiation.js';

const gzipped = promisify(gzip);
const brotlied = promisify(brotliCompress);
/** Compresses about as fast as gzip does, and better. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };
/** What an entry takes beside its bytes, roughly. */
const ENTRY_BYTES = 512;

/** A document as text, with what it was made of, and what became of it compressed. */
export class RenderedDocument {
  readonly body: Buffer;
  readonly #tag: string;
  readonly #compressed = new Map<Coding, Promise<Buffer> | Buffer>();
  readonly #onGrown: (bytes: number) => void;

  /** @param onGrown told of every coding's bytes, as they are kept, too */
  constructor(body: Buffer, onGrown: (bytes: number) => void = () => {}) {
    this.body = body;
    this.#tag = createHash('sha256').update(body).digest('base64url').slice(0, 27);
    this.#onGrown = onGrown;
  }

  /** Strong, so it differs from one coding to the other. */
  etag(coding: Coding): string {
    return coding === 'identity' ? `"${this.#tag}"` : `"${this.#tag}-${coding}"`;
  }

  /** At once when it was asked for before. Compressed once, on a thread of its own. */
  bytes(coding: Coding): Buffer | Promise<Buffer> {
    if (coding === 'identity') return this.body;
    const known = this.#compressed.get(coding);
    if (known !== undefined) return known;
    const compressing = this.#compress(coding);
    this.#compressed.set(coding, compressing);
    return compressing;
  }

  async #compress(coding: 'br' | 'gzip'): Promise<Buffer> {
    try {
      const bytes = coding === 'br' ? await brotlied(this.body, BROTLI) : await gzipped(this.body);
      this.#compressed.set(coding, bytes);
      this.#onGrown(bytes.length);
      return bytes;
    } catch (error) {
      this.#compressed.delete(coding);
      throw error;
    }
  }
}

interface Entry {
  /** The answer of the feed that it was made of; weak, as feeds bound what they keep themselves. */
  from: WeakRef<object>;
  readonly document: RenderedDocument;
  bytes: number;
}

/**
 * The documents that were asked for most recently, as bytes: what a feed answers with the same value again isn't written
 * anew, and what comes out the same isn't compressed anew.
 */
export class RenderedDocuments {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  /** @param maxBytes of all documents together, in all their codings */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * @param key the URL of the document: whole, since documents have whole URLs in them
   * @param from what it is made of: a feed's answer, which never changes
   * @param render undefined when there is no such document
   */
  take(key: string, from: object, render: () => Buffer | undefined): RenderedDocument | undefined {
    const known = this.#entries.get(key);
    if (known?.from.deref() === from) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known.document;
    }
    const body = render();
    if (known !== undefined && body !== undefined && known.document.body.equals(body)) {
      known.from = new WeakRef(from);
      return known.document;
    }
    if (known !== undefined) this.#drop(key, known);
    return body === undefined ? undefined : this.#keep(key, from, body);
  }

  #keep(key: string, from: object, body: Buffer): RenderedDocument {
    const document = new RenderedDocument(body, (bytes) => this.#grow(key, entry, bytes));
    const entry: Entry = { from: new WeakRef(from), document, bytes: 0 };
    this.#entries.set(key, entry);
    this.#grow(key, entry, body.length + 2 * key.length + ENTRY_BYTES);
    return document;
  }

  #grow(key: string, entry: Entry, bytes: number): void {
    if (this.#entries.get(key) !== entry) return;
    entry.bytes += bytes;
    this.#bytes += bytes;
    for (const [oldest, each] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#drop(oldest, each);
    }
  }

  #drop(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
