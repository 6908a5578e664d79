import type { BlobReader, BlobSource, GetOptions, MaybePromise, OperationOptions, ReadOptions } from '../blob-store.js';
import { BufferReader, iterateReader, readRange } from '../buffer-reader.js';
import type { Digest } from '../digest.js';
import { MemoryBlobStore } from '../memory/memory-blob-store.js';
import { RemoteStoreError } from '../remote/remote-store-error.js';

export type StoreCall = 'findMissing' | 'get' | 'read' | 'write';

/** What a delivery does before it hands out the bytes from `position` on. */
export type DeliveryScript = (position: number, signal: AbortSignal | undefined) => MaybePromise<void>;

/** A store on another machine, as a test wants it: slow, broken off, wrong, or gone. */
export class ScriptedStore extends MemoryBlobStore {
  readonly calls: { readonly call: StoreCall; readonly digests: readonly Digest[]; readonly options: unknown }[] = [];
  /** Asked before every call; what it throws is what the caller gets. */
  before: (call: StoreCall, options: OperationOptions | undefined) => MaybePromise<void> = () => {};
  /** Asked before each chunk of a read. */
  delivery: DeliveryScript = () => {};
  /** Changes what is delivered. */
  tamper: (bytes: Buffer) => Buffer = (bytes) => bytes;
  chunkBytes = 64 * 1024;
  openReaders = 0;

  count(call: StoreCall): number {
    return this.calls.filter((one) => one.call === call).length;
  }

  gone(reason = 'nobody listens'): RemoteStoreError {
    return new RemoteStoreError(this.name, 'unavailable', reason);
  }

  override findMissing(digests: readonly Digest[], options?: OperationOptions): Digest[] {
    // The interface allows a promise and this class doesn't need one: those that await don't mind.
    return this.#called('findMissing', digests, options, () => super.findMissing(digests)) as Digest[];
  }

  override get(digest: Digest, options?: GetOptions): Buffer | undefined {
    const get = () => {
      const bytes = super.get(digest);
      return bytes && this.tamper(bytes);
    };
    return this.#called('get', [digest], options, get) as Buffer | undefined;
  }

  override async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    const reader = await this.#called('read', [digest], options, () => super.read(digest));
    if (!reader) return undefined;
    const parts: Buffer[] = [];
    for await (const chunk of reader) parts.push(Buffer.from(chunk));
    const { offset, length } = readRange(digest.size, options);
    const whole = this.tamper(Buffer.concat(parts));
    const bytes = offset + length === digest.size ? whole.subarray(offset) : whole.subarray(offset, offset + length);
    this.openReaders++;
    return new ScriptedReader(this, bytes, length, options);
  }

  override async write(digest: Digest, source: BlobSource, options?: OperationOptions): Promise<void> {
    await this.#called('write', [digest], options, () => super.write(digest, source, options));
  }

  #called<T>(call: StoreCall, digests: readonly Digest[], options: OperationOptions | undefined, work: () => T) {
    this.calls.push({ call, digests, options });
    const wait = this.before(call, options);
    return wait instanceof Promise ? wait.then(work) : work();
  }
}

class ScriptedReader implements BlobReader {
  readonly length: number;
  /** Each chunk is a copy of its own. */
  readonly lasting = true;
  readonly #store: ScriptedStore;
  readonly #bytes: Buffer;
  readonly #options: ReadOptions | undefined;
  #position = 0;
  #closed = false;

  constructor(store: ScriptedStore, bytes: Buffer, length: number, options: ReadOptions | undefined) {
    this.length = length;
    this.#store = store;
    this.#bytes = bytes;
    this.#options = options;
  }

  async next(): Promise<Buffer | undefined> {
    const { signal, offset = 0 } = this.#options ?? {};
    signal?.throwIfAborted();
    await this.#store.delivery(offset + this.#position, signal);
    signal?.throwIfAborted();
    if (this.#position >= this.#bytes.length || this.#closed) return undefined;
    const chunk = this.#bytes.subarray(this.#position, this.#position + this.#store.chunkBytes);
    this.#position += chunk.length;
    return BufferReader.copyOf(chunk).next();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#store.openReaders--;
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return iterateReader(this);
  }
}
