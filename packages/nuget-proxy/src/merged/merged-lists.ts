import { NuGetVersion } from '@granary/nuget';
import type { PackageRecord } from '../feed/package-record.js';

/** Something that lists in a certain order are merged to. */
type Merge<T, R> = (parts: readonly T[]) => R;

/** Merges parts once for as long as they stay the same objects, as they do in caches. */
export class MergedOnce<T extends object, R> {
  readonly #merge: Merge<T, R>;
  /** By the first part. */
  readonly #merged = new WeakMap<T, { readonly parts: readonly T[]; readonly result: R }>();

  constructor(merge: Merge<T, R>) {
    this.#merge = merge;
  }

  /** @param parts at least one */
  of(parts: readonly T[]): R {
    const first = parts[0] as T;
    const known = this.#merged.get(first);
    if (known?.parts.length === parts.length && known.parts.every((part, i) => part === parts[i])) return known.result;
    const result = this.#merge(parts);
    this.#merged.set(first, { parts, result });
    return result;
  }
}

/** All versions in ascending order; one that several lists have is from the first of them. */
export function mergedVersions<T extends { readonly version: string }>(lists: readonly (readonly T[])[]): readonly T[] {
  if (lists.length === 1) return lists[0] as readonly T[];
  const all: { readonly item: T; readonly version: NuGetVersion }[] = [];
  for (const item of lists.flat()) {
    const version = NuGetVersion.tryParse(item.version);
    if (version !== undefined) all.push({ item, version });
  }
  // The sort is stable, so that of equal ones the first list's comes first.
  all.sort((a, b) => NuGetVersion.compare(a.version, b.version));
  return all.filter(({ version }, i) => !version.equals(all[i - 1]?.version)).map(({ item }) => item);
}

/** What is told of all versions. The pages of several registrations have nothing to do with each other. */
export function mergedRecords(lists: readonly (readonly PackageRecord[])[]): readonly PackageRecord[] {
  const merged = mergedVersions(lists);
  return lists.length === 1 ? merged : merged.map((record) => ({ ...record, page: undefined }));
}
