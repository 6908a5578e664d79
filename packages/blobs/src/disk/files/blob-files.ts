import type { Span } from '@granary/telemetry';
import { wrongSize } from '../../blob-source.js';
import {
  type BlobReader,
  type BlobSource,
  CHUNK_HEADROOM,
  type MaybePromise,
  type OperationOptions,
  type WholeFile,
  type WriteOptions,
} from '../../blob-store.js';
import { BufferReader, readAll } from '../../buffer-reader.js';
import type { Digest } from '../../digest.js';
import { hashBytes } from '../../digest-function.js';
import { BlobDamagedError } from '../../errors.js';
import type { EntryStore } from '../entry-store.js';
import { isNotFound, isUnreadable, orFail, storeFailure } from '../failure.js';
import { VERIFIED } from '../index/blob-index.js';
import { blobKey, type EntryKey, keyText } from '../index/entry-key.js';
import type { ResolvedOptions } from '../options.js';
import type { Reservation } from '../space/space-ledger.js';
import { BufferPool } from './buffer-pool.js';
import { DirectIo } from './direct-io.js';
import { FileReader } from './file-reader.js';
import type { FileStatus, OpenFile } from './file-system.js';
import { SyncGate } from './sync-gate.js';
import { receiveFile } from './upload.js';

/** Blobs up to this size are read in one go, without the thread pool. */
const READ_NOW_BYTES = 256 * 1024;

/** The part of a blob that a reader is to deliver. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

/** Who streams a blob pins it meanwhile. */
const OWN_PIN = 1;

/** Large blobs: each a file of its own. */
export class BlobFiles {
  readonly #entries: EntryStore;
  readonly #options: ResolvedOptions;
  readonly #buffers = new BufferPool();
  readonly #syncs = new SyncGate();
  readonly #direct: DirectIo;

  constructor(entries: EntryStore, options: ResolvedOptions) {
    this.#entries = entries;
    this.#options = options;
    this.#direct = new DirectIo(entries.fs, this.#buffers, options.directBytes);
  }

  /** Stores a blob. When another upload of it was quicker, this one's bytes are dropped, and no more of them read. */
  async write(digest: Digest, source: BlobSource, options: WriteOptions | undefined): Promise<void> {
    const { catalog, directory, fs, spans } = this.#entries;
    const span = options?.span;
    const space = await this.#entries.reserve('file', digest.size, options);
    try {
      const incoming = directory.incomingFile();
      const received = await spans.run('store.Write', span, (writing) =>
        receiveFile(incoming, digest, source, {
          fs,
          buffers: this.#buffers,
          direct: this.#direct,
          syncs: this.#syncs,
          sync: this.#options.durability !== 'none',
          signal: options?.signal,
          spans,
          span: writing,
          observer: options?.observer,
          isHere: () => catalog.findBlob(digest) !== -1,
        }),
      );
      if (received) await this.#enter(digest, incoming, received.mtimeMs, space, span);
    } finally {
      space.release();
    }
  }

  /** Stores a blob that is in a file. When it fails the file may still have its name. */
  async adopt(digest: Digest, { path, file }: WholeFile, options: OperationOptions | undefined): Promise<void> {
    const span = options?.span;
    const space = await this.#entries.reserve('file', digest.size, options);
    try {
      const { size } = await statusOf(file);
      if (size !== digest.size) throw wrongSize(digest.size, size);
      if (this.#options.durability !== 'none')
        await orFail(
          this.#sync(span, () => file.datasync()),
          'cannot sync an upload',
        );
      options?.signal?.throwIfAborted();
      await this.#enter(digest, path, (await statusOf(file)).mtimeMs, space, span);
    } finally {
      space.release();
    }
  }

  /** A whole blob; a small one at once when there is nothing to put aside. */
  get(digest: Digest, signal: AbortSignal | undefined): MaybePromise<Buffer | undefined> {
    return digest.size <= READ_NOW_BYTES ? this.#readNow(digest, 0) : this.#getLarge(digest, signal);
  }

  /**
   * Opens a blob that the catalog has; undefined when its file turns out not to be it. What the process has not
   * compared with its hash yet is compared while it streams; a file that was touched since it was written, before.
   */
  async open(digest: Digest, range: Range, signal: AbortSignal | undefined): Promise<BlobReader | undefined> {
    if (range.length === digest.size && digest.size <= READ_NOW_BYTES) {
      const memory = await this.#readNow(digest, CHUNK_HEADROOM);
      return memory && BufferReader.over(memory);
    }
    const { catalog } = this.#entries;
    const key = blobKey(digest);
    const text = keyText(key);
    catalog.pins.pin(text);
    let opened: BlobReader | undefined;
    try {
      opened = await this.#openPinned(digest, key, range, signal, () => catalog.pins.unpin(text));
      return opened;
    } finally {
      if (!opened) catalog.pins.unpin(text);
    }
  }

  /** A small blob's file in one buffer, behind as many bytes as the caller wants in front. */
  #readNow(digest: Digest, headroom: number): MaybePromise<Buffer | undefined> {
    const key = blobKey(digest);
    const written = this.#entries.catalog.record(key)?.mtimeMs;
    const memory = Buffer.allocUnsafe(headroom + digest.size);
    let status: FileStatus;
    try {
      status = this.#entries.fs.readNow(this.#entries.directory.blobFile(digest), memory, headroom);
    } catch (error) {
      return this.#cannotOpen(digest, written, error, 0);
    }
    if (status.size !== digest.size) return this.#putAside(digest, written, `its file has ${status.size} bytes`);
    if (status.mtimeMs === written && this.#isVerified(key)) return memory;
    const hash = hashBytes(digest.function, memory.subarray(headroom));
    if (!hash.equals(digest.bytes)) return this.#putAside(digest, written, `its hash is ${hash.toString('hex')}`);
    this.#setVerified(key);
    if (status.mtimeMs === written) return memory;
    return this.#entries.catalog.putTimeOfWriting(key, status.mtimeMs).then(() => memory);
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
    let file: OpenFile;
    try {
      file = fs.openToRead(directory.blobFile(digest));
    } catch (error) {
      return this.#cannotOpen(digest, written, error, OWN_PIN);
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
        isKept: () => this.#isKept(key, OWN_PIN),
        onDamaged: (reason) => this.#putAside(digest, written, reason),
        onClose: whenClosed,
      });
    try {
      const status = file.status();
      if (status.size !== digest.size) {
        await file.close();
        return await this.#putAside(digest, written, `its file has ${status.size} bytes`);
      }
      if (status.mtimeMs !== written) {
        if (!(await isRight(reader({ offset: 0, length: digest.size }, true, () => {})))) return undefined;
        await catalog.putTimeOfWriting(key, status.mtimeMs);
        return await this.#openPinned(digest, key, range, signal, onClose);
      }
    } catch (error) {
      await file.close().catch(() => {});
      // Who has gone meanwhile is no failure of the store.
      signal?.throwIfAborted();
      throw storeFailure(error, `cannot open ${digest}`);
    }
    const verify = range.length === digest.size && !this.#isVerified(key);
    return reader(range, verify, onClose);
  }

