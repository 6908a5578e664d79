import { type BlobSource, DigestMismatchError } from '@granary/blobs';

/** A source whose size is watched and that ends when it is told to, even while it is silent. */
export class UploadSource implements AsyncIterableIterator<Uint8Array> {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #size: number;
  #seen = 0;
  #ended = false;
  #stopped: { readonly reason: unknown } | undefined;
  #reject: ((reason: unknown) => void) | undefined;

  constructor(source: BlobSource, size: number) {
    this.#iterator = source instanceof Uint8Array ? once(source) : source[Symbol.asyncIterator]();
    this.#size = size;
  }

  /** @throws DigestMismatchError as soon as there are more bytes than announced, or when it ends with fewer */
  async next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#stopped) throw this.#stopped.reason;
    const step = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      this.#reject = reject;
      this.#iterator.next().then(resolve, (error: unknown) => {
        this.#ended = true;
        reject(error);
      });
    });
    this.#reject = undefined;
    if (step.done) {
      this.#ended = true;
      if (this.#seen < this.#size)
        throw new DigestMismatchError(`the content has ${this.#seen} bytes, and its digest names ${this.#size}`);
      return { value: undefined, done: true };
    }
    this.#seen += step.value.length;
    if (this.#seen <= this.#size) return step;
    // A loop over an iterator that throws doesn't tell it that it is left.
    this.#leave();
    throw new DigestMismatchError(`the content is larger than the ${this.#size} bytes that its digest names`);
  }

  /** Whoever waits for the next chunk gets the reason, and the source is told that nobody wants it any more. */
  stop(reason: unknown): void {
    if (this.#stopped) return;
    this.#stopped = { reason };
    this.#reject?.(reason);
    this.#leave();
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#leave();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #leave(): void {
    if (this.#ended) return;
    this.#ended = true;
    // Not waited for: a source that hangs must not hold up the one that gives up on it.
    void Promise.resolve(this.#iterator.return?.()).catch(() => {});
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}
