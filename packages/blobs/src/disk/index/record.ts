import { MOST_VALUE_BYTES } from './entry-key.js';

/** Where an entry's bytes are. */
export type Place = 'file' | 'value' | 'action';

/** What the database knows of an entry. */
export interface EntryRecord {
  readonly place: Place;
  /** Bytes of the blob, or of the action result's record. */
  readonly size: number;
  /** When it was used last; see `BlobIndex.lastUse`. */
  readonly lastUse: number;
  /** When the file was written, as the file system tells; 0 for what has no file. */
  readonly mtimeMs: number;
}

const PLACES: readonly Place[] = ['file', 'value', 'action'];
const SHORT = 17;
const LONG = 25;

/** One byte for the place, then size, last use and (for files) time of writing as little-endian doubles. */
export function encodeRecord(record: EntryRecord): Buffer {
  const bytes = Buffer.allocUnsafe(record.place === 'file' ? LONG : SHORT);
  bytes[0] = PLACES.indexOf(record.place);
  bytes.writeDoubleLE(record.size, 1);
  bytes.writeDoubleLE(record.lastUse, 9);
  if (record.place === 'file') bytes.writeDoubleLE(record.mtimeMs, 17);
  return bytes;
}

/** Bytes of a record that begins with this byte; undefined when none does. */
export function recordLength(place: number): number | undefined {
  if (PLACES[place] === undefined) return undefined;
  return PLACES[place] === 'file' ? LONG : SHORT;
}

/** @returns undefined when these bytes are no record */
export function decodeRecord(bytes: Buffer): EntryRecord | undefined {
  const place = PLACES[bytes[0] ?? PLACES.length];
  if (!place || bytes.length !== recordLength(bytes[0] as number)) return undefined;
  const size = bytes.readDoubleLE(1);
  const lastUse = bytes.readDoubleLE(9);
  if (!Number.isSafeInteger(size) || size < 0 || !Number.isFinite(lastUse)) return undefined;
  if (place !== 'file' && size > MOST_VALUE_BYTES) return undefined;
  return { place, size, lastUse, mtimeMs: place === 'file' ? bytes.readDoubleLE(17) : 0 };
}
