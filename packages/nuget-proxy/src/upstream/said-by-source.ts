import type { SearchOptions, SearchPage, VulnerabilityIndex } from '@granary/nuget';
import type { SearchAnswer, Vulnerability } from '../feed/feed-content.js';
import { advisoryFrom, type IsOwnUrl, recordOfHit, severityOf } from '../feed/record-of.js';

/** Most versions of a package that are kept of a search. */
const MAX_VERSIONS = 2000;

/** What a source found, as plain data. */
export function searchAnswerOf(
  { total, results }: SearchPage,
  { skip = 0 }: SearchOptions,
  isOwn?: IsOwnUrl,
): SearchAnswer {
  const hits = results.map((result) => ({
    record: recordOfHit(result, isOwn),
    versions: result.versions.slice(-MAX_VERSIONS).map(({ version, downloads = 0 }) => {
      return { version: version.toFullString(), downloads };
    }),
    totalDownloads: result.totalDownloads ?? 0,
    verified: result.verified,
  }));
  return { total: total ?? skip + hits.length, hits };
}

/** By id in lower case, as plain data; undefined when the source doesn't tell. */
export function vulnerabilitiesOf(
  index: VulnerabilityIndex | undefined,
  isOwn: IsOwnUrl = () => false,
): Readonly<Record<string, readonly Vulnerability[]>> | undefined {
  if (index === undefined) return undefined;
  const entries = Array.from(index, ([id, known]) => {
    const plain = known.map(({ advisoryUrl, severity, range }) => {
      const versions = range.toNormalizedString();
      return { advisoryUrl: advisoryFrom(advisoryUrl, isOwn), severity: severityOf(severity), versions };
    });
    return [id, plain] as const;
  });
  return Object.fromEntries(entries);
}
