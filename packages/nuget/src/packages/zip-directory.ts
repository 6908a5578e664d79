import {
  type Entry,
  fromRandomAccessReaderPromise,
  getFileNameLowLevel,
  RandomAccessReader,
  type ZipFile,
} from 'yauzl';
import { NuGetError } from '../errors.js';
import { pathOfEntry, shown } from './entry-path.js';
import { invalidPackage } from './invalid-package.js';
import type { RandomAccessSource } from './random-access.js';

/** How much an archive may hold. Passing a limit is an error `LIMIT`. */
export interface PackageLimits {
  /** Default 50000. */
  readonly maxEntries?: number | undefined;
  /** Uncompressed bytes of all entries together. Default 8 GiB. */
  readonly maxTotalBytes?: number | undefined;
  /** Uncompressed bytes of one entry. Default 4 GiB. */
  readonly maxEntryBytes?: number | undefined;
  /** Uncompressed bytes for each compressed one, of entries over 16 MiB. Default 250. */
  readonly maxRatio?: number | undefined;
  /** Bytes of the nuspec. Default 4 MiB. */
  readonly maxNuspecBytes?: number | undefined;
}

/** An entry, as the directory has it. */
export interface ZipEntry {
  readonly path: string;
  readonly isFolder: boolean;
  readonly rawName: Buffer;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly size: number;
  /** As the archive has it, which knows no time zones: taken as UTC, as NuGet does. Undefined for what is no time. */
  readonly modified: Date | undefined;
  /** Where its local header is. */
  readonly offset: number;
  /** Where the next entry begins, or the directory: nothing of this one lies behind it. */
  limit: number;
  /** Where the directory's header for it is, and how long that is. */
  readonly headerPosition: number;
  readonly headerSize: number;
}

/** Where the directory begins, and where it ends. */
interface DirectoryRange {
  readonly start: number;
  readonly end: number;
}

export interface ZipDirectory extends DirectoryRange {
  readonly entries: readonly ZipEntry[];
  readonly isZip64: boolean;
}

/** Ample for 50000 entries, and what a directory may cost in memory at most. */
const MAX_DIRECTORY_BYTES = 32 * 1024 * 1024;
const RATIO_FROM_BYTES = 16 * 1024 * 1024;
const GIB = 1024 ** 3;
/** Read in one go, before others have their turn: a few milliseconds. */
export const ENTRIES_PER_TURN = 512;
const LOCAL_HEADER = 30;
const DIRECTORY_HEADER = 46;
const END_RECORD = 22;
const END_LOCATOR_64 = 20;
const END_RECORD_64 = 56;
const [UTF8_FLAG, ENCRYPTED_FLAG] = [0x800, 1];
const [STORED, DEFLATED] = [0, 8];

/**
 * Reads an archive's directory, whole, with nothing before or behind its end that doesn't belong there, and with
 * entries that don't share bytes.
 *
 * @throws {@link NuGetError} `INVALID_PACKAGE`, `LIMIT`
 */
export async function readDirectory(source: RandomAccessSource, limits: PackageLimits): Promise<ZipDirectory> {
  const { maxEntries = 50_000, maxTotalBytes = 8 * GIB } = limits;
  const zip = await openZip(source);
  try {
    const start = zip.readEntryCursor as unknown as number;
    if (zip.entryCount > maxEntries) throw tooMuch(`has ${zip.entryCount} entries`, `${maxEntries}`);
    if (source.size - start > MAX_DIRECTORY_BYTES) {
      throw tooMuch(`has a directory of ${source.size - start} bytes`, `${MAX_DIRECTORY_BYTES}`);
    }
    const entries: ZipEntry[] = [];
    let position = start;
    let total = 0;
    await forEachEntry(zip, (raw) => {
      const entry = entryOf(raw, position);
      position += entry.headerSize;
      checkSize(entry, limits);
      total += entry.size;
      if (total > maxTotalBytes) throw tooMuch(`has more than ${maxTotalBytes} bytes uncompressed`, `${maxTotalBytes}`);
      entries.push(entry);
    });
    const isZip64 = await checkEnd(source, zip, { start, end: position });
    setLimits(entries, start);
    return { entries, start, end: position, isZip64 };
  } catch (error) {
    throw invalidPackage(error, 'is no whole ZIP archive');
  } finally {
    zip.close();
  }
}

