import type { Span } from '@granary/telemetry';
import { checkHash, consumeSource } from '../../blob-source.js';
import type { BlobSource, GrowingBlob, MaybePromise, WriteObserver } from '../../blob-store.js';
import type { Digest } from '../../digest.js';
import { createHasher, type Hasher } from '../../digest-function.js';
import type { StoreSpans } from '../../store-spans.js';
import { orFail, storeFailure } from '../failure.js';
import type { FileStatus } from './file-system.js';
import type { SyncGate } from './sync-gate.js';
import { UploadFile, type UploadFileOptions } from './upload-file.js';

/** A sync begins whenever so much has been written since the last, so that the one at the end is short. */
const SYNC_EVERY_BYTES = 16 * 1024 * 1024;

const NOTHING = new Uint8Array(0);

export interface UploadOptions extends UploadFileOptions {
  readonly syncs: SyncGate;
  /** Whether the bytes have to be on the disk when it resolves. */
  readonly sync: boolean;
  readonly signal: AbortSignal | undefined;
  readonly spans: StoreSpans;
  /** The span of the upload. */
  readonly span: Span;
  /** Reads the file while it grows. */
  readonly observer: WriteObserver | undefined;
  /** Asked with each chunk: whether somebody else has brought the blob meanwhile. */
  readonly isHere: () => boolean;
}

/** Ends an upload that nobody needs any more. */
const NOT_NEEDED = new Error('the blob came from elsewhere');

/**
 * Streams a source into a new file, through one hash. The chunks of clients are small (Bazel sends 16 KiB), so they
 * are gathered in two buffers: while one is on its way to the disk and being hashed, the other fills.
 *
 * When it fails, nothing is left, nor when another upload of the blob was done first: then the rest of the source is not
 * read, as the protocol has it (REAPI v2, `ContentAddressableStorage`), unless somebody reads this file.
 *
 * @throws DigestMismatchError when the bytes are not those that the digest names
 * @throws NoSpaceError when the file system is full
 * @returns what the file system says of the finished file; undefined when another upload was done first
 */
export async function receiveFile(
  path: string,
  digest: Digest,
  source: BlobSource,
  options: UploadOptions,
): Promise<FileStatus | undefined> {
  const { observer, isHere } = options;
  const file = await UploadFile.create(path, digest.size, observer !== undefined, options);
  const upload = new Upload(file, digest, options);
  const take = (chunk: Uint8Array) => {
    if (!observer && isHere()) throw NOT_NEEDED;
    return upload.take(chunk);
  };
  try {
    observer?.onGrowing(upload);
    if (!options.span.recording) {
      await consumeSource(source, digest.size, options.signal, take);
      return await upload.finish();
    }
    // The rest of the span's time the disk waited for the bytes.
    let waitedMs = 0;
    await consumeSource(source, digest.size, options.signal, async (chunk) => {
      const start = performance.now();
      await take(chunk);
      waitedMs += performance.now() - start;
    });
    options.span.setAttribute('store.waited_ms', waitedMs);
    return await upload.finish();
  } catch (error) {
    await upload.abandon();
    await options.fs.unlink(path).catch(() => {});
    if (error === NOT_NEEDED) return undefined;
    throw error;
  }
}

class Upload implements GrowingBlob {
  readonly #file: UploadFile;
  readonly #digest: Digest;
  readonly #options: UploadOptions;
  readonly #hasher: Hasher;
  readonly #transferBytes: number;
  /** Where small chunks gather. Taken when the first one comes. */
  #filling: Buffer | undefined;
  #filled = 0;
  /** The other buffer, and the write that it is in. */
  #resting: Buffer | undefined;
  #writing: Promise<void> | undefined;
  /** Bytes on their way to the disk, which end at `#position`. */
  #inFlight: Uint8Array = NOTHING;
  #position = 0;
  #syncedTo = 0;
  #syncing: Promise<void> | undefined;
  #failure: unknown;
  /** Reads of the file by observers; it stays open until they have ended. */
  readonly #reads = new Set<Promise<number>>();
  #closed = false;

  constructor(file: UploadFile, digest: Digest, options: UploadOptions) {
    this.#file = file;
    this.#digest = digest;
    this.#options = options;
    this.#hasher = createHasher(digest.function);
    this.#transferBytes = file.transferBytes;
  }

  get received(): number {
    return this.#position + this.#filled;
  }

