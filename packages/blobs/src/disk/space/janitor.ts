import { type Logger, type Span, type Tracer, withSpan } from '@granary/telemetry';
import type { Catalog } from '../index/catalog.js';
import { type EntryKey, keyText } from '../index/entry-key.js';
import type { Eviction } from '../options.js';
import { Yielder } from '../yielding.js';
import { collectOldest, type OldEntry } from './oldest-entries.js';
import type { SpaceLedger } from './space-ledger.js';

/** Old entries that one pass over the table collects; a million entries are passed in about 15 ms. */
const COLLECTED = 4096;
/** Entries that go in one transaction. */
const BATCH = 64;
/** Uploads wait, and nothing could go yet: time until the next look. */
const RETRY_MS = 100;

export interface JanitorOptions {
  readonly catalog: Catalog;
  readonly ledger: SpaceLedger;
  readonly minAgeMs: number;
  readonly clock: () => number;
  readonly logger: Logger;
  readonly tracer: Tracer;
  /** Name of the store. */
  readonly tier: string;
  /** Bytes that the file system has left. */
  readonly freeBytes: () => Promise<number>;
  /** Removes an entry whose last use is still this one. Resolves to its bytes when the space is free again. */
  readonly evict: (entry: OldEntry, key: EntryKey) => Promise<number>;
  readonly onEvicted: (eviction: Eviction) => void;
}

/**
 * Keeps the store under its limit and the file system from filling up. It evicts in the order of last use, blobs and
 * action results alike, from a high-water mark down to a low-water mark, in small batches between which requests have
 * their turn. What was used lately, is being read or is being written stays.
 *
 * For the file system's sake only files go: the database's file never shrinks.
 */
export class Janitor {
  readonly #options: JanitorOptions;
  #oldest: OldEntry[] = [];
  #oldestAreFiles = false;
  #running: Promise<void> | undefined;
  #again = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  #evictions = 0;
  #evictedBytes = 0;
  #longestIdleMs = 0;

  constructor(options: JanitorOptions) {
    this.#options = options;
  }

  get evictions(): number {
    return this.#evictions;
  }

  get evictedBytes(): number {
    return this.#evictedBytes;
  }

  get longestIdleMs(): number {
    return this.#longestIdleMs;
  }

  /** Makes room if it is needed; returns at once. */
  wake(): void {
    void this.run();
  }

  /** Makes room if it is needed; resolves when that is done or nothing more can go. Never throws. */
  run(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return this.#running;
    }
    if (this.#closed || !this.#options.catalog.loaded) return Promise.resolve();
    this.#running = this.#work().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#running;
  }

  async #work(): Promise<void> {
    const { ledger, logger } = this.#options;
    try {
      do {
        this.#again = false;
        ledger.sawFree(await this.#options.freeBytes());
        if (ledger.excess() > 0 || ledger.freeShortage() > 0) await this.#makeRoomTraced();
        ledger.admitWaiters();
      } while (this.#again && !this.#closed && (ledger.excess() > 0 || ledger.freeShortage() > 0));
    } catch (error) {
      logger.error('The janitor failed and will try again', error);
    }
    if (ledger.hasWaiters && !this.#closed) this.#tryAgainLater();
  }

  #makeRoomTraced(): Promise<void> {
    const { tracer, tier } = this.#options;
    // Whoever's upload was one too many, the work is nobody's in particular: a trace of its own.
    const options = { parent: null, attributes: { 'cache.tier': tier } };
    return withSpan(tracer, 'janitor.Run', options, (span) => this.#makeRoom(span));
  }

  async #makeRoom(span: Span): Promise<void> {
    const { ledger, clock } = this.#options;
    let count = 0;
    let bytes = 0;
    let lastUse = 0;
    // What a shortage on the file system asks for is fixed at the start: what is unlinked shows there only later.
    let shortage = ledger.freeShortage();
    const before = clock() - this.#options.minAgeMs;
    while (!this.#closed) {
      const excess = ledger.excess();
      if (excess <= 0 && shortage <= 0) break;
      const batch = await this.#nextBatch(excess <= 0, Math.max(excess, shortage), before);
      if (batch.length === 0) break;
      const gone = await Promise.all(batch.map((entry) => this.#evict(entry)));
      for (const [i, freed] of gone.entries()) {
        if (freed === 0) continue;
        count++;
        bytes += freed;
        shortage -= freed;
        lastUse = batch[i]?.lastUse ?? lastUse;
      }
    }
    span.setAttributes({ 'janitor.evicted': count, 'janitor.evicted_bytes': bytes });
    if (count === 0) return;
    this.#evictions += count;
    this.#evictedBytes += bytes;
    const idleMs = Math.max(0, clock() - lastUse);
    this.#longestIdleMs = idleMs;
    ledger.sawFree(await this.#options.freeBytes());
    this.#options.onEvicted({ count, bytes, idleMs });
  }

  /** The next few to go, by their last use: together about as large as what is wanted. */
  async #nextBatch(filesOnly: boolean, wanted: number, before: number): Promise<OldEntry[]> {
    const { catalog } = this.#options;
    if (this.#oldest.length === 0 || this.#oldestAreFiles !== filesOnly) {
      const oldest = await collectOldest(catalog.table, COLLECTED, before, filesOnly, new Yielder());
      this.#oldest = oldest.reverse();
      this.#oldestAreFiles = filesOnly;
    }
    const batch: OldEntry[] = [];
    let bytes = 0;
    while (batch.length < BATCH && bytes < wanted) {
      const entry = this.#oldest.pop();
      if (!entry) break;
      const handle = catalog.table.find(entry.key.kind, entry.key.words, entry.key.at);
      if (handle === -1 || catalog.table.lastUse(handle) !== entry.lastUse) continue;
      batch.push(entry);
      bytes += catalog.accountedAt(handle);
    }
    return batch;
  }

  async #evict(entry: OldEntry): Promise<number> {
    const { catalog } = this.#options;
    const handle = catalog.table.find(entry.key.kind, entry.key.words, entry.key.at);
    const key = handle === -1 ? undefined : catalog.keyAt(handle);
    if (!key) return 0;
    const text = keyText(key);
    if (catalog.pins.isPinned(text)) {
      // Whoever needs it uses it: so those behind it have their turn, however many are pinned.
      catalog.table.touch(handle, catalog.stamp());
      return 0;
    }
    if (catalog.locks.isHeld(text)) return 0;
    return this.#options.evict(entry, key);
  }

  #tryAgainLater(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.wake(), RETRY_MS);
    this.#retry.unref();
  }
}
