import { crc32, deflateRawSync } from 'node:zlib';

/**
 * An entry of an archive. What isn't given is written as it should be; what is given is written as given, however
 * wrong: `compressedSize: 7` claims seven bytes for whatever is there.
 */
export interface ZipEntryInit {
  /** Written as it is: `../x`, `C:\x` and `/x` too. */
  readonly name: string | Buffer;
  /** Default: none. */
  readonly data?: Buffer | string | undefined;
  /** What lies in the archive in place of the compressed data, for data that was compressed elsewhere, or badly. */
  readonly raw?: Buffer | undefined;
  /** Default `deflate`; a number is claimed for data that is stored. */
  readonly method?: 'store' | 'deflate' | number | undefined;
  /** Default: 2020-01-01 00:00:00. Taken in UTC. */
  readonly modified?: Date | undefined;
  /** Type and permissions as Unix has them: `0o120777` is a symbolic link. Default: made under DOS, with none. */
  readonly unixMode?: number | undefined;
  /** Bits that are added to the general purpose flags: 1 is "encrypted". */
  readonly flags?: number | undefined;
  /** Whether the name is marked as UTF-8. Default: when it is not ASCII. */
  readonly utf8?: boolean | undefined;
  /** Writes sizes and CRC behind the data, and none in the local header. */
  readonly dataDescriptor?: boolean | undefined;
  /** Writes sizes and offset into an extra field of 64 bits. */
  readonly zip64?: boolean | undefined;
  /** Further extra fields of both headers. */
  readonly extra?: Buffer | undefined;
  readonly comment?: string | undefined;
  readonly crc32?: number | undefined;
  readonly compressedSize?: number | undefined;
  readonly uncompressedSize?: number | undefined;
  /** The local header's name, where it differs from the directory's. */
  readonly localName?: string | undefined;
  /** Index of an earlier entry whose header and data this one claims as its own: entries that overlap. */
  readonly sharesDataOf?: number | undefined;
  /** Where the directory says that the local header is. */
  readonly offset?: number | undefined;
}

/** What is odd about an archive that is written. */
export interface ZipOptions {
  readonly comment?: string | Buffer | undefined;
  /** Bytes in front of the first entry; the offsets count them. */
  readonly prefix?: Buffer | undefined;
  /** Bytes after the end record. */
  readonly suffix?: Buffer | undefined;
  /** Bytes between the last entry and the directory. */
  readonly gap?: Buffer | undefined;
  /** Writes the end record in its form of 64 bits too. Default: when any entry has `zip64`. */
  readonly zip64?: boolean | undefined;
  /** Claims in the end record. */
  readonly entryCount?: number | undefined;
  readonly directoryOffset?: number | undefined;
  readonly directorySize?: number | undefined;
  readonly diskNumber?: number | undefined;
  /** Cuts so many bytes off the end. */
  readonly truncate?: number | undefined;
}

const NOTHING = Buffer.alloc(0);
const DEFAULT_TIME = new Date('2020-01-01T00:00:00Z');
const ASCII_END = 0x7f;

