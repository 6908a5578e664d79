import { join } from 'node:path';
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { commitFailure } from '@granary/blobs';
import { FolderLock, makeFolder } from '@granary/cache/folders';
import { checkDatabaseFile, checkLockFile, createDatabase, DATABASE_FILE, GroupCommit } from '@granary/cache/lmdb';
import { NuGetVersion, type PackageIdentity } from '@granary/nuget';
import { open, type RootDatabase } from 'lmdb';
import type { PackageRecord } from '../feed/package-record.js';
import { packageKey } from '../packages/package-entry.js';

// With syncs that overlap a commit may resolve before LMDB's thread has let go of the database: see GroupCommit.
const OPTIONS = {
  encoding: 'binary',
  keyEncoding: 'binary',
  eventTurnBatching: false,
  overlappingSync: false,
} as const;
const FORMAT_KEY = Buffer.from('format');
const FORMAT = '1';
const PACKAGE = 'p/';
const ARRIVING = 'a/';
/** How many are read before others get their turn. */
const SLICE = 200;
/** After a commit that failed LMDB waits for a sync that never comes. */
const CLOSE_WAIT_MS = 500;
const ZERO = Buffer.of(0);

/**
 * What is hosted, on the disk: the record of each version, and which versions are on their way. Reads are synchronous, from
 * mapped memory. A write is committed and synced when it resolves, so neither a killed process nor a power cut takes it.
 */
export class HostedIndex {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #lock: FolderLock;
  readonly #commits: GroupCommit;

  private constructor(directory: string, root: RootDatabase<Buffer, Buffer>, lock: FolderLock) {
    this.#root = root;
    this.#lock = lock;
    this.#commits = new GroupCommit(root, (cause) =>
      commitFailure(cause, 'cannot write to the index of hosted packages', directory),
    );
  }

  /**
   * @param directory made when it isn't there
   * @throws LayerUnavailableError when another process has the folder; Error when it can't be used
   */
  static async open(directory: string): Promise<HostedIndex> {
    await makeFolder(directory);
    const lock = await FolderLock.acquire(directory);
    try {
      checkDatabaseFile(join(directory, DATABASE_FILE));
      await createDatabase(directory);
      checkLockFile(directory);
      const index = new HostedIndex(
        directory,
        open<Buffer, Buffer>({ path: directory, noSubdir: false, ...OPTIONS }),
        lock,
      );
      await index.#checkFormat(directory);
      return index;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Undefined when there is none, or it is damaged. */
  record(identity: PackageIdentity): PackageRecord | undefined {
    return this.recordAt(packageKey(identity));
  }

  /** @param key as {@link packageKey} makes it */
  recordAt(key: string): PackageRecord | undefined {
    const value = this.#root.getBinary(Buffer.from(PACKAGE + key));
    return value && parseRecord(key, value);
  }

  /** Every record, in slices between which others get their turn; undefined for those that are damaged. */
  async *records(): AsyncGenerator<readonly { readonly key: string; readonly record: PackageRecord | undefined }[]> {
    for (let after = Buffer.from(PACKAGE); ; ) {
      const slice = this.#after(after, PACKAGE, SLICE);
      const last = slice.at(-1);
      if (last === undefined) return;
      yield slice.map(({ name, value }) => ({ key: name, record: parseRecord(name, value) }));
      after = Buffer.from(PACKAGE + last.name);
      await setImmediate();
    }
  }

  /** Versions whose push was begun and neither finished nor taken back. */
  arriving(): readonly PackageIdentity[] {
    const found: PackageIdentity[] = [];
    for (const { name } of this.#after(Buffer.from(ARRIVING), ARRIVING)) {
      const [id = '', text = ''] = name.split('/');
      const version = NuGetVersion.tryParse(text);
      if (version !== undefined) found.push({ id, version });
    }
    return found;
  }

  /** Notes that a version is on its way. */
  begin(identity: PackageIdentity): Promise<void> {
    const key = arrivingKey(identity);
    return this.#commits.add(() => this.#root.put(key, ZERO));
  }

  /** It is not on its way any more. */
  end(identity: PackageIdentity): Promise<void> {
    const key = arrivingKey(identity);
    return this.#commits.add(() => this.#root.remove(key));
  }

  /** Writes a version's record; it has arrived, if it was on its way. */
  put(identity: PackageIdentity, record: PackageRecord): Promise<void> {
    const key = Buffer.from(PACKAGE + packageKey(identity));
    const value = Buffer.from(JSON.stringify(record));
    const arrived = arrivingKey(identity);
    return this.#commits.add(() => {
      this.#root.put(key, value);
      this.#root.remove(arrived);
    });
  }

  /** Waits for what is being written. Once. */
  async close(): Promise<void> {
    await this.#commits.idle();
    const closed = this.#root.close();
    if (this.#commits.failed) await Promise.race([closed, delay(CLOSE_WAIT_MS)]);
    else await closed;
    await this.#lock.release();
  }

  async #checkFormat(directory: string): Promise<void> {
    const format = this.#root.getBinary(FORMAT_KEY)?.toString();
    if (format === undefined) return await this.#commits.add(() => this.#root.put(FORMAT_KEY, Buffer.from(FORMAT)));
    if (format === FORMAT) return;
    await this.#root.close();
    throw new Error(`${directory} has hosted packages in the format ${format}; this version knows ${FORMAT}`);
  }

  #after(start: Buffer, prefix: string, limit = Number.POSITIVE_INFINITY): { name: string; value: Buffer }[] {
    const found: { name: string; value: Buffer }[] = [];
    const from = Buffer.concat([start, ZERO]);
    // What comes behind the slash.
    const end = Buffer.from(`${prefix.slice(0, -1)}0`);
    for (const { key, value } of this.#root.getRange({ start: from, end, limit, snapshot: false }))
      found.push({ name: key.toString('utf8', prefix.length), value: Buffer.from(value) });
    return found;
  }
}

function arrivingKey(identity: PackageIdentity): Buffer {
  return Buffer.from(ARRIVING + packageKey(identity));
}

/** Undefined for what is no record, or that of another package. */
function parseRecord(key: string, value: Buffer): PackageRecord | undefined {
  try {
    const record = JSON.parse(value.toString()) as PackageRecord;
    return packageKey({ id: record.id, version: NuGetVersion.parse(record.version) }) === key ? record : undefined;
  } catch {
    return undefined;
  }
}
