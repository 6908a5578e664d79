import { isPackageId, type PackageIdentity } from '../package-identity.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import { VersionRange } from '../versions/version-range.js';

/** Undefined for what is no id, or no version. */
export function identityOf(id: unknown, version: unknown): PackageIdentity | undefined {
  if (typeof id !== 'string' || typeof version !== 'string' || !isPackageId(id)) return undefined;
  const parsed = NuGetVersion.tryParse(version);
  return parsed && { id, version: parsed };
}

/** The one version of a range such as `[1.0]`; undefined for a range that has room for others. */
export function exactVersionOf(text: string): NuGetVersion | undefined {
  const range = VersionRange.tryParse(text);
  return range?.minVersion && range.maxVersion?.equals(range.minVersion) ? range.minVersion : undefined;
}
