import { type Logger, noopTracer, nullLogger, type Tracer } from '@granary/telemetry';
import { StoreError } from '../errors.js';
import { type FileSystem, nodeFileSystem } from './files/file-system.js';
import { EntryPins } from './index/entry-pins.js';

/**
 * What a power cut may take. A killed process loses nothing that was acknowledged, whichever is chosen.
 *
 * - `none`: nothing is synced. After a power cut without a clean stop the store starts empty.
 * - `data`: a large blob's bytes are on the disk before its index entry exists, and the index before a write resolves.
 *   After a power cut files may be missing whose names the file system had not written down; what is there is right.
 * - `full`: the name of a large blob's file is on the disk, too, before its index entry exists.
 */
export type Durability = 'none' | 'data' | 'full';

/** A round of evictions, as the janitor reports it. */
export interface Eviction {
  /** Blobs and action results that went. */
  readonly count: number;
  /** Their accounted bytes. */
  readonly bytes: number;
  /** How long the one that went last had not been used, in milliseconds. */
  readonly idleMs: number;
}

export interface DiskBlobStoreOptions {
  /** The store's own folder; made when it is missing. */
  readonly directory: string;
  /** Most bytes that the store takes on the disk, counted in whole blocks. */
  readonly maxBytes: number;
  /** Bytes that stay free on the file system, whoever fills it. Default 0: not looked after. */
  readonly minFreeBytes?: number;
  /** What was used within this time is never evicted. Default 30 000. */
  readonly minAgeMs?: number;
  /** Default `data`. */
  readonly durability?: Durability;
  /** Blobs up to this size lie in the index's file instead of files of their own. Default 32 KiB (decision 001), at most 256 KiB. */
  readonly smallBlobBytes?: number;
  /**
   * Uploads of this size and larger ones are written past the page cache, where the file system can do that (decision
   * 011). Default 16 MiB; 0 for none.
   */
  readonly directBytes?: number;
  /**
   * Who reads the index when the store is opened. `process`: another Node process, where there are 50 000 entries or more,
   * so that the pages of the index that it maps don't count as this one's memory (decision 003); where it can't be started,
   * this one reads. Default `here`.
   */
  readonly tableLoading?: 'here' | 'process';
  /** How long an upload waits for the janitor to make room before it fails. Default 2 000. */
  readonly spaceWaitMs?: number;
  /** Time between looks at the free space and between writes of what was used. Default 2 000; 0 switches them off. */
  readonly housekeepingMs?: number;
  /** Name of the store, a metric label. Default `disk`. */
  readonly name?: string;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly clock?: () => number;
  /** Entries that are needed elsewhere and never evicted, also not before the store is open. Default: none. */
  readonly pins?: EntryPins;
  /** Default: Node's. */
  readonly fileSystem?: FileSystem;
  readonly logger?: Logger;
  /** Shows what operations wait for and what the janitor does. Default: nothing is traced. */
  readonly tracer?: Tracer;
  /** Told after each round of evictions. */
  readonly onEvicted?: (eviction: Eviction) => void;
  /** Told of each blob or action result that was found damaged and put aside. */
  readonly onDamaged?: (what: string, reason: string) => void;
}

/** The options with every default filled in. */
export type ResolvedOptions = Required<DiskBlobStoreOptions>;

const MIB = 1024 * 1024;

/** @throws StoreError naming the option that is wrong */
export function resolveOptions(options: DiskBlobStoreOptions): ResolvedOptions {
  const resolved: ResolvedOptions = {
    minFreeBytes: 0,
    minAgeMs: 30_000,
    durability: 'data',
    smallBlobBytes: 32 * 1024,
    directBytes: 16 * MIB,
    tableLoading: 'here',
    spaceWaitMs: 2_000,
    housekeepingMs: 2_000,
    name: 'disk',
    clock: Date.now,
    pins: new EntryPins(),
    fileSystem: nodeFileSystem,
    logger: nullLogger,
    tracer: noopTracer,
    onEvicted: () => {},
    onDamaged: () => {},
    ...options,
  };
  if (!resolved.directory) throw wrong('directory', 'a path', resolved.directory);
  if (!['none', 'data', 'full'].includes(resolved.durability))
    throw wrong('durability', 'none, data or full', resolved.durability);
  if (!['here', 'process'].includes(resolved.tableLoading))
    throw wrong('tableLoading', 'here or process', resolved.tableLoading);
  wholeNumber('maxBytes', resolved.maxBytes, MIB);
  wholeNumber('minFreeBytes', resolved.minFreeBytes, 0);
  wholeNumber('minAgeMs', resolved.minAgeMs, 0);
  wholeNumber('smallBlobBytes', resolved.smallBlobBytes, 0, MIB / 4);
  wholeNumber('directBytes', resolved.directBytes, 0);
  wholeNumber('spaceWaitMs', resolved.spaceWaitMs, 0);
  wholeNumber('housekeepingMs', resolved.housekeepingMs, 0);
  return resolved;
}

function wholeNumber(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw wrong(name, `a whole number from ${least} to ${most}`, value);
}

function wrong(name: string, allowed: string, found: unknown): StoreError {
  return new StoreError('STORE_FAILED', `DiskBlobStore option ${name} must be ${allowed}, not ${String(found)}`);
}
