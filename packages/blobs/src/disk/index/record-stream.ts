import { type EntryKey, keyLength, ReusedKeys } from './entry-key.js';
import { decodeRecord, type EntryRecord, recordLength } from './record.js';

/** Stands where the next key's kind would. What follows is the count of malformed records, and nothing else. */
const END = 0;
const END_BYTES = 5;
const CHUNK_BYTES = 64 * 1024;
const LONGEST_ENTRY = 128;
const NOTHING: Buffer = Buffer.alloc(0);

/** A key and a record, as the database has them. */
export interface RawEntry {
  readonly key: Uint8Array;
  readonly value: Buffer;
}

/** The well-formed ones behind each other as they are, in chunks, and an end. */
export function* encodeEntries(entries: Iterable<RawEntry>): Generator<Buffer, void> {
  const keys = new ReusedKeys();
  let chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let filled = 0;
  let malformed = 0;
  for (const { key, value } of entries) {
    if (!keys.parse(key) || !decodeRecord(value)) {
      malformed++;
      continue;
    }
    chunk.set(key, filled);
    chunk.set(value, filled + key.length);
    filled += key.length + value.length;
    if (filled + LONGEST_ENTRY <= CHUNK_BYTES) continue;
    yield chunk.subarray(0, filled);
    chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    filled = 0;
  }
  chunk[filled] = END;
  chunk.writeUInt32LE(malformed, filled + 1);
  yield chunk.subarray(0, filled + END_BYTES);
}

/** The other side of {@link encodeEntries}, for chunks that were cut anywhere. */
export class EntryDecoder {
  /** Records that were not sent because they are malformed; undefined until the end came. */
  malformed: number | undefined;
  readonly #keys = new ReusedKeys();
  #rest: Buffer = NOTHING;

  /**
   * @param visit is given each entry; the key's memory is used again for the next one
   * @throws Error when this is something else
   */
  decode(chunk: Buffer, visit: (key: EntryKey, record: EntryRecord) => void): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    while (this.malformed === undefined) {
      const recordAt = at + (keyLength(bytes[at] ?? END) ?? END_BYTES);
      if (recordAt > bytes.length) break;
      if (bytes[at] === END) {
        this.malformed = bytes.readUInt32LE(at + 1);
        break;
      }
      const place = bytes[recordAt];
      if (place === undefined) break;
      const end = recordAt + (recordLength(place) ?? 0);
      if (end > bytes.length) break;
      const key = this.#keys.parse(bytes.subarray(at, recordAt));
      const record = decodeRecord(bytes.subarray(recordAt, end));
      if (!key || !record) throw new Error('what came is no record');
      visit(key, record);
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }
}
