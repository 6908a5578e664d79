import { NuGetVersion } from '../../versions/nuget-version.js';
import type { VersionRange } from '../../versions/version-range.js';
import { type Wish, type World, wish } from './package-world.js';

interface Item {
  readonly id: string;
  readonly version: NuGetVersion;
  readonly needs: readonly Wish[];
}

interface Node {
  readonly wish: Wish;
  readonly item: Item | undefined;
  readonly parent: Node | undefined;
  readonly children: Node[];
  state: 'open' | 'accepted' | 'rejected';
}

export interface NaiveResult {
  /** Whether all decisions could be made one after the other. */
  readonly complete: boolean;
  readonly chosen: ReadonlyMap<string, string>;
  readonly cycles: ReadonlySet<string>;
  readonly downgrades: ReadonlySet<string>;
  readonly conflicts: ReadonlySet<string>;
  readonly missing: ReadonlySet<string>;
}

/**
 * The definition of the dependency tree, literally: every way is a node of its own, and decisions are marks on nodes.
 * Exponential; undefined when there would be more nodes than are worth it.
 */
export function resolveNaively(world: World, roots: readonly Wish[], maxNodes = 5000): NaiveResult | undefined {
  const items = new Map<string, Item[]>();
  for (const [identity, needs] of Object.entries(world)) {
    const [id = '', version = ''] = identity.split(' ');
    items.set(id, [
      ...(items.get(id) ?? []),
      { id, version: NuGetVersion.parse(version), needs: firstOfEach(needs.map(wish)) },
    ]);
  }
  const find = ({ id, range }: Wish): Item | undefined => {
    const found = range.findBestMatch((items.get(id) ?? []).map(({ version }) => version));
    return found && items.get(id)?.find(({ version }) => version === found);
  };

  const rootItem: Item = { id: '(root)', version: NuGetVersion.parse('0.0.0'), needs: firstOfEach(roots) };
  const root: Node = { wish: wish('(root)'), item: rootItem, parent: undefined, children: [], state: 'open' };
  const cycles: [Node, Wish][] = [];
  const eclipsed: [Node, Wish][] = [];
  const nodes: Node[] = [root];
  for (const node of nodes) {
    for (const need of node.item?.needs ?? []) {
      const fate = fateOf(node, need);
      if (fate === 'cycle') cycles.push([node, need]);
      else if (fate === 'eclipsed') eclipsed.push([node, need]);
      else {
        const child: Node = { wish: need, item: find(need), parent: node, children: [], state: 'open' };
        node.children.push(child);
        nodes.push(child);
        if (nodes.length > maxNodes) return undefined;
      }
    }
  }

  let complete = false;
  for (let patience = 1000; patience > 0 && !complete; patience--) {
    for (const node of nodes) if (node.parent?.state === 'rejected') node.state = 'rejected';
    const alive = nodes.filter((node) => node.state !== 'rejected');
    const versions = new Map<string, Set<Item>>();
    for (const { item } of alive) {
      if (item !== undefined) versions.set(item.id, (versions.get(item.id) ?? new Set()).add(item));
    }
    const isDisputed = ({ item }: Node) => item !== undefined && (versions.get(item.id)?.size ?? 0) > 1;
    const ambiguous = new Set<string>();
    for (const node of alive) {
      for (let up = node.parent; up !== undefined; up = up.parent) {
        if (isDisputed(up) && node.item !== undefined) ambiguous.add(node.item.id);
      }
    }
    for (const node of alive) {
      if (node.parent !== undefined && node.parent.state !== 'accepted') continue;
      if (node.state !== 'open' || (node.item !== undefined && ambiguous.has(node.item.id))) continue;
      const rivals = [...(versions.get(node.item?.id ?? '') ?? [])];
      const isBest = rivals.every(({ version }) => NuGetVersion.compare(version, node.item?.version ?? version) <= 0);
      node.state = isBest ? 'accepted' : 'rejected';
    }
    complete = nodes.every((node) => node.state !== 'open' || isBelowRejected(node));
  }

  const accepted = nodes.filter((node) => node.state === 'accepted');
  const chosen = new Map<string, NuGetVersion>();
  for (const { item, parent } of accepted)
    if (item !== undefined && parent !== undefined) chosen.set(item.id, item.version);
  const isAccepted = ([node]: [Node, Wish]) => node.state === 'accepted';
  const named = ([{ item }, { id }]: [Node, Wish]) => `${item?.id} > ${id}`;
  // What isn't there loses against a higher version, as its lowest one would.
  const isOutvoted = ({ item, wish: { id, range } }: Node) => {
    const [version, { minVersion }] = [chosen.get(id), range];
    if (item !== undefined || version === undefined || minVersion === undefined) return false;
    return NuGetVersion.compare(version, minVersion) > 0;
  };
  const conflicts = accepted.flatMap((node) =>
    node.children
      .filter((child) => {
        const { id, range } = child.wish;
        const version = chosen.get(id);
        return (child.item !== undefined || isOutvoted(child)) && version !== undefined && !range.satisfies(version);
      })
      .map((child) => `${node.item?.id} > ${child.wish.id}`),
  );
  const tooLow = (id: string, { minVersion }: VersionRange) => {
    const version = chosen.get(id);
    return version !== undefined && minVersion !== undefined && NuGetVersion.compare(version, minVersion) < 0;
  };
  return {
    complete,
    chosen: new Map([...chosen].map(([id, version]) => [id, version.toNormalizedString()])),
    cycles: new Set(cycles.filter(isAccepted).map(named)),
    downgrades: new Set(
      eclipsed
        .filter(isAccepted)
        .filter(([, { id, range }]) => tooLow(id, range))
        .map(named),
    ),
    conflicts: new Set(conflicts),
    missing: new Set(
      accepted
        .filter((node) => node.item === undefined && !isOutvoted(node))
        .map(({ wish: { id, range } }) => `${id} ${range}`),
    ),
  };
}

/** From the inside out: a package above with that id closes a cycle, a sibling of one on the way decides. */
function fateOf(node: Node, { id }: Wish): 'walk' | 'cycle' | 'eclipsed' {
  if (node.item?.id === id) return 'cycle';
  for (let up = node.parent; up !== undefined; up = up.parent) {
    if (up.item?.id === id) return 'cycle';
    if (up.item?.needs.some((need) => need.id === id)) return 'eclipsed';
  }
  return 'walk';
}

function isBelowRejected(node: Node): boolean {
  for (let up = node.parent; up !== undefined; up = up.parent) if (up.state === 'rejected') return true;
  return false;
}

function firstOfEach(wishes: readonly Wish[]): Wish[] {
  return wishes.filter(({ id }, index) => wishes.findIndex((other) => other.id === id) === index);
}
