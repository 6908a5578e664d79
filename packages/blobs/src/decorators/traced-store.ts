import { toMaybePromise } from '@granary/resilience';
import { type Attributes, type Span, type Tracer, withSpan } from '@granary/telemetry';
import type {
  BlobReader,
  BlobSource,
  BlobStore,
  GetOptions,
  MaybePromise,
  OperationOptions,
  ReadOptions,
  WholeFile,
  WriteOptions,
} from '../blob-store.js';
import type { Digest } from '../digest.js';
import { StoreDecorator } from './store-decorator.js';
import { optionsInSpan } from './traced-options.js';
import { readInSpan } from './traced-reader.js';

/**
 * Shows in a request's trace what was asked of a store and what came of it. Only a request whose span records is looked
 * at; for every other one this hands on and costs a comparison.
 */
class TracedStore extends StoreDecorator {
  readonly adopt: BlobStore['adopt'];
  readonly #tracer: Tracer;

  constructor(inner: BlobStore, tracer: Tracer) {
    super(inner);
    this.#tracer = tracer;
    if (inner.adopt !== undefined) this.adopt = this.#adopt;
  }

  override findMissing(digests: readonly Digest[], options?: OperationOptions): MaybePromise<Digest[]> {
    const parent = options?.span;
    if (!parent?.recording) return this.inner.findMissing(digests, options);
    const attributes = describeAll(this.name, digests);
    return withSpan(this.#tracer, 'proxy.FindMissing', { parent, attributes }, (span) =>
      seen(this.inner.findMissing(digests, optionsInSpan(options, span)), (missing) =>
        span.setAttributes(attributesOfAnswer(missing.length)),
      ),
    );
  }

  override get(digest: Digest, options?: GetOptions): MaybePromise<Buffer | undefined> {
    const parent = options?.span;
    if (!parent?.recording) return this.inner.get(digest, options);
    return withSpan(this.#tracer, 'proxy.Get', { parent, attributes: this.#describe(digest) }, (span) =>
      seen(this.inner.get(digest, optionsInSpan(options, span)), (bytes) =>
        span.setAttribute('cache.hit', bytes !== undefined),
      ),
    );
  }

  override read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    const parent = options?.span;
    return parent?.recording ? this.#read(digest, options, parent) : this.inner.read(digest, options);
  }

  override write(digest: Digest, source: BlobSource, options?: WriteOptions): Promise<void> {
    const parent = options?.span;
    if (!parent?.recording) return this.inner.write(digest, source, options);
    return withSpan(this.#tracer, 'proxy.Put', { parent, attributes: this.#describe(digest) }, (span) =>
      this.inner.write(digest, source, optionsInSpan(options, span)),
    );
  }

  async #adopt(digest: Digest, file: WholeFile, options?: OperationOptions): Promise<void> {
    const parent = options?.span;
    if (!parent?.recording) return this.inner.adopt?.(digest, file, options);
    return withSpan(this.#tracer, 'proxy.Put', { parent, attributes: this.#describe(digest) }, (span) =>
      this.inner.adopt?.(digest, file, optionsInSpan(options, span)),
    );
  }

  #read(digest: Digest, options: ReadOptions | undefined, parent: Span): Promise<BlobReader | undefined> {
    const span = this.#tracer.startSpan('proxy.Get', { parent, attributes: this.#describe(digest) });
    const open = () => this.inner.read(digest, optionsInSpan(options, span));
    return readInSpan(span, () => this.#tracer.runWith(span, open));
  }

  #describe(digest: Digest): () => Attributes {
    const { name } = this;
    const kept = digest.compact();
    return () => ({ 'cache.tier': name, 'cache.digest': String(kept), 'cache.size': kept.size });
  }
}

/** Keeps no digests but one until the span is exported. */
function describeAll(tier: string, digests: readonly Digest[]): () => Attributes {
  const count = digests.length;
  const only = count === 1 ? digests[0]?.compact() : undefined;
  return () => ({ 'cache.tier': tier, 'cache.digests': count, 'cache.digest': only?.toString() });
}

function attributesOfAnswer(missing: number): () => Attributes {
  return () => ({ 'cache.missing': missing, 'cache.hit': missing === 0 });
}

/** Tells of a value when it is there. */
function seen<T>(given: MaybePromise<T>, tell: (value: T) => void): MaybePromise<T> {
  const value = toMaybePromise(given);
  if (value instanceof Promise)
    return value.then((late) => {
      tell(late);
      return late;
    });
  tell(value);
  return value;
}

/**
 * Makes the spans `proxy.Get`, `proxy.Put` and `proxy.FindMissing` of what a traced request asks of the store. A tracer
 * that is off gives the store itself.
 */
export function withTracing(store: BlobStore, tracer: Tracer): BlobStore {
  return tracer.enabled ? new TracedStore(store, tracer) : store;
}
