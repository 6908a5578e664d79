import { NuGetError } from '../errors.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import type { Edge, IdSet, PackageNode } from './nodes.js';
import { type Walk, walk } from './walk.js';

export interface SettleOptions {
  readonly maxNodes: number;
  readonly maxDepth: number;
}

/** How often a decision may follow from another before the graph counts as one that can't be settled. */
const MAX_ROUNDS = 5000;

/**
 * Decides between versions of the same package on different branches: the highest wins, and what the others need is
 * forgotten. Whether a package counts may depend on another decision, so first those are made that depend on none.
 *
 * @returns the packages that lost
 * @throws {@link NuGetError} `LIMIT`
 */
export function settle(root: PackageNode, options: SettleOptions): Set<PackageNode> {
  const rejected = new Set<PackageNode>();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const seen = walk(root, { ...options, rejected });
    const versions = versionsById(seen);
    let disputed = 0n;
    for (const [bit, found] of versions) if (found.length > 1) disputed |= bit;
    if (disputed === 0n) {
      const orphans = missedVersions(seen, versions, rejected);
      if (orphans.length === 0) return rejected;
      for (const orphan of orphans) rejected.delete(orphan);
      continue;
    }

    const open = disputed & ~idsBelowDisputes(root, rejected, disputed, options);
    for (const [bit, found] of versions) {
      if (found.length < 2 || (open !== 0n && (bit & open) === 0n)) continue;
      const best = highest(found);
      for (const pkg of found) if (pkg !== best) rejected.add(pkg);
      // Decisions that wait for each other: the one nearest to the root is made, which may clear up the others.
      if (open === 0n) break;
    }
  }
  throw new NuGetError('LIMIT', `the dependency graph is not settled after ${MAX_ROUNDS} decisions`);
}

/** The versions that count, by id, in the order in which they are met. */
function versionsById({ occurrences }: Walk): Map<IdSet, PackageNode[]> {
  const versions = new Map<IdSet, PackageNode[]>();
  for (const { pkg } of occurrences) {
    const found = versions.get(pkg.bit);
    if (found === undefined) versions.set(pkg.bit, [pkg]);
    else if (!found.includes(pkg)) found.push(pkg);
  }
  return versions;
}

function idsBelowDisputes(
  root: PackageNode,
  rejected: ReadonlySet<PackageNode>,
  disputed: IdSet,
  options: SettleOptions,
): IdSet {
  let below = 0n;
  for (const { pkg, disputed: isBelow } of walk(root, { ...options, rejected, disputed }).occurrences) {
    if (isBelow) below |= pkg.bit;
  }
  return below;
}

/** Packages that lost against a version that has gone since, because of a later decision: they count again. */
function missedVersions(
  { live }: Walk,
  versions: ReadonlyMap<IdSet, unknown>,
  rejected: ReadonlySet<PackageNode>,
): PackageNode[] {
  const missed = (edge: Edge): PackageNode[] =>
    edge.answer?.kind === 'package' && rejected.has(edge.answer.pkg) && !versions.has(edge.bit)
      ? [edge.answer.pkg]
      : [];
  return [...live.keys()].flatMap(missed);
}

function highest(packages: readonly PackageNode[]): PackageNode | undefined {
  let best: PackageNode | undefined;
  for (const pkg of packages) {
    if (best === undefined || NuGetVersion.compare(pkg.version, best.version) > 0) best = pkg;
  }
  return best;
}