  read(target: Buffer, targetStart: number, length: number, position: number): MaybePromise<number> {
    if (this.#closed) return 0;
    const onDisk = this.#position - this.#inFlight.length;
    if (position < onDisk) {
      const read = this.#file.read(target, targetStart, Math.min(length, onDisk - position), position);
      this.#reads.add(read);
      const ended = () => this.#reads.delete(read);
      read.then(ended, ended);
      return read;
    }
    const [memory, from] =
      position < this.#position ? [this.#inFlight, onDisk] : [this.#filling?.subarray(0, this.#filled), this.#position];
    const bytes = memory?.subarray(position - from, position - from + length) ?? NOTHING;
    target.set(bytes, targetStart);
    return bytes.length;
  }

  /** Takes a chunk; returns a promise only when it has to be waited for. */
  take(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#filled + chunk.length >= this.#transferBytes) return this.#takeLarge(chunk);
    const filling = this.#filling ?? this.#file.takeBuffer();
    this.#filling = filling;
    filling.set(chunk, this.#filled);
    this.#filled += chunk.length;
    return undefined;
  }

  async finish(): Promise<FileStatus> {
    if (this.#filled > 0) await this.#swap();
    await this.#settle();
    checkHash(this.#digest, this.#hasher.digest());
    this.#options.observer?.onVerified();
    await orFail(this.#file.end(this.#digest.size), 'cannot end an upload');
    if (this.#options.sync) {
      await this.#syncing;
      if (this.#failure !== undefined) throw storeFailure(this.#failure, 'cannot sync an upload');
      await orFail(this.#sync(), 'cannot sync an upload');
    }
    const status = await orFail((async () => this.#file.status())(), 'cannot look at an upload');
    await this.#endReads();
    await orFail(this.#file.close(), 'cannot close an upload');
    return status;
  }

  /** Ends everything that is under way; what failed before is known already. */
  async abandon(): Promise<void> {
    await this.#writing?.catch(() => {});
    await this.#syncing;
    await this.#endReads();
    await this.#file.close().catch(() => {});
  }

  async #endReads(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#reads);
  }

  async #takeLarge(chunk: Uint8Array): Promise<void> {
    let taken = 0;
    while (taken < chunk.length) {
      if (!this.#file.isDirect && this.#filled === 0 && chunk.length - taken >= this.#transferBytes) {
        // Straight from the source's memory, which is ours until this resolves.
        const part = chunk.subarray(taken, taken + this.#transferBytes);
        await this.#settle();
        this.#startWriting(part);
        await this.#settle();
        taken += part.length;
        continue;
      }
      const filling = this.#filling ?? this.#file.takeBuffer();
      this.#filling = filling;
      const part = chunk.subarray(taken, taken + this.#transferBytes - this.#filled);
      filling.set(part, this.#filled);
      this.#filled += part.length;
      taken += part.length;
      if (this.#filled === this.#transferBytes) await this.#swap();
    }
  }

  /** Sends the full buffer on its way and goes on with the other, when that has come back. */
  async #swap(): Promise<void> {
    await this.#settle();
    const full = this.#filling;
    if (!full) return;
    const bytes = full.subarray(0, this.#filled);
    this.#filling = this.#resting;
    this.#resting = full;
    this.#filled = 0;
    this.#startWriting(bytes);
  }

  /** Begins to write and hashes meanwhile. */
  #startWriting(bytes: Uint8Array): void {
    const position = this.#position;
    this.#position += bytes.length;
    this.#inFlight = bytes;
    this.#writing = orFail(this.#writeAll(bytes, position), 'cannot write an upload');
    // Whoever waits for it next gets the error; until then it must not count as unhandled.
    this.#writing.catch(() => {});
    this.#hasher.update(bytes);
  }

  async #writeAll(bytes: Uint8Array, position: number): Promise<void> {
    await this.#file.write(bytes, position);
    if (!this.#options.sync || this.#file.isDirect) return;
    if (position + bytes.length - this.#syncedTo >= SYNC_EVERY_BYTES) this.#startSync();
  }

  #sync(): Promise<void> {
    const { syncs, spans, span } = this.#options;
    if (!span.recording) return syncs.run(() => this.#file.datasync());
    const wait = syncs.isFull ? spans.wait('sync', span) : undefined;
    return syncs.run(() => {
      wait?.end();
      return spans.run('store.Sync', span, () => this.#file.datasync());
    });
  }

  #startSync(): void {
    if (this.#syncing) return;
    this.#syncedTo = this.#position;
    this.#syncing = this.#options.syncs
      .run(() => this.#file.datasync())
      .then(
        () => {
          this.#syncing = undefined;
        },
        (error: unknown) => {
          // The system may report a lost write only once, so it must not be forgotten.
          this.#failure = error;
          this.#syncing = undefined;
        },
      );
  }

  async #settle(): Promise<void> {
    const writing = this.#writing;
    this.#writing = undefined;
    await writing;
    this.#inFlight = NOTHING;
  }
}
