import type { Place } from '../index/record.js';

const BLOCK = 4096;
/** The index's own record, its key and its share of a page that is two thirds full. */
const INDEX_BYTES = 128;
/** LMDB keeps values up to about half a page among the keys, and larger ones in pages of their own. */
const LARGEST_INLINE = 1990;
const PAGE_HEADER = 16;
const NODE_BYTES = 48;

/**
 * Bytes that an entry takes on the disk: whole blocks for a file, whole pages for a large value in the database,
 * its share of a page for a small one.
 */
export function accountedBytes(place: Place, size: number): number {
  if (place === 'file') return Math.ceil(size / BLOCK) * BLOCK + INDEX_BYTES;
  if (size <= LARGEST_INLINE) return Math.ceil(((size + NODE_BYTES) * 3) / 2) + INDEX_BYTES;
  return Math.ceil((size + PAGE_HEADER) / BLOCK) * BLOCK + NODE_BYTES * 2 + INDEX_BYTES;
}
