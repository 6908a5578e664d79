import { FolderLock } from '@granary/cache/folders';
import { StoreLockedError } from '../../errors.js';
import { orFail } from '../failure.js';

/** @throws StoreLockedError when another process, or another store of this one, has the folder */
export function lockStore(directory: string): Promise<FolderLock> {
  const inUse = (holder: string) => new StoreLockedError(directory, holder);
  return orFail(FolderLock.acquire(directory, inUse), `cannot lock ${directory}`);
}
