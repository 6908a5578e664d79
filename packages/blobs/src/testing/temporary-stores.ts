import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiskBlobStore } from '../disk/disk-blob-store.js';
import type { DiskBlobStoreOptions } from '../disk/options.js';

const MIB = 1024 * 1024;

/** Stores in folders of their own that a test needs not clean up after: dispose them once, when the test is over. */
export class TemporaryStores {
  readonly #folders: string[] = [];
  readonly #stores: DiskBlobStore[] = [];

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'granary-blobs-'));
    this.#folders.push(folder);
    return folder;
  }

  /** A store without background rounds, in a new folder unless one is given. */
  async open(options: Partial<DiskBlobStoreOptions> = {}): Promise<DiskBlobStore> {
    const directory = options.directory ?? (await this.folder());
    const store = await DiskBlobStore.open({ maxBytes: 64 * MIB, housekeepingMs: 0, ...options, directory });
    this.#stores.push(store);
    return store;
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#stores.splice(0).map((store) => store.close()));
    await Promise.all(this.#folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
  }
}
