import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { MemoryLayer } from '@granary/cache';
import type { Logger } from '@granary/telemetry';
import { isNuGetError } from '../../errors.js';
import type { CachedFile } from '../../http-cache/cached-file.js';
import type { HttpCache } from '../../http-cache/http-cache.js';
import type { PackageIdentity } from '../../package-identity.js';
import { verifyPackage } from '../../packages/verify-package.js';
import { OpenPackage } from './package-download.js';
import { checkSha512, isSha512, type PackageHash } from './package-hash.js';

export interface CachedPackagesOptions {
  readonly source: string;
  readonly sourceUrl: string;
  readonly disk: HttpCache;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export interface FindPackageOptions {
  readonly hash?: PackageHash | undefined;
  /** Looks at the whole file, although it was looked at before. */
  readonly checkAgain: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** A cached package is checked as a whole again after so long. */
const CHECKED_FOR_MS = 24 * 60 * 60_000;
const MAX_CHECKED = 10_000;
const READ_BYTES = 256 * 1024;
/** Hashed in one go: a millisecond or two. */
const TURN_BYTES = 4 * READ_BYTES;

/** Packages of one source on disk. One that is damaged is removed, and then it isn't there. */
export class CachedPackages {
  readonly #options: CachedPackagesOptions;
  /** Hashes of files that were checked, by what tells a file from one that takes its place. */
  readonly #checked: MemoryLayer<string>;
  #spareChunk: Buffer | undefined;

  constructor(options: CachedPackagesOptions) {
    this.#options = options;
    this.#checked = new MemoryLayer<string>({ maxEntries: MAX_CHECKED, ttlMs: CHECKED_FOR_MS, clock: options.clock });
  }

  /** Whether there is such a file, whole or not. */
  async has(key: string): Promise<boolean> {
    const file = await this.#open(key);
    await file?.close();
    return file !== undefined;
  }

  /** The package, however old, when it is whole and the right one. */
  async find(identity: PackageIdentity, key: string, options: FindPackageOptions): Promise<OpenPackage | undefined> {
    const { source, logger } = this.#options;
    const { id, version } = identity;
    const file = await this.#open(key);
    if (file === undefined) return undefined;
    try {
      const sha512 = await this.#intact(file, identity, key, options);
      if (sha512 === undefined || !(await isWanted(file, identity, sha512, options))) {
        await file.close();
        return undefined;
      }
      logger.debug('{PackageId} {Version} of {Source} is in the cache', id, version, source);
      const { content, size, path } = file;
      return new OpenPackage({ identity, source, bytes: content, size, path, sha512, fromCache: true });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Hash of a file that is whole and the right package; one that isn't is removed. */
  async #intact(
    file: CachedFile,
    identity: PackageIdentity,
    key: string,
    options: FindPackageOptions,
  ): Promise<string | undefined> {
    try {
      return await this.#sha512(file, identity, key, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      const { disk, source, sourceUrl, logger } = this.#options;
      const { id, version } = identity;
      logger.warning(
        'Removed {PackageId} {Version} of {Source} from the cache: it is damaged',
        id,
        version,
        source,
        error,
      );
      await disk.delete(sourceUrl, key).catch(() => {});
      return undefined;
    }
  }

  /** A cache that can't be read is no reason to fail. */
  async #open(key: string): Promise<CachedFile | undefined> {
    const { disk, sourceUrl, source, logger } = this.#options;
    try {
      return await disk.open(sourceUrl, key);
    } catch (error) {
      logger.warning('Could not read {CacheKey} of {Source} from the cache', key, source, error);
      return undefined;
    }
  }

  async #sha512(
    file: CachedFile,
    identity: PackageIdentity,
    key: string,
    { checkAgain, signal }: FindPackageOptions,
  ): Promise<string> {
    const mark = `${file.inode} ${file.size} ${file.modifiedAt} ${file.path}`;
    const known = checkAgain ? undefined : this.#checked.get(mark);
    if (known !== undefined) return known;
    const sha512 = await this.#check(file, identity, key, signal);
    this.#checked.set(mark, sha512);
    return sha512;
  }

  /** The file has the hash that it had when it came; where it hasn't, or that isn't known, all of it is looked at. */
  async #check(
    file: CachedFile,
    identity: PackageIdentity,
    key: string,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const { disk, sourceUrl } = this.#options;
    const noted = (await disk.validators(sourceUrl, key))?.sha512;
    const sha512 = await this.#hash(file, signal);
    if (noted !== sha512) await verifyPackage(file.content, identity, { checkContents: true, signal });
    return sha512;
  }

  async #hash(file: CachedFile, signal: AbortSignal | undefined): Promise<string> {
    const hash = createHash('sha512');
    const { content, size } = file;
    if (Buffer.isBuffer(content)) return hash.update(content).digest('base64');
    const chunk = this.#takeChunk();
    for (let position = 0; position < size; ) {
      signal?.throwIfAborted();
      const read = file.read(chunk, position);
      const length = typeof read === 'number' ? read : await read;
      if (length === 0) break;
      hash.update(chunk.subarray(0, length));
      position += length;
      // Others have their turn now and then.
      if (typeof read === 'number' && position % TURN_BYTES === 0) await setImmediate();
    }
    this.#spareChunk = chunk;
    return hash.digest('base64');
  }

  /** Memory that was never used before costs as much as what is read into it. */
  #takeChunk(): Buffer {
    const chunk = this.#spareChunk ?? Buffer.allocUnsafeSlow(READ_BYTES);
    this.#spareChunk = undefined;
    return chunk;
  }
}

/**
 * Whether a package has the hash that its caller wants. That it has another one is no damage: the caller may be wrong, and
 * the package is as good as ever for all others.
 *
 * @throws NuGetError `INVALID_OPTION` for a hash algorithm that there isn't
 */
async function isWanted(
  { content }: CachedFile,
  identity: PackageIdentity,
  sha512: string,
  { hash, signal }: FindPackageOptions,
): Promise<boolean> {
  try {
    checkSha512(identity, hash, sha512);
    if (hash !== undefined && !isSha512(hash)) await verifyPackage(content, identity, { hash, signal });
    return true;
  } catch (error) {
    if (signal?.aborted || (isNuGetError(error) && error.code === 'INVALID_OPTION')) throw error;
    return false;
  }
}
