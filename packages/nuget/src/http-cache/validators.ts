import { readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createTemporary } from './temporary-files.js';

/** What a source can be asked with whether what it gave is still good. */
export interface Validators {
  /** URL that it came from, which the validators are for. */
  readonly url: string;
  /** Where redirects led from there, if anywhere. */
  readonly base?: string | undefined;
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
}

/**
 * Validators lie beside the file that they are for, in a file of their own, because NuGet.Client would take them for a
 * part of the document. They name its content: another program that replaces the file knows nothing of them, and then
 * they are for nothing. Its age would not do for that, since not every backup keeps it.
 */
export interface StoredValidators extends Validators {
  /** Hash in base64 of the content that they are for. */
  readonly sha512: string;
}

const MAX_LENGTH = 16 * 1024;

/** The validators, where there are any. Never fails. */
export async function readValidators(path: string): Promise<StoredValidators | undefined> {
  try {
    return parseValidators(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** What a file of validators says; undefined where that makes no sense. */
export function parseValidators(text: string): StoredValidators | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  try {
    const { url, base, etag, lastModified, sha512 } = JSON.parse(text) as StoredValidators;
    const isValid =
      [url, sha512].every(isText) && [base, etag, lastModified].every((value) => value === undefined || isText(value));
    return isValid ? { url, base, etag, lastModified, sha512 } : undefined;
  } catch {
    return undefined;
  }
}

/** Writes them, or removes those of another content. */
export async function writeValidators(path: string, validators: StoredValidators | undefined): Promise<void> {
  if (validators === undefined) return rm(path, { force: true });
  const temporary = await createTemporary(dirname(path));
  try {
    await temporary.handle.writeFile(JSON.stringify(validators));
    await rename(temporary.path, path);
  } catch (error) {
    await rm(temporary.path, { force: true });
    throw error;
  } finally {
    await temporary.handle.close();
  }
}

const isText = (value: unknown): boolean => typeof value === 'string';
