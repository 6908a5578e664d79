import { HttpError } from './http-error.js';

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

const ONE_RANGE = /^bytes=(\d*)-(\d*)$/i;

/**
 * The part of a representation of `size` bytes that a `Range` header asks for (RFC 9110, section 14); undefined for the
 * whole: without a header, with several ranges, or with one that is not understood, which a server may ignore.
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
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < offset) return undefined;
  if (offset >= size) throw unsatisfiable(size);
  return { offset, length: end - offset + 1 };
}

function unsatisfiable(size: number): HttpError {
  return new HttpError(416, `the blob has ${size} bytes`, { 'Content-Range': `bytes */${size}` });
}
