import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Readable } from 'node:stream';
import { MemoryLayer } from '@granary/cache';
import { Flight, nodeTimers, retry, type Timers } from '@granary/resilience';
import type { Logger } from '@granary/telemetry';
import { isNuGetError, NuGetError, SourceError } from '../errors.js';
import type { CachedFile } from '../http-cache/cached-file.js';
import type { HttpCache } from '../http-cache/http-cache.js';
import { createTemporary, type TemporaryFile } from '../http-cache/temporary-files.js';
import type { NuGetMetrics } from '../metrics.js';
import { lowerId, type PackageIdentity } from '../package-identity.js';
import { verifyPackage } from '../packages/verify-package.js';
import type { CallOptions, PackageStream } from '../protocol/feed.js';
import { shownUrl } from '../protocol/v3/endpoint-url.js';
import { BODY_RETRIES, BODY_RETRY_DELAY_MS } from './http-feed.js';
import { OpenPackage, PackageDownload } from './package-download.js';
import { quietly } from './quietly.js';
import { RecentKeys } from './recent-keys.js';
import { SourceCacheContext } from './source-cache-context.js';
import { failureOf } from './source-failures.js';

export interface PackageHash {
  /** As feeds call it: `SHA512`. */
  readonly algorithm: string;
  /** In base64. */
  readonly value: string;
}

export interface DownloadOptions extends CallOptions {
  /** The hash that the package must have, of the whole file. Default: the one that the source tells, where it costs nothing to ask. */
  readonly hash?: PackageHash | undefined;
}

export interface PackageDownloadsOptions {
  readonly source: string;
  readonly sourceUrl: string;
  /** Asks the source. */
  readonly open: (identity: PackageIdentity, options: CallOptions) => Promise<PackageStream | undefined>;
  /** The hash that the source tells without being asked again. */
  readonly knownHash: (identity: PackageIdentity, options: CallOptions) => Promise<PackageHash | undefined>;
  readonly disk: HttpCache | undefined;
  readonly maxPackageBytes: number;
  readonly notFoundTtlMs: number;
  readonly metrics: NuGetMetrics;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly timers?: Timers | undefined;
}

interface Shared {
  readonly flight: Flight<OpenPackage | undefined>;
  /** Callers who wait for it. */
  waiting: number;
  opened: OpenPackage | undefined;
}

/** A cached package is checked as a whole again after so long. */
const CHECKED_FOR_MS = 24 * 60 * 60_000;
const MAX_CHECKED = 10_000;
const MAX_MISSING = 10_000;
/** Pieces of a body are written together up to this length. */
const WRITE_BYTES = 256 * 1024;

/**
 * Packages of one source: from disk, as often as they are there and whole, or from the source. Either way a package is
 * given out only when all of it is there and it is the right one. All who want the same one at once share one download.
 */
export class PackageDownloads {
  readonly #options: PackageDownloadsOptions;
  readonly #shared = new Map<string, Shared>();
  readonly #missing: RecentKeys;
  /** Hashes of cached files that were checked, by what tells a file from one that takes its place. */
  readonly #checked: MemoryLayer<string>;
  #closed = false;

  constructor(options: PackageDownloadsOptions) {
    this.#options = options;
    this.#missing = new RecentKeys(MAX_MISSING, options.clock);
    this.#checked = new MemoryLayer<string>({ maxEntries: MAX_CHECKED, ttlMs: CHECKED_FOR_MS, clock: options.clock });
  }

  /** The package; undefined when the source hasn't got it. */
  async download(identity: PackageIdentity, options: DownloadOptions): Promise<PackageDownload | undefined> {
    options.signal?.throwIfAborted();
    if (this.#closed) throw new SourceError('CLOSED', this.#options.source, 'it is closed');
    const context = options.cacheContext ?? new SourceCacheContext();
    const key = `nupkg_${lowerId(identity.id)}.${identity.version.toNormalizedString()}`;
    if (context.effectiveMaxAgeMs > 0 && this.#missing.has(key)) {
      this.#count(true);
      return undefined;
    }
    // A package without a cache comes for its caller only.
    const id = context.directDownload ? undefined : `${context.noCache} ${options.hash?.value ?? ''} ${key}`;
    const opened = await this.#share(id, options.signal, (signal) =>
      this.#get(identity, key, { ...options, cacheContext: context, signal }),
    );
    this.#count(opened?.init.fromCache === true);
    return opened && new PackageDownload(opened);
  }

