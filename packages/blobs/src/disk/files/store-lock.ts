import { FolderInUseError, FolderLock } from '@granary/cache/folder-lock';
import { StoreLockedError } from '../../errors.js';
import { storeFailure } from '../failure.js';

/**
 * Takes the folder for one store, until it is released or the process ends.
 *
 * @throws StoreLockedError when another process, or another store of this one, has the folder
 */
export async function lockStore(directory: string): Promise<FolderLock> {
  try {
    return await FolderLock.acquire(directory);
  } catch (error) {
    if (error instanceof FolderInUseError) throw new StoreLockedError(directory, error.holder);
    throw storeFailure(error, `cannot lock ${directory}`);
  }
}
