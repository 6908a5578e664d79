import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';

const LOCK_FILE = 'lock.mdb';
const MODE = 0o664;
/** This one, that of the data, and that once more to sync it. */
const FILES_OPENED = 3;

/**
 * LMDB takes the process down when it opens a database and can't open the file beside it that its users find each other
 * in, as where another user made that, or any of its files, for want of file descriptors. Opens as many of them as LMDB
 * does, and makes the file when it isn't there.
 *
 * Not while this process has the database open: to close the file ends the locks that LMDB has on it.
 *
 * @throws Error of the system when the file can't be opened or made
 */
export function checkLockFile(directory: string): void {
  const path = join(directory, LOCK_FILE);
  const opened: number[] = [];
  try {
    while (opened.length < FILES_OPENED) opened.push(openSync(path, constants.O_RDWR | constants.O_CREAT, MODE));
  } finally {
    for (const file of opened) closeSync(file);
  }
}