  /** Something was pushed: what was missing may be there. */
  forgetMissing(): void {
    this.#missing.clear();
  }

  /** Whether the package is in the cache, whole or not. */
  async isCached(identity: PackageIdentity): Promise<boolean> {
    const { disk, sourceUrl } = this.#options;
    const key = `nupkg_${lowerId(identity.id)}.${identity.version.toNormalizedString()}`;
    const file = await disk?.open(sourceUrl, key);
    await file?.close();
    return file !== undefined;
  }

  /** Ends the downloads under way. */
  close(): void {
    this.#closed = true;
    const closed = new NuGetError('CLOSED', `${this.#options.source} is closed`);
    for (const { flight } of this.#shared.values()) {
      flight.stop(closed);
      flight.fail(closed);
    }
  }

  async #share(
    id: string | undefined,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<OpenPackage | undefined>,
  ): Promise<OpenPackage | undefined> {
    let shared = id === undefined ? undefined : this.#shared.get(id);
    if (shared === undefined || shared.flight.isStopped) {
      shared = { flight: new Flight(), waiting: 0, opened: undefined };
      if (id !== undefined) this.#shared.set(id, shared);
      void this.#run(shared, id, work);
    }
    shared.waiting++;
    try {
      return await shared.flight.join(signal);
    } catch (error) {
      if (shared.opened === undefined) shared.waiting--;
      else await shared.opened.release();
      throw error;
    }
  }

  async #run(
    shared: Shared,
    id: string | undefined,
    work: (signal: AbortSignal) => Promise<OpenPackage | undefined>,
  ): Promise<void> {
    const { flight } = shared;
    // Who comes after the answer has none of the users that are counted below.
    const over = () => {
      if (id !== undefined && this.#shared.get(id) === shared) this.#shared.delete(id);
    };
    try {
      const opened = await work(flight.signal);
      over();
      shared.opened = opened;
      opened?.retain(shared.waiting);
      flight.answer(opened);
      await opened?.release();
    } catch (error) {
      over();
      flight.fail(error);
    }
  }

  async #get(identity: PackageIdentity, key: string, options: DownloadOptions): Promise<OpenPackage | undefined> {
    const { cacheContext: context } = options;
    if (!context?.noCache && !context?.directDownload) {
      const cached = await this.#fromDisk(identity, key, options);
      if (cached !== undefined) return cached;
    }
    const { logger, source, clock, metrics } = this.#options;
    const { id, version } = identity;
    const { span, signal } = options;
    logger.information('Downloading {PackageId} {Version} from {Source}', id, version, source);
    const start = clock();
    const finished = (status: 'success' | 'failure') =>
      quietly(() => metrics.packageDownloaded?.(status, clock() - start, span?.recording ? span : undefined));
    try {
      const opened = await this.#fetch(identity, key, options);
      if (opened === undefined) {
        this.#missing.add(key, this.#options.notFoundTtlMs);
        logger.debug('{PackageId} {Version} is not in {Source}', id, version, source);
        return undefined;
      }
      finished('success');
      const { size } = opened.init;
      logger.information(
        'Downloaded {PackageId} {Version} from {Source}: {Bytes} bytes in {Elapsed} ms',
        id,
        version,
        source,
        size,
        clock() - start,
      );
      return opened;
    } catch (error) {
      if (signal?.aborted !== true) {
        finished('failure');
        logger.error('Could not download {PackageId} {Version} from {Source}', id, version, source, error);
      }
      throw error;
    }
  }

  /** The cached package, when it is whole and the right one; else it is removed. */
  async #fromDisk(identity: PackageIdentity, key: string, options: DownloadOptions): Promise<OpenPackage | undefined> {
    const { disk, source, sourceUrl, logger } = this.#options;
    const file = await this.#openCached(key);
    if (disk === undefined || file === undefined) return undefined;
    const mark = `${file.inode} ${file.size} ${file.modifiedAt} ${file.path}`;
    try {
      let sha512 = options.cacheContext?.refreshMemoryCache ? undefined : this.#checked.get(mark);
      if (sha512 === undefined) {
        sha512 = await this.#check(file, identity, key, options.signal);
        this.#checked.set(mark, sha512);
      }
      const { hash } = options;
      if (hash !== undefined && !isSha512(hash)) await verifyPackage(file.handle, identity, { hash });
      else if (hash !== undefined && hash.value.trim() !== sha512) throw wrongHash(identity, hash, sha512);
      logger.debug('{PackageId} {Version} of {Source} is in the cache', identity.id, identity.version, source);
      return new OpenPackage({
        identity,
        source,
        handle: file.handle,
        size: file.size,
        path: file.path,
        sha512,
        fromCache: true,
      });
    } catch (error) {
      await file.close();
      if (options.signal?.aborted) throw error;
      logger.warning(
        'Removed {PackageId} {Version} of {Source} from the cache: it is damaged',
        identity.id,
        identity.version,
        source,
        error,
      );
      await disk.delete(sourceUrl, key).catch(() => {});
      return undefined;
    }
  }

  /** A cache that can't be read is no reason to fail. */
  async #openCached(key: string): Promise<CachedFile | undefined> {
    const { disk, sourceUrl, source, logger } = this.#options;
    try {
      return await disk?.open(sourceUrl, key);
    } catch (error) {
      logger.warning('Could not read {CacheKey} of {Source} from the cache', key, source, error);
      return undefined;
    }
  }

  /** The hash of a cached package, which is the one that it had when it came, or else all of it is looked at. */
  async #check(
    file: CachedFile,
    identity: PackageIdentity,
    key: string,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const { disk, sourceUrl } = this.#options;
    const known = await disk?.validators(sourceUrl, key, file);
    const sha512 = await hashOf(file, signal);
    if (known?.sha512 === sha512) return sha512;
    if (known?.sha512 !== undefined) throw wrongHash(identity, { algorithm: 'SHA512', value: known.sha512 }, sha512);
    await verifyPackage(file.handle, identity, { checkContents: true, signal });
    return sha512;
  }

  /** Asks the source, again when the package broke off or is not whole. */
  #fetch(identity: PackageIdentity, key: string, options: DownloadOptions): Promise<OpenPackage | undefined> {
    const { logger, source, timers = nodeTimers } = this.#options;
    let began = false;
    const attempt = async () => {
      began = false;
      const stream = await this.#options.open(identity, options);
      if (stream === undefined) return undefined;
      began = true;
      return this.#receive(identity, key, stream, options);
    };
    return retry(attempt, {
      maxRetries: BODY_RETRIES,
      initialDelayMs: BODY_RETRY_DELAY_MS,
      signal: options.signal,
      timers,
      shouldRetry: (error) =>
        began && isNuGetError(error) && (error.code === 'SOURCE_UNAVAILABLE' || error.code === 'INVALID_PACKAGE'),
      onRetry: ({ error }) =>
        logger.warning('Asking {Source} for {PackageId} {Version} again', source, identity.id, identity.version, error),
    });
  }

  async #receive(
    identity: PackageIdentity,
    key: string,
    stream: PackageStream,
    options: DownloadOptions,
  ): Promise<OpenPackage> {
    const { source, clock } = this.#options;
    const disk = options.cacheContext?.directDownload ? undefined : this.#options.disk;
    let temporary: TemporaryFile | undefined;
    try {
      const modifiedAt = clock();
      const cached = disk && (await this.#createInCache(disk));
      temporary = cached ?? (await createUnnamed());
      const { size, sha512 } = await this.#write(temporary, stream);
      await this.#verify(temporary, identity, sha512, stream.url, options);
      const notes = { url: stream.url, sha512 };
      const path = cached && disk && (await this.#keep(cached, disk, key, notes, modifiedAt));
      if (path === undefined) await rm(temporary.path, { force: true });
      return new OpenPackage({ identity, source, handle: temporary.handle, size, path, sha512, fromCache: false });
    } catch (error) {
      stream.body.destroy();
      await temporary?.handle.close();
      if (temporary !== undefined) await rm(temporary.path, { force: true });
      throw error;
    }
  }

  async #createInCache(disk: HttpCache): Promise<TemporaryFile | undefined> {
    const { sourceUrl, source, logger } = this.#options;
    try {
      return await disk.createTemporary(sourceUrl);
    } catch (error) {
      if (isNuGetError(error)) throw error;
      logger.warning('Packages of {Source} are not cached: the cache cannot be written to', source, error);
      return undefined;
    }
  }

  /** Where it is cached from now on; undefined when the cache can't take it. */
  async #keep(
    temporary: TemporaryFile,
    disk: HttpCache,
    key: string,
    validators: { readonly url: string; readonly sha512: string },
    modifiedAt: number,
  ): Promise<string | undefined> {
    const { sourceUrl, source, logger } = this.#options;
    try {
      await disk.keep(temporary, sourceUrl, key, { validators, modifiedAt });
      return disk.getCachePath(sourceUrl, key);
    } catch (error) {
      logger.warning('Could not cache {CacheKey} of {Source}', key, source, error);
      return undefined;
    }
  }

  async #write({ handle }: TemporaryFile, stream: PackageStream): Promise<{ size: number; sha512: string }> {
    const { source, maxPackageBytes } = this.#options;
    const where = shownUrl(stream.url);
    if ((stream.length ?? 0) > maxPackageBytes) throw tooLong(source, where, maxPackageBytes);
    const hash = createHash('sha512');
    let size = 0;
    for await (const chunks of inGroups(stream, source)) {
      for (const chunk of chunks) {
        size += chunk.length;
        hash.update(chunk);
      }
      if (size > maxPackageBytes) throw tooLong(source, where, maxPackageBytes);
      await writeAll(handle, chunks);
    }
    if (stream.length !== undefined && stream.length !== size) {
      throw new SourceError('SOURCE_UNAVAILABLE', source, `${where} ended after ${size} of ${stream.length} bytes`);
    }
    return { size, sha512: hash.digest('base64') };
  }

  async #verify(
    { handle }: TemporaryFile,
    identity: PackageIdentity,
    sha512: string,
    url: string,
    options: DownloadOptions,
  ): Promise<void> {
    const { source, knownHash } = this.#options;
    const { signal } = options;
    const hash = options.hash ?? (await knownHash(identity, options));
    try {
      if (hash !== undefined && isSha512(hash) && hash.value.trim() !== sha512) throw wrongHash(identity, hash, sha512);
      await verifyPackage(handle, identity, { signal, hash: hash && !isSha512(hash) ? hash : undefined });
    } catch (error) {
      if (!isNuGetError(error)) throw error;
      throw new SourceError(error.code, source, `${shownUrl(url)}: ${error.message}`, { cause: error });
    }
  }

  #count(hit: boolean): void {
    const { metrics } = this.#options;
    quietly(() => (hit ? metrics.cacheHit?.('package') : metrics.cacheMiss?.('package')));
  }
}

