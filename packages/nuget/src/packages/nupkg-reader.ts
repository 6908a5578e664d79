import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { NuGetError } from '../errors.js';
import { hashAll, hashWithoutSignature } from './content-hash.js';
import { readEntry, streamEntry } from './entry-data.js';
import { shown } from './entry-path.js';
import { type Nuspec, type PackageType, parseNuspec } from './nuspec.js';
import { BlockSource, type OpenedSource, openSource, type RandomAccessInput } from './random-access.js';
import {
  ENTRIES_PER_TURN,
  isSignature,
  locateData,
  type PackageLimits,
  readDirectory,
  type ZipDirectory,
  type ZipEntry,
} from './zip-directory.js';

/** A file in a package. */
export interface PackageFile {
  /** With slashes, and with spaces and the like as they are: `lib/net8.0/A.dll`. Not checked to be safe to write to. */
  readonly path: string;
  readonly size: number;
  readonly compressedSize: number;
  /** When it was modified, taken as UTC; undefined where the package has no valid time. */
  readonly modified: Date | undefined;
}

/** Limits of a `NupkgReader`. */
export interface NupkgReaderOptions {
  readonly limits?: PackageLimits | undefined;
}

const DEFAULT_MAX_NUSPEC_BYTES = 4 * 1024 * 1024;

/**
 * A package: a ZIP archive with a nuspec at its root. Opening reads the directory and nothing else, one or two reads
 * for most packages; files are decompressed when they are asked for, and checked against size and CRC.
 *
 * Errors: `INVALID_PACKAGE` for what is no whole archive or no package, `LIMIT` for what is more than it may be, `CLOSED`
 * after `close()`; those of the system (`ENOENT`) stay as they are.
 */
export class NupkgReader implements AsyncDisposable {
  /** Bytes of the package. */
  readonly size: number;
  /** Path of the nuspec. */
  readonly nuspecPath: string;
  /** Whether it has a signature. That the signature is right isn't looked at. */
  readonly isSigned: boolean;
  readonly #opened: OpenedSource;
  readonly #directory: ZipDirectory;
  readonly #limits: PackageLimits;
  readonly #entries = new Map<string, ZipEntry>();
  readonly #nuspecEntry: ZipEntry;
  readonly #streams = new Set<Readable>();
  #nuspec: Promise<Nuspec> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(opened: OpenedSource, directory: ZipDirectory, limits: PackageLimits) {
    this.#opened = opened;
    this.#directory = directory;
    this.#limits = limits;
    this.#nuspecEntry = findNuspec(directory);
    this.size = opened.source.size;
    this.nuspecPath = this.#nuspecEntry.path;
    this.isSigned = directory.entries.some(isSignature);
    for (const entry of directory.entries) {
      // Of two files with one path the first counts, as for NuGet.
      if (!entry.isFolder && !this.#entries.has(entry.path)) this.#entries.set(entry.path, entry);
    }
  }

  /** Opens a package. What the caller has opened (a descriptor, a handle, a source) stays the caller's to close. */
  static async open(input: RandomAccessInput, options: NupkgReaderOptions = {}): Promise<NupkgReader> {
    const { source, close } = await openSource(input);
    const opened = { source: new BlockSource(source), close };
    try {
      const limits = options.limits ?? {};
      return new NupkgReader(opened, await readDirectory(opened.source, limits), limits);
    } catch (error) {
      await close();
      throw error;
    }
  }

