import type { Digest } from '../digest.js';
import { isStoreError } from '../errors.js';
import { BackgroundCheck } from './background-check.js';
import type { EntryStore } from './entry-store.js';
import { writeRecency } from './index/recency-writer.js';
import { loadTable } from './index/table-loader.js';
import type { ResolvedOptions } from './options.js';
import type { Janitor } from './space/janitor.js';

/** Most records of last use that closing writes, so that it takes a second at most. */
const MOST_AT_CLOSE = 100_000;

/** What the store does beside its work: loads its table, looks at the free space, writes down what was used. */
export class Housekeeping {
  readonly #entries: EntryStore;
  readonly #janitor: Janitor;
  readonly #check: BackgroundCheck;
  readonly #options: ResolvedOptions;
  readonly #stop = new AbortController();
  #loading: Promise<void> | undefined;
  #sweeping: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  /** How the last round failed; undefined when it didn't. */
  #failure: string | undefined;
  /** Whether files without entries may lie about. */
  #mayHaveStrays = false;

  constructor(
    entries: EntryStore,
    janitor: Janitor,
    look: (digest: Digest) => Promise<void>,
    options: ResolvedOptions,
  ) {
    this.#entries = entries;
    this.#janitor = janitor;
    this.#check = new BackgroundCheck(entries, look);
    this.#options = options;
  }

  /** Resolves as soon as the store can serve; the rest goes on behind. */
  async start(): Promise<void> {
    const { database } = this.#entries.catalog;
    this.#mayHaveStrays = !database.wasClosed();
    await database.putClosed(false);
    await this.#lookAtFreeSpace();
    this.#loading = this.#load();
    if (this.#options.housekeepingMs === 0) return;
    this.#timer = setInterval(() => void this.round(), this.#options.housekeepingMs);
    this.#timer.unref();
  }

  async whenLoaded(): Promise<void> {
    await this.#loading;
  }

  /** Resolves when the table is complete and strays have been removed. */
  async whenStarted(): Promise<void> {
    await this.#loading;
    await this.#sweeping;
  }

  /** One round; a second call while one is under way waits for that one. */
  round(): Promise<void> {
    this.#round ??= this.#work().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  /** Ends everything and leaves the index complete, if it can be written. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await Promise.all([this.#loading, this.#sweeping, this.#round, this.#janitor.close()]);
    await this.#entries.catalog.locks.idle();
    try {
      await this.#writeDown();
    } catch (error) {
      // What is lost is the order of the last uses; the next start finds the rest as after a kill.
      this.#options.logger.warning('The store could not write down its last state', error);
    }
  }

  async #writeDown(): Promise<void> {
    const { catalog } = this.#entries;
    await writeRecency(catalog, undefined, MOST_AT_CLOSE);
    await catalog.putTotals();
    await catalog.database.putClosed(!this.#mayHaveStrays);
  }

  async #load(): Promise<void> {
    const { catalog } = this.#entries;
    const { logger } = this.#options;
    const start = performance.now();
    try {
      const inOtherProcess = this.#options.tableLoading === 'process';
      if (!(await loadTable(catalog, { signal: this.#stop.signal, logger, inOtherProcess }))) return;
    } catch (error) {
      logger.error('The table could not be loaded; lookups go on in the index', error);
      return;
    }
    logger.debug('Loaded {Entries} entries in {Elapsed} ms', catalog.count, performance.now() - start);
    this.#janitor.wake();
    if (this.#mayHaveStrays) this.#sweeping = this.#sweep();
  }

  async #sweep(): Promise<void> {
    try {
      if (await this.#check.removeStrays(this.#stop.signal)) this.#mayHaveStrays = false;
    } catch (error) {
      this.#options.logger.warning('Files that belong to nothing could not be removed', error);
    }
  }

  async #work(): Promise<void> {
    const { catalog } = this.#entries;
    try {
      await this.#lookAtFreeSpace();
      await this.#janitor.run();
      await writeRecency(catalog, this.#stop.signal);
      await catalog.putTotals();
      await this.#restoreFolders();
      if (catalog.loaded && !this.#stop.signal.aborted) await this.#check.sample();
      this.#worked();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Says it once: a disk that went read-only fails each round, and would fill the log. */
  #failed(error: unknown): void {
    const what = isStoreError(error) ? error.code : 'an error';
    if (what === this.#failure) return;
    this.#failure = what;
    this.#options.logger.error('Housekeeping failed with {Code} and will be tried until it works', what, error);
  }

  #worked(): void {
    if (this.#failure === undefined) return;
    this.#failure = undefined;
    this.#options.logger.information('Housekeeping works again');
  }

  async #restoreFolders(): Promise<void> {
    const { directory, catalog } = this.#entries;
    // Where the store's own folder is gone too, or another's is in its place, nothing is to be made there.
    const isInPlace = await catalog.database.checkInPlace().then(
      () => true,
      () => false,
    );
    if (isInPlace) await directory.restore();
  }

  async #lookAtFreeSpace(): Promise<void> {
    const { ledger, directory, fs } = this.#entries;
    ledger.sawFree(await fs.freeBytes(directory.path));
  }
}
