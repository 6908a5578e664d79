import { knownFramework } from '../../frameworks/known-framework.js';
import { NuGetFramework } from '../../frameworks/nuget-framework.js';
import { VersionRange } from '../../versions/version-range.js';
import type { DependencyGroup, PackageDependency } from '../model.js';

/** Some sources write this word where others write nothing. */
const NOTHING = 'null';

/**
 * Reads dependencies as protocol 2 has them: `id:range:framework` joined by `|`, with short names of frameworks, where
 * the range and the framework may be missing. A group without dependencies is `::net45`.
 *
 * @param rangeless is told each dependency whose range is none; it takes all versions, as it does in a nuspec. A framework
 *   that nobody knows is one that nothing can be in.
 */
export function parseLegacyDependencies(
  text: string | undefined,
  rangeless: (dependency: string) => void,
): readonly DependencyGroup[] {
  if (text === undefined || text.trim() === '') return [];
  const groups: { readonly targetFramework: NuGetFramework; readonly dependencies: PackageDependency[] }[] = [];
  const byName = new Map<string, (typeof groups)[number]>();
  for (const part of text.split('|')) {
    const [id = '', range, framework] = part.split(':').map((word) => word.trim());
    if (id === '' && framework === undefined) continue;
    const name = framework === undefined || framework.toLowerCase() === NOTHING ? '' : framework;
    let group = byName.get(name);
    if (group === undefined) {
      const targetFramework = name === '' ? NuGetFramework.any : knownFramework(name);
      // Two names may mean the same framework, and all that nobody knows are one group.
      group = groups.find((other) => other.targetFramework.equals(targetFramework));
      if (group === undefined) {
        group = { targetFramework, dependencies: [] };
        groups.push(group);
      }
      byName.set(name, group);
    }
    if (id === '' || hasId(group.dependencies, id)) continue;
    const versions = parseRange(range);
    if (versions === undefined) rangeless(part);
    group.dependencies.push({ id, range: versions ?? VersionRange.all });
  }
  return groups;
}

function hasId(dependencies: readonly PackageDependency[], id: string): boolean {
  const lower = id.toLowerCase();
  return dependencies.some((dependency) => dependency.id.toLowerCase() === lower);
}

function parseRange(text: string | undefined): VersionRange | undefined {
  return !text || text.toLowerCase() === NOTHING ? VersionRange.all : VersionRange.tryParse(text);
}
