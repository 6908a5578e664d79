import type { PackageIdentity } from '../package-identity.js';
import type { Edge } from './nodes.js';
import type { Occurrence } from './walk.js';

/** A package as messages call it. */
export function named({ id, version }: PackageIdentity): string {
  return `${id} ${version.toNormalizedString()}`;
}

/** The way from the root to a package: `A 1.0.0 -> B 2.0.0`. */
export function wayTo(at: Occurrence): string {
  const names: string[] = [];
  for (let up: Occurrence | undefined = at; up?.parent !== undefined; up = up.parent) {
    names.push(named(up.pkg));
  }
  return names.reverse().join(' -> ');
}

/** The way to what a dependency asks for: `A 1.0.0 -> B (>= 2.0.0)`. */
export function wayToEdge(at: Occurrence, edge: Edge): string {
  const way = wayTo(at);
  return `${way === '' ? '' : `${way} -> `}${`${edge.id} ${edge.range.prettyPrint()}`.trim()}`;
}
