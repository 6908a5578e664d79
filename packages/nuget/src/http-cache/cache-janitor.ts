import type { Dir, Stats } from 'node:fs';
import { lstat, opendir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FILE_SUFFIX, SOURCE_FOLDER, VALIDATORS_SUFFIX } from './cache-names.js';
import { isAbandoned, isTemporary } from './temporary-files.js';

export interface CacheJanitorOptions {
  readonly folder: string;
  readonly maxBytes: number;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Hears of a look through the folder that failed. */
  readonly onFailure: (error: unknown) => void;
}

/** What a look through the cache found and did. */
export interface CacheScan {
  /** What is left. */
  readonly files: number;
  readonly bytes: number;
  readonly removedFiles: number;
  readonly removedBytes: number;
}

interface Candidate {
  readonly path: string;
  readonly size: number;
  readonly usedAt: number;
}

/** The oldest files that are remembered by one look through the folder: a few megabytes. Then it looks again. */
const MAX_CANDIDATES = 10_000;
/** Makes room for more than is needed at the moment, so that not every write makes it look again. */
const KEPT_FRACTION = 0.9;
/** Looks again after so much was written… */
const SCAN_AFTER_FRACTION = 1 / 16;
/** …or when so much time has passed, because others write too. */
const SCAN_AFTER_MS = 10 * 60_000;
/** Validators without their file, as they are for a moment when somebody writes. */
const ORPHANED_AFTER_MS = 60_000;

/**
 * Keeps the cache within its size: looks through the folder in the background, whoever wrote what is there, and removes
 * what was not used for the longest time. Nothing is removed that doesn't look like a cache's own.
 */
export class CacheJanitor {
  readonly #options: CacheJanitorOptions;
  #bytes: number | undefined;
  #written = 0;
  #scannedAt = Number.NEGATIVE_INFINITY;
  #scanning: Promise<CacheScan> | undefined;
  #stopped = false;

  constructor(options: CacheJanitorOptions) {
    this.#options = options;
  }

  /** Bytes in the folder as far as is known; undefined before it was looked through. */
  get bytes(): number | undefined {
    return this.#bytes === undefined ? undefined : this.#bytes + this.#written;
  }

  /** Somebody uses the cache, and has written so much. Looks through the folder when it is time to. */
  used(written = 0): void {
    this.#written += written;
    if (this.#stopped || this.#scanning !== undefined || !this.#isTime()) return;
    this.#begin().catch(this.#options.onFailure);
  }

  /** Looks through the folder: all of it from now on, whatever a look that is under way has seen already. */
  async scan(): Promise<CacheScan> {
    await this.#scanning?.catch(() => {});
    return this.#begin();
  }

  /** Ends what is under way, unless too much was written: a process that is over soon makes room for that as well. */
  async stop(): Promise<void> {
    if (!this.#stopped && this.#hasWrittenMuch()) await this.scan().catch(this.#options.onFailure);
    this.#stopped = true;
    await this.#scanning?.catch(() => {});
  }

  #begin(): Promise<CacheScan> {
    if (this.#scanning !== undefined) return this.#scanning;
    const scanning: Promise<CacheScan> = this.#scan().finally(() => {
      if (this.#scanning === scanning) this.#scanning = undefined;
    });
    this.#scanning = scanning;
    return scanning;
  }

  #isTime(): boolean {
    return Math.abs(this.#options.clock() - this.#scannedAt) > SCAN_AFTER_MS || this.#hasWrittenMuch();
  }

  #hasWrittenMuch(): boolean {
    const { maxBytes } = this.#options;
    return this.#written > maxBytes * SCAN_AFTER_FRACTION || (this.#written > 0 && (this.bytes ?? 0) > maxBytes);
  }

