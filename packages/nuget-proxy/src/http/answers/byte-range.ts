import { HttpError } from '../http-error.js';

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

const ONE_RANGE = /^bytes=(\d{0,16})-(\d{0,16})$/i;

/**
 * The part of `size` bytes that a `Range` header asks for (RFC 9110, section 14); undefined for the whole: without a
 * header, with several ranges, or with one that makes no sense, which a server may ignore.
 *
 * @throws HttpError 416 when no byte lies in the range
 */
export function parseRange(header: string | undefined, size: number): ByteRange | undefined {
  const [, first, last] = header?.trim().match(ONE_RANGE) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    if (length === 0) throw unsatisfiable(size);
    return { offset: size - length, length };
  }
  const offset = Number(first);
  if (last !== '' && Number(last) < offset) return undefined;
  if (offset >= size) throw unsatisfiable(size);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return { offset, length: end - offset + 1 };
}

function unsatisfiable(size: number): HttpError {
  return new HttpError(416, `there are ${size} bytes`, { 'Content-Range': `bytes */${size}` });
}
