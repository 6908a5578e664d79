import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** What LMDB's file begins with, after a page's header. */
const MAGIC = Buffer.from('dec0efbe', 'hex');
const MAGIC_WITHIN = 64;
/** Of the second version of its format, which is the one here: the place of the magic number in a page. */
const MAGIC_AT = 24;
const VERSION = 2;
/** Places of what is known of the database, from the magic number on. */
const [VERSION_AT, PAGE_BYTES_AT, FREE_ROOT_AT, MAIN_ROOT_AT, LAST_PAGE_AT, META_BYTES] = [4, 24, 64, 112, 120, 128];
/** LMDB need not write the last pages of a transaction that it has no use for after all, though it does as a rule. */
const UNWRITTEN_PAGES = 4;

/**
 * LMDB takes the process down when it opens a file that is no database of its own, or reads of one that was cut off.
 *
 * @throws Error when this is such a file; one that isn't there, or is empty, is fine
 */
export function checkMagic(path: string): void {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const start = Buffer.alloc(MAGIC_AT + META_BYTES);
    const length = readSync(file, start);
    if (length === 0) return;
    if (!start.subarray(0, MAGIC_WITHIN).includes(MAGIC) || length < start.length || isCutOff(file, start))
      throw new Error(`${path} is damaged: remove the folder to start with an empty one`);
  } finally {
    closeSync(file);
  }
}

/** Whether the file lacks pages by both of the states that it begins with, of which the last but one counts, too. */
function isCutOff(file: number, start: Buffer): boolean {
  const meta = start.subarray(MAGIC_AT);
  // Of another format nothing is known.
  if (!meta.subarray(0, MAGIC.length).equals(MAGIC) || meta.readUInt32LE(VERSION_AT) !== VERSION) return false;
  const pageBytes = meta.readUInt32LE(PAGE_BYTES_AT);
  const { size } = fstatSync(file);
  if (size < 2 * pageBytes) return true;
  const second = Buffer.alloc(META_BYTES);
  readSync(file, second, 0, META_BYTES, pageBytes + MAGIC_AT);
  return [meta, second].every((state) => pagesOf(state) * pageBytes > size);
}

/** How many pages the file has at least, by one of its states. */
function pagesOf(state: Buffer): number {
  // An empty database has no root: the number of none is −1.
  const numbers = [FREE_ROOT_AT, MAIN_ROOT_AT].map((at) => Number(state.readBigInt64LE(at)));
  return 1 + Math.max(...numbers, Number(state.readBigInt64LE(LAST_PAGE_AT)) - UNWRITTEN_PAGES);
}
