import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isNuGetError } from '../errors.js';
import { extractedFiles } from '../packages/extract.js';
import { NupkgReader, type PackageFile } from '../packages/nupkg-reader.js';
import { type PackageMarker, readMarker } from './marker.js';
import type { InstalledPaths } from './packages-folder.js';

/** What lies where a package is installed. */
export type InstalledState =
  | { readonly kind: 'absent' }
  /** Somebody has begun, and is at it or was interrupted. */
  | { readonly kind: 'unfinished' }
  /** It was whole, and isn't any more. */
  | { readonly kind: 'damaged'; readonly reason: string }
  | { readonly kind: 'whole'; readonly marker: PackageMarker; readonly files: readonly string[] };

const STATS_AT_A_TIME = 16;

/**
 * Looks whether a package is whole: it has its marker, and each file that the nupkg lists has the size that it should
 * have. Costs reading the nupkg's directory and one look at each file; contents aren't read. Without its nupkg, which
 * some remove to save space, the marker alone counts, and missing documentation (`.xml`) is nobody's damage: both can be
 * left out of restores.
 */
export async function inspect(paths: InstalledPaths): Promise<InstalledState> {
  let marker = await readMarker(paths.marker);
  if (marker === undefined) {
    if (!(await isThere(paths.folder))) return { kind: 'absent' };
    // Somebody may have moved a whole package there between the two looks.
    marker = await readMarker(paths.marker);
    if (marker === undefined) return { kind: 'unfinished' };
  }
  let reader: NupkgReader;
  try {
    reader = await NupkgReader.open(paths.nupkg);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'whole', marker, files: [] };
    if (isNuGetError(error)) return { kind: 'damaged', reason: error.message };
    throw error;
  }
  try {
    const files = [...extractedFiles(reader)];
    for (let from = 0; from < files.length; from += STATS_AT_A_TIME) {
      const checks = files.slice(from, from + STATS_AT_A_TIME).map(([path, file]) => {
        return findDamage(file.path === reader.nuspecPath ? paths.nuspec : join(paths.folder, path), file);
      });
      const reason = (await Promise.all(checks)).find((found) => found !== undefined);
      if (reason !== undefined) return { kind: 'damaged', reason };
    }
    return { kind: 'whole', marker, files: files.map(([path]) => path) };
  } finally {
    await reader.close();
  }
}

async function findDamage(path: string, file: PackageFile): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    return size === file.size ? undefined : `${file.path} has ${size} bytes, not ${file.size}`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    return file.path.toLowerCase().endsWith('.xml') ? undefined : `${file.path} is missing`;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
