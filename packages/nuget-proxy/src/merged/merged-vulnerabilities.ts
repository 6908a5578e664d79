import type { Vulnerability } from '../feed/feed-content.js';

type Index = ReadonlyMap<string, readonly Vulnerability[]>;

/** What several sources know, each advisory of a package once. */
export function mergedVulnerabilities(indexes: readonly Index[]): Index {
  if (indexes.length === 1) return indexes[0] as Index;
  const merged = new Map<string, Map<string, Vulnerability>>();
  for (const index of indexes) {
    for (const [id, known] of index) {
      const ofId = merged.get(id) ?? new Map<string, Vulnerability>();
      merged.set(id, ofId);
      for (const each of known) {
        const key = `${each.advisoryUrl}\n${each.versions}`;
        if (!ofId.has(key)) ofId.set(key, each);
      }
    }
  }
  return new Map(Array.from(merged, ([id, known]) => [id, [...known.values()]]));
}