  async #getLarge(digest: Digest, signal: AbortSignal | undefined): Promise<Buffer | undefined> {
    const reader = await this.open(digest, { offset: 0, length: digest.size }, signal);
    return reader && readAll(reader);
  }

  /** @param ownPins what is pinned by who asks */
  async #cannotOpen(digest: Digest, written: number | undefined, error: unknown, ownPins: number): Promise<undefined> {
    if (isNotFound(error)) return this.#putAside(digest, written, 'its file is missing');
    if (isUnreadable(error) && !this.#isKept(blobKey(digest), ownPins))
      return this.#putAside(digest, written, 'its file cannot be read');
    throw storeFailure(error, `cannot open ${digest}`);
  }

  /** Whether others need the blob: nobody may have it to upload again, as it is with packages that are never evicted. */
  #isKept(key: EntryKey, ownPins: number): boolean {
    return this.#entries.catalog.pins.holders(keyText(key)) > ownPins;
  }

  /** @param written time of writing that the index had when the damage was found; another upload has another */
  async #putAside(digest: Digest, written: number | undefined, reason: string): Promise<undefined> {
    const key = blobKey(digest);
    const isStillThere = () => this.#entries.catalog.record(key)?.mtimeMs === written;
    await this.#entries.putAside(key, String(digest), reason, isStillThere);
    return undefined;
  }

  #sync(span: Span | undefined, sync: () => Promise<void>): Promise<void> {
    const { spans } = this.#entries;
    const wait = this.#syncs.isFull && span?.recording ? spans.wait('sync', span) : undefined;
    return this.#syncs.run(() => {
      wait?.end();
      return spans.run('store.Sync', span, sync);
    });
  }

  /** Gives a file that is on the disk its place and its entry; when another upload of it was quicker, it is dropped. */
  async #enter(
    digest: Digest,
    path: string,
    mtimeMs: number,
    space: Reservation,
    span: Span | undefined,
  ): Promise<void> {
    const { catalog, directory, fs, spans } = this.#entries;
    const key = blobKey(digest);
    const commit = async (committing: Span) => {
      // One of another size can't be right: its record is damaged, and nobody would ever find it.
      if (catalog.findBlob(digest) !== -1) return fs.unlink(path).catch(() => {});
      await this.#moveIn(path, digest, committing);
      try {
        await catalog.put(key, { place: 'file', size: digest.size, lastUse: catalog.stamp(), mtimeMs }, space);
      } catch (error) {
        await fs.unlink(directory.blobFile(digest)).catch(() => {});
        throw error;
      }
    };
    await spans.locked(catalog.locks, keyText(key), span, () => spans.run('store.Commit', span, commit));
  }

  async #moveIn(incoming: string, digest: Digest, span: Span): Promise<void> {
    const { directory, fs } = this.#entries;
    try {
      const shard = await directory.moveIn(incoming, digest);
      if (this.#options.durability === 'full') await this.#sync(span, () => fs.syncDirectory(shard));
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

function statusOf(file: OpenFile): Promise<FileStatus> {
  return orFail((async () => file.status())(), 'cannot look at an upload');
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
