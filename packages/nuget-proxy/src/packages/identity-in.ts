import { NupkgReader, type PackageIdentity } from '@granary/nuget';
import { PASSING_LIMITS } from './passing-limits.js';

/**
 * Whose bytes a file has.
 *
 * @throws NuGetError `INVALID_PACKAGE`
 */
export async function identityIn(path: string): Promise<PackageIdentity> {
  await using reader = await NupkgReader.open(path, { limits: PASSING_LIMITS });
  const { id, version } = await reader.nuspec();
  return { id, version };
}