  /** The files, folders left out, in the order of the directory. */
  files(): readonly PackageFile[] {
    return [...this.#entries.values()];
  }

  has(path: string): boolean {
    return this.#entries.has(path);
  }

  /**
   * A file as a stream, which fails when the file isn't what the directory says. Read it to its end, or destroy it.
   *
   * @param path - As `files()` has it
   */
  async open(path: string): Promise<Readable> {
    const stream = await streamEntry(this.#source(), this.#entry(path));
    if (this.#closing !== undefined) {
      stream.destroy();
      throw closed();
    }
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    return stream;
  }

  /**
   * A file in one piece.
   *
   * @throws {@link NuGetError} `LIMIT` when it is longer than `maxBytes` (default 64 MiB)
   */
  async read(path: string, maxBytes = 64 * 1024 * 1024): Promise<Buffer> {
    const entry = this.#entry(path);
    if (entry.size > maxBytes || entry.compressedSize > 2 * maxBytes) {
      throw new NuGetError('LIMIT', `${shown(path)} has ${entry.size} bytes; at most ${maxBytes} may be`);
    }
    return readEntry(this.#source(), entry);
  }

  /** The nuspec's bytes. */
  nuspecBytes(): Promise<Buffer> {
    return this.read(this.nuspecPath, this.#limits.maxNuspecBytes ?? DEFAULT_MAX_NUSPEC_BYTES);
  }

  /** What the nuspec says. Read once, whoever asks. */
  nuspec(): Promise<Nuspec> {
    this.#nuspec ??= this.nuspecBytes().then((bytes) =>
      parseNuspec(bytes, { maxBytes: this.#limits.maxNuspecBytes ?? DEFAULT_MAX_NUSPEC_BYTES }),
    );
    return this.#nuspec;
  }

  /** Its types; none stands for a plain dependency. */
  async packageTypes(): Promise<readonly PackageType[]> {
    return (await this.nuspec()).packageTypes;
  }

  /** Hash of the whole file in base64, as feeds and `.nupkg.sha512` have it. Reads all of the package. */
  async packageHash(algorithm = 'sha512', signal?: AbortSignal): Promise<string> {
    return (await hashAll(this.#source(), algorithm, signal)).toString('base64');
  }

  /**
   * What NuGet calls the content hash, as lock files and `.nupkg.metadata` have it: SHA-512 in base64 of the package
   * without its signature, and thus `packageHash()` where there is none. Reads all of the package.
   *
   * @throws {@link NuGetError} `INVALID_PACKAGE` for several signatures, `UNSUPPORTED` for a signed package in the ZIP64
   * format, which NuGet doesn't sign
   */
  async contentHash(signal?: AbortSignal): Promise<string> {
    return (await hashWithoutSignature(this.#source(), this.#directory, signal)).toString('base64');
  }

  /** Checks that each entry is where the directory says and can be decompressed, without doing that: a read for each. */
  async checkEntries(signal?: AbortSignal): Promise<void> {
    let count = 0;
    for (const entry of this.#directory.entries) {
      signal?.throwIfAborted();
      await locateData(this.#source(), entry);
      if (++count % ENTRIES_PER_TURN === 0) await setImmediate();
    }
  }

  /** Decompresses everything and checks sizes and CRCs. */
  async checkContents(signal?: AbortSignal): Promise<void> {
    for (const entry of this.#directory.entries) {
      signal?.throwIfAborted();
      for await (const _chunk of await streamEntry(this.#source(), entry)) signal?.throwIfAborted();
    }
  }

  /** Ends the streams that are open with an error, and closes the file if it was opened by path. Can be repeated. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    for (const stream of this.#streams) stream.destroy(closed());
    await this.#opened.close();
  }

  #source(): OpenedSource['source'] {
    if (this.#closing !== undefined) throw closed();
    return this.#opened.source;
  }

  #entry(path: string): ZipEntry {
    const entry = this.#entries.get(path);
    if (entry === undefined) throw new NuGetError('INVALID_PACKAGE', `the package has no file ${shown(path)}`);
    return entry;
  }
}

function closed(): NuGetError {
  return new NuGetError('CLOSED', 'the package is closed');
}

function findNuspec(directory: ZipDirectory): ZipEntry {
  const found = directory.entries.filter((entry) => /^[^/]*\.nuspec$/i.test(entry.path));
  const [nuspec, another] = found;
  if (nuspec === undefined) throw new NuGetError('INVALID_PACKAGE', 'the package has no nuspec at its root');
  if (another !== undefined) {
    const names = found.slice(0, 5).map((entry) => shown(entry.path));
    throw new NuGetError('INVALID_PACKAGE', `the package has several nuspecs at its root: ${names.join(', ')}`);
  }
  return nuspec;
}
