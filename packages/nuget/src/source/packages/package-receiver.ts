import { createHash } from 'node:crypto';
import { type FileHandle, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Logger } from '@granary/telemetry';
import { isNuGetError, SourceError } from '../../errors.js';
import type { HttpCache } from '../../http-cache/http-cache.js';
import { createTemporary, type TemporaryFile } from '../../http-cache/temporary-files.js';
import type { PackageIdentity } from '../../package-identity.js';
import type { Nuspec } from '../../packages/nuspec.js';
import { verifyPackage } from '../../packages/verify-package.js';
import type { PackageStream } from '../../protocol/feed.js';
import { shownUrl } from '../../protocol/v3/endpoint-url.js';
import { failureOf } from '../source-failures.js';
import { OpenPackage } from './package-download.js';
import { checkSha512, isSha512, type PackageHash } from './package-hash.js';

export interface PackageReceiverOptions {
  readonly source: string;
  readonly sourceUrl: string;
  readonly maxPackageBytes: number;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export interface ReceiveOptions {
  /** Where the package is kept, and its key there. */
  readonly disk: HttpCache | undefined;
  readonly key: string;
  readonly hash: PackageHash | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface WrittenPackage {
  readonly size: number;
  readonly sha512: string;
  /** All of it, where it was so short that it was written at once: then nothing need be read to look at it. */
  readonly content: Buffer | undefined;
}

/** Pieces of a body are written together up to this length, so that a small package is one write. */
const WRITE_BYTES = 256 * 1024;

/** Takes packages from a source: into a file, checked as a whole, and only then to where others find them. */
export class PackageReceiver {
  readonly #options: PackageReceiverOptions;

  constructor(options: PackageReceiverOptions) {
    this.#options = options;
  }

  /**
   * The package, in an open file. What it is refused for, or breaks off with, leaves nothing behind.
   *
   * @throws SourceError `INVALID_PACKAGE`, `LIMIT`, `SOURCE_UNAVAILABLE`
   */
  async receive(identity: PackageIdentity, stream: PackageStream, options: ReceiveOptions): Promise<OpenPackage> {
    const { source, clock } = this.#options;
    const { disk, key } = options;
    let temporary: TemporaryFile | undefined;
    try {
      const modifiedAt = clock();
      const inCache = disk && (await this.#createIn(disk));
      temporary = inCache ?? (await createUnnamed());
      const { size, sha512, content } = await this.#write(temporary, stream);
      const nuspec = await this.#verify(content ?? temporary.handle, identity, sha512, stream.url, options);
      const validators = { url: stream.url, sha512 };
      const path = inCache && disk && (await this.#keep(inCache, disk, key, { validators, modifiedAt, size }));
      if (path === undefined) await rm(temporary.path, { force: true });
      const { handle } = temporary;
      return new OpenPackage({ identity, source, handle, size, path, sha512, nuspec, fromCache: false });
    } catch (error) {
      stream.body.destroy();
      await temporary?.handle.close();
      if (temporary !== undefined) await rm(temporary.path, { force: true });
      throw error;
    }
  }

  async #createIn(disk: HttpCache): Promise<TemporaryFile | undefined> {
    const { sourceUrl, source, logger } = this.#options;
    try {
      return await disk.createTemporary(sourceUrl);
    } catch (error) {
      if (isNuGetError(error)) throw error;
      logger.warning('Packages of {Source} are not cached: the cache cannot be written to', source, error);
      return undefined;
    }
  }

  async #write({ handle }: TemporaryFile, stream: PackageStream): Promise<WrittenPackage> {
    const { source, maxPackageBytes } = this.#options;
    const { url, length } = stream;
    const tooLong = () => new SourceError('LIMIT', source, `${shownUrl(url)} is longer than ${maxPackageBytes} bytes`);
    if ((length ?? 0) > maxPackageBytes) throw tooLong();
    const hash = createHash('sha512');
    let size = 0;
    let groups = 0;
    let last: Buffer[] = [];
    for await (const chunks of inGroups(stream, source)) {
      for (const chunk of chunks) {
        size += chunk.length;
        hash.update(chunk);
      }
      if (size > maxPackageBytes) throw tooLong();
      await writeAll(handle, chunks);
      last = chunks;
      groups++;
    }
    if (length !== undefined && length !== size) {
      throw new SourceError('SOURCE_UNAVAILABLE', source, `${shownUrl(url)} ended after ${size} of ${length} bytes`);
    }
    return { size, sha512: hash.digest('base64'), content: groups === 1 ? Buffer.concat(last) : undefined };
  }

  async #verify(
    input: FileHandle | Buffer,
    identity: PackageIdentity,
    sha512: string,
    url: string,
    { hash, signal }: ReceiveOptions,
  ): Promise<Nuspec> {
    try {
      checkSha512(identity, hash, sha512);
      const other = hash === undefined || isSha512(hash) ? undefined : hash;
      return await verifyPackage(input, identity, { signal, hash: other });
    } catch (error) {
      if (!isNuGetError(error)) throw error;
      throw new SourceError(error.code, this.#options.source, `${shownUrl(url)}: ${error.message}`, { cause: error });
    }
  }

  /** Where it is cached from now on; undefined when the cache can't take it. */
  async #keep(
    temporary: TemporaryFile,
    disk: HttpCache,
    key: string,
    notes: Parameters<HttpCache['keep']>[3],
  ): Promise<string | undefined> {
    const { sourceUrl, source, logger } = this.#options;
    try {
      await disk.keep(temporary, sourceUrl, key, notes);
      return disk.getCachePath(sourceUrl, key);
    } catch (error) {
      logger.warning('Could not cache {CacheKey} of {Source}', key, source, error);
      return undefined;
    }
  }
}

/** A file that nobody else finds, and that is gone when it is closed; on Windows, where it can't be, when it was read. */
async function createUnnamed(): Promise<TemporaryFile> {
  const temporary = await createTemporary(tmpdir());
  if (process.platform !== 'win32') await rm(temporary.path, { force: true });
  return temporary;
}

async function* inGroups({ body, url }: PackageStream, source: string): AsyncGenerator<Buffer[]> {
  let group: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
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
