import type { DigestFunction } from '@granary/blobs';

/** `DigestFunction.Value` of the contract, as far as Granary computes them. */
const NUMBERS: Readonly<Record<DigestFunction, number>> = {
  sha256: 1,
  sha1: 2,
  md5: 3,
  sha384: 5,
  sha512: 6,
  blake3: 9,
};

const NAMES = new Map(Object.entries(NUMBERS).map(([name, number]) => [number, name as DigestFunction]));

/** A digest function's number on the wire. */
export function digestFunctionNumber(fn: DigestFunction): number {
  return NUMBERS[fn];
}

/** The digest function with this number; undefined for those that Granary does not know, and for 0. */
export function digestFunctionOf(number: number): DigestFunction | undefined {
  return NAMES.get(number);
}
