import type { Place } from '../index/record.js';

const BLOCK = 4096;
/** The index's own record, its key and its share of a page that is two thirds full. */
const INDEX_BYTES = 128;
/** Bytes of a value that have a page of their own, and the key that leads there. */
const PIECE_BYTES = 4072;
const PIECE_KEY_BYTES = 80;
/** LMDB keeps values up to about half a page among the keys, and larger ones in pages of their own. */
const LARGEST_INLINE = 1990;
const NODE_BYTES = 48;
/** Pages of the database that are free at any time, since entries come and go. */
const FREE_PAGES = 1.1;

/**
 * Bytes that an entry takes on the disk: whole blocks for a file, whole pages for what is large in the database, its
 * share of a page for what is small. Measured against the database's file, which it matches within a tenth.
 */
export function accountedBytes(place: Place, size: number): number {
  if (place === 'file') return Math.ceil(size / BLOCK) * BLOCK + INDEX_BYTES;
  const rest = size % PIECE_BYTES;
  const pages = Math.floor(size / PIECE_BYTES) * (BLOCK + PIECE_KEY_BYTES);
  const last = rest > LARGEST_INLINE ? BLOCK + PIECE_KEY_BYTES : ((rest + NODE_BYTES) * 3) / 2;
  return Math.ceil((pages + last) * FREE_PAGES) + INDEX_BYTES;
}
