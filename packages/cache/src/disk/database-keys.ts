import { InvalidKeyError } from '../errors.js';

const META = 0;
const RECORD = 1;
const USE = 2;
const GONE = 3;
const PIECE = 4;
const WIDE_RECORD = 5;

/** LMDB's own bound is a little higher. */
const MAX_KEY_BYTES = 1900;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Where a namespace's totals are. */
export const metaKey = Buffer.of(META);

/**
 * The key of an entry's record. Half a pair of surrogates has no bytes of its own in UTF-8, so keys with one are
 * written as they are in memory.
 *
 * @throws InvalidKeyError when the database can't have a key so long, which is over 1900 bytes
 */
export function recordKey(key: string): Buffer {
  const wide = LONE_SURROGATE.test(key);
  const bytes = Buffer.concat([Buffer.of(wide ? WIDE_RECORD : RECORD), Buffer.from(key, wide ? 'utf16le' : 'utf8')]);
  if (bytes.length > MAX_KEY_BYTES)
    throw new InvalidKeyError(`a key on disk has at most ${MAX_KEY_BYTES - 1} bytes, not ${bytes.length - 1}`);
  return bytes;
}

/** The key of which {@link recordKey} made this. */
function keyOf(entryKey: Buffer): string {
  return entryKey.toString(entryKey[0] === WIDE_RECORD ? 'utf16le' : 'utf8', 1);
}

/** Where the records are whose keys begin alike, with others among them. */
export function recordRanges(prefix: string): { start: Buffer; end: Buffer }[] {
  // Half a pair of surrogates may become whole by what comes behind it.
  const wellFormed = /^\P{Surrogate}*/u.exec(prefix)?.[0] ?? '';
  return [
    rangeOf(Buffer.concat([Buffer.of(RECORD), Buffer.from(wellFormed)])),
    rangeOf(Buffer.concat([Buffer.of(WIDE_RECORD), Buffer.from(prefix, 'utf16le')])),
  ];
}

/** Whether the record is that of a key that begins like this. */
export function isRecordBelow(prefix: string, entryKey: Buffer): boolean {
  return keyOf(entryKey).startsWith(prefix);
}

/** Everything that begins with these bytes, of which the first is not 255. */
function rangeOf(start: Buffer): { start: Buffer; end: Buffer } {
  let last = start.length - 1;
  while (start[last] === 0xff) last--;
  const end = Buffer.from(start.subarray(0, last + 1));
  end[last] = (end[last] ?? 0) + 1;
  return { start, end };
}

/** Sorted by use, the longest ago first. */
export function useKey(lastUse: number): Buffer {
  const bytes = Buffer.allocUnsafe(9);
  bytes[0] = USE;
  // The bytes of doubles of at least 0 are in the order of the numbers.
  bytes.writeDoubleBE(lastUse, 1);
  return bytes;
}

/** Sorted by the moment at which entries are gone, the earliest first. */
export function goneKey(goneAt: number, id: number): Buffer {
  const bytes = Buffer.allocUnsafe(17);
  bytes[0] = GONE;
  bytes.writeDoubleBE(Math.max(0, goneAt), 1);
  bytes.writeDoubleBE(id, 9);
  return bytes;
}

/** A part of a value. */
export function pieceKey(id: number, number: number): Buffer {
  const bytes = Buffer.allocUnsafe(13);
  bytes[0] = PIECE;
  bytes.writeDoubleBE(id, 1);
  bytes.writeUInt32BE(number, 9);
  return bytes;
}
