import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const MAX_FOLDERS = 64;

/** The file with a name in a folder, or in the nearest one above it that has it. */
export function fileAbove(name: string, start: string): string | undefined {
  let folder = start;
  for (let depth = 0; depth < MAX_FOLDERS; depth++) {
    const path = join(folder, name);
    if (name !== '' && isFile(path)) return path;
    const above = dirname(folder);
    if (above === folder) return undefined;
    folder = above;
  }
  return undefined;
}

export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
