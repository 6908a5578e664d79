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
  const groups = new Groups();
  for (const part of text.split('|')) {
    const [id = '', range, framework] = part.split(':').map((word) => word.trim());
    if (id === '' && framework === undefined) continue;
    const { dependencies } = groups.of(framework);
    if (id === '' || hasId(dependencies, id)) continue;
    const versions = parseRange(range);
    if (versions === undefined) rangeless(part);
    dependencies.push({ id, range: versions ?? VersionRange.all });
  }
  return groups.all;
}

interface Group {
  readonly targetFramework: NuGetFramework;
  readonly dependencies: PackageDependency[];
}

/** Two names may mean the same framework, and all that nobody knows are one group. */
class Groups {
  readonly all: Group[] = [];
  readonly #byName = new Map<string, Group>();

  of(framework: string | undefined): Group {
    const name = framework === undefined || framework.toLowerCase() === NOTHING ? '' : framework;
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const targetFramework = name === '' ? NuGetFramework.any : knownFramework(name);
    const group = this.all.find((other) => other.targetFramework.equals(targetFramework)) ?? this.#add(targetFramework);
    this.#byName.set(name, group);
    return group;
  }

  #add(targetFramework: NuGetFramework): Group {
    const group = { targetFramework, dependencies: [] };
    this.all.push(group);
    return group;
  }
}

function hasId(dependencies: readonly PackageDependency[], id: string): boolean {
  const lower = id.toLowerCase();
  return dependencies.some((dependency) => dependency.id.toLowerCase() === lower);
}

function parseRange(text: string | undefined): VersionRange | undefined {
  return !text || text.toLowerCase() === NOTHING ? VersionRange.all : VersionRange.tryParse(text);
}
