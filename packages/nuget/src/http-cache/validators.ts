import { readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CachedFile } from './cached-file.js';
import { createTemporary } from './temporary-files.js';

/** What a source can be asked with whether a file is still the same, and what tells whether it is whole. */
export interface Validators {
  /** URL that the document came from, which its validators are for. */
  readonly url: string;
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
  /** In base64, of what was checked to be whole: whoever reads the file later can tell whether it still is. */
  readonly sha512?: string | undefined;
}

const MAX_BYTES = 16 * 1024;

/**
 * Validators lie beside the file that they are for, in a file of their own, because NuGet.Client would take them for
 * a part of the document. They say how long and how old that file is: another program may replace it and know nothing of
 * them, and then they are for nothing.
 */
interface StoredValidators extends Validators {
  readonly size: number;
  readonly modifiedAt: number;
}

/** The validators of a file, where there are any and they are for this very file. Never fails. */
export async function readValidators(path: string, file: CachedFile): Promise<Validators | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    if (text.length > MAX_BYTES) return undefined;
    const stored = JSON.parse(text) as StoredValidators;
    if (stored.size !== file.size || stored.modifiedAt !== file.modifiedAt) return undefined;
    const { url, etag, lastModified, sha512 } = stored;
    if (typeof url !== 'string' || ![etag, lastModified, sha512].every(isTextOrNone)) return undefined;
    return { url, etag, lastModified, sha512 };
  } catch {
    return undefined;
  }
}

export async function writeValidators(
  path: string,
  validators: Validators | undefined,
  file: { readonly size: number; readonly modifiedAt: number },
): Promise<void> {
  if (validators === undefined) return rm(path, { force: true });
  const stored: StoredValidators = { ...validators, size: file.size, modifiedAt: file.modifiedAt };
  const temporary = await createTemporary(dirname(path));
  try {
    await temporary.handle.writeFile(JSON.stringify(stored));
    await rename(temporary.path, path);
  } catch (error) {
    await rm(temporary.path, { force: true });
    throw error;
  } finally {
    await temporary.handle.close();
  }
}

const isTextOrNone = (value: unknown): boolean => value === undefined || typeof value === 'string';
