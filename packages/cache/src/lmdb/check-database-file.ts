import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { isCutOff } from './page-trees.js';

/** What LMDB's file begins with, after a page's header. */
const MAGIC = Buffer.from('dec0efbe', 'hex');
const MAGIC_WITHIN = 64;
/** Shorter than this no database is. */
const LEAST_BYTES = 152;

/**
 * LMDB takes the process down when it opens a file that is no database of its own, or reads of one that was cut off. Reads
 * what is above the leaves of its trees, and 8 MiB of leaves at most.
 *
 * @throws Error when this is such a file; one that isn't there, or is empty, is fine
 */
export function checkDatabaseFile(path: string): void {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const start = Buffer.alloc(MAGIC_WITHIN);
    const { size } = fstatSync(file);
    if (size === 0) return;
    readSync(file, start);
    if (!start.includes(MAGIC) || size < LEAST_BYTES || isCutOff(file))
      throw new Error(`${path} is damaged: remove the folder to start with an empty one`);
  } finally {
    closeSync(file);
  }
}
