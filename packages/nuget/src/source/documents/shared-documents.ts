import type { GetOptions, Layer, OpOptions } from '@granary/cache';
import { FeedDocument } from './document.js';

interface Head {
  readonly url: string;
  readonly base?: string | undefined;
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
  readonly fetchedAt: number;
}

const HEAD_LENGTH_BYTES = 4;
/** What nobody confirms leaves the shared layer after so long. */
const TTL_MS = 7 * 24 * 60 * 60_000;

/** Documents of one source in a layer that several machines share: what the source said of each, and then its bytes. */
export class SharedDocuments implements Layer<FeedDocument> {
  readonly name = 'shared';
  readonly shared = true;
  readonly #layer: Layer<Uint8Array>;
  readonly #prefix: string;

  constructor(layer: Layer<Uint8Array>, prefix: string) {
    this.#layer = layer;
    this.#prefix = prefix;
  }

  async get(key: string, options?: GetOptions): Promise<FeedDocument | undefined> {
    const bytes = await this.#layer.get(this.#prefix + key, options);
    return bytes && decode(bytes);
  }

  /** A document that was confirmed has no bytes any more: then the one that is there stays as old as it is. */
  async set(key: string, { url, base, body, etag, lastModified, fetchedAt }: FeedDocument): Promise<void> {
    if (body === undefined || url === undefined) return;
    const bytes = encode({ url, base, etag, lastModified, fetchedAt }, body);
    await this.#layer.set(this.#prefix + key, bytes, { ttlMs: TTL_MS });
  }

  async delete(key: string, options?: OpOptions): Promise<boolean> {
    return this.#layer.delete(this.#prefix + key, options);
  }

  async clear(options?: OpOptions): Promise<void> {
    await this.#layer.clearPrefix?.(this.#prefix, options);
  }

  /** The layer belongs to whoever made it. */
  close(): void {}
}

function encode(head: Head, body: Buffer): Buffer {
  const text = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(HEAD_LENGTH_BYTES);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text, body]);
}

/** Undefined for what makes no sense. */
function decode(stored: Uint8Array): FeedDocument | undefined {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  try {
    const start = HEAD_LENGTH_BYTES + bytes.readUInt32BE();
    const { url, base, etag, lastModified, fetchedAt } = JSON.parse(
      bytes.toString('utf8', HEAD_LENGTH_BYTES, start),
    ) as Head;
    if (typeof url !== 'string' || typeof fetchedAt !== 'number') return undefined;
    const body = bytes.subarray(start);
    return new FeedDocument({ url, base, etag, lastModified, fetchedAt, body, size: body.length });
  } catch {
    return undefined;
  }
}
