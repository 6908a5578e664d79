import { NuGetError } from '../../errors.js';
import type { PackageIdentity } from '../../package-identity.js';

/** Hash of a whole package, as feeds tell it. */
export interface PackageHash {
  /** `SHA512`, or another one that Node knows. */
  readonly algorithm: string;
  /** In base64. */
  readonly value: string;
}

/** What is known of every package that is read anyway. */
export function isSha512({ algorithm }: PackageHash): boolean {
  return /^sha-?512$/i.test(algorithm);
}

/** @throws {@link NuGetError} `INVALID_PACKAGE` when a SHA-512 is asked for and the package has another one */
export function checkSha512(identity: PackageIdentity, expected: PackageHash | undefined, actual: string): void {
  if (expected === undefined || !isSha512(expected) || expected.value.trim() === actual) return;
  const name = `${identity.id} ${identity.version.toNormalizedString()}`;
  throw new NuGetError('INVALID_PACKAGE', `${name} has the SHA512 hash ${actual}, not ${expected.value}`);
}
