import { withTimeout } from '@granary/resilience';
import type {
  BlobReader,
  BlobSource,
  BlobStore,
  GetOptions,
  OperationOptions,
  ReadOptions,
  WriteOptions,
} from '../blob-store.js';
import type { Digest } from '../digest.js';
import { GuardedReader } from '../tiered/resilience/guarded-reader.js';
import { StorePolicies, type StoreResilienceOptions } from '../tiered/resilience/store-policies.js';
import { Upload } from '../tiered/resilience/upload.js';
import { StoreDecorator } from './store-decorator.js';
import { underSignal } from './under-signal.js';

/** Content that no line is too slow for to be sent within the time of an attempt; the time of more depends on whether it gets on. */
const MOST_TIMED_BYTES = 64 * 1024;

class ResilientStore extends StoreDecorator {
  readonly #policies: StorePolicies;

  constructor(inner: BlobStore, options: StoreResilienceOptions) {
    super(inner);
    this.#policies = new StorePolicies(inner.name, options);
  }

  override findMissing(digests: readonly Digest[], options?: OperationOptions): Promise<Digest[]> {
    return this.#policies.several('findMissing', options, ({ signal }) =>
      this.inner.findMissing(digests, underSignal(options, signal)),
    );
  }

  override get(digest: Digest, options?: GetOptions): Promise<Buffer | undefined> {
    // Memory of the caller's is not handed on: an attempt that was given up might still write into it.
    return this.#policies.whole(`get ${digest}`, options, ({ signal }) =>
      this.inner.get(digest, underSignal(options, signal)),
    );
  }

  override async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    const what = `read ${digest}`;
    const caller = options?.signal;
    let opened: GuardedReader | undefined;
    try {
      return await this.#policies.whole(what, options, async (context) => {
        opened = await GuardedReader.open(this.#policies, what, context, caller, (signal) =>
          this.inner.read(digest, underSignal(options, signal)),
        );
        return opened;
      });
    } catch (error) {
      // It may have been opened in the moment in which the caller went away.
      void opened?.close();
      throw error;
    }
  }

  override write(digest: Digest, source: BlobSource, options?: WriteOptions): Promise<void> {
    const what = `write ${digest}`;
    const inMemory = source instanceof Uint8Array;
    if (inMemory && source.length <= MOST_TIMED_BYTES) {
      return this.#policies.whole(what, options, ({ signal }) =>
        this.inner.write(digest, source, underSignal(options, signal)),
      );
    }
    return this.#policies.upload(what, options, inMemory, (context) =>
      new Upload(source, this.#policies).run(context.signal, (content, signal, onProgress) =>
        this.inner.write(digest, content, { ...underSignal(options, signal), onProgress }),
      ),
    );
  }

  override delete(digest: Digest): Promise<boolean> {
    return this.#policies.whole(`delete ${digest}`, undefined, () => this.inner.delete(digest));
  }

  override async close(): Promise<void> {
    const { idleTimeoutMs, timers } = this.#policies;
    await withTimeout(() => this.inner.close(), idleTimeoutMs, { timers }).catch((error: unknown) => {
      throw this.#policies.explain('close', error);
    });
  }
}

/**
 * Keeps a store on another machine from holding anybody up: throttle ( total time ( retries ( rate limit ( breaker ( time
 * of one attempt ( the call )))))). A read is retried until its first byte has come, an upload only when it is in memory; from
 * then on a stream may take as long as it likes, and not stand still for longer than the idle time. A miss is a success,
 * an abort of the caller is neither. What the store throws passes through unchanged; a timeout or a full queue is a
 * `RemoteStoreError`, and an open breaker a `TierUnavailableError` at once, caused by a `CircuitOpenError`.
 *
 * @throws InvalidOptionError that names the option
 */
export function withResilience(store: BlobStore, options: StoreResilienceOptions = {}): BlobStore {
  return new ResilientStore(store, options);
}
