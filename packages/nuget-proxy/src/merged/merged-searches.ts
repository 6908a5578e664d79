import { NuGetVersion } from '@granary/nuget';
import type { SearchAnswer, SearchHit } from '../feed/feed-content.js';
import { mergedVersions } from './merged-lists.js';

/** What one source found, from its start on. */
export interface FoundPart {
  readonly answer: SearchAnswer;
  /** Whether a package may come from this source. */
  readonly mayHave: (id: string) => boolean;
  /** Whether this source has a version and hides it, as far as that can be told. */
  readonly isUnlisted?: ((id: string, version: NuGetVersion) => boolean) | undefined;
}

/** A page of what several sources found: their best ones first, then their second ones, each package once. */
export function mergedHits(parts: readonly FoundPart[], page: { readonly skip: number; readonly take: number }) {
  const byId = new Map<string, SearchHit>();
  let found = 0;
  let total = 0;
  for (const { answer } of parts) total += answer.total;
  const lists = parts.map(({ answer, mayHave }, i) => {
    const hits = answer.hits.filter(({ record }) => mayHave(record.id));
    const before = parts.slice(0, i).filter(({ isUnlisted }) => isUnlisted !== undefined);
    return before.length === 0 ? hits : hits.map((hit) => withoutUnlisted(hit, before));
  });
  for (const { answer } of parts) found += answer.hits.length;
  for (const hit of interleaved(lists)) {
    const key = hit.record.id.toLowerCase();
    const known = byId.get(key);
    byId.set(key, known === undefined ? hit : together(known, hit));
  }
  const hits = [...byId.values()];
  return { total: total - (found - hits.length), hits: hits.slice(page.skip, page.skip + page.take) };
}

/** Ids of several sources, each once. */
export function mergedIds(lists: readonly (readonly string[])[]): readonly string[] {
  const byId = new Map<string, string>();
  for (const id of interleaved(lists)) if (!byId.has(id.toLowerCase())) byId.set(id.toLowerCase(), id);
  return [...byId.values()];
}

/**
 * A version that a source before this one has comes from there, and is hidden where it is hidden there. Of a hit that shows
 * such a one the record says so: which version is shown instead, all that is told of the package says.
 */
function withoutUnlisted(hit: SearchHit, before: readonly FoundPart[]): SearchHit {
  const { id } = hit.record;
  const deciding = before.filter(({ mayHave }) => mayHave(id));
  const isUnlisted = (name: string) => {
    const version = NuGetVersion.tryParse(name);
    return version !== undefined && deciding.some((part) => part.isUnlisted?.(id, version));
  };
  const record = isUnlisted(hit.record.version) ? { ...hit.record, listed: false } : hit.record;
  return { ...hit, record, versions: hit.versions.filter(({ version }) => !isUnlisted(version)) };
}

/** One package that two sources found: it has the versions of both, and shows the newest one. */
function together(first: SearchHit, second: SearchHit): SearchHit {
  const [a, b] = [first, second].map(({ record }) => NuGetVersion.tryParse(record.version));
  const isNewer = a !== undefined && b !== undefined && NuGetVersion.compare(b, a) > 0;
  return {
    record: isNewer ? second.record : first.record,
    versions: mergedVersions([first.versions, second.versions]),
    totalDownloads: Math.max(first.totalDownloads, second.totalDownloads),
    verified: first.verified,
  };
}

function* interleaved<T>(lists: readonly (readonly T[])[]): Generator<T> {
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  for (let i = 0; i < longest; i++) for (const list of lists) if (i < list.length) yield list[i] as T;
}
