import type { BlobReader, BlobSource, OperationOptions } from '../../blob-store.js';
import type { Digest } from '../../digest.js';
import { BlobDamagedError } from '../../errors.js';
import type { EntryStore } from '../entry-store.js';
import { isNotFound, isUnreadable, storeFailure } from '../failure.js';
import { VERIFIED } from '../index/blob-index.js';
import { blobKey, type EntryKey, keyText } from '../index/entry-key.js';
import type { ResolvedOptions } from '../options.js';
import { accountedBytes } from '../space/accounting.js';
import { BufferPool } from './buffer-pool.js';
import { FileReader } from './file-reader.js';
import type { OpenFile } from './file-system.js';
import { SyncGate } from './sync-gate.js';
import { receiveFile } from './upload.js';

/** The part of a blob that a reader is to deliver. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

/** Large blobs: each a file of its own. */
export class BlobFiles {
  readonly #entries: EntryStore;
  readonly #options: ResolvedOptions;
  readonly #buffers = new BufferPool();
  readonly #syncs = new SyncGate();

  constructor(entries: EntryStore, options: ResolvedOptions) {
    this.#entries = entries;
    this.#options = options;
  }

  /** Stores a blob. When another upload of it was quicker, this one's bytes are dropped. */
  async write(digest: Digest, source: BlobSource, options: OperationOptions | undefined): Promise<void> {
    const { ledger, catalog, directory, fs } = this.#entries;
    const space = await ledger.reserve(accountedBytes('file', digest.size), options?.signal);
    try {
      const incoming = directory.incomingFile();
      const { mtimeMs } = await receiveFile(incoming, digest, source, {
        fs,
        buffers: this.#buffers,
        syncs: this.#syncs,
        sync: this.#options.durability !== 'none',
        signal: options?.signal,
      });
      const key = blobKey(digest);
      await catalog.locks.run(keyText(key), async () => {
        if (catalog.find(key.kind, key.words, key.at) !== -1) return fs.unlink(incoming).catch(() => {});
        await this.#moveIn(incoming, digest);
        try {
          await catalog.put(key, { place: 'file', size: digest.size, lastUse: catalog.stamp(), mtimeMs }, space);
        } catch (error) {
          await fs.unlink(directory.blobFile(digest)).catch(() => {});
          throw error;
        }
      });
    } finally {
      space.release();
    }
    if (this.#options.durability === 'full') await catalog.database.flushed();
  }

  /**
   * Opens a blob that the catalog has; undefined when its file turns out not to be it. What the process has not
   * compared with its hash yet is compared while it streams; a file that was touched since it was written, before.
   */
  async open(digest: Digest, range: Range, signal: AbortSignal | undefined): Promise<BlobReader | undefined> {
    const { catalog } = this.#entries;
    const key = blobKey(digest);
    const text = keyText(key);
    catalog.pin(text);
    let opened: BlobReader | undefined;
    try {
      opened = await this.#openPinned(digest, key, range, signal, () => catalog.unpin(text));
      return opened;
    } finally {
      if (!opened) catalog.unpin(text);
    }
  }

  async #openPinned(
    digest: Digest,
    key: EntryKey,
    range: Range,
    signal: AbortSignal | undefined,
    onClose: () => void,
  ): Promise<BlobReader | undefined> {
    const { catalog, directory, fs } = this.#entries;
    const written = catalog.record(key)?.mtimeMs;
    const damaged = (reason: string) =>
      this.#entries.putAside(key, String(digest), reason, () => catalog.record(key)?.mtimeMs === written);
    let file: OpenFile;
    try {
      file = await fs.openToRead(directory.blobFile(digest));
    } catch (error) {
      if (!isNotFound(error) && !isUnreadable(error)) throw storeFailure(error, `cannot open ${digest}`);
      await damaged(isNotFound(error) ? 'its file is missing' : 'its file cannot be read');
      return undefined;
    }
    const reader = (part: Range, verify: boolean, whenClosed: () => void) =>
      new FileReader({
        ...part,
        file,
        digest,
        verify,
        buffers: this.#buffers,
        signal,
        onVerified: () => this.#setVerified(key),
        onDamaged: damaged,
        onClose: whenClosed,
      });
    try {
      const status = await file.status();
      if (status.size !== digest.size) {
        await file.close();
        await damaged(`its file has ${status.size} bytes`);
        return undefined;
      }
      if (status.mtimeMs !== written) {
        if (!(await isRight(reader({ offset: 0, length: digest.size }, true, () => {})))) return undefined;
        await catalog.putTimeOfWriting(key, status.mtimeMs);
        return await this.#openPinned(digest, key, range, signal, onClose);
      }
    } catch (error) {
      await file.close().catch(() => {});
      throw storeFailure(error, `cannot open ${digest}`);
    }
    const verify = range.length === digest.size && !this.#isVerified(key);
    return reader(range, verify, onClose);
  }

  async #moveIn(incoming: string, digest: Digest): Promise<void> {
    const { directory, fs } = this.#entries;
    try {
      const shard = await directory.shardOf(digest);
      await fs.rename(incoming, directory.blobFile(digest));
      if (this.#options.durability === 'full') await this.#syncs.run(() => fs.syncDirectory(shard));
    } catch (error) {
      await Promise.allSettled([fs.unlink(incoming), fs.unlink(directory.blobFile(digest))]);
      throw storeFailure(error, 'cannot move an upload to its place');
    }
  }

  #isVerified(key: EntryKey): boolean {
    const handle = this.#entries.catalog.find(key.kind, key.words, key.at);
    return handle !== -1 && this.#entries.catalog.table.hasFlag(handle, VERIFIED);
  }

  #setVerified(key: EntryKey): void {
    const handle = this.#entries.catalog.find(key.kind, key.words, key.at);
    if (handle !== -1) this.#entries.catalog.table.setFlag(handle, VERIFIED);
  }
}

/** Reads a blob to its end; a reader that verifies puts aside what is damaged. */
async function isRight(reader: BlobReader): Promise<boolean> {
  try {
    for await (const _ of reader);
    return true;
  } catch (error) {
    if (error instanceof BlobDamagedError) return false;
    throw error;
  }
}

/** All that a reader delivers, in one buffer. */
export async function readAll(reader: BlobReader): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(reader.length);
  let filled = 0;
  for await (const chunk of reader) {
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  return bytes;
}
