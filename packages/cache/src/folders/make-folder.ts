import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder, and those above it that aren't there; one that is there is fine.
 *
 * Node's own way to do so never ends where nothing can be made and the system says that something is missing, as below
 * `/proc`: here it is tried once more with all that is above it, and then fails.
 *
 * @throws what the system fails with: `EACCES`, `ENOTDIR`, `EEXIST` for what is there and no folder
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const above = dirname(path);
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && above !== path) {
      await makeFolder(above);
      await mkdirUnlessThere(path);
    } else if (!(await isFolder(path))) {
      throw error;
    }
  }
}

/** Somebody else may be faster. */
async function mkdirUnlessThere(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (!(await isFolder(path))) throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
