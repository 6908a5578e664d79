import type { Span } from '@granary/telemetry';
import type { Digest } from './digest.js';
import { type DigestFunction, isDigestFunction } from './digest-function.js';
import type { OpenFile } from './disk/files/file-system.js';

/** A value now, or a promise of it: what is in memory is answered without the cost of a promise. */
export type MaybePromise<T> = T | Promise<T>;

export interface OperationOptions {
  /** Ends the work when aborted; the operation then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The span that the work is part of. */
  readonly span?: Span | undefined;
  /** The servers that the request has passed, the first one first: what notices a circle of tiers. */
  readonly via?: readonly string[] | undefined;
}

export interface GetOptions extends OperationOptions {
  /**
   * Gives the memory that the blob is to be put into, so that it need not be copied once more. A store may do without
   * it; one that uses it does so before `get` returns and then answers at once. Default: memory of the blob's own.
   */
  readonly allocate?: ((bytes: number) => Buffer) | undefined;
}

export interface ReadOptions extends OperationOptions {
  /** Bytes to skip; 0 to `digest.size`. Default 0. */
  readonly offset?: number;
  /** Most bytes to deliver. Default: all that follow the offset. */
  readonly limit?: number;
}

/**
 * Content on its way out. A chunk is the consumer's to read until it asks for the next one, when its memory is used
 * again unless it is {@link lasting}: copy what must live longer. To close the reader early leaves the chunk alone.
 * `for await` closes the reader at its end, on `break` and on an error; whoever doesn't iterate to the end calls
 * {@link close}.
 */
export interface BlobReader extends AsyncIterable<Buffer> {
  /** Bytes that this reader will deliver. */
  readonly length: number;
  /**
   * Whether the memory of the chunk that was handed out last is never used again. Other readers may have the same one:
   * what is put in front of it may depend on nothing but its length. Default: false.
   */
  readonly lasting?: boolean;
  /**
   * The next chunk, or undefined at the end. Each chunk lies in a larger buffer with at least
   * {@link CHUNK_HEADROOM} bytes in front of it that the consumer may overwrite, so that a frame's header can be
   * put before the bytes without copying them.
   *
   * @throws BlobDamagedError when what was read is not the blob; what came before must not be used
   */
  next(): Promise<Buffer | undefined>;
  close(): Promise<void>;
}

/**
 * Bytes in front of every chunk of a {@link BlobReader} that a consumer may overwrite: the headers of a gRPC message (5)
 * and of a field as long as {@link CHUNK_BYTES} (4). What comes in such a message can go out in the same memory.
 */
export const CHUNK_HEADROOM = 9;

/** Most bytes in one chunk of a {@link BlobReader}. */
export const CHUNK_BYTES = 256 * 1024;

/** Content on its way in: all at once, or in chunks whose memory the store may use until it asks for the next. */
export type BlobSource = Uint8Array | AsyncIterable<Uint8Array>;

/** A blob that is being written, for those who want to read what has come so far. */
export interface GrowingBlob {
  /** Bytes that have come so far: they can be read. */
  readonly received: number;
  /**
   * Copies bytes that have come, at once where they are in memory.
   *
   * @returns how many were copied, at least one; 0 when nothing can be read here any more, because the write is over:
   *   then the blob is in the store, or nowhere
   */
  read(target: Buffer, targetStart: number, length: number, position: number): MaybePromise<number>;
}

/** Whoever reads a blob while it is being written. */
export interface WriteObserver {
  /** Called before the first byte is taken; never by stores that can't have it, or for small blobs. */
  onGrowing(blob: GrowingBlob): void;
  /** All bytes have come and are what the digest names; what is left is to make them durable. */
  onVerified(): void;
}

export interface WriteOptions extends OperationOptions {
  readonly observer?: WriteObserver | undefined;
  /**
   * Called by stores on other machines each time that some of what they hold in memory has left, or that others get on for
   * which this write waits: however long it takes, it doesn't stand still. Most stores take a chunk only when the one before
   * has left, and never call it.
   */
  readonly onProgress?: (() => void) | undefined;
}

