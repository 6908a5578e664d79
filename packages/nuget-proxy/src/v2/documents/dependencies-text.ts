import { VersionRange } from '@granary/nuget';
import type { DependencyGroupRecord } from '../../feed/package-record.js';

/**
 * Dependencies as protocol 2 has them: `id:range:framework` joined by `|`. A range that takes everything, and the
 * framework of a group for all of them, are left out; a group without dependencies is `::net45`.
 */
export function dependenciesText(groups: readonly DependencyGroupRecord[]): string {
  const parts: string[] = [];
  for (const { targetFramework = '', dependencies } of groups) {
    if (dependencies.length === 0 && targetFramework !== '') parts.push(`::${targetFramework}`);
    for (const { id, range } of dependencies) {
      parts.push(`${id}:${rangeText(range)}:${targetFramework}`.replace(/:+$/, ''));
    }
  }
  return parts.join('|');
}

/** Old clients can't read a range without any bound. */
function rangeText(range: string): string {
  return VersionRange.tryParse(range)?.equals(VersionRange.all) === true ? '' : range;
}
