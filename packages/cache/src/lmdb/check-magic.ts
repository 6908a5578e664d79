import { closeSync, openSync, readSync } from 'node:fs';

/** What LMDB's file begins with, after a page's header. */
const MAGIC = Buffer.from('dec0efbe', 'hex');
const MAGIC_WITHIN = 64;

/**
 * LMDB takes the process down when it opens a file that is no database of its own.
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
    const start = Buffer.alloc(MAGIC_WITHIN);
    if (readSync(file, start) > 0 && !start.includes(MAGIC))
      throw new Error(`${path} is damaged: remove the folder to start with an empty one`);
  } finally {
    closeSync(file);
  }
}
