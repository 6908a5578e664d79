import type { Edge } from './nodes.js';
import type { Occurrence } from './walk.js';

/** The way from the root to a package: `A 1.0.0 -> B 2.0.0`. */
export function wayTo(at: Occurrence): string {
  const names: string[] = [];
  for (let up: Occurrence | undefined = at; up?.parent !== undefined; up = up.parent) {
    names.push(`${up.pkg.id} ${up.pkg.version.toNormalizedString()}`);
  }
  return names.reverse().join(' -> ');
}

/** The way to what a dependency asks for: `A 1.0.0 -> B (>= 2.0.0)`. */
export function wayToEdge(at: Occurrence, edge: Edge): string {
  const way = wayTo(at);
  return `${way === '' ? '' : `${way} -> `}${`${edge.id} ${edge.range.prettyPrint()}`.trim()}`;
}
