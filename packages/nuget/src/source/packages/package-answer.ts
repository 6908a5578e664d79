import type { HttpResponse } from '@granary/http';
import type { PackageRest, PackageStream } from '../../protocol/feed.js';
import { textOf } from '../header-text.js';
import { announcedHash } from './announced-hash.js';

type Headers = HttpResponse['headers'];

/** Asks for the rest of a package, or for the whole where that isn't the same any more (RFC 9110, section 13.1.5). */
export function headersFor({ offset, etag }: PackageRest): Readonly<Record<string, string>> {
  return { range: `bytes=${offset}-`, 'if-range': etag };
}

/** What an answer is that has all of it. */
export function wholePackage({ headers, body }: HttpResponse): Omit<PackageStream, 'url'> {
  const length = lengthOf(headers);
  // What is said of the body may be about what was decompressed on the way, which has no length any more.
  if (length === undefined) return { body, length, hash: announcedHash(headers, false) };
  return { body, length, etag: strongTag(headers), hash: announcedHash(headers, true) };
}

/** What an answer with status 206 is; undefined when it is another part, or one of another package. */
export function restOfPackage(
  { headers, body }: HttpResponse,
  { offset, etag }: PackageRest,
): Omit<PackageStream, 'url'> | undefined {
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/i.exec(textOf(headers['content-range'])?.trim() ?? '');
  if (range === null || headers['content-encoding'] !== undefined) return undefined;
  const [start, end, length] = range.slice(1).map(Number) as [number, number, number];
  const isRest = start === offset && end === length - 1 && Number.isSafeInteger(length);
  // It must be there (RFC 9110, section 15.3.7): who leaves it out may have ignored that it was asked for, too.
  return isRest && textOf(headers['etag']) === etag ? { body, offset, length, etag } : undefined;
}

/** Bytes of the body as it will be read: what was decompressed on the way has another length than it was sent with. */
function lengthOf(headers: Headers): number | undefined {
  if (headers['content-encoding'] !== undefined) return undefined;
  const length = Number(textOf(headers['content-length']) ?? Number.NaN);
  return Number.isSafeInteger(length) && length >= 0 ? length : undefined;
}

/** A weak one is that of other bytes, too. */
function strongTag(headers: Headers): string | undefined {
  const tag = textOf(headers['etag']);
  return tag !== undefined && /^"[\x21\x23-\x7e]*"$/.test(tag) ? tag : undefined;
}
