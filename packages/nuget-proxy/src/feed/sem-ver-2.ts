import { NuGetVersion, VersionRange } from '@granary/nuget';
import type { PackageRecord } from './package-record.js';

/** Whether only clients of SemVer 2 understand a package: by its own version, or by what it depends on. */
export function isSemVer2(record: PackageRecord): boolean {
  return (
    NuGetVersion.parse(record.version).isSemVer2 ||
    record.dependencyGroups.some(({ dependencies }) => dependencies.some(({ range }) => isSemVer2Range(range)))
  );
}

function isSemVer2Range(text: string): boolean {
  // Nearly no range has labels, and a package may have thousands of dependencies in all of its versions.
  if (!/[-+]/.test(text)) return false;
  const range = VersionRange.tryParse(text);
  return range?.minVersion?.isSemVer2 === true || range?.maxVersion?.isSemVer2 === true;
}