/** A file that has all of a blob, and will not change any more. */
export interface WholeFile {
  /** Its only name, in the file system in which the store is. */
  readonly path: string;
  /** Open since it was made: a sync tells only then of every write that was lost. */
  readonly file: OpenFile;
}

/**
 * Content by digest. What is in a store is complete and was verified when it entered; a digest whose hash is known
 * but whose size differs names nothing.
 *
 * Stores grow by decoration: each concern (limits, metrics, verification) is a store around a store.
 */
export interface BlobStore {
  /** Short and stable: a metric label. */
  readonly name: string;

  /** Those of the digests that are not here, in their order. Finding a blob counts as a use of it. */
  findMissing(digests: readonly Digest[], options?: OperationOptions): MaybePromise<Digest[]>;

  /**
   * A whole blob in one buffer of its own (or in the one that the caller gave), or undefined when it is not here. Meant
   * for small blobs: the caller bounds the size before it asks.
   */
  get(digest: Digest, options?: GetOptions): MaybePromise<Buffer | undefined>;

  /** A blob, or a part of it, as a stream; undefined when it is not here. */
  read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined>;

  /**
   * Stores content. Resolves when it is durable as configured; a blob that is there already is not read again from
   * the source.
   *
   * @throws DigestMismatchError when size or hash differ; nothing is stored
   * @throws BlobTooLargeError before reading from the source
   * @throws NoSpaceError when space can't be made
   */
  write(digest: Digest, source: BlobSource, options?: WriteOptions): Promise<void>;

  /**
   * Stores content that is in a file already, and spares writing it once more; undefined in stores to which that is of no
   * use. The name is the store's from the call on: it is gone whatever comes of it. The open file stays the caller's to
   * read and to close. Its hash is believed, its size isn't: only for files that were hashed while they were written.
   *
   * @throws DigestMismatchError when it is not as long as the digest says
   * @throws NoSpaceError when space can't be made
   */
  readonly adopt?: ((digest: Digest, file: WholeFile, options?: OperationOptions) => Promise<void>) | undefined;

  /** Removes a blob; whether it was there. */
  delete(digest: Digest): Promise<boolean>;

  close(): Promise<void>;
}

/**
 * Knows blobs by their hash alone, for protocols that name content without its size. The disk store and the memory
 * store have it.
 */
export interface SizeLookup {
  /** The size of the blob with this hash; undefined when it is not here. No use of the blob: whoever reads it is. */
  sizeOf(fn: DigestFunction, hash: Uint8Array, options?: OperationOptions): MaybePromise<number | undefined>;
}

/**
 * Results of actions by key (see {@link actionKey}): small values, the last write wins. Has the shape of a cache layer.
 */
export interface ActionResultStore {
  readonly name: string;
  get(key: string, options?: OperationOptions): MaybePromise<Buffer | undefined>;
  /**
   * For who found what {@link get} gave to be of no use: the first value of another place that is, which takes the place
   * of the other. Only a store that is made of several places has it.
   */
  getElsewhere?(key: string, isUsable: IsUsable, options?: OperationOptions): MaybePromise<Buffer | undefined>;
  /** Resolves when the value is durable as configured. */
  set(key: string, value: Buffer, options?: OperationOptions): Promise<void>;
  delete(key: string): Promise<boolean>;
  close(): MaybePromise<void>;
}

/** Whether who asked for a result can do something with this one. One function is one question: who asks it joins others. */
export type IsUsable = (key: string, value: Buffer, options: OperationOptions | undefined) => MaybePromise<boolean>;

/** The key of an action's result: one result for each instance name and action digest. */
export function actionKey(instance: string, action: { readonly function: string; readonly hash: string }): string {
  return `${action.function}/${action.hash}/${instance}`;
}

/**
 * The digest function of the action whose result has this key.
 *
 * @throws RangeError when the key is none
 */
export function digestFunctionOfKey(key: string): DigestFunction {
  const fn = key.slice(0, key.indexOf('/'));
  if (!isDigestFunction(fn)) throw new RangeError('this is no key of an action result');
  return fn;
}
