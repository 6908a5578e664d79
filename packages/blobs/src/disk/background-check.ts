import { join } from 'node:path';
import { Digest } from '../digest.js';
import type { EntryStore } from './entry-store.js';
import { StoreDirectory } from './files/store-directory.js';
import { VERIFIED } from './index/blob-index.js';
import { blobKey, functionOf, keyText } from './index/entry-key.js';
import { Yielder } from './yielding.js';

/** Blobs that one start looks at, a few at a time: enough to notice a disk that loses bytes, not enough to be felt. */
const SAMPLES = 1000;
const SAMPLES_A_ROUND = 4;
/** Larger blobs are compared with their hash when they are read. */
const LARGEST_SAMPLE = 4 * 1024 * 1024;

/** Looks after what nobody asks for: compares a few blobs with their hashes, and removes files that belong to nothing. */
export class BackgroundCheck {
  readonly #entries: EntryStore;
  readonly #look: (digest: Digest) => Promise<void>;
  readonly #random: () => number;
  #left = SAMPLES;

  /** @param look reads a blob, which puts it aside when it is damaged */
  constructor(entries: EntryStore, look: (digest: Digest) => Promise<void>, random: () => number = Math.random) {
    this.#entries = entries;
    this.#look = look;
    this.#random = random;
  }

  /** Compares a few blobs that this process has not seen yet. */
  async sample(): Promise<void> {
    const { catalog } = this.#entries;
    for (let i = 0; i < SAMPLES_A_ROUND && this.#left > 0; i++) {
      this.#left--;
      const handle = catalog.table.sample(this.#random());
      if (handle === undefined || catalog.table.hasFlag(handle, VERIFIED)) continue;
      const size = catalog.table.size(handle);
      const key = catalog.keyAt(handle);
      const fn = key && functionOf(key.kind);
      if (!key || !fn || size > LARGEST_SAMPLE) continue;
      const bytes = new Uint8Array(key.words.buffer, key.words.byteOffset + key.at * 4);
      await this.#look(Digest.fromBytes(fn, bytes, size));
    }
  }

  /**
   * Removes files that no entry names: a killed process leaves one when it had moved a file but not written its entry
   * yet, or had removed an entry but not its file yet.
   *
   * @returns false when the signal ended it
   */
  async removeStrays(signal: AbortSignal): Promise<boolean> {
    const yielder = new Yielder();
    for await (const { fn, path } of this.#entries.directory.shards()) {
      // To another store's index all of these files would be strays.
      await this.#entries.catalog.database.checkInPlace();
      for (const name of await this.#entries.directory.list(path)) {
        if (signal.aborted) return false;
        if (StoreDirectory.isBlobName(fn, name)) await this.#removeIfStray(Digest.parse(fn, name, 0), join(path, name));
        await yielder.pause();
      }
    }
    return true;
  }

  async #removeIfStray(digest: Digest, path: string): Promise<void> {
    const { catalog, fs } = this.#entries;
    const key = blobKey(digest);
    const isKnown = () => catalog.find(key.kind, key.words, key.at) !== -1;
    if (isKnown()) return;
    await catalog.locks.run(keyText(key), async () => {
      if (!isKnown()) await fs.unlink(path).catch(() => {});
    });
  }
}
