import { Digest } from '../../digest.js';
import { type DigestFunction, HASH_BYTES } from '../../digest-function.js';

/**
 * Numbers of the kinds of entries: a digest function, or the result of an action. They are part of the format on the
 * disk and fit into three bits; 0 marks a free slot of the table.
 */
const KINDS: Readonly<Record<DigestFunction, number>> = { sha256: 1, blake3: 2, sha1: 3, md5: 4, sha384: 5, sha512: 6 };

export const ACTION_RESULT = 7;

const FUNCTIONS = new Map(Object.entries(KINDS).map(([fn, kind]) => [kind, fn as DigestFunction]));

/**
 * Values are cut into pieces that fill one page each. LMDB looks for the pages of a larger value side by side, in all
 * of its free pages one after the other, which takes milliseconds once entries have come and gone for a while.
 */
export const PIECE_BYTES = 4072;
const PIECE_NUMBER_BYTES = 2;

/** More pieces than these have no number. */
export const MOST_VALUE_BYTES = PIECE_BYTES * 256 ** PIECE_NUMBER_BYTES;

/** Words of the hash that the table compares; longer hashes are told apart by the database. */
const TABLE_WORDS = 8;

/** What names an entry: its kind, and a hash that lies in `words` from `at`. */
export interface EntryKey {
  readonly kind: number;
  readonly words: Int32Array;
  readonly at: number;
}

export function kindOf(fn: DigestFunction): number {
  return KINDS[fn];
}

export function blobKey(digest: Digest): EntryKey {
  return { kind: KINDS[digest.function], words: digest.words, at: digest.at };
}

/** The key of an action's result: the SHA-256 of its text, since that may be of any length. */
export function actionResultKey(text: string): EntryKey {
  const { words, at } = Digest.of('sha256', Buffer.from(text));
  return { kind: ACTION_RESULT, words, at };
}

/** The digest function of a blob's kind; undefined for an action result. */
export function functionOf(kind: number): DigestFunction | undefined {
  return FUNCTIONS.get(kind);
}

const HASH_WORDS = Uint8Array.from({ length: ACTION_RESULT + 1 }, (_, kind) => {
  const fn = FUNCTIONS.get(kind);
  return fn ? HASH_BYTES[fn] / 4 : TABLE_WORDS;
});

/** Words of a whole hash of this kind. */
export function wordsOf(kind: number): number {
  return HASH_WORDS[kind] as number;
}

/** Words of a hash of this kind that the table has. */
export function tableWordsOf(kind: number): number {
  return Math.min(TABLE_WORDS, HASH_WORDS[kind] as number);
}

/** The key as the database has it: a byte for the kind, then the hash. */
export function keyBytes(key: EntryKey): Buffer {
  const length = wordsOf(key.kind) * 4;
  const bytes = Buffer.allocUnsafe(1 + length);
  bytes[0] = key.kind;
  bytes.set(new Uint8Array(key.words.buffer, key.words.byteOffset + key.at * 4, length), 1);
  return bytes;
}

/**
 * Keys, each in the memory of the one before: buffers for every blob of a batch would keep the collector busy
 * (benchmark `BatchReadBlobs 100x4KiB`), and those for every blob of the store would never all be given back
 * (benchmark `memory`).
 */
export class ReusedKeys {
  readonly #byKind: ReusedKey[] = [];

  /** To be used before the next one is asked for. */
  of(key: EntryKey): ReusedKey {
    return this.#ofKind(key.kind).set(key);
  }

  /** As {@link parseKey}, to be used before the next one is asked for. */
  parse(bytes: Uint8Array): EntryKey | undefined {
    return isKey(bytes) ? this.#ofKind(bytes[0] as number).read(bytes) : undefined;
  }

  #ofKind(kind: number): ReusedKey {
    let reused = this.#byKind[kind];
    if (!reused) {
      reused = new ReusedKey(kind);
      this.#byKind[kind] = reused;
    }
    return reused;
  }
}

class ReusedKey implements EntryKey {
  readonly kind: number;
  /** The hash within `entry`, in whole words: what comes before it ends at the border of one. */
  readonly words: Int32Array;
  readonly at = 0;
  /** As {@link keyBytes}. */
  readonly entry: Buffer;
  readonly #piece: Buffer;

  constructor(kind: number) {
    const length = wordsOf(kind) * 4;
    this.kind = kind;
    const memory = new ArrayBuffer(4 + length + PIECE_NUMBER_BYTES);
    this.entry = Buffer.from(memory, 3, 1 + length);
    this.#piece = Buffer.from(memory, 3);
    this.words = new Int32Array(memory, 4, length / 4);
    this.entry[0] = kind;
  }

  set({ words, at }: EntryKey): this {
    const own = this.words;
    for (let i = 0; i < own.length; i++) own[i] = words[at + i] as number;
    return this;
  }

  read(bytes: Uint8Array): this {
    this.entry.set(bytes);
    return this;
  }

  /** As {@link pieceKey}. */
  piece(number: number): Buffer {
    this.#piece.writeUInt16BE(number, this.entry.length);
    return this.#piece;
  }
}

/** Key of a piece of an entry's value: the entry's own for the first, for the others with a number behind it. */
export function pieceKey(entry: Buffer, number: number): Buffer {
  if (number === 0) return entry;
  const bytes = Buffer.allocUnsafe(entry.length + PIECE_NUMBER_BYTES);
  bytes.set(entry);
  bytes.writeUInt16BE(number, entry.length);
  return bytes;
}

/** The inverse of {@link pieceKey}; what is no such key is taken for an entry's own. */
export function parsePieceKey(piece: Buffer): { readonly entry: Buffer; readonly number: number } {
  const length = keyLength(piece[0] ?? 0) ?? piece.length;
  const number = piece.length === length + PIECE_NUMBER_BYTES ? piece.readUInt16BE(length) : 0;
  return { entry: piece.subarray(0, length), number };
}

/** The inverse of {@link keyBytes}; undefined when these bytes are no key. */
export function parseKey(bytes: Uint8Array): EntryKey | undefined {
  if (!isKey(bytes)) return undefined;
  const kind = bytes[0] as number;
  const words = new Int32Array(wordsOf(kind));
  new Uint8Array(words.buffer).set(bytes.subarray(1));
  return { kind, words, at: 0 };
}

function isKey(bytes: Uint8Array): boolean {
  return bytes.length > 0 && bytes.length === keyLength(bytes[0] as number);
}

/** Bytes of a key of this kind; undefined when there is no such kind. */
export function keyLength(kind: number): number | undefined {
  return kind >= 1 && kind <= ACTION_RESULT ? 1 + wordsOf(kind) * 4 : undefined;
}

/** The key as a string, for maps of the few entries that something is being done to. */
export function keyText(key: EntryKey): string {
  return keyBytes(key).toString('latin1');
}
