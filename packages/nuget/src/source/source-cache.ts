import { Chain, type Layer, MemoryLayer } from '@granary/cache';
import { quietly } from '@granary/resilience';
import { type Logger, nullLogger } from '@granary/telemetry';
import { NuGetError } from '../errors.js';
import { sourceFolder } from '../http-cache/cache-names.js';
import { HttpCache, type HttpCacheOptions } from '../http-cache/http-cache.js';
import { type NuGetMetrics, noopNuGetMetrics } from '../metrics.js';
import { DiskDocuments } from './documents/disk-documents.js';
import type { FeedDocument } from './documents/document.js';
import { DocumentCounter, type HeldDocument, MemoryDocuments } from './documents/memory-documents.js';
import { SharedDocuments } from './documents/shared-documents.js';
import { DEFAULT_MAX_AGE_MS } from './source-cache-context.js';

/** The layers of a `SourceCache`, and their sizes. */
export interface SourceCacheOptions {
  /** The cache on disk, which stays the caller's to close, or what to make one with. Default: none. */
  readonly disk?: HttpCache | HttpCacheOptions | undefined;
  /** Most documents in memory. Default 10,000; 0 for none. */
  readonly memoryEntries?: number | undefined;
  /** Most bytes in memory, as an estimate. Default 100 MiB. */
  readonly memoryBytes?: number | undefined;
  /** A layer that several machines share, as of `@granary/cache/redis`; it stays the caller's to close. Default: none. */
  readonly shared?: Layer<Uint8Array> | undefined;
  readonly metrics?: NuGetMetrics | undefined;
  readonly logger?: Logger | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

const DEFAULT_ENTRIES = 10_000;
const DEFAULT_BYTES = 100 * 1024 * 1024;
/** What a parsed document takes in memory, compared with its bytes, and beside them. */
const BYTES_PER_BYTE = 3;
const BYTES_PER_DOCUMENT = 1000;

/** The documents of one source, from memory down. */
export interface SourceDocuments {
  readonly chain: Chain<FeedDocument>;
  readonly memory: MemoryDocuments;
  readonly counter: DocumentCounter;
  /** Removes from the disk, where other processes find it, what the source said of what it has. */
  forgetLists(): Promise<void>;
  close(): Promise<void>;
}

/** What sources answered: in memory, on disk and in a shared layer, for any number of sources. */
export class SourceCache implements AsyncDisposable {
  readonly disk: HttpCache | undefined;
  /** Whether there is a layer that keeps documents. */
  readonly keepsDocuments: boolean;
  readonly #ownsDisk: boolean;
  readonly #memory: MemoryLayer<HeldDocument>;
  readonly #counter = new DocumentCounter();
  readonly #shared: Layer<Uint8Array> | undefined;
  readonly #logger: Logger;
  readonly #clock: () => number;
  readonly #stopped: (() => void) | undefined;
  readonly #chains = new Set<Chain<FeedDocument>>();
  #closing: Promise<void> | undefined;

  /** @throws {@link NuGetError} `INVALID_OPTION` */
  constructor(options: SourceCacheOptions = {}) {
    const { disk, memoryEntries = DEFAULT_ENTRIES, memoryBytes = DEFAULT_BYTES, logger = nullLogger } = options;
    for (const [name, value] of Object.entries({ memoryEntries, memoryBytes })) {
      if (Number.isSafeInteger(value) && value >= 0) continue;
      throw new NuGetError('INVALID_OPTION', `${name} must be a whole number of at least 0, not ${value}`);
    }
    this.#clock = options.clock ?? Date.now;
    this.#logger = logger;
    this.#shared = options.shared;
    this.#ownsDisk = !(disk instanceof HttpCache);
    this.disk =
      disk === undefined || disk instanceof HttpCache ? disk : new HttpCache({ logger, clock: this.#clock, ...disk });
    this.keepsDocuments =
      (memoryEntries > 0 && memoryBytes > 0) || this.disk !== undefined || this.#shared !== undefined;
    const size = ({ document }: HeldDocument) => document.size * BYTES_PER_BYTE + BYTES_PER_DOCUMENT;
    this.#memory = new MemoryLayer<HeldDocument>({
      maxEntries: Math.max(1, memoryEntries),
      maxBytes: Math.max(1, memoryEntries === 0 ? 0 : memoryBytes),
      sizeOf: size,
      clock: this.#clock,
    });
    const metrics = options.metrics ?? noopNuGetMetrics;
    this.#stopped = quietly(() => metrics.cacheStarted?.({ bytes: () => this.bytes() }));
  }

  /** Bytes by tier, as far as they are known. */
  bytes(): Map<string, number> {
    const bytes = new Map([['memory', this.#memory.stats().bytes ?? 0]]);
    if (this.disk?.bytes !== undefined) bytes.set('disk', this.disk.bytes);
    return bytes;
  }

  /** The documents of a source. Whoever asked for them closes them; what is cached stays. */
  documents(sourceUrl: string): SourceDocuments {
    if (this.#closing !== undefined) throw new NuGetError('CLOSED', 'the cache is closed');
    const { disk } = this;
    const folder = sourceFolder(sourceUrl).slice(0, 40);
    const memory = new MemoryDocuments({
      memory: this.#memory,
      prefix: `${folder} `,
      counter: this.#counter,
      maxAgeMs: disk === undefined && this.#shared === undefined ? undefined : DEFAULT_MAX_AGE_MS,
      clock: this.#clock,
    });
    const layers: Layer<FeedDocument>[] = [memory];
    if (disk !== undefined) layers.push(new DiskDocuments(disk, sourceUrl));
    if (this.#shared !== undefined) layers.push(new SharedDocuments(this.#shared, `nuget:${folder}:`));
    const chain = new Chain<FeedDocument>({ layers, logger: this.#logger, clock: this.#clock });
    this.#chains.add(chain);
    const close = () => {
      this.#chains.delete(chain);
      return chain.close();
    };
    const forgetLists = async () => disk?.deleteBeginning(sourceUrl, 'list_');
    return { chain, memory, counter: this.#counter, forgetLists, close };
  }

  /** Closes what it made. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#chains].map((chain) => chain.close()));
    if (this.#ownsDisk) await this.disk?.close();
    this.#memory.close();
    quietly(() => this.#stopped?.());
  }
}
