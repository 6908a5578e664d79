import { readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '@granary/cache/folders';
import type { Logger } from '@granary/telemetry';
import { isNotFound } from '../failure.js';
import { syncFile } from '../index/index-database.js';
import type { Durability } from '../options.js';

const BOOT_WINDOW_S = 600;

/**
 * Remembers, across a power cut, that the index was being written without syncs: then it may be any mixture of old
 * and new pages and can't be trusted, not even to be opened. A killed process alone does no harm.
 */
export class UnsyncedMarker {
  readonly #path: string;
  readonly #index: string;

  constructor(directory: string, index: string) {
    this.#path = join(directory, 'UNSYNCED');
    this.#index = index;
  }

  /** Whether the machine went down while the index was unsynced, so that {@link settle} will drop it. */
  async isStale(boot = bootId()): Promise<boolean> {
    const before = await this.#read();
    return before !== undefined && before !== boot;
  }

  /** Before the index is opened: drops it when the machine went down while it was unsynced, else makes it safe. */
  async settle(durability: Durability, logger: Logger, boot = bootId()): Promise<void> {
    const before = await this.#read();
    if (before !== undefined && before !== boot) {
      logger.warning('The machine went down while the store ran with durability none: the store starts empty');
      await rm(this.#index, { recursive: true, force: true });
      await makeFolder(this.#index);
    } else if (before !== undefined && durability !== 'none') {
      await syncFile(join(this.#index, 'data.mdb'));
    }
    if (durability === 'none') await writeFile(this.#path, boot);
    else await this.clear();
  }

  /** After the index has been closed and brought to the disk. */
  async clear(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  async #read(): Promise<string | undefined> {
    try {
      return await readFile(this.#path, 'latin1');
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}

/** A name for the time since the machine was started; elsewhere than on Linux about that. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return `about ${Math.round((Date.now() / 1000 - uptime()) / BOOT_WINDOW_S)}`;
  }
}