/** An archive of some entries, in memory, the same bytes for the same input. For tests: it can write nonsense. */
export function writeZip(entries: readonly ZipEntryInit[], options: ZipOptions = {}): Buffer {
  const parts: Buffer[] = [options.prefix ?? NOTHING];
  let offset = parts[0]?.length ?? 0;
  const written: { plan: Plan; offset: number }[] = [];
  const put = (bytes: Buffer): void => {
    parts.push(bytes);
    offset += bytes.length;
  };
  for (const entry of entries) {
    const shared = entry.sharesDataOf === undefined ? undefined : written[entry.sharesDataOf];
    const plan = planOf(entry, shared?.plan);
    written.push({ plan, offset: entry.offset ?? shared?.offset ?? offset });
    if (shared !== undefined) continue;
    put(localHeader(plan));
    put(plan.raw);
    if (entry.dataDescriptor === true) put(dataDescriptor(plan));
  }
  put(options.gap ?? NOTHING);
  const directoryStart = offset;
  for (const { plan, offset: header } of written) put(directoryHeader(plan, header));
  const end: EndRecord = {
    entryCount: options.entryCount ?? entries.length,
    directorySize: options.directorySize ?? offset - directoryStart,
    directoryOffset: options.directoryOffset ?? directoryStart,
    diskNumber: options.diskNumber ?? 0,
  };
  const zip64 = options.zip64 ?? entries.some((entry) => entry.zip64 === true);
  if (zip64) put(endRecord64(end, offset));
  put(endRecord(end, zip64, bytesOf(options.comment)));
  put(options.suffix ?? NOTHING);
  const archive = Buffer.concat(parts);
  return archive.subarray(0, archive.length - (options.truncate ?? 0));
}

/** An entry with all that its headers say. */
interface Plan {
  readonly entry: ZipEntryInit;
  readonly name: Buffer;
  readonly raw: Buffer;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly uncompressedSize: number;
}

function planOf(entry: ZipEntryInit, shared: Plan | undefined): Plan {
  const name = bytesOf(entry.name);
  const data = bytesOf(entry.data);
  const deflated = (entry.method ?? 'deflate') === 'deflate';
  const raw = shared?.raw ?? entry.raw ?? (deflated ? deflateRawSync(data) : data);
  const utf8 = entry.utf8 ?? name.some((byte) => byte > ASCII_END);
  return {
    entry,
    name,
    raw,
    flags: (entry.flags ?? 0) | (utf8 ? 0x800 : 0) | (entry.dataDescriptor === true ? 8 : 0),
    method: shared?.method ?? (typeof entry.method === 'number' ? entry.method : deflated ? 8 : 0),
    crc32: entry.crc32 ?? shared?.crc32 ?? crc32(data),
    compressedSize: entry.compressedSize ?? raw.length,
    uncompressedSize: entry.uncompressedSize ?? shared?.uncompressedSize ?? data.length,
  };
}

function bytesOf(given: Buffer | string | undefined): Buffer {
  return typeof given === 'string' ? Buffer.from(given) : (given ?? NOTHING);
}

function localHeader(plan: Plan): Buffer {
  const { entry } = plan;
  const name = entry.localName === undefined ? plan.name : Buffer.from(entry.localName);
  const later = entry.dataDescriptor === true;
  const known = later ? { ...plan, crc32: 0, compressedSize: 0, uncompressedSize: 0 } : plan;
  const extra = Buffer.concat([
    entry.zip64 === true ? extra64([known.uncompressedSize, known.compressedSize]) : NOTHING,
    entry.extra ?? NOTHING,
  ]);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(versionNeeded(entry), 4);
  writeCommon(header, 6, known);
  header.writeUInt16LE(name.length, 26);
  header.writeUInt16LE(extra.length, 28);
  return Buffer.concat([header, name, extra]);
}

function directoryHeader(plan: Plan, offset: number): Buffer {
  const { entry } = plan;
  const comment = Buffer.from(entry.comment ?? '');
  const extra = Buffer.concat([
    entry.zip64 === true ? extra64([plan.uncompressedSize, plan.compressedSize, offset]) : NOTHING,
    entry.extra ?? NOTHING,
  ]);
  const header = Buffer.alloc(46);
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt16LE((entry.unixMode === undefined ? 0 : 3 << 8) | versionNeeded(entry), 4);
  header.writeUInt16LE(versionNeeded(entry), 6);
  writeCommon(header, 8, plan);
  header.writeUInt16LE(plan.name.length, 28);
  header.writeUInt16LE(extra.length, 30);
  header.writeUInt16LE(comment.length, 32);
  header.writeUInt32LE(((entry.unixMode ?? 0) * 0x1_0000) >>> 0, 38);
  header.writeUInt32LE(entry.zip64 === true ? 0xffff_ffff : offset, 42);
  return Buffer.concat([header, plan.name, extra, comment]);
}

