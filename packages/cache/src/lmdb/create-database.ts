import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import { checkLockFile } from './check-lock-file.js';

export const DATABASE_FILE = 'data.mdb';
const DRAFT = 'new';
const ANY_KEY = Buffer.from('x');

/**
 * Puts an empty database into a folder that has none. Until its first sync LMDB's file is nothing that can be opened after
 * a power cut, and a process that tries may be taken down; so it is made aside and gets its name when it has arrived.
 */
export async function createDatabase(directory: string): Promise<void> {
  const file = join(directory, DATABASE_FILE);
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0) return;
  const draft = join(directory, DRAFT);
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft);
  checkLockFile(draft);
  const root = open<Buffer, Buffer>({ path: draft, noSubdir: false, encoding: 'binary', keyEncoding: 'binary' });
  // Any change at all, so that there is something to sync.
  root.transactionSync(() => {
    root.put(ANY_KEY, ANY_KEY);
    root.remove(ANY_KEY);
  });
  await root.flushed;
  await root.close();
  sync(join(draft, DATABASE_FILE));
  renameSync(join(draft, DATABASE_FILE), file);
  // Windows has no such thing for folders.
  if (process.platform !== 'win32') sync(directory);
  rmSync(draft, { recursive: true });
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
