import type { NuGetVersion } from '@granary/nuget';

/** What a version is called in lists, addresses and keys: the same for all the ways in which it may be written. */
export function versionName(version: NuGetVersion): string {
  return version.toNormalizedString().toLowerCase();
}
