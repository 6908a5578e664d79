import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFolder } from '@granary/cache/folders';
import type { Digest } from '../../digest.js';
import { DIGEST_FUNCTIONS, type DigestFunction, HASH_BYTES, isDigestFunction } from '../../digest-function.js';
import { StoreError } from '../../errors.js';
import { isNotFound, orFail } from '../failure.js';
import type { FileSystem } from './file-system.js';

/** The folder in a store's where writes to tiers wait; whoever has them opens it before the store. */
export const WRITE_BEHIND_FOLDER = 'write-behind';

const FORMAT = 'granary blobs 1\n';
const FORMAT_FILE = 'FORMAT';
/** What a first start that was cut short leaves. */
const FORMAT_DRAFT = 'FORMAT.new';

/** What a new file system has in its root, which a disk of its own for the store is mounted with. */
const OF_THE_FILE_SYSTEM = 'lost+found';

/**
 * What programs keep in the home of their user. That of a server's own user is often the folder of its data, and what the
 * runtime compiled lies there before the store is opened.
 */
const OF_THE_USER = '.cache';

/**
 * Where everything lies in a store's folder:
 *
 * - `FORMAT`: the version of this layout
 * - `LOCK`: who has the folder
 * - `index/`: the database, with small blobs and action results in it
 * - `blobs/FUNCTION/XX/HASH`: large blobs, by the first two digits of the hash
 * - `incoming/`: uploads under way, never under a final name
 * - `quarantine/`: the latest few that were found damaged, for whoever wants to know why
 */
export class StoreDirectory {
  readonly path: string;
  readonly index: string;
  readonly incoming: string;
  readonly quarantine: string;
  /** Where an upload that only tries whether the store is writable goes: beside the folders of blobs, and no blob. */
  readonly probeFile: string;
  readonly #blobs: string;
  readonly #fs: FileSystem;
  readonly #syncsFolders: boolean;
  readonly #shards = new Map<string, Promise<void>>();

  /** @param syncsFolders whether the folders that are made here survive a power cut. Default false. */
  constructor(path: string, fs: FileSystem, syncsFolders = false) {
    this.path = path;
    this.#fs = fs;
    this.#syncsFolders = syncsFolders;
    this.index = join(path, 'index');
    this.incoming = join(path, 'incoming');
    this.quarantine = join(path, 'quarantine');
    this.#blobs = join(path, 'blobs');
    this.probeFile = join(this.#blobs, 'PROBE');
  }

  /**
   * Makes what is missing and clears away uploads that a killed process left. The caller holds the folder's lock.
   *
   * @throws StoreError when the folder has another version's layout or can't be written
   */
  async prepare(): Promise<void> {
    await this.#checkFormat();
    await orFail(
      rm(this.incoming, { recursive: true, force: true }).then(() =>
        Promise.all([this.index, this.incoming, this.quarantine, this.#blobs].map((path) => makeFolder(path))),
      ),
      `cannot use ${this.path}`,
    );
  }

  /** After {@link prepare} and once the database is made: brings their names to the disk, where folders are synced. */
  async syncPrepared(): Promise<void> {
    if (!this.#syncsFolders) return;
    for (const path of [this.index, this.path])
      await orFail(this.#fs.syncDirectory(path), `cannot bring ${path} to the disk`);
  }

  /** Makes the folders again, beside those of blobs, that somebody who wanted their space has removed. */
  async restore(): Promise<void> {
    for (const path of [this.incoming, this.quarantine]) await this.#fs.makeDirectory(path);
  }

  /** Whether a store has ever been here. */
  async exists(): Promise<boolean> {
    return (await this.#readFormat()) !== undefined;
  }

  /** A name for an upload that nobody else has. */
  incomingFile(): string {
    return join(this.incoming, randomUUID());
  }

  blobFile(digest: Digest): string {
    const { hash } = digest;
    return join(this.#blobs, digest.function, hash.slice(0, 2), hash);
  }

  /**
   * Gives an upload the name of its blob.
   *
   * @returns the folder that it is in then
   */
  async moveIn(incoming: string, digest: Digest): Promise<string> {
    const file = this.blobFile(digest);
    const folder = dirname(file);
    await this.#shard(folder);
    try {
      await this.#fs.rename(incoming, file);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      // Somebody who wanted its space has removed the folder.
      this.#shards.delete(folder);
      await this.#shard(folder);
      await this.#fs.rename(incoming, file);
    }
    return folder;
  }

  /** A folder of blobs is made when it is missing, and looked at once. */
  #shard(path: string): Promise<void> {
    let made = this.#shards.get(path);
    if (!made) {
      made = this.#makeShard(path);
      this.#shards.set(path, made);
      made.catch(() => this.#shards.delete(path));
    }
    return made;
  }

  /** Every folder that may hold blobs, with its function. */
  async *shards(): AsyncGenerator<{ readonly fn: DigestFunction; readonly path: string }, void> {
    for (const { fn, path } of this.functions())
      for (const shard of (await this.list(path)).sort()) yield { fn, path: join(path, shard) };
  }

  /** The folder of each function, which need not be there. */
  functions(): { readonly fn: DigestFunction; readonly path: string }[] {
    return DIGEST_FUNCTIONS.map((fn) => ({ fn, path: join(this.#blobs, fn) }));
  }

  /** Names in a folder; none when it doesn't exist. */
  async list(path: string): Promise<string[]> {
    try {
      return await this.#fs.list(path);
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  }

  /** Whether a file in a shard could be a blob of this function. */
  static isBlobName(fn: DigestFunction, name: string): boolean {
    return isDigestFunction(fn) && name.length === HASH_BYTES[fn] * 2 && /^[0-9a-f]+$/.test(name);
  }

  async #makeShard(path: string): Promise<void> {
    await this.#fs.makeDirectory(path);
    if (!this.#syncsFolders) return;
    // A folder is a name in the one above, which may be as new.
    for (const above of [dirname(path), this.#blobs, this.path]) await this.#fs.syncDirectory(above);
  }

  async #checkFormat(): Promise<void> {
    const found = await this.#readFormat();
    if (found === FORMAT) return;
    if (found !== undefined)
      throw new StoreError(
        'STORE_FAILED',
        `${this.path} has the layout ${JSON.stringify(found.slice(0, 40))}, and this version knows ${JSON.stringify(FORMAT)}: give it another folder`,
      );
    const allowed = [FORMAT_DRAFT, WRITE_BEHIND_FOLDER, OF_THE_FILE_SYSTEM, OF_THE_USER];
    const names = (await this.list(this.path)).filter((name) => !name.startsWith('LOCK') && !allowed.includes(name));
    if (names.length > 0)
      throw new StoreError('STORE_FAILED', `${this.path} is not empty and not a store: give it a folder of its own`);
    await orFail(this.#writeFormat(), `cannot use ${this.path}`);
  }

  /** Whole or not at all: an empty one, as of a disk that is full, would be another version's for ever. */
  async #writeFormat(): Promise<void> {
    const draft = join(this.path, FORMAT_DRAFT);
    await writeFile(draft, FORMAT, { flush: true });
    await this.#fs.rename(draft, join(this.path, FORMAT_FILE));
  }

  async #readFormat(): Promise<string | undefined> {
    try {
      return await readFile(join(this.path, FORMAT_FILE), 'latin1');
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}
