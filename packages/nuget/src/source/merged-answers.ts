import { mergeVulnerabilityIndexes, vulnerabilityKey } from '../protocol/merge-vulnerability-indexes.js';
import type { PackageMetadata, SearchPage, SearchResult, VulnerabilityIndex } from '../protocol/model.js';
import { NuGetVersion } from '../versions/nuget-version.js';

/** All versions that any source has, in ascending order. */
export function mergeVersions(lists: readonly (readonly NuGetVersion[])[]): readonly NuGetVersion[] {
  const [only] = lists;
  if (only !== undefined && lists.length === 1 && isAscending(only)) return only;
  return ascending(lists.flat(), (version) => version);
}

/** What sources say of versions, in ascending order; where several say something of one, the first of them. */
export function mergeMetadata(lists: readonly (readonly PackageMetadata[])[]): readonly PackageMetadata[] {
  return ascending(lists.flat(), ({ version }) => version);
}

/** Texts in turns from each list, each once whatever its case. */
export function mergeIds(lists: readonly (readonly string[])[], take: number): readonly string[] {
  const merged = new Map<string, string>();
  for (const id of inTurns(lists)) if (!merged.has(id.toLowerCase())) merged.set(id.toLowerCase(), id);
  return [...merged.values()].slice(0, take);
}

/**
 * One page from the pages of several sources, each from its beginning: in turns, so that the best of each comes first,
 * and each package once, with the versions of all and what the one with the newest of them says.
 */
export function mergeSearches(pages: readonly SearchPage[], skip: number, take: number): SearchPage {
  const merged = new Map<string, SearchResult>();
  for (const result of inTurns(pages.map(({ results }) => results))) {
    const id = result.id.toLowerCase();
    const other = merged.get(id);
    merged.set(id, other === undefined ? result : mergeResults(other, result));
  }
  let total: number | undefined = 0;
  for (const page of pages) total = total === undefined || page.total === undefined ? undefined : total + page.total;
  return { total, results: [...merged.values()].slice(skip, skip + take) };
}

/** What all sources know of vulnerabilities; undefined where none knows of any. */
export function mergeVulnerabilities(
  indexes: readonly (VulnerabilityIndex | undefined)[],
): VulnerabilityIndex | undefined {
  const known = indexes.filter((index) => index !== undefined);
  if (known.length < 2) return known[0];
  return mergeVulnerabilityIndexes(known, vulnerabilityKey);
}

function mergeResults(a: SearchResult, b: SearchResult): SearchResult {
  const newer = NuGetVersion.compare(b.version, a.version) > 0 ? b : a;
  const versions = ascending([...a.versions, ...b.versions], ({ version }) => version);
  const downloads = Math.max(a.totalDownloads ?? -1, b.totalDownloads ?? -1);
  return { ...newer, versions, totalDownloads: downloads < 0 ? undefined : downloads };
}

/** Whether each version is higher than the one before, as what one source says nearly always is. */
function isAscending(versions: readonly NuGetVersion[]): boolean {
  for (let i = 1; i < versions.length; i++) {
    if (NuGetVersion.compare(versions[i - 1] as NuGetVersion, versions[i] as NuGetVersion) >= 0) return false;
  }
  return true;
}

/** In ascending order; of equal versions the first that is there. */
function ascending<T>(all: readonly T[], versionOf: (value: T) => NuGetVersion): T[] {
  const sorted = [...all].sort((a, b) => NuGetVersion.compare(versionOf(a), versionOf(b)));
  return sorted.filter((value, i) => {
    const before = sorted[i - 1];
    return before === undefined || !versionOf(before).equals(versionOf(value));
  });
}

/** The first of each list, then the second of each… */
function* inTurns<T>(lists: readonly (readonly T[])[]): Generator<T> {
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  for (let i = 0; i < longest; i++) {
    for (const list of lists) if (i < list.length) yield list[i] as T;
  }
}
