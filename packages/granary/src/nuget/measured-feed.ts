import { pipeline, type Readable, Transform } from 'node:stream';
import {
  type NuGetMetrics as CacheMetrics,
  NuGetError,
  type PackageIdentity,
  type SearchOptions,
} from '@granary/nuget';
import type {
  Answer,
  FeedCall,
  FeedContent,
  FeedSignatures,
  PackageContent,
  PackagePart,
  PackageReader,
  PushCall,
  ReceivedPackage,
} from '@granary/nuget-proxy';
import type { LookupKind, LookupResult, SourceCounters } from './nuget-metrics.js';

export interface MeasuredFeedOptions {
  readonly takesPackages: boolean;
  /** Whether an API key is one of this server's, which is nothing to tell a source. */
  readonly isOwnKey: (apiKey: string) => boolean;
  /** Is told where metadata came from; of packages whoever stores them tells it. */
  readonly caches: Pick<CacheMetrics, 'cacheHit' | 'cacheMiss'>;
}

/** A source whose answers are counted, and which takes packages only where the configuration says so. */
export class MeasuredFeed implements FeedContent {
  readonly name: string;
  readonly takesPackages: boolean;
  readonly signatures: FeedSignatures | undefined;
  readonly #inner: FeedContent;
  readonly #counters: SourceCounters;
  readonly #isOwnKey: (apiKey: string) => boolean;
  readonly #caches: MeasuredFeedOptions['caches'];

  constructor(inner: FeedContent, counters: SourceCounters, options: MeasuredFeedOptions) {
    this.name = inner.name;
    this.takesPackages = options.takesPackages;
    this.#isOwnKey = options.isOwnKey;
    this.#caches = options.caches;
    this.#inner = inner;
    this.#counters = counters;
    const { signatures } = inner;
    this.signatures = signatures && {
      offered: (call) => signatures.offered(call),
      list: (call) => this.#counted('metadata', signatures.list(call), call),
      certificate: (fingerprint, call) => this.#counted('metadata', signatures.certificate(fingerprint, call), call),
    };
  }

  versions(id: string, call?: FeedCall): ReturnType<FeedContent['versions']> {
    return this.#counted('metadata', this.#inner.versions(id, call), call);
  }

  versionsAtHand(id: string): ReturnType<NonNullable<FeedContent['versionsAtHand']>> {
    const answer = this.#inner.versionsAtHand?.(id);
    if (answer === null) {
      this.#counters.count('metadata', 'not_found');
      this.#caches.cacheHit?.('metadata');
    } else if (answer !== undefined) this.#count('metadata', answer.state);
    return answer;
  }

  records(id: string, call?: FeedCall): ReturnType<FeedContent['records']> {
    return this.#counted('metadata', this.#inner.records(id, call), call);
  }

  async package(identity: PackageIdentity, call?: FeedCall): Promise<PackageContent | undefined> {
    const content = await this.#counted('package', this.#inner.package(identity, call), call);
    return content?.state === 'hit' ? new SavedPackage(content, this.#counters) : content;
  }

  nuspec(identity: PackageIdentity, call?: FeedCall): ReturnType<FeedContent['nuspec']> {
    return this.#counted('metadata', this.#inner.nuspec(identity, call), call);
  }

  embedded(...[identity, file, call]: Parameters<FeedContent['embedded']>): ReturnType<FeedContent['embedded']> {
    return this.#counted('metadata', this.#inner.embedded(identity, file, call), call);
  }

  search(query: string, options: SearchOptions, call?: FeedCall): ReturnType<FeedContent['search']> {
    return this.#counted('metadata', this.#inner.search(query, options, call), call);
  }

  autocomplete(prefix: string, options: SearchOptions, call?: FeedCall): ReturnType<FeedContent['autocomplete']> {
    return this.#counted('metadata', this.#inner.autocomplete(prefix, options, call), call);
  }

  vulnerabilities(call?: FeedCall): ReturnType<FeedContent['vulnerabilities']> {
    return this.#counted('metadata', this.#inner.vulnerabilities(call), call);
  }

  async push(pkg: ReceivedPackage, call: PushCall): Promise<void> {
    await this.#inner.push(pkg, this.#passedOn(call));
  }

  async delete(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    return this.#inner.delete(identity, this.#passedOn(call));
  }

  async relist(identity: PackageIdentity, call: PushCall): Promise<boolean> {
    return this.#inner.relist(identity, this.#passedOn(call));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** @throws NuGetError `UNSUPPORTED` */
  #passedOn(call: PushCall): PushCall {
    if (!this.takesPackages) throw new NuGetError('UNSUPPORTED', `${this.name} takes no packages from here`);
    return call.apiKey !== undefined && this.#isOwnKey(call.apiKey) ? { ...call, apiKey: undefined } : call;
  }

  async #counted<T extends Pick<Answer<unknown>, 'state'> | undefined>(
    kind: LookupKind,
    answer: Promise<T>,
    call: FeedCall | undefined,
  ): Promise<T> {
    try {
      const found = await answer;
      this.#count(kind, found?.state ?? 'not_found');
      return found;
    } catch (error) {
      // A client who went away says nothing about the source.
      if (call?.signal?.aborted !== true) this.#count(kind, 'error');
      throw error;
    }
  }

  #count(kind: LookupKind, result: LookupResult): void {
    this.#counters.count(kind, result);
    if (kind !== 'metadata') return;
    if (result === 'hit' || result === 'stale') this.#caches.cacheHit?.('metadata');
    // Of what isn't there nobody says whether the source was asked.
    else if (result !== 'not_found') this.#caches.cacheMiss?.('metadata');
  }
}

/** A package that is here: what is read of it is saved. */
class SavedPackage implements PackageContent {
  readonly size: number | undefined;
  readonly etag: string | undefined;
  readonly lastModified: Date | undefined;
  readonly state: PackageContent['state'];
  readonly read?: (part?: PackagePart) => PackageReader;
  readonly #inner: PackageContent;
  readonly #counters: SourceCounters;

  constructor(inner: PackageContent, counters: SourceCounters) {
    this.size = inner.size;
    this.etag = inner.etag;
    this.lastModified = inner.lastModified;
    this.state = inner.state;
    this.#inner = inner;
    this.#counters = counters;
    const read = inner.read?.bind(inner);
    if (read !== undefined) this.read = (part) => new SavedReader(read(part), counters);
  }

  open(part?: PackagePart): Readable {
    const counted = new Transform({
      transform: (chunk: Buffer, _encoding, pass) => {
        this.#counters.save(chunk.length);
        pass(null, chunk);
      },
    });
    // What ends one of them early ends the other, and whoever reads hears of it.
    return pipeline(this.#inner.open(part), counted, () => {});
  }

  release(): void {
    this.#inner.release();
  }
}

/** Counts what is read, and not what is there: clients take parts, and leave. */
class SavedReader implements PackageReader {
  readonly #inner: PackageReader;
  readonly #counters: SourceCounters;

  constructor(inner: PackageReader, counters: SourceCounters) {
    this.#inner = inner;
    this.#counters = counters;
  }

  next(): Buffer | undefined | Promise<Buffer | undefined> {
    const chunk = this.#inner.next();
    return chunk instanceof Promise ? chunk.then(this.#save) : this.#save(chunk);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  readonly #save = (chunk: Buffer | undefined): Buffer | undefined => {
    if (chunk !== undefined) this.#counters.save(chunk.length);
    return chunk;
  };
}
