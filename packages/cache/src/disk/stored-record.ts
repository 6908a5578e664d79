import { crc32 } from 'node:zlib';

/** What is known of an entry without its value. */
export interface StoredRecord {
  /** Under which its pieces lie; another one at each write. */
  readonly id: number;
  /** Its place in the order of use. */
  readonly lastUse: number;
  /** What it counts towards the bound. */
  readonly charge: number;
  /** When it may be removed, in milliseconds since 1970. */
  readonly goneAt: number;
  /** Length of the value's frame. */
  readonly frameBytes: number;
  /** Of the entry's key and frame. */
  readonly frameCrc: number;
}

const FORMAT = 1;
const CRC = 4;
const FIELDS = 8;
const RECORD_BYTES = 56;

export function encodeRecord({ id, lastUse, charge, goneAt, frameBytes, frameCrc }: StoredRecord): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES);
  bytes[0] = FORMAT;
  for (const [i, field] of [id, lastUse, charge, goneAt, frameBytes, frameCrc].entries())
    bytes.writeDoubleLE(field, FIELDS + i * 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(FIELDS)), CRC);
  return bytes;
}

/** Undefined when the bytes are damaged or of another format. */
export function decodeRecord(bytes: Buffer): StoredRecord | undefined {
  if (bytes.length !== RECORD_BYTES || bytes[0] !== FORMAT) return undefined;
  if (crc32(bytes.subarray(FIELDS)) !== bytes.readUInt32LE(CRC)) return undefined;
  const field = (i: number) => bytes.readDoubleLE(FIELDS + i * 8);
  return {
    id: field(0),
    lastUse: field(1),
    charge: field(2),
    goneAt: field(3),
    frameBytes: field(4),
    frameCrc: field(5),
  };
}
