import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { InvalidOptionError, wholeNumber } from '@granary/resilience';
import { open, type RootDatabase } from 'lmdb';
import { CacheClosedError, LayerUnavailableError } from '../errors.js';
import { FolderLock } from '../folders/folder-lock.js';
import { makeFolder } from '../folders/make-folder.js';
import { checkDatabaseFile } from '../lmdb/check-database-file.js';
import { checkLockFile } from '../lmdb/check-lock-file.js';
import { createDatabase, DATABASE_FILE } from '../lmdb/create-database.js';
import { jsonSerializer } from '../serializers/json-serializer.js';
import { DiskLayer, type DiskLayerOptions } from './disk-layer.js';
import { NamespaceDatabase } from './namespace-database.js';
import { WriteQueue } from './write-queue.js';

export interface DiskFolderOptions {
  /** Made when it isn't there. On a local disk, not on a network's. */
  readonly directory: string;
  /** Most namespaces that the folder may ever have. Default 64. */
  readonly maxNamespaces?: number | undefined;
  /** Most bytes that wait to be written, beyond which writes are refused with a QueueFullError. Default 64 MiB. */
  readonly maxPendingBytes?: number | undefined;
  /**
   * How long a write waits for others to be committed with, in milliseconds: for folders whose writes nobody waits for, since
   * a commit holds the event loop up. Default 0: writes of one turn of the event loop are committed together.
   */
  readonly gatherMs?: number | undefined;
  /** Closes itself with the last of its layers. Default false. */
  readonly closeWithLayers?: boolean | undefined;
}

/** The options, with the defaults where there were none. */
type FolderSettings = { readonly [Name in keyof DiskFolderOptions]-?: NonNullable<DiskFolderOptions[Name]> };

/** A layer with a folder of its own, which is closed with it. @throws as {@link DiskFolder.open} does */
export async function openDiskLayer<V>(options: DiskLayerOptions<V> & DiskFolderOptions): Promise<DiskLayer<V>> {
  const folder = await DiskFolder.open({ ...options, closeWithLayers: true });
  try {
    return folder.layer(options);
  } catch (error) {
    await folder.close();
    throw error;
  }
}

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
const DEFAULT_NAMESPACES = 64;
const DEFAULT_PENDING_BYTES = 64 * 1024 * 1024;
const DEFAULT_NAMESPACE = 'default';
const MAX_NAMESPACE_LENGTH = 100;
/** After a commit that failed LMDB waits for a sync that never comes. */
const CLOSE_WAIT_MS = 500;

/**
 * A folder with one database for each namespace: {@link layer} gives the layer of one of them. Namespaces know nothing
 * of each other's keys, bounds and evictions.
 *
 * One process at a time may have the folder open; a second one is refused. A process that is killed, at any moment,
 * leaves everything that it had acknowledged; a power cut may take the last moments, and leaves the rest as it was.
 */
export class DiskFolder {
  readonly directory: string;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #lock: FolderLock;
  readonly #queue: WriteQueue;
  readonly #maxNamespaces: number;
  readonly #closeWithLayers: boolean;
  readonly #layers = new Map<string, DiskLayer<never>>();
  #closing: Promise<void> | undefined;

  private constructor(root: RootDatabase<Buffer, Buffer>, lock: FolderLock, options: FolderSettings) {
    this.directory = options.directory;
    this.#root = root;
    this.#lock = lock;
    this.#maxNamespaces = options.maxNamespaces;
    this.#closeWithLayers = options.closeWithLayers;
    this.#queue = new WriteQueue(root, options.maxPendingBytes, options.gatherMs);
  }

  /**
   * @throws LayerUnavailableError when the folder can't be used or somebody else has it; InvalidOptionError for options
   * that make no sense
   */
  static async open(options: DiskFolderOptions): Promise<DiskFolder> {
    const { directory, maxNamespaces = DEFAULT_NAMESPACES, maxPendingBytes = DEFAULT_PENDING_BYTES } = options;
    const { gatherMs = 0, closeWithLayers = false } = options;
    wholeNumber('maxNamespaces', maxNamespaces);
    wholeNumber('maxPendingBytes', maxPendingBytes);
    wholeNumber('gatherMs', gatherMs, 0);
    let lock: FolderLock | undefined;
    try {
      await makeFolder(directory);
      lock = await FolderLock.acquire(directory);
      checkDatabaseFile(join(directory, DATABASE_FILE));
      await createDatabase(directory);
      checkLockFile(directory);
      const root = open<Buffer, Buffer>({ path: directory, noSubdir: false, maxDbs: maxNamespaces, ...BINARY });
      return new DiskFolder(root, lock, { directory, maxNamespaces, maxPendingBytes, gatherMs, closeWithLayers });
    } catch (error) {
      await lock?.release();
      if (error instanceof LayerUnavailableError) throw error;
      throw new LayerUnavailableError(directory, 'cannot be opened', { cause: error });
    }
  }

  /**
   * The layer of a namespace. A folder that is opened with a smaller bound than before is trimmed.
   *
   * @throws InvalidOptionError for options that make no sense, a namespace too many, or one that has a layer already
   */
  layer<V>(options: DiskLayerOptions<V>): DiskLayer<V> {
    if (this.#closing) throw new CacheClosedError(this.directory);
    const { namespace = DEFAULT_NAMESPACE, maxBytes } = options;
    wholeNumber('maxBytes', maxBytes);
    this.#checkNamespace(namespace);
    const serializer = options.serializer ?? jsonSerializer<V>();
    const entries = new NamespaceDatabase(this.#root.openDB({ name: namespace, ...BINARY }), maxBytes);
    const release = () => this.#release(namespace);
    const layer = new DiskLayer<V>({ ...options, namespace, serializer }, { entries, writes: this.#queue, release });
    this.#layers.set(namespace, layer as DiskLayer<never>);
    return layer;
  }

  /** Namespaces that the folder has, in use or not. */
  namespaces(): string[] {
    // The database ends names with a zero.
    return [...this.#root.getKeys()].map((key) => key.toString('latin1', 0, key.indexOf(0)));
  }

  /** Closes the layers and the database. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#layers.values()].map((layer) => layer.close()));
    await this.#queue.idle();
    const patience = new AbortController();
    const tooLate = delay(CLOSE_WAIT_MS, undefined, { signal: patience.signal }).catch(() => {});
    await Promise.race([this.#root.close(), tooLate]);
    patience.abort();
    await this.#lock.release();
  }

  #release(namespace: string): Promise<void> | void {
    this.#layers.delete(namespace);
    if (this.#closeWithLayers && this.#layers.size === 0 && !this.#closing) return this.close();
  }

  #checkNamespace(namespace: string): void {
    if (namespace.length === 0 || namespace.length > MAX_NAMESPACE_LENGTH || !/^[\x20-\x7e]+$/.test(namespace))
      throw new InvalidOptionError('namespace', '1 to 100 plain characters', JSON.stringify(namespace));
    if (this.#layers.has(namespace))
      throw new InvalidOptionError('namespace', 'one without a layer', JSON.stringify(namespace));
    const known = this.namespaces();
    if (!known.includes(namespace) && known.length >= this.#maxNamespaces)
      throw new InvalidOptionError('namespace', `one of the ${known.length} that there are`, JSON.stringify(namespace));
  }
}
