import type { NuGetFramework } from '../frameworks/nuget-framework.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import type { VersionRange } from '../versions/version-range.js';
import type { DependencyGraph, DependencyNode, DependencyOutcome, ResolvedPackage } from './dependency-graph.js';
import type { Diagnostic } from './diagnostic.js';
import type { Edge, PackageNode } from './nodes.js';
import type { Resolution } from './resolution.js';

export function buildGraph(
  framework: NuGetFramework,
  resolution: Resolution,
  diagnostics: readonly Diagnostic[],
): DependencyGraph {
  const { root, first, chosen } = resolution;
  const packages: ResolvedPackage[] = [];
  for (const pkg of first.keys()) {
    if (pkg === root) continue;
    const dependencies = pkg.edges.map(({ id, range, bit }) => ({ id, range, version: chosen.get(bit)?.version }));
    packages.push({ id: pkg.id, version: pkg.version, isDirect: (root.needs & pkg.bit) !== 0n, dependencies });
  }
  const success = diagnostics.every(({ level }) => level !== 'error');
  return { framework, roots: buildTree(resolution), packages, diagnostics, success };
}

function buildTree(resolution: Resolution): readonly DependencyNode[] {
  const { first, chosen } = resolution;
  const cycles = new Set(resolution.cycles.map(({ edge }) => edge));
  const children = new Map<PackageNode, DependencyNode[]>();
  for (const pkg of first.keys()) children.set(pkg, []);
  for (const pkg of first.keys()) {
    for (const edge of pkg.edges) {
      const used = chosen.get(edge.bit);
      const usual = outcomeOf(edge, resolution);
      // An edge can close a cycle on one way and bring the package in on another.
      const outcome = cycles.has(edge) && usual !== 'chosen' ? 'cycle' : usual;
      children.get(pkg)?.push({
        id: used?.id ?? edge.id,
        range: edge.range,
        outcome,
        wanted: edge.answer?.kind === 'package' ? edge.answer.pkg.version : undefined,
        version: outcome === 'cycle' || outcome === 'missing' ? undefined : used?.version,
        children: (outcome === 'chosen' && used && children.get(used)) || [],
      });
    }
  }
  return children.get(resolution.root) ?? [];
}

function outcomeOf(edge: Edge, { first, chosen, live }: Resolution): DependencyOutcome {
  const used = chosen.get(edge.bit);
  if (live.has(edge)) {
    if (edge.answer?.kind !== 'package' && !isOutvoted(edge, used)) return 'missing';
    if (edge.answer?.kind === 'package' && edge.answer.pkg === used)
      return first.get(used)?.edge === edge ? 'chosen' : 'repeated';
    return used !== undefined && edge.range.satisfies(used.version) ? 'superseded' : 'conflict';
  }
  if (used === undefined) return 'missing';
  return isBelow(used.version, edge.range) ? 'downgraded' : isAbove(used.version, edge.range) ? 'exceeded' : 'eclipsed';
}

/**
 * Whether a dependency that isn't there doesn't matter, because another branch needs a higher version. To NuGet, what
 * isn't there stands in the graph with the lowest version that would do, and loses like any other.
 */
export function isOutvoted({ answer, range }: Edge, used: PackageNode | undefined): boolean {
  if (answer?.kind !== 'missing' || used === undefined || range.minVersion === undefined) return false;
  return NuGetVersion.compare(used.version, range.minVersion) > 0;
}

/** Whether a version is too low for a range; one that only touches an exclusive bound isn't, as NuGet sees it. */
export function isBelow(version: NuGetVersion, range: VersionRange): boolean {
  return range.minVersion !== undefined && NuGetVersion.compare(version, range.minVersion) < 0;
}

export function isAbove(version: NuGetVersion, range: VersionRange): boolean {
  if (range.maxVersion === undefined) return false;
  return NuGetVersion.compare(version, range.maxVersion) >= (range.isMaxInclusive ? 1 : 0);
}