/** As yauzl's iterator does it, without promises for each entry: what is in memory is read in one go. */
function forEachEntry(zip: ZipFile, take: (entry: Entry) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let isReading = false;
    let isWanted = false;
    let count = 0;
    // An entry may be there before the call for it returns; many of them, called for from one another, are a stack.
    const next = () => {
      isWanted = true;
      if (isReading) return;
      isReading = true;
      while (isWanted) {
        isWanted = false;
        zip.readEntry();
      }
      isReading = false;
    };
    zip.on('error', reject);
    zip.on('end', resolve);
    zip.on('entry', (entry: Entry) => {
      try {
        take(entry);
      } catch (error) {
        reject(error);
        return;
      }
      if (++count % ENTRIES_PER_TURN === 0) setImmediate(next);
      else next();
    });
    next();
  });
}

/** Where an entry's data is, by its local header, which must be of the same entry. */
export async function locateData(source: RandomAccessSource, entry: ZipEntry): Promise<number> {
  const length = LOCAL_HEADER + entry.rawName.length;
  return locateIn(source.peek?.(entry.offset, length) ?? (await source.read(entry.offset, length)), entry);
}

/** The same by the bytes of that header. */
function locateIn(header: Buffer, entry: ZipEntry): number {
  const wrong = (what: string): NuGetError => new NuGetError('INVALID_PACKAGE', `${shown(entry.path)} ${what}`);
  if ((entry.flags & ENCRYPTED_FLAG) !== 0) throw wrong('is encrypted');
  if (entry.method !== STORED && entry.method !== DEFLATED) {
    throw wrong(`is compressed by method ${entry.method}, which packages don't use`);
  }
  if (header.length < LOCAL_HEADER || header.readUInt32LE(0) !== 0x04034b50) {
    throw wrong('is not where the directory says');
  }
  const nameLength = header.readUInt16LE(26);
  const name = header.subarray(LOCAL_HEADER, LOCAL_HEADER + nameLength);
  if (nameLength !== entry.rawName.length || !name.equals(entry.rawName)) {
    throw wrong(`has another name where its data is: ${shown(name.toString())}`);
  }
  if (header.readUInt16LE(8) !== entry.method) throw wrong('has another method where its data is');
  const start = entry.offset + LOCAL_HEADER + nameLength + header.readUInt16LE(28);
  if (start + entry.compressedSize > entry.limit) throw wrong('runs into what comes after it');
  return start;
}

/** Whether an entry is the one that NuGet takes for a package's signature. */
export function isSignature(entry: ZipEntry): boolean {
  return (entry.flags & UTF8_FLAG) === 0 && entry.rawName.toString('latin1') === '.signature.p7s';
}

export function isDeflated(entry: ZipEntry): boolean {
  return entry.method === DEFLATED;
}

/** yauzl's view of a source. Who opened the source closes it. */
class SourceReader extends RandomAccessReader {
  readonly #source: RandomAccessSource;

  constructor(source: RandomAccessSource) {
    super();
    this.#source = source;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    let bytes: Buffer | undefined;
    try {
      bytes = this.#source.peek?.(position, length);
    } catch (error) {
      callback(error as Error);
      return;
    }
    if (bytes !== undefined) callback(null, bytes.copy(buffer, offset));
    else this.#source.read(position, length).then((read) => callback(null, read.copy(buffer, offset)), callback);
  }
}

async function openZip(source: RandomAccessSource): Promise<ZipFile> {
  try {
    const options = { autoClose: false, lazyEntries: true, decodeStrings: false };
    return await fromRandomAccessReaderPromise(new SourceReader(source), source.size, options);
  } catch (error) {
    throw invalidPackage(error, 'is no whole ZIP archive');
  }
}