  async #scan(): Promise<CacheScan> {
    const { maxBytes, clock } = this.#options;
    this.#scannedAt = clock();
    let removedFiles = 0;
    let removedBytes = 0;
    for (;;) {
      const written = this.#written;
      const oldest = new OldestFiles();
      const { files, bytes } = await this.#look(oldest);
      let left = bytes;
      let leftFiles = files;
      if (bytes > maxBytes) {
        for (const candidate of oldest.sorted()) {
          if (this.#stopped || left <= maxBytes * KEPT_FRACTION) break;
          if (!(await this.#remove(candidate))) continue;
          left -= candidate.size;
          leftFiles--;
          removedFiles++;
          removedBytes += candidate.size;
        }
      }
      this.#bytes = left;
      this.#written -= written;
      const isUnfinished = left > maxBytes && left < bytes;
      // What was written meanwhile may be the last for a long time.
      if (this.#stopped || !(isUnfinished || this.#hasWrittenMuch())) {
        // Who writes from now on begins another look.
        this.#scanning = undefined;
        return { files: leftFiles, bytes: left, removedFiles, removedBytes };
      }
    }
  }

  async #look(oldest: OldestFiles): Promise<{ files: number; bytes: number }> {
    const sum = { files: 0, bytes: 0 };
    for await (const folder of entries(this.#options.folder)) {
      if (this.#stopped) break;
      if (!folder.isDirectory() || !SOURCE_FOLDER.test(folder.name)) continue;
      const path = join(this.#options.folder, folder.name);
      for await (const file of entries(path)) {
        if (this.#stopped) break;
        if (file.isFile()) await this.#lookAt(path, file.name, oldest, sum);
      }
    }
    return sum;
  }

  async #lookAt(folder: string, name: string, oldest: OldestFiles, sum: { files: number; bytes: number }) {
    const path = join(folder, name);
    const stats = await statsOf(path);
    if (stats === undefined) return;
    const ageMs = this.#options.clock() - stats.mtimeMs;
    if (isTemporary(name)) {
      if (isAbandoned(name, ageMs)) await rm(path, { force: true }).catch(() => {});
      return;
    }
    if (name.endsWith(FILE_SUFFIX)) {
      sum.files++;
      sum.bytes += stats.size;
      oldest.add({ path, size: stats.size, usedAt: usedAt(stats) });
    } else if (name.endsWith(VALIDATORS_SUFFIX)) {
      const isOrphan = ageMs > ORPHANED_AFTER_MS && (await statsOf(fileOf(path))) === undefined;
      if (isOrphan) await rm(path, { force: true }).catch(() => {});
    }
  }

  /** Whether it is gone. What was used or replaced meanwhile stays, and so does what another program holds on to. */
  async #remove({ path, size, usedAt: before }: Candidate): Promise<boolean> {
    const stats = await statsOf(path);
    if (stats === undefined || stats.size !== size || usedAt(stats) !== before) return false;
    try {
      await rm(path, { force: true });
      await rm(`${path.slice(0, -FILE_SUFFIX.length)}${VALIDATORS_SUFFIX}`, { force: true });
      return true;
    } catch {
      return false;
    }
  }
}

/** The files that were not used for the longest time, at most {@link MAX_CANDIDATES} of however many. */
class OldestFiles {
  #files: Candidate[] = [];

  add(file: Candidate): void {
    this.#files.push(file);
    if (this.#files.length >= 2 * MAX_CANDIDATES) this.#files = this.sorted();
  }

  sorted(): Candidate[] {
    return this.#files.sort((a, b) => a.usedAt - b.usedAt).slice(0, MAX_CANDIDATES);
  }
}

/** Where the file system notes no reads, this is when it was written. */
const usedAt = (stats: Stats): number => Math.max(stats.atimeMs, stats.mtimeMs);

const fileOf = (path: string): string => `${path.slice(0, -VALIDATORS_SUFFIX.length)}${FILE_SUFFIX}`;

async function statsOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch {
    return undefined;
  }
}

/** What is in a folder; nothing when there is no such folder. */
async function* entries(path: string): AsyncGenerator<import('node:fs').Dirent> {
  let folder: Dir;
  try {
    folder = await opendir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  yield* folder;
}
