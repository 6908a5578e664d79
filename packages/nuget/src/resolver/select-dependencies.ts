import { nearestFramework } from '../frameworks/nearest.js';
import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { DependencyGroup } from '../protocol/model.js';
import type { SelectedDependencies } from './dependency-provider.js';

/** The dependencies that a package's groups give for a framework, or for the first of the fallbacks that has some. */
export function selectDependencies(
  id: string,
  groups: readonly DependencyGroup[],
  framework: NuGetFramework,
  fallbacks: readonly NuGetFramework[] = [],
): SelectedDependencies {
  if (groups.length === 0) return { id, dependencies: [], fit: 'compatible' };
  const own = nearestGroup(groups, framework);
  if (own !== undefined) return { id, dependencies: own.dependencies, fit: 'compatible' };
  for (const fallback of fallbacks) {
    const group = nearestGroup(groups, fallback);
    if (group !== undefined) return { id, dependencies: group.dependencies, fit: 'fallback' };
  }
  return { id, dependencies: [], fit: 'incompatible' };
}

function nearestGroup(groups: readonly DependencyGroup[], framework: NuGetFramework): DependencyGroup | undefined {
  const nearest = nearestFramework(
    framework,
    groups.map((group) => group.targetFramework),
  );
  // Of groups for one framework, such as net45 and .NETFramework4.5, the first counts.
  return nearest && groups.find((group) => group.targetFramework.equals(nearest));
}
