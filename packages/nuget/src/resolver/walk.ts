import { NuGetError } from '../errors.js';
import type { Edge, IdSet, PackageNode } from './nodes.js';

/** A package at the end of one way from the root. */
export interface Occurrence {
  readonly pkg: PackageNode;
  readonly parent: Occurrence | undefined;
  /** By which it was reached from its parent. */
  readonly edge: Edge | undefined;
  /** The ids, of those that can be met below it, that something nearer to the root decides. */
  readonly decided: IdSet;
  /** The ids on the way that can be met again below it. */
  readonly above: IdSet;
  /** Whether the way leads through a package of which there are other versions, too, as yet. */
  readonly disputed: boolean;
  readonly depth: number;
}

export interface WalkOptions {
  /** Packages that lost against a higher version: what they need doesn't count. */
  readonly rejected: ReadonlySet<PackageNode>;
  /** Ids of which there is more than one version. Default: none. */
  readonly disputed?: IdSet;
  /** By package, the ids that are above it and below it. Default: none, so that it doesn't matter what is above. */
  readonly loops?: ReadonlyMap<PackageNode, IdSet>;
  readonly maxNodes: number;
  readonly maxDepth: number;
}

/** The tree that the root spans, without the branches that are part of others. */
export interface Walk {
  /** Breadth first, dependencies in the order in which packages name them. */
  readonly occurrences: readonly Occurrence[];
  /** The edges that count somewhere, each with where that is first. */
  readonly live: ReadonlyMap<Edge, Occurrence>;
}

/**
 * Walks through the dependency tree as it is defined: below a package, its siblings and those of everything above it
 * decide what version of them is used, so that deeper wishes are not looked at; nor are those for what is above.
 *
 * The tree itself grows exponentially with diamonds. Of two occurrences of a package the one where more is decided has a
 * part of the other's branches and is left out, whatever of it doesn't occur below it being disregarded.
 *
 * @throws {@link NuGetError} `LIMIT`
 */
export function walk(root: PackageNode, options: WalkOptions): Walk {
  const { rejected, disputed = 0n, loops, maxNodes, maxDepth } = options;
  const live = new Map<Edge, Occurrence>();
  const known = new Map<PackageNode, Occurrence[]>();
  const occurrences: Occurrence[] = [
    { pkg: root, parent: undefined, edge: undefined, decided: 0n, above: 0n, disputed: false, depth: 0 },
  ];
  for (const at of occurrences) {
    const { pkg } = at;
    const decided = at.decided | pkg.bit | pkg.needs;
    const isDisputed = at.disputed || (pkg.bit & disputed) !== 0n;
    for (const edge of pkg.edges) {
      if (((at.decided | pkg.bit) & edge.bit) !== 0n) continue;
      if (at.depth >= maxDepth)
        throw new NuGetError('LIMIT', `the dependency graph is deeper than ${maxDepth} (maxDepth)`);
      if (!live.has(edge)) live.set(edge, at);
      if (edge.answer?.kind !== 'package' || rejected.has(edge.answer.pkg)) continue;
      const next = edge.answer.pkg;
      const occurrence: Occurrence = {
        pkg: next,
        parent: at,
        edge,
        decided: decided & next.reach,
        above: loops === undefined ? 0n : (at.above | pkg.bit) & (loops.get(next) ?? 0n),
        disputed: isDisputed,
        depth: at.depth + 1,
      };
      const others = known.get(next);
      if (others === undefined) known.set(next, [occurrence]);
      else if (others.some((other) => covers(other, occurrence))) continue;
      else others.push(occurrence);
      if (occurrences.length >= maxNodes) {
        throw new NuGetError('LIMIT', `the dependency graph has more than ${maxNodes} nodes (maxNodes)`);
      }
      occurrences.push(occurrence);
    }
  }
  return { occurrences, live };
}

/** Whether all that can be found below one occurrence of a package can be found below another. */
function covers(other: Occurrence, occurrence: Occurrence): boolean {
  return (
    (other.decided & occurrence.decided) === other.decided &&
    (other.above & occurrence.above) === occurrence.above &&
    (other.disputed || !occurrence.disputed)
  );
}

/** By package, the ids that can be met below it. */
export function findReach(
  packages: readonly PackageNode[],
  follow: (edge: Edge) => PackageNode | undefined,
): Map<PackageNode, IdSet> {
  const reach = new Map<PackageNode, IdSet>();
  // Who depends on others was mostly met before them.
  const backwards = [...packages].reverse();
  for (let changed = true; changed; ) {
    changed = false;
    for (const pkg of backwards) {
      let all = pkg.needs;
      for (const edge of pkg.edges) {
        const next = follow(edge);
        if (next !== undefined) all |= reach.get(next) ?? 0n;
      }
      if (all === reach.get(pkg)) continue;
      reach.set(pkg, all);
      changed = true;
    }
  }
  return reach;
}
