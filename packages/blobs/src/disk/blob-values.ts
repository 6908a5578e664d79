import { checkBytes, collectSource, isContentOf } from '../blob-source.js';
import type { BlobSource, GetOptions, MaybePromise, OperationOptions, WholeFile } from '../blob-store.js';
import type { Digest } from '../digest.js';
import type { EntryStore } from './entry-store.js';
import { orFail } from './failure.js';
import type { OpenFile } from './files/file-system.js';
import { VERIFIED } from './index/blob-index.js';
import { blobKey, keyText } from './index/entry-key.js';

/** Small blobs: each a value in the index. */
export class BlobValues {
  readonly #entries: EntryStore;

  constructor(entries: EntryStore) {
    this.#entries = entries;
  }

  /** A blob that the catalog has; undefined, having put it aside, when it turns out to be something else. */
  get(digest: Digest, handle: number, allocate?: GetOptions['allocate']): MaybePromise<Buffer | undefined> {
    const { table, database } = this.#entries.catalog;
    const bytes = database.value(blobKey(digest), digest.size, allocate);
    if (!table.hasFlag(handle, VERIFIED) || bytes?.length !== digest.size) {
      if (!bytes || !isContentOf(digest, bytes)) return this.#putAside(digest);
      table.setFlag(handle, VERIFIED);
    }
    return bytes;
  }

  /** Stores a blob. When another upload of it was quicker, this one's bytes are dropped. */
  async write(digest: Digest, source: BlobSource, options: OperationOptions | undefined): Promise<void> {
    const { catalog, spans } = this.#entries;
    const span = options?.span;
    const reserved = this.#entries.reserve('value', digest.size, options);
    const space = reserved instanceof Promise ? await reserved : reserved;
    try {
      const bytes = await collectSource(source, digest.size, options?.signal);
      checkBytes(digest, bytes);
      const key = blobKey(digest);
      const commit = async () => {
        if (catalog.findBlob(digest) !== -1) return;
        const lastUse = catalog.stamp();
        await catalog.put(key, { place: 'value', size: digest.size, lastUse, mtimeMs: 0 }, space, bytes);
      };
      await spans.locked(catalog.locks, keyText(key), span, () => spans.run('store.Commit', span, commit));
    } finally {
      space.release();
    }
  }

  /** Stores a blob that is in a file. */
  async adopt(digest: Digest, { file }: WholeFile, options: OperationOptions | undefined): Promise<void> {
    const bytes = await orFail(readWhole(file, digest.size), 'cannot read a file to be stored');
    await this.write(digest, bytes, options);
  }

  async #putAside(digest: Digest): Promise<undefined> {
    const key = blobKey(digest);
    await this.#entries.putAside(key, String(digest), 'the index has other bytes for it', () => {
      const now = this.#entries.catalog.database.value(key, digest.size);
      return !now || !isContentOf(digest, now);
    });
    return undefined;
  }
}

/** One byte more than expected, if there is one. */
async function readWhole(file: OpenFile, size: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(size + 1);
  return bytes.subarray(0, await file.read(bytes, 0, bytes.length, 0));
}
