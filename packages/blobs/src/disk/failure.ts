import { statfsSync } from 'node:fs';
import { isStoreError, NoSpaceError, StoreError } from '../errors.js';

/** As Node names them and as LMDB numbers them (Linux). */
const NO_SPACE = new Set<unknown>(['ENOSPC', 'EDQUOT', 28, 122]);
/** The medium lost what was written to it; other failures say nothing about the bytes. */
const UNREADABLE = new Set(['EIO', 'EUCLEAN', 'EBADMSG', 'EISDIR', 'ELOOP']);
const FORBIDDEN = new Set(['EACCES', 'EPERM', 'EROFS']);

/** What the operating system or the database threw, as the store's error: no space, or a failure of the store. */
export function storeFailure(error: unknown, what: string): StoreError {
  if (isStoreError(error)) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code && NO_SPACE.has(code))
    return new NoSpaceError(`${what}: the file system is full (${code})`, { cause: error });
  if (/ENOSPC|no space left|disk quota/i.test(message))
    return new NoSpaceError(`${what}: the file system is full`, { cause: error });
  return new StoreError('STORE_FAILED', `${what}: ${message}`, { cause: error });
}

/** As Node names it and as LMDB numbers it. */
const FAILED_IO = new Set<unknown>(['EIO', 5]);
/** With less than this free, a file system counts as full. */
const FULL_BYTES = 1024 * 1024;

/**
 * What a commit threw, as the store's error. Where the system took only a part of what LMDB wrote, LMDB says that input or
 * output failed; that is how a file system ends that has just become full.
 *
 * @param directory where the database is
 */
export function commitFailure(error: unknown, what: string, directory: string, freeBytes = freeBytesOf): StoreError {
  const { code } = error as NodeJS.ErrnoException;
  if (FAILED_IO.has(code) && freeBytes(directory) < FULL_BYTES)
    return new NoSpaceError(`${what}: the file system is full`, { cause: error });
  return storeFailure(error, what);
}

/** Of a file system that doesn't say, it is taken that there is room. */
function freeBytesOf(directory: string): number {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Waits for the operating system and turns its failures into the store's. */
export async function orFail<T>(work: Promise<T>, what: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw storeFailure(error, what);
  }
}

/** Whether nothing is there, or nothing can be: what should be the folder above it is a file. */
export function isNotFound(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Whether the failure means that the file's bytes are lost, not that the system is short of something. */
export function isUnreadable(error: unknown): boolean {
  return UNREADABLE.has((error as NodeJS.ErrnoException).code ?? '');
}

/** Whether the system doesn't let this user do it, which says nothing about what is there. */
export function isForbidden(error: unknown): boolean {
  return FORBIDDEN.has((error as NodeJS.ErrnoException).code ?? '');
}
