import { isCompatible, NuGetFramework, NuGetVersion, VersionRange } from '@granary/nuget';
import type { Answer, FeedCall, FeedContent } from '../../feed/feed-content.js';
import { HttpError } from '../../http/http-error.js';
import type { ODataQuery } from '../odata-query.js';
import { historyOf, type PackageEntry } from './package-history.js';
import { recordsOfAll } from './package-records.js';

interface Installed {
  /** In lower case. */
  readonly id: string;
  readonly version: NuGetVersion;
  readonly constraint: VersionRange | undefined;
}

/**
 * What newer versions of packages there are (`GetUpdates()`): of each the newest one that is listed and fits, or all.
 *
 * @throws HttpError 400 for parameters that don't go together
 */
export async function findUpdates(
  feed: FeedContent,
  query: ODataQuery,
  call: FeedCall,
): Promise<Answer<readonly PackageEntry[]>> {
  const installed = installedIn(query);
  const frameworks = frameworksIn(query.text('targetFrameworks'));
  const [includePrerelease, includeAllVersions] = [query.flag('includePrerelease'), query.flag('includeAllVersions')];
  const ids = [...new Set(installed.map(({ id }) => id))];
  const answer = await recordsOfAll(feed, ids, call);
  const found = new Set<PackageEntry>();
  for (const [index, id] of ids.entries()) {
    const candidates = historyOf(answer.value[index] ?? [], query.semVer2).filter(
      ({ record, version }) =>
        record.listed && (includePrerelease || !version.isPrerelease) && mayFit(record.dependencyGroups, frameworks),
    );
    // A package may be installed in several versions; an update is still only one.
    for (const { version, constraint } of installed.filter((each) => each.id === id)) {
      const newer = candidates.filter((candidate) => {
        return candidate.version.compareTo(version) > 0 && constraint?.satisfies(candidate.version) !== false;
      });
      for (const entry of includeAllVersions ? newer : newer.slice(-1)) found.add(entry);
    }
  }
  return { ...answer, value: [...found] };
}

function installedIn(query: ODataQuery): readonly Installed[] {
  const ids = partsOf(query.text('packageIds'));
  const versions = partsOf(query.text('versions'));
  const constraints = partsOf(query.text('versionConstraints'));
  if (ids.length !== versions.length)
    throw new HttpError(400, 'packageIds and versions have one part for each package');
  const isConstrained = constraints.some((constraint) => constraint !== '');
  if (isConstrained && constraints.length !== ids.length) {
    throw new HttpError(400, 'versionConstraints has one part for each package, or none');
  }
  return ids.flatMap((id, index) => {
    const version = NuGetVersion.tryParse(versions[index] ?? '');
    // Of what has no version here there can't be a newer one.
    if (version === undefined) return [];
    return { id: id.toLowerCase(), version, constraint: rangeOf(constraints[index] ?? '') };
  });
}

function rangeOf(text: string): VersionRange | undefined {
  if (text === '') return undefined;
  const range = VersionRange.tryParse(text);
  if (range === undefined) throw new HttpError(400, `versionConstraints: ${text.slice(0, 40)} is no range`);
  return range;
}

/** The frameworks that a text names, without those that nobody knows. */
export function frameworksIn(text: string): readonly NuGetFramework[] {
  return partsOf(text).flatMap((name) => frameworkOf(name) ?? []);
}

function frameworkOf(name: string): NuGetFramework | undefined {
  try {
    const framework = NuGetFramework.parse(name);
    return framework.isSpecific ? framework : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a package may be for one of the frameworks: all that is known of it is for which it has dependencies. */
function mayFit(groups: PackageEntry['record']['dependencyGroups'], frameworks: readonly NuGetFramework[]): boolean {
  if (frameworks.length === 0) return true;
  return (
    groups.length === 0 ||
    groups.some(({ targetFramework }) => {
      const candidate = targetFramework === undefined ? undefined : frameworkOf(targetFramework);
      return candidate === undefined || frameworks.some((framework) => isCompatible(framework, candidate));
    })
  );
}

/** What bars separate; no part for nothing. */
function partsOf(text: string): readonly string[] {
  return text === '' ? [] : text.split('|').map((part) => part.trim());
}
