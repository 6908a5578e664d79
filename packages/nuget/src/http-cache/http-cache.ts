import { createHash } from 'node:crypto';
import { fstatSync } from 'node:fs';
import { open, readdir, rename, rm, utimes } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { Readable } from 'node:stream';
import { makeFolder } from '@granary/cache/folders';
import { type Logger, nullLogger } from '@granary/telemetry';
import { NuGetError } from '../errors.js';
import { CacheJanitor, type CacheScan } from './cache-janitor.js';
import { entryName, FILE_SUFFIX, LONG_KEY, sourceFolder, VALIDATORS_SUFFIX } from './cache-names.js';
import { CachedFile } from './cached-file.js';
import { SmallFiles, WHOLE_BYTES } from './small-files.js';
import { createTemporary, type TemporaryFile } from './temporary-files.js';
import {
  parseValidators,
  readValidators,
  type StoredValidators,
  type Validators,
  writeValidators,
} from './validators.js';

/** Where an `HttpCache` lies, and how much may be in it. */
export interface HttpCacheOptions {
  /** Made when something is written. That of NuGet.Client (`nugetLocations().httpCache`) or any other. */
  readonly folder: string;
  /** Most bytes, those that other programs wrote included; what wasn't used for longest goes first. Default 4 GiB. */
  readonly maxBytes?: number | undefined;
  readonly logger?: Logger | undefined;
  /** Milliseconds since 1970; what ages are measured against. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

export interface CacheSetOptions<V extends Validators = Validators> {
  /** Kept beside the file. */
  readonly validators?: V | undefined;
  /** When it came from the source, in milliseconds since 1970. Default: now. */
  readonly modifiedAt?: number | undefined;
  /** Hash of the content in base64, for whoever has it already. */
  readonly sha512?: string | undefined;
}

/** What is known of a temporary file that is to be kept. */
export interface CacheKeepOptions extends CacheSetOptions<StoredValidators> {
  /** Its bytes, for whoever has counted them already. */
  readonly size?: number | undefined;
}

/** Looks at a file before it becomes part of the cache; what it throws keeps the file out. */
export type FileValidator = (path: string) => void | Promise<void>;

/** What can be written; texts are written in UTF-8. */
export type CacheBody = Uint8Array | Readable | AsyncIterable<Uint8Array>;

const DEFAULT_MAX_BYTES = 4 * 1024 ** 3;
/** What Windows says of a file that another program has open. */
const IN_USE: ReadonlySet<string | undefined> = new Set(['EPERM', 'EACCES', 'EBUSY', 'EEXIST']);
const ABSENT: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'EISDIR']);

/**
 * What sources answered, on disk, in the layout of NuGet.Client from 5.8 on, so that both can use one folder: a folder
 * for each source, a file for each key, as old as it was last modified. Files are written under another name, looked at
 * and then moved into place: whoever reads sees an old file or a new one, never a part, and goes on reading the one that
 * he opened. Any number of processes may read and write at the same time.
 */
export class HttpCache implements AsyncDisposable {
  readonly folder: string;
  readonly maxBytes: number;
  readonly #clock: () => number;
  readonly #janitor: CacheJanitor;
  readonly #writes = new Set<Promise<unknown>>();
  readonly #small = new SmallFiles();
  readonly #folders = new Map<string, string>();
  #closed = false;

