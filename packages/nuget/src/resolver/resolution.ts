import type { Edge, IdSet, PackageNode } from './nodes.js';
import { findReach, type Occurrence, walk } from './walk.js';

/** A cycle: the dependency that closes it, and where. */
interface Cycle {
  readonly at: Occurrence;
  readonly edge: Edge;
}

/** A settled graph: one version of each package, and what the walk through it shows. */
export interface Resolution {
  readonly root: PackageNode;
  /** Where each used package is met first, in that order; the root comes first. */
  readonly first: ReadonlyMap<PackageNode, Occurrence>;
  /** The used version by id. */
  readonly chosen: ReadonlyMap<IdSet, PackageNode>;
  /** The edges that count somewhere, each with where that is first. */
  readonly live: ReadonlyMap<Edge, Occurrence>;
  readonly cycles: readonly Cycle[];
}

export function readResolution(
  root: PackageNode,
  rejected: ReadonlySet<PackageNode>,
  limits: { readonly maxNodes: number; readonly maxDepth: number },
): Resolution {
  const used = new Set(walk(root, { ...limits, rejected }).occurrences.map(({ pkg }) => pkg));
  const loops = findLoops([...used]);
  const { occurrences, live } = walk(root, { ...limits, rejected, loops });
  const first = new Map<PackageNode, Occurrence>();
  const chosen = new Map<IdSet, PackageNode>();
  const cycles = new Map<Edge, Cycle>();
  for (const at of occurrences) {
    if (!first.has(at.pkg)) first.set(at.pkg, at);
    if (at.pkg !== root) chosen.set(at.pkg.bit, at.pkg);
    for (const edge of at.pkg.edges) {
      if (closesCycle(at, edge) && !cycles.has(edge)) cycles.set(edge, { at, edge });
    }
  }
  return { root, first, chosen, live, cycles: [...cycles.values()] };
}

/** By package, the ids that can be met both above and below it. */
function findLoops(used: readonly PackageNode[]): Map<PackageNode, IdSet> {
  const byId = new Map(used.map((pkg) => [pkg.bit, pkg]));
  const reach = findReach(used, (edge) => byId.get(edge.bit));
  const below = (pkg: PackageNode): IdSet => reach.get(pkg) ?? 0n;
  const looping = used.filter((pkg) => (below(pkg) & pkg.bit) !== 0n);
  return new Map(
    looping.map((pkg) => {
      let loop = 0n;
      for (const other of looping) {
        if ((below(pkg) & other.bit) !== 0n && (below(other) & pkg.bit) !== 0n) loop |= other.bit;
      }
      return [pkg, loop];
    }),
  );
}

/** Whether a dependency is a package above, with nothing in between that names it, too, and so decides on it. */
function closesCycle(at: Occurrence, edge: Edge): boolean {
  if (edge.bit === at.pkg.bit) return true;
  if ((at.above & edge.bit) === 0n) return false;
  for (let up = at.parent; up !== undefined; up = up.parent) {
    if (up.pkg.bit === edge.bit) return true;
    if ((up.pkg.needs & edge.bit) !== 0n) return false;
  }
  return false;
}