/** A file that nobody else finds, and that is gone when it is closed; on Windows, where it can't be, when it was read. */
async function createUnnamed(): Promise<TemporaryFile> {
  const temporary = await createTemporary(tmpdir());
  if (process.platform !== 'win32') await rm(temporary.path, { force: true });
  return temporary;
}

/** The body in groups of pieces, so that a small package is one write. */
async function* inGroups({ body, url }: PackageStream, source: string): AsyncGenerator<Buffer[]> {
  let group: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as Readable & AsyncIterable<Buffer>) {
      group.push(chunk);
      length += chunk.length;
      if (length < WRITE_BYTES) continue;
      yield group;
      group = [];
      length = 0;
    }
  } catch (error) {
    throw failureOf(source, url, error);
  }
  if (group.length > 0) yield group;
}

async function writeAll(handle: TemporaryFile['handle'], chunks: Buffer[]): Promise<void> {
  const wanted = chunks.reduce((sum, { length }) => sum + length, 0);
  const { bytesWritten } = await handle.writev(chunks);
  if (bytesWritten === wanted) return;
  const rest = Buffer.concat(chunks).subarray(bytesWritten);
  for (let offset = 0; offset < rest.length; ) offset += (await handle.write(rest, offset)).bytesWritten;
}

async function hashOf({ handle, size }: CachedFile, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha512');
  const chunk = Buffer.allocUnsafeSlow(Math.min(size, WRITE_BYTES) || 1);
  for (let position = 0; position < size; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, position);
    if (bytesRead === 0) break;
    hash.update(chunk.subarray(0, bytesRead));
    position += bytesRead;
  }
  return hash.digest('base64');
}

const isSha512 = ({ algorithm }: PackageHash): boolean => /^sha-?512$/i.test(algorithm);

function wrongHash({ id, version }: PackageIdentity, { algorithm, value }: PackageHash, actual: string): NuGetError {
  const message = `${id} ${version.toNormalizedString()} has the ${algorithm} hash ${actual}, not ${value}`;
  return new NuGetError('INVALID_PACKAGE', message);
}

function tooLong(source: string, where: string, maxBytes: number): SourceError {
  return new SourceError('LIMIT', source, `${where} is longer than ${maxBytes} bytes`);
}
