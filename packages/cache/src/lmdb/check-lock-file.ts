import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';

const LOCK_FILE = 'lock.mdb';
const MODE = 0o664;

/**
 * LMDB takes the process down when it opens a database and can't open the file beside it that its users find each other
 * in, as where another user made that, or no file descriptor is left. Makes the file when it isn't there.
 *
 * Not while this process has the database open: to close the file ends the locks that LMDB has on it.
 *
 * @throws Error of the system when the file can't be opened or made
 */
export function checkLockFile(directory: string): void {
  closeSync(openSync(join(directory, LOCK_FILE), constants.O_RDWR | constants.O_CREAT, MODE));
}