/** The 20 bytes that local and directory headers have in common: flags, method, time, CRC, sizes. */
function writeCommon(header: Buffer, at: number, plan: Plan): void {
  const zip64 = plan.entry.zip64 === true;
  const time = plan.entry.modified ?? DEFAULT_TIME;
  header.writeUInt16LE(plan.flags, at);
  header.writeUInt16LE(plan.method, at + 2);
  header.writeUInt16LE((time.getUTCHours() << 11) | (time.getUTCMinutes() << 5) | (time.getUTCSeconds() >> 1), at + 4);
  header.writeUInt16LE(
    ((time.getUTCFullYear() - 1980) << 9) | ((time.getUTCMonth() + 1) << 5) | time.getUTCDate(),
    at + 6,
  );
  header.writeUInt32LE(plan.crc32 >>> 0, at + 8);
  header.writeUInt32LE(zip64 ? 0xffff_ffff : plan.compressedSize, at + 12);
  header.writeUInt32LE(zip64 ? 0xffff_ffff : plan.uncompressedSize, at + 16);
}

function dataDescriptor(plan: Plan): Buffer {
  const zip64 = plan.entry.zip64 === true;
  const descriptor = Buffer.alloc(zip64 ? 24 : 16);
  descriptor.writeUInt32LE(0x08074b50, 0);
  descriptor.writeUInt32LE(plan.crc32 >>> 0, 4);
  if (zip64) {
    descriptor.writeBigUInt64LE(BigInt(plan.compressedSize), 8);
    descriptor.writeBigUInt64LE(BigInt(plan.uncompressedSize), 16);
  } else {
    descriptor.writeUInt32LE(plan.compressedSize, 8);
    descriptor.writeUInt32LE(plan.uncompressedSize, 12);
  }
  return descriptor;
}

function extra64(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(8 * values.length, 2);
  for (const [i, value] of values.entries()) field.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  return field;
}

function versionNeeded(entry: ZipEntryInit): number {
  return entry.zip64 === true ? 45 : 20;
}

interface EndRecord {
  readonly entryCount: number;
  readonly directorySize: number;
  readonly directoryOffset: number;
  readonly diskNumber: number;
}

function endRecord(end: EndRecord, zip64: boolean, comment: Buffer): Buffer {
  const record = Buffer.alloc(22);
  record.writeUInt32LE(0x06054b50, 0);
  record.writeUInt16LE(end.diskNumber, 4);
  record.writeUInt16LE(zip64 ? 0xffff : end.entryCount, 8);
  record.writeUInt16LE(zip64 ? 0xffff : end.entryCount, 10);
  record.writeUInt32LE(zip64 ? 0xffff_ffff : end.directorySize, 12);
  record.writeUInt32LE(zip64 ? 0xffff_ffff : end.directoryOffset, 16);
  record.writeUInt16LE(comment.length, 20);
  return Buffer.concat([record, comment]);
}

/** The end record of 64 bits and its locator. */
function endRecord64(end: EndRecord, offset: number): Buffer {
  const record = Buffer.alloc(56 + 20);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeUInt16LE(45, 12);
  record.writeUInt16LE(45, 14);
  record.writeUInt32LE(end.diskNumber, 16);
  record.writeBigUInt64LE(BigInt(end.entryCount), 24);
  record.writeBigUInt64LE(BigInt(end.entryCount), 32);
  record.writeBigUInt64LE(BigInt(end.directorySize), 40);
  record.writeBigUInt64LE(BigInt(end.directoryOffset), 48);
  record.writeUInt32LE(0x07064b50, 56);
  record.writeBigUInt64LE(BigInt(offset), 64);
  record.writeUInt32LE(1, 72);
  return record;
}