function entryOf(raw: Entry, headerPosition: number): ZipEntry {
  // Without decoding, yauzl gives names as they are.
  const rawName = raw.fileName as unknown as Buffer;
  const name = nameOf(raw, rawName);
  return {
    path: pathOfEntry(name),
    isFolder: name.endsWith('/') || name.endsWith('\\'),
    rawName,
    flags: raw.generalPurposeBitFlag,
    method: raw.compressionMethod,
    crc32: raw.crc32,
    compressedSize: raw.compressedSize,
    size: raw.uncompressedSize,
    modified:
      (raw.lastModFileDate & 0x1f) === 0 ? undefined : raw.getLastModDate({ timezone: 'UTC', forceDosFormat: true }),
    offset: raw.relativeOffsetOfLocalHeader,
    limit: 0,
    headerPosition,
    headerSize: DIRECTORY_HEADER + raw.fileNameLength + raw.extraFieldLength + raw.fileCommentLength,
  };
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * .NET takes names for UTF-8 whether they are marked or not; what can't be that is in the code page of DOS. Names in extra
 * fields don't count, as they don't there: the same package would have other files.
 */
function nameOf(raw: Entry, rawName: Buffer): string {
  try {
    return strictUtf8.decode(rawName);
  } catch {
    return getFileNameLowLevel(raw.generalPurposeBitFlag, rawName, [], true);
  }
}

function checkSize(entry: ZipEntry, { maxEntryBytes = 4 * GIB, maxRatio = 250 }: PackageLimits): void {
  if (entry.size > maxEntryBytes) throw tooMuch(`has ${shown(entry.path)} of ${entry.size} bytes`, `${maxEntryBytes}`);
  if (entry.size > RATIO_FROM_BYTES && entry.size > maxRatio * entry.compressedSize) {
    const ratio = `${shown(entry.path)} of ${entry.compressedSize} bytes that says it becomes ${entry.size}`;
    throw tooMuch(`has ${ratio}`, `${maxRatio} times its size`);
  }
}

function tooMuch(what: string, limit: string): NuGetError {
  return new NuGetError('LIMIT', `the package ${what}; at most ${limit} may be`);
}

/**
 * The directory must end where its end record begins, and must be the one that this names: otherwise there are entries that
 * are not counted, another end record lies in what this one takes for a comment, or one of 64 bits names a directory of its
 * own, and others may read another archive out of the same bytes.
 */
async function checkEnd(source: RandomAccessSource, zip: ZipFile, directory: DirectoryRange): Promise<boolean> {
  const endAt = source.size - END_RECORD - zip.comment.length;
  const isZip64 = directory.end !== endAt;
  if (isZip64 && !(await endsIn64Bits(source, directory.end, endAt))) {
    throw new NuGetError('INVALID_PACKAGE', 'the package has bytes between its directory and the end of that');
  }
  const end = await source.read(endAt, END_RECORD);
  const names = (value: number, actual: number, elsewhere: number): boolean =>
    value === actual || (isZip64 && value === elsewhere);
  if (
    !names(end.readUInt16LE(10), zip.entryCount, 0xffff) ||
    !names(end.readUInt32LE(16), directory.start, 0xffff_ffff)
  ) {
    throw new NuGetError('INVALID_PACKAGE', 'the package has two end records that name different directories');
  }
  return isZip64;
}

/** Whether nothing but the end record of 64 bits and its locator are between the directory and the other end record. */
async function endsIn64Bits(source: RandomAccessSource, directoryEnd: number, endAt: number): Promise<boolean> {
  const locatorAt = endAt - END_LOCATOR_64;
  const locator = locatorAt < 0 ? undefined : await source.read(locatorAt, END_LOCATOR_64);
  if (locator?.length !== END_LOCATOR_64 || locator.readUInt32LE(0) !== 0x07064b50) return false;
  const recordAt = Number(locator.readBigUInt64LE(8));
  const record = await source.read(recordAt, END_RECORD_64);
  // The record's own length counts from behind itself.
  const recordEnd = recordAt + 12 + Number(record.readBigUInt64LE(4));
  return recordAt === directoryEnd && recordEnd === locatorAt;
}

/** @throws {@link NuGetError} `INVALID_PACKAGE` when entries overlap: the way to make a small archive gigantic */
function setLimits(entries: readonly ZipEntry[], directoryStart: number): void {
  const byOffset = [...entries].sort((a, b) => b.offset - a.offset);
  let limit = directoryStart;
  for (const entry of byOffset) {
    if (entry.offset + LOCAL_HEADER + entry.rawName.length + entry.compressedSize > limit) {
      throw new NuGetError('INVALID_PACKAGE', `${shown(entry.path)} overlaps with another entry or the directory`);
    }
    entry.limit = limit;
    limit = entry.offset;
  }
}
