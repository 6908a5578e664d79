import type { DependencyGroupRecord } from '../../feed/package-record.js';

/** What old clients can't read. */
const ANY = '(, )';

/**
 * Dependencies as protocol 2 has them: `id:range:framework` joined by `|`. A range that takes everything, and the
 * framework of a group for all of them, are left out; a group without dependencies is `::net45`.
 */
export function dependenciesText(groups: readonly DependencyGroupRecord[]): string {
  const parts: string[] = [];
  for (const { targetFramework = '', dependencies } of groups) {
    if (dependencies.length === 0 && targetFramework !== '') parts.push(`::${targetFramework}`);
    for (const { id, range } of dependencies) {
      parts.push(`${id}:${range === ANY ? '' : range}:${targetFramework}`.replace(/:+$/, ''));
    }
  }
  return parts.join('|');
}
