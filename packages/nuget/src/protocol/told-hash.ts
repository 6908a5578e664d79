import type { PackageMetadata } from './model.js';

/** Bytes of the hashes that feeds tell. */
const LENGTHS: ReadonlyMap<string, number> = new Map([
  ['sha512', 64],
  ['sha384', 48],
  ['sha256', 32],
  ['sha1', 20],
  ['md5', 16],
]);

/**
 * Hash of a package as a feed tells it, in base64, where some write hex. One of an algorithm that nobody knows is none:
 * nothing could be compared with it, and the package may be as good as ever.
 */
export function toldHash(value: string | undefined, algorithm = 'SHA512'): PackageMetadata['packageHash'] {
  const length = LENGTHS.get(algorithm.toLowerCase().replaceAll('-', ''));
  if (value === undefined || length === undefined) return undefined;
  const isHex = value.length === 2 * length && /^[\da-f]+$/i.test(value);
  return { algorithm, value: isHex ? Buffer.from(value, 'hex').toString('base64') : value };
}
