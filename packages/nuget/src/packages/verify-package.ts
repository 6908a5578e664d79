import { getHashes } from 'node:crypto';
import { NuGetError } from '../errors.js';
import type { PackageIdentity } from '../package-identity.js';
import { checkPathInside } from './entry-path.js';
import { NupkgReader } from './nupkg-reader.js';
import type { Nuspec } from './nuspec.js';
import type { RandomAccessInput } from './random-access.js';
import type { PackageLimits } from './zip-directory.js';

/** What `verifyPackage` looks at beside archive and nuspec. */
export interface VerifyPackageOptions {
  /** Hash that the whole file must have, in base64, as feeds tell it; costs reading all of it. */
  readonly hash?: { readonly algorithm: string; readonly value: string } | undefined;
  /** Decompresses everything to check sizes and CRCs. Default false. */
  readonly checkContents?: boolean | undefined;
  readonly limits?: PackageLimits | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Checks that a file is a whole package, and the one that it should be: the archive ends where it should, each entry is
 * where the directory says, no path leads out of a folder, and the nuspec has the id (whatever its case) and the version (as NuGet compares them).
 * Cheap enough for every download: it reads the directory, the nuspec and one header for each entry.
 *
 * @returns What the nuspec says
 * @throws {@link NuGetError} `INVALID_PACKAGE` that says what is wrong or differs, `LIMIT`, `INVALID_OPTION` for a hash
 * algorithm that there isn't
 */
export async function verifyPackage(
  input: RandomAccessInput | NupkgReader,
  identity: PackageIdentity,
  options: VerifyPackageOptions = {},
): Promise<Nuspec> {
  if (input instanceof NupkgReader) return verify(input, identity, options);
  await using reader = await NupkgReader.open(input, { limits: options.limits });
  return await verify(reader, identity, options);
}

async function verify(reader: NupkgReader, identity: PackageIdentity, options: VerifyPackageOptions): Promise<Nuspec> {
  const { hash, checkContents = false, signal } = options;
  const algorithm = hash === undefined ? undefined : hashName(hash.algorithm);
  signal?.throwIfAborted();
  const nuspec = await reader.nuspec();
  checkIdentity(nuspec, identity);
  for (const { path } of reader.files()) checkPathInside(path);
  await reader.checkEntries(signal);
  if (hash !== undefined && algorithm !== undefined) {
    const actual = await reader.packageHash(algorithm, signal);
    if (actual !== hash.value.trim()) {
      throw invalid(identity, `has the ${hash.algorithm} hash ${actual}, not ${hash.value}`);
    }
  }
  if (checkContents) await reader.checkContents(signal);
  return nuspec;
}

function checkIdentity(nuspec: Nuspec, identity: PackageIdentity): void {
  if (nuspec.id.toLowerCase() !== identity.id.toLowerCase()) throw invalid(identity, `is ${nuspec.id} by its nuspec`);
  if (!nuspec.version.equals(identity.version)) {
    throw invalid(identity, `is version ${nuspec.version.toFullString()} by its nuspec`);
  }
}

function invalid(identity: PackageIdentity, what: string): NuGetError {
  const name = `${identity.id} ${identity.version.toNormalizedString()}`;
  return new NuGetError('INVALID_PACKAGE', `the package for ${name} ${what}`);
}

/** `SHA512`, `sha-512` and the like, as Node calls it. */
function hashName(algorithm: string): string {
  const name = algorithm.toLowerCase().replaceAll('-', '');
  if (!getHashes().includes(name)) {
    throw new NuGetError('INVALID_OPTION', `hash.algorithm must be a hash algorithm, not ${JSON.stringify(algorithm)}`);
  }
  return name;
}