  /** @throws {@link NuGetError} `INVALID_OPTION` */
  constructor({ folder, maxBytes = DEFAULT_MAX_BYTES, logger = nullLogger, clock = Date.now }: HttpCacheOptions) {
    if (typeof folder !== 'string' || folder === '') throw new NuGetError('INVALID_OPTION', 'folder must be a path');
    if (!(Number.isSafeInteger(maxBytes) && maxBytes > 0)) {
      throw new NuGetError('INVALID_OPTION', `maxBytes must be a whole number above 0, not ${maxBytes}`);
    }
    this.folder = folder;
    this.maxBytes = maxBytes;
    this.#clock = clock;
    this.#janitor = new CacheJanitor({
      folder,
      maxBytes,
      clock,
      onFailure: (error) => logger.warning('Could not look through the HTTP cache in {Folder}', folder, error),
    });
  }

  /** Bytes on disk as far as is known; undefined until the folder was looked through, which the first use begins. */
  get bytes(): number | undefined {
    return this.#janitor.bytes;
  }

  /** Where a file is, or would be. */
  getCachePath(source: string, key: string): string {
    return `${this.#base(source, key)}${FILE_SUFFIX}`;
  }

  /** The file as a stream, when it is younger than `maxAgeMs`. Read it to its end or destroy it. */
  async get(source: string, key: string, maxAgeMs: number): Promise<Readable | undefined> {
    const file = await this.open(source, key);
    if (file === undefined) return undefined;
    if (this.ageOf(file.modifiedAt) < maxAgeMs) return file.stream();
    await file.close();
    return undefined;
  }

  /** The file, however old. Read it or close it. */
  async open(source: string, key: string): Promise<CachedFile | undefined> {
    const path = this.getCachePath(source, key);
    this.#janitor.used();
    if (!this.#small.areFast) return this.#openFile(path);
    try {
      const whole = this.#small.read(path);
      if (typeof whole !== 'object') return whole && (await this.#openFile(path));
      return new CachedFile(path, whole.bytes, whole.stats, this.#small);
    } catch (error) {
      if (ABSENT.has(codeOf(error))) return undefined;
      throw error;
    }
  }

  /** What the source can be asked with whether the file is still good, if its content is the one that they name. */
  async validators(source: string, key: string): Promise<StoredValidators | undefined> {
    const path = `${this.#base(source, key)}${VALIDATORS_SUFFIX}`;
    if (!this.#small.areFast) return readValidators(path);
    try {
      const whole = this.#small.read(path);
      return typeof whole === 'object' ? parseValidators(whole.bytes.toString()) : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Writes a file in place of the one that is there, if any. What the body or the validator fail with leaves everything
   * as it was, and rejects. Of several who write the same key at once, one wins and none fails.
   *
   * @returns how many bytes were written
   */
  set(
    source: string,
    key: string,
    body: CacheBody,
    validator?: FileValidator,
    options: CacheSetOptions = {},
  ): Promise<number> {
    return this.#track(this.#set(source, key, body, validator, options));
  }

  /** A new file in the folder of a source, to be written and then {@link keep kept} or removed, and closed. */
  async createTemporary(source: string): Promise<TemporaryFile> {
    if (this.#closed) throw new NuGetError('CLOSED', 'the HTTP cache is closed');
    const folder = this.#folderOf(source);
    try {
      return await createTemporary(folder, this.#small);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      await makeFolder(folder);
      return createTemporary(folder, this.#small);
    }
  }

  /** Moves a temporary file into its place; its handle stays open and good. */
  keep(temporary: TemporaryFile, source: string, key: string, options: CacheKeepOptions = {}): Promise<number> {
    return this.#track(this.#keep(temporary, this.#base(source, key), options));
  }

  /** Makes a file as young as `modifiedAt` says, because the source has confirmed it. Nothing happens when it is gone. */
  async renew(source: string, key: string, modifiedAt: number, validators?: StoredValidators): Promise<void> {
    const base = this.#base(source, key);
    const time = new Date(modifiedAt);
    try {
      await utimes(`${base}${FILE_SUFFIX}`, time, time);
    } catch (error) {
      if (ABSENT.has(codeOf(error))) return;
      throw error;
    }
    if (validators !== undefined) await this.#writeValidators(base, validators);
  }

  /** Whether there was such a file. */
  async delete(source: string, key: string): Promise<boolean> {
    const base = this.#base(source, key);
    const validators = rm(`${base}${VALIDATORS_SUFFIX}`, { force: true });
    try {
      await rm(`${base}${FILE_SUFFIX}`);
      return true;
    } catch (error) {
      if (ABSENT.has(codeOf(error))) return false;
      throw error;
    } finally {
      await validators;
    }
  }

  /** Removes what was kept of a source under keys that begin like this, for all processes. */
  async deleteBeginning(source: string, prefix: string): Promise<void> {
    const folder = this.#folderOf(source);
    const beginnings = [entryName(prefix), LONG_KEY];
    try {
      for (const name of await readdir(folder)) {
        if (beginnings.some((beginning) => name.startsWith(beginning))) await rm(join(folder, name), { force: true });
      }
    } catch (error) {
      if (!ABSENT.has(codeOf(error))) throw error;
    }
  }

  /** Removes everything of a source. */
  async clear(source: string): Promise<void> {
    await rm(this.#folderOf(source), { recursive: true, force: true, maxRetries: 3 });
  }

  /** Looks through the folder now: removes what is too much, and what processes that are gone left behind. */
  trim(): Promise<CacheScan> {
    return this.#janitor.scan();
  }

  /** How old something of that time is, in milliseconds. What claims to be from the future is as old as can be. */
  ageOf(modifiedAt: number): number {
    const ageMs = this.#clock() - modifiedAt;
    return ageMs < -MAX_CLOCK_SKEW_MS ? Number.POSITIVE_INFINITY : Math.max(0, ageMs);
  }

  /** Takes no more writes, waits for those under way, and makes room for them. May be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#writes);
    await this.#janitor.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Naming a folder takes a hash, so that the names of some sources are kept. */
  #folderOf(source: string): string {
    let folder = this.#folders.get(source);
    if (folder === undefined) {
      folder = join(this.folder, sourceFolder(source));
      if (this.#folders.size >= MAX_FOLDERS) this.#folders.clear();
      this.#folders.set(source, folder);
    }
    return folder;
  }

  #base(source: string, key: string): string {
    // Not joined: a key of `..` is the beginning of a name here, and no folder.
    return `${this.#folderOf(source)}${sep}${entryName(key)}`;
  }

  async #openFile(path: string): Promise<CachedFile | undefined> {
    try {
      const handle = await open(path, 'r');
      try {
        const stats = this.#small.areFast ? fstatSync(handle.fd) : await handle.stat();
        if (stats.isFile()) return new CachedFile(path, handle, stats, this.#small);
      } catch (error) {
        await handle.close();
        throw error;
      }
      await handle.close();
      return undefined;
    } catch (error) {
      if (ABSENT.has(codeOf(error))) return undefined;
      throw error;
    }
  }

  async #set(
    source: string,
    key: string,
    body: CacheBody,
    validator: FileValidator | undefined,
    options: CacheSetOptions,
  ): Promise<number> {
    const isSmall = body instanceof Uint8Array && validator === undefined;
    if (isSmall && (await this.#setSmall(source, key, body, options))) return body.length;
    let temporary: TemporaryFile | undefined;
    try {
      temporary = await this.createTemporary(source);
      const chunks = body instanceof Uint8Array ? [body] : body;
      const { modifiedAt, validators, sha512 = createHash('sha512') } = options;
      for await (const piece of chunks as AsyncIterable<Uint8Array | string> | Uint8Array[]) {
        // Streams of texts are no others by their type.
        const chunk = typeof piece === 'string' ? Buffer.from(piece) : piece;
        if (typeof sha512 !== 'string') sha512.update(chunk);
        await temporary.append([chunk]);
      }
      await validator?.(temporary.path);
      const digest = typeof sha512 === 'string' ? sha512 : sha512.digest('base64');
      const stored = validators && { ...validators, sha512: digest };
      return await this.keep(temporary, source, key, { modifiedAt, validators: stored });
    } catch (error) {
      if (body instanceof Readable) body.destroy();
      if (temporary !== undefined) await rm(temporary.path, { force: true });
      throw error;
    } finally {
      await temporary?.handle.close();
    }
  }

  #track<T>(write: Promise<T>): Promise<T> {
    this.#writes.add(write);
    const done = () => void this.#writes.delete(write);
    write.then(done, done);
    return write;
  }

  /** Whether a file was written the short way, as those in one piece are where the folder is there and that is fast. */
  async #setSmall(source: string, key: string, bytes: Uint8Array, options: CacheSetOptions): Promise<boolean> {
    if (this.#closed || bytes.length > WHOLE_BYTES || !this.#small.areFast) return false;
    const { modifiedAt = this.#clock(), validators, sha512 } = options;
    const base = this.#base(source, key);
    try {
      await this.#small.write(dirname(base), `${base}${FILE_SUFFIX}`, bytes, modifiedAt);
    } catch {
      // The longer way makes the folder, or says what is wrong.
      return false;
    }
    this.#janitor.used(bytes.length);
    await this.#writeValidators(base, validators && { ...validators, sha512: sha512 ?? sha512Of(bytes) });
    return true;
  }

  async #keep(temporary: TemporaryFile, base: string, options: CacheKeepOptions): Promise<number> {
    const { modifiedAt = this.#clock() } = options;
    const size = options.size ?? (await temporary.handle.stat()).size;
    try {
      await this.#move(temporary, `${base}${FILE_SUFFIX}`, modifiedAt);
    } catch (error) {
      if (!isOvertaken(error)) throw error;
      await rm(temporary.path, { force: true });
      return size;
    }
    this.#janitor.used(size);
    await this.#writeValidators(base, options.validators);
    return size;
  }

  async #move(temporary: TemporaryFile, path: string, modifiedAt: number): Promise<void> {
    if (this.#small.areFast) return this.#small.move(temporary, path, modifiedAt);
    const time = new Date(modifiedAt);
    await temporary.handle.utimes(time, time);
    await rename(temporary.path, path);
  }

  async #writeValidators(base: string, validators: StoredValidators | undefined): Promise<void> {
    const path = `${base}${VALIDATORS_SUFFIX}`;
    if (!this.#small.areFast) return writeValidators(path, validators);
    if (validators !== undefined) this.#small.overwrite(path, Buffer.from(JSON.stringify(validators)));
    else if (this.#small.stat(path) !== undefined) await rm(path, { force: true });
  }
}

const MAX_FOLDERS = 100;
const MAX_CLOCK_SKEW_MS = 60_000;

/** Whether somebody emptied the cache meanwhile, or has on Windows just written the same and holds on to it. */
function isOvertaken(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOENT' || (process.platform === 'win32' && IN_USE.has(code));
}

function sha512Of(bytes: Uint8Array): string {
  return createHash('sha512').update(bytes).digest('base64');
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code;
