import { type Logger, type Span, type Tracer, withSpan } from '@granary/telemetry';
import type { Catalog } from '../index/catalog.js';
import { type EntryKey, keyText } from '../index/entry-key.js';
import type { Eviction } from '../options.js';
import { Yielder } from '../yielding.js';
import { collectOldest, type EvictedKind, type OldEntry } from './oldest-entries.js';
import type { SpaceLedger } from './space-ledger.js';

/** Old entries that one pass over the table collects; a million entries are passed in about 15 ms. */
const COLLECTED = 4096;
/** Entries that go in one transaction. */
const BATCH = 64;
/** Uploads wait, and nothing could go yet: time until the next look. */
const RETRY_MS = 100;

/** What a run has evicted. */
interface Gone {
  count: number;
  bytes: number;
  fileBytes: number;
  /** That of the last one. */
  lastUse: number;
}

export interface JanitorOptions {
  readonly catalog: Catalog;
  readonly ledger: SpaceLedger;
  readonly minAgeMs: number;
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
 * For the file system's sake only files go, since the database's file never shrinks; while it is short of space, entries
 * in the database go for others there.
 */
export class Janitor {
  readonly #options: JanitorOptions;
  /** Those that were found to be the oldest, the oldest last. */
  readonly #oldest: Record<EvictedKind, OldEntry[]> = { any: [], file: [], 'in database': [] };
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
        if (ledger.isShort) await this.#makeRoomTraced();
        ledger.admitWaiters();
      } while (this.#again && !this.#closed && ledger.isShort);
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
    const { ledger, catalog } = this.#options;
    // What a shortage on the file system asks for is fixed at the start: what is unlinked shows there only later.
    const shortage = ledger.freeShortage();
    const gone: Gone = { count: 0, bytes: 0, fileBytes: 0, lastUse: 0 };
    await this.#evictWhile('any', () => ledger.excess(), gone);
    await this.#evictWhile('file', () => shortage - gone.fileBytes, gone);
    if (ledger.databaseShortage() > 0) {
      const before = gone.count;
      await this.#evictWhile('in database', () => ledger.databaseShortage(), gone);
      ledger.triedDatabase(gone.count > before);
    }
    const { count, bytes } = gone;
    span.setAttributes({ 'janitor.evicted': count, 'janitor.evicted_bytes': bytes });
    if (count === 0) return;
    this.#evictions += count;
    this.#evictedBytes += bytes;
    const idleMs = Math.max(0, catalog.now() - gone.lastUse);
    this.#longestIdleMs = idleMs;
    ledger.sawFree(await this.#options.freeBytes());
    this.#options.onEvicted({ count, bytes, idleMs });
  }

  /** Evicts entries of a kind, in small batches, as long as bytes are wanted and there is one that may go. */
  async #evictWhile(kind: EvictedKind, wanted: () => number, gone: Gone): Promise<void> {
    const { catalog, minAgeMs } = this.#options;
    const before = catalog.now() - minAgeMs;
    for (let bytes = wanted(); bytes > 0 && !this.#closed; bytes = wanted()) {
      const batch = await this.#nextBatch(kind, bytes, before);
      if (batch.length === 0) return;
      const freed = await Promise.all(batch.map((entry) => this.#evict(entry)));
      for (const [i, entry] of batch.entries()) {
        const bytes = freed[i] ?? 0;
        if (bytes === 0) continue;
        gone.count++;
        gone.bytes += bytes;
        if (entry.isFile) gone.fileBytes += bytes;
        gone.lastUse = entry.lastUse;
      }
    }
  }

  /** The next few to go, by their last use: together about as large as what is wanted. */
  async #nextBatch(kind: EvictedKind, wanted: number, before: number): Promise<OldEntry[]> {
    const { catalog } = this.#options;
    if (this.#oldest[kind].length === 0) {
      const oldest = await collectOldest(catalog.table, COLLECTED, before, kind, new Yielder());
      this.#oldest[kind] = oldest.reverse();
    }
    const batch: OldEntry[] = [];
    let bytes = 0;
    while (batch.length < BATCH && bytes < wanted) {
      const entry = this.#oldest[kind].pop();
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
