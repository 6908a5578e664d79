import { NuGetVersion } from '@granary/nuget';
import type { PackageRecord } from '../../feed/package-record.js';
import { isSemVer2 } from '../../feed/sem-ver-2.js';

/** One version of a package among the others that the same client sees. */
export interface PackageEntry {
  readonly record: PackageRecord;
  readonly version: NuGetVersion;
  /** Whether it is the newest one that is listed and stable. */
  readonly isLatest: boolean;
  /** Whether it is the newest one that is listed. */
  readonly isAbsoluteLatest: boolean;
  /** Of all versions together, where that is known. */
  readonly totalDownloads?: number | undefined;
}

/**
 * The versions of a package that a client understands, with what is the newest of them.
 *
 * @param records of one package, ascending
 * @param semVer2 whether the client understands SemVer 2; others don't get to see what needs it
 */
export function historyOf(records: readonly PackageRecord[], semVer2: boolean): readonly PackageEntry[] {
  const seen = semVer2 ? records : records.filter((record) => !isSemVer2(record));
  const parsed = seen.map((record) => ({ record, version: NuGetVersion.parse(record.version) }));
  const latest = parsed.findLast(({ record, version }) => record.listed && !version.isPrerelease);
  const absolute = parsed.findLast(({ record }) => record.listed);
  return parsed.map((each) => ({ ...each, isLatest: each === latest, isAbsoluteLatest: each === absolute }));
}
