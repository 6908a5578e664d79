import { accessSync, closeSync, constants, openSync, statSync } from 'node:fs';
import { join } from 'node:path';

const LOCK_FILE = 'lock.mdb';
const MODE = 0o664;
/** The lock file, that of the data, and that once more to sync it. */
const FILES_OPENED = 3;

/**
 * LMDB takes the process down when it opens a database and can't open the file beside it that its users find each other
 * in, as where another user made that, or any of its files, for want of file descriptors. Makes the file when it isn't
 * there.
 *
 * One that is there is not opened: to close it would end the locks that this process may have on it.
 *
 * @throws Error of the system when the file can't be opened or made, or file descriptors are short
 */
export function checkLockFile(directory: string): void {
  const path = join(directory, LOCK_FILE);
  if (statSync(path, { throwIfNoEntry: false })?.isFile()) accessSync(path, constants.R_OK | constants.W_OK);
  else closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT, MODE));
  // Windows opens no folders, and is never short of descriptors.
  if (process.platform !== 'win32') checkDescriptors(directory);
}

/** Opens as many files as LMDB does. */
function checkDescriptors(directory: string): void {
  const opened: number[] = [];
  try {
    while (opened.length < FILES_OPENED) opened.push(openSync(directory, constants.O_RDONLY));
  } finally {
    for (const file of opened) closeSync(file);
  }
}
