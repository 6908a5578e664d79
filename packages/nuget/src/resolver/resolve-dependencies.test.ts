import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { NuGetFramework } from '../frameworks/nuget-framework.js';
import { clientPackages } from '../install/client-packages.js';
import { installedDependencies } from '../install/installed-dependencies.js';
import { PackageInstaller } from '../install/package-installer.js';
import { NuGetClient } from '../source/nuget-client.js';
import { PackageSourceMapping } from '../source/package-source-mapping.js';
import { SourceCacheContext } from '../source/source-cache-context.js';
import { type PackageInit, startFeedServer } from '../testing/index.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import { VersionRange } from '../versions/version-range.js';
import { clientDependencies } from './client-dependencies.js';
import type { DependencyGraph, DependencyNode } from './dependency-graph.js';
import { type ResolveOptions, resolveDependencies } from './resolve-dependencies.js';
import { sdkFallbacks } from './sdk-fallbacks.js';
import { selectDependencies } from './select-dependencies.js';
import { type World, WorldProvider, wish } from './testing/package-world.js';

const framework = NuGetFramework.parse('net8.0');

function resolve(world: World, wanted: readonly string[], options: Partial<ResolveOptions> = {}) {
  return resolveDependencies({
    provider: new WorldProvider(world),
    dependencies: wanted.map(wish),
    framework,
    ...options,
  });
}

const used = (graph: DependencyGraph) =>
  graph.packages.map(({ id, version }) => `${id} ${version.toNormalizedString()}`);
const codes = (graph: DependencyGraph) => graph.diagnostics.map(({ code, id }) => `${code} ${id}`);
const tree = (nodes: readonly DependencyNode[], indent = ''): string[] =>
  nodes.flatMap(({ id, outcome, version, children }) => [
    `${indent}${id} ${version?.toNormalizedString() ?? '-'} ${outcome}`,
    ...tree(children, `${indent}  `),
  ]);

describe('the version of a package', () => {
  const versions = { 'A 1.0.0': [], 'A 1.1.0': [], 'A 2.0.0': [], 'A 2.1.0-beta': [] };

  it.each([
    ['A 1.0', 'A 1.0.0'],
    ['A 1.0.1', 'A 1.1.0'],
    ['A (1.0,]', 'A 1.1.0'],
    ['A [1.0,2.0)', 'A 1.0.0'],
    ['A [1.*,2.0)', 'A 1.1.0'],
    ['A *', 'A 2.0.0'],
    ['A *-*', 'A 2.1.0-beta'],
    ['A 2.1.0-*', 'A 2.1.0-beta'],
    ['a 1.0', 'A 1.0.0'],
  ])('for %s is %s: the lowest, of what floats the highest', async (wanted, expected) => {
    expect(used(await resolve(versions, [wanted]))).toEqual([expected]);
  });

  it('is the one that the nearest wish names', async () => {
    const graph = await resolve(
      { 'A 1.0.0': ['B 1.0', 'C 1.0'], 'B 1.0.0': ['C 2.0'], 'C 1.0.0': [], 'C 2.0.0': [], 'C 3.0.0': [] },
      ['A 1.0'],
    );
    expect(used(graph)).toEqual(['A 1.0.0', 'B 1.0.0', 'C 1.0.0']);
    expect(codes(graph)).toEqual(['NU1605 C']);
    expect(graph.diagnostics[0]).toMatchObject({
      level: 'warning',
      paths: ['A 1.0.0 -> B 1.0.0 -> C (>= 2.0.0)', 'A 1.0.0 -> C 1.0.0'],
    });
    expect(graph.success).toBe(true);
  });

  it('is the highest that cousins want, and what the others need is forgotten', async () => {
    const graph = await resolve(
      {
        'A 1.0.0': ['X 1.0'],
        'B 1.0.0': ['X 2.0'],
        'X 1.0.0': ['Old 1.0'],
        'X 2.0.0': ['New 1.0'],
        'Old 1.0.0': [],
        'New 1.0.0': [],
      },
      ['A 1.0', 'B 1.0'],
    );
    expect(used(graph)).toEqual(['A 1.0.0', 'B 1.0.0', 'X 2.0.0', 'New 1.0.0']);
    expect(tree(graph.roots)).toEqual([
      'A 1.0.0 chosen',
      '  X 2.0.0 superseded',
      'B 1.0.0 chosen',
      '  X 2.0.0 chosen',
      '    New 1.0.0 chosen',
    ]);
    expect(graph.diagnostics).toEqual([]);
  });

  it("doesn't come from a branch that loses", async () => {
    // B 1 wants the higher D, but B 2 is used.
    const graph = await resolve(
      {
        'A 1.0.0': ['B 1.0'],
        'C 1.0.0': ['B 2.0', 'D 1.0'],
        'B 1.0.0': ['D 9.0'],
        'B 2.0.0': [],
        'D 1.0.0': [],
        'D 9.0.0': [],
      },
      ['A 1.0', 'C 1.0'],
    );
    expect(used(graph)).toContain('D 1.0.0');
    expect(graph.packages).toHaveLength(4);
  });

  it('is found where decisions wait for each other', async () => {
    const graph = await resolve(
      {
        'B 1.0.0': ['X 1.0'],
        'C 1.0.0': ['Y 2.0'],
        'X 1.0.0': ['Y 1.0'],
        'Y 2.0.0': ['X 2.0'],
        'X 2.0.0': [],
        'Y 1.0.0': [],
      },
      ['B 1.0', 'C 1.0'],
    );
    expect(used(graph).sort()).toEqual(['B 1.0.0', 'C 1.0.0', 'X 2.0.0', 'Y 2.0.0']);
    expect(graph.success).toBe(true);
  });

  it('comes back when what it lost against is gone', async () => {
    // X 2 beats X 1, Y 2 has brought it, and Y 3 beats that.
    const world: World = {
      'B 1.0.0': ['X 1.0'],
      'C 1.0.0': ['Y 2.0'],
      'D 1.0.0': ['E 1.0'],
      'E 1.0.0': ['F 1.0'],
      'F 1.0.0': ['Y 3.0'],
      'X 1.0.0': ['Y 1.0'],
      'X 2.0.0': [],
      'Y 1.0.0': ['X 2.0'],
      'Y 2.0.0': ['X 2.0'],
      'Y 3.0.0': [],
    };
    const graph = await resolve(world, ['B 1.0', 'C 1.0', 'D 1.0']);
    expect(used(graph)).toContain('Y 3.0.0');
    expect(used(graph)).toContain('X 1.0.0');
    expect(graph.success).toBe(true);
  });
});

describe('a resolved graph', () => {
  it('tells of each dependency what became of it', async () => {
    const graph = await resolve(
      {
        'A 1.0.0': ['B 1.0', 'C 1.0', 'D 1.0', 'Gone 1.0'],
        'B 1.0.0': ['C 2.0', 'E 1.0', 'F [1.0]', 'A 1.0'],
        'C 1.0.0': ['E 1.0'],
        'D 1.0.0': ['E 2.0', 'F 2.0', 'B [0.5]'],
        'E 1.0.0': [],
        'E 2.0.0': [],
        'F 1.0.0': [],
        'F 2.0.0': [],
      },
      ['A 1.0'],
    );
    expect(tree(graph.roots)).toEqual([
      'A 1.0.0 chosen',
      '  B 1.0.0 chosen',
      '    C 1.0.0 downgraded',
      '    E 2.0.0 superseded',
      '    F 2.0.0 conflict',
      '    A - cycle',
      '  C 1.0.0 chosen',
      '    E 2.0.0 superseded',
      '  D 1.0.0 chosen',
      '    E 2.0.0 chosen',
      '    F 2.0.0 chosen',
      '    B 1.0.0 exceeded',
      '  Gone - missing',
    ]);
    expect(codes(graph)).toEqual(['NU1101 Gone', 'NU1107 F', 'NU1108 A', 'NU1605 C', 'NU1608 B']);
    expect(graph.diagnostics.map(({ paths }) => paths)).toEqual([
      ['A 1.0.0 -> Gone (>= 1.0.0)'],
      ['A 1.0.0 -> D 1.0.0 -> F 2.0.0', 'A 1.0.0 -> B 1.0.0 -> F (= 1.0.0)'],
      ['A 1.0.0 -> B 1.0.0 -> A (>= 1.0.0)'],
      ['A 1.0.0 -> B 1.0.0 -> C (>= 2.0.0)', 'A 1.0.0 -> C 1.0.0'],
      ['A 1.0.0 -> D 1.0.0 -> B (= 0.5.0)', 'A 1.0.0 -> B 1.0.0'],
    ]);
    expect(graph.success).toBe(false);
    const [a] = graph.packages;
    expect(a).toMatchObject({ id: 'A', isDirect: true });
    expect(a!.dependencies.map(({ id, version }) => `${id} ${version}`)).toEqual([
      'B 1.0.0',
      'C 1.0.0',
      'D 1.0.0',
      'Gone undefined',
    ]);
  });

  it('shows the dependencies of a package once', async () => {
    const graph = await resolve({ 'A 1.0.0': ['X 1.0'], 'B 1.0.0': ['X 1.0'], 'X 1.0.0': ['Y 1.0'], 'Y 1.0.0': [] }, [
      'A 1.0',
      'B 1.0',
      'Y 1.0',
    ]);
    expect(tree(graph.roots)).toEqual([
      'A 1.0.0 chosen',
      '  X 1.0.0 chosen',
      '    Y 1.0.0 eclipsed',
      'B 1.0.0 chosen',
      '  X 1.0.0 repeated',
      'Y 1.0.0 chosen',
    ]);
  });

  it('has no cycle where the root decides on all of it', async () => {
    const world = { 'A 1.0.0': ['B 1.0'], 'B 1.0.0': ['A 1.0'] };
    expect(codes(await resolve(world, ['A 1.0']))).toEqual(['NU1108 A']);
    expect(codes(await resolve(world, ['A 1.0', 'B 1.0']))).toEqual([]);
    expect(codes(await resolve({ 'A 1.0.0': ['A 1.0'] }, ['A 1.0']))).toEqual(['NU1108 A']);
  });

  it.each([
    ['NU1101', 'B 1.0', []],
    ['NU1102', 'B 2.0', ['B 1.0.0', 'B 1.5.0']],
    ['NU1102', 'B [0.1,0.5]', ['B 1.0.0']],
    ['NU1103', 'B 2.0', ['B 1.0.0', 'B 2.5.0-beta']],
    ['NU1103', 'B *', ['B 2.5.0-beta']],
    ['NU1102', 'B 2.0.0-rc', ['B 2.0.0-beta']],
  ])('has %s for %s where there is %j', async (code, wanted, there) => {
    const world = { 'A 1.0.0': [wanted], ...Object.fromEntries(there.map((name) => [name, []])) };
    const graph = await resolve(world, ['A 1.0']);
    expect(codes(graph)).toEqual([`${code} B`]);
    expect(graph.success).toBe(false);
    expect(used(graph)).toEqual(['A 1.0.0']);
  });

  it('tells the nearest version of those that there are', async () => {
    const world = { 'B 1.0.0': [], 'B 3.0.0': [], 'B 5.0.0': [] };
    const message = async (wanted: string) => (await resolve(world, [wanted])).diagnostics[0]?.message;
    expect(await message('B [2.0]')).toContain('the nearest is 3.0.0');
    expect(await message('B 6.0')).toContain('the nearest is 5.0.0');
    expect(await message('B (,0.5]')).toContain('the nearest is 1.0.0');
    expect(await message('B [6.*,)')).toContain('the nearest is 5.0.0');
  });

  it.each([
    ['NU1603 B', 'B 0.9', 'B 1.0.0'],
    ['NU1602 B', 'B (0.9,)', 'B 1.0.0'],
    ['NU1602 B', 'B (,2.0]', 'B 1.0.0'],
    ['NU1602 B', 'B', 'B 1.0.0'],
    ['', 'B 1.0', 'B 1.0.0'],
    ['', 'B 0.*', 'B 1.0.0'],
  ])('has "%s" for %s', async (code, wanted, there) => {
    const graph = await resolve({ 'A 1.0.0': [wanted], [there]: [] }, ['A 1.0']);
    expect(codes(graph).join()).toBe(code);
    expect(graph.success).toBe(true);
  });

  it('needs no version that is not there where another branch needs a higher one', async () => {
    const world = { 'A 1.0.0': ['X 1.0'], 'B 1.0.0': ['X 2.0.0-beta'], 'X 2.0.0-beta': [] };
    const graph = await resolve(world, ['A 1.0', 'B 1.0']);
    expect(codes(graph)).toEqual([]);
    expect(tree(graph.roots)).toEqual([
      'A 1.0.0 chosen',
      '  X 2.0.0-beta superseded',
      'B 1.0.0 chosen',
      '  X 2.0.0-beta chosen',
    ]);
    const excluded = await resolve({ ...world, 'A 1.0.0': ['X [1.0]'] }, ['A 1.0', 'B 1.0']);
    expect(codes(excluded)).toEqual(['NU1107 X']);
    expect(tree(excluded.roots)).toContain('  X 2.0.0-beta conflict');
    const higher = await resolve({ ...world, 'A 1.0.0': ['X 3.0'] }, ['A 1.0', 'B 1.0']);
    expect(codes(higher)).toEqual(['NU1102 X']);
  });

  it('says of direct dependencies that they have no lowest version', async () => {
    expect(codes(await resolve({ 'A 1.0.0': [] }, ['A (0.5,)']))).toEqual(['NU1604 A']);
    expect(codes(await resolve({ 'A 1.0.0': [] }, ['A']))).toEqual(['NU1604 A']);
    expect(codes(await resolve({ 'A 1.0.0': [] }, ['A *']))).toEqual([]);
    expect(codes(await resolve({ 'A 1.0.0': [] }, ['A 0.5']))).toEqual(['NU1603 A']);
  });

  it('warns of known vulnerabilities as far as is asked for', async () => {
    const range = VersionRange.parse('[1.0,2.0)');
    const indexes = [
      new Map([
        ['a', [{ advisoryUrl: 'https://advisories.test/1', severity: 'low' as const, range }]],
        [
          'b',
          [
            { advisoryUrl: 'https://advisories.test/2', severity: 'critical' as const, range },
            { advisoryUrl: 'https://advisories.test/3', severity: 'high' as const, range: VersionRange.parse('[2.0]') },
          ],
        ],
      ]),
      new Map([['b', [{ advisoryUrl: 'https://advisories.test/2', severity: 'critical' as const, range }]]]),
    ];
    const world = { 'A 1.0.0': ['B 1.0'], 'B 1.0.0': [] };
    expect(codes(await resolve(world, ['A 1.0'], { audit: { indexes } }))).toEqual(['NU1901 A', 'NU1904 B']);
    expect(codes(await resolve(world, ['A 1.0'], { audit: { indexes, minSeverity: 'high' } }))).toEqual(['NU1904 B']);
    expect(codes(await resolve(world, ['A 1.0'], { audit: { indexes, mode: 'direct' } }))).toEqual(['NU1901 A']);
  });

  it('tells which source failed, and has all that others answered', async () => {
    const provider = new WorldProvider({ 'A 1.0.0': ['B 1.0', 'C 1.0'], 'B 1.0.0': [], 'C 1.0.0': [] });
    const cause = new Error('feed is down');
    const listVersions = provider.listVersions.bind(provider);
    provider.listVersions = async (id) => (id === 'B' ? Promise.reject(cause) : listVersions(id));
    const graph = await resolve({}, ['A 1.0'], { provider });
    expect(used(graph)).toEqual(['A 1.0.0', 'C 1.0.0']);
    expect(graph.diagnostics).toMatchObject([{ code: 'NU1301', level: 'error', id: 'B', cause }]);
    expect(graph.diagnostics[0]!.message).toContain('feed is down');
  });

  it("tells of versions that are listed and can't be had", async () => {
    const provider = new WorldProvider({ 'A 1.0.0': [] });
    provider.dependencies = async () => undefined;
    expect((await resolve({}, ['A 1.0'], { provider })).diagnostics).toMatchObject([{ code: 'NU1301', id: 'A' }]);
  });
});

describe('what is asked for', () => {
  it('is nothing that something nearer decides on', async () => {
    const provider = new WorldProvider({
      'A 1.0.0': ['B 1.0', 'C 1.0'],
      'B 1.0.0': ['C 5.0', 'D 1.0'],
      'C 1.0.0': [],
      'C 5.0.0': [],
      'D 1.0.0': [],
    });
    await resolve({}, ['A 1.0', 'D 1.0'], { provider });
    expect(provider.asked.sort()).toEqual(['A', 'A 1.0.0', 'B', 'B 1.0.0', 'C', 'C 1.0.0', 'D', 'D 1.0.0']);
  });

  it('takes two rounds for each level, however wide', async () => {
    const wide = Array.from({ length: 200 }, (_, index) => `W${index}`);
    const world: Record<string, string[]> = { 'A 1.0.0': wide.map((id) => `${id} 1.0`), 'Z 1.0.0': [] };
    for (const id of wide) world[`${id} 1.0.0`] = ['Z 1.0'];
    let rounds = 0;
    let waiting: (() => void)[] = [];
    const provider = new WorldProvider(world, () => {
      if (waiting.length === 0) {
        setImmediate(() => {
          rounds++;
          const now = waiting;
          waiting = [];
          for (const go of now) go();
        });
      }
      return new Promise((go) => waiting.push(go));
    });
    const graph = await resolve({}, ['A 1.0'], { provider, maxParallel: 1000 });
    expect(graph.packages).toHaveLength(202);
    expect(rounds).toBe(6);
  });

  it('is for no list of versions where the lowest one is tried first and is there', async () => {
    const world = { 'A 1.0.0': ['B 2.0', 'C 1.0', 'D *'], 'B 3.0.0': [], 'C 1.0.0': [], 'D 1.0.0': [] };
    const provider = Object.assign(new WorldProvider(world), { triesLowest: (id: string) => id !== 'C' });
    const graph = await resolve({}, ['A 1.0+built'], { provider });
    expect(used(graph)).toEqual(['A 1.0.0', 'B 3.0.0', 'C 1.0.0', 'D 1.0.0']);
    expect(graph.packages[0]?.version.toFullString()).toBe('1.0.0');
    expect(codes(graph)).toEqual(['NU1603 B']);
    expect(provider.asked.sort()).toEqual(['A 1.0.0', 'B', 'B 2.0.0', 'B 3.0.0', 'C', 'C 1.0.0', 'D', 'D 1.0.0']);
  });

  it('is looked for anew, once for each package, where no version that is known satisfies a range', async () => {
    const asked: string[] = [];
    const provider = Object.assign(new WorldProvider({ 'A 1.0.0': ['B 1.0'], 'B 1.0.0': [], 'B 2.0.0': [] }), {
      listVersionsAnew: async (id: string) => {
        asked.push(id);
        return id === 'B' ? [NuGetVersion.parse('2.0.0')] : undefined;
      },
    });
    provider.listVersions = async (id) => (id === 'C' ? [] : [NuGetVersion.parse('1.0.0')]);
    const graph = await resolve({}, ['A 1.0', 'B 2.0', 'C 1.0', 'A2 3.0'], { provider });
    expect(used(graph)).toEqual(['A 1.0.0', 'B 2.0.0']);
    expect(codes(graph)).toEqual(['NU1101 C', 'NU1102 A2']);
    expect(asked).toEqual(['B', 'C', 'A2']);
  });

  it('is told to have failed where the lowest version could not be asked for', async () => {
    const provider = Object.assign(new WorldProvider({ 'A 1.0.0': [] }), { triesLowest: () => true });
    provider.dependencies = () => Promise.reject(new Error('feed is down'));
    expect(codes(await resolve({}, ['A 1.0'], { provider }))).toEqual(['NU1301 A']);
    expect(provider.asked).toEqual([]);
  });

  it('is never more at the same time than may be', async () => {
    let active = 0;
    let most = 0;
    const world: Record<string, string[]> = { 'A 1.0.0': [] };
    for (let index = 0; index < 30; index++) {
      world['A 1.0.0']!.push(`W${index} 1.0`);
      world[`W${index} 1.0.0`] = [];
    }
    const provider = new WorldProvider(world, async () => {
      most = Math.max(most, ++active);
      await new Promise(setImmediate);
      active--;
    });
    await resolve({}, ['A 1.0'], { provider, maxParallel: 4 });
    expect(most).toBe(4);
  });

  it('ends at once when the caller goes away', async () => {
    const abort = new AbortController();
    let seen: AbortSignal | undefined;
    const provider = new WorldProvider({ 'A 1.0.0': [] });
    provider.listVersions = (async (_: string, options: { signal: AbortSignal }) => {
      seen = options.signal;
      abort.abort(new Error('gone'));
      return new Promise(() => {});
    }) as never;
    await expect(resolve({}, ['A 1.0'], { provider, signal: abort.signal })).rejects.toThrow('gone');
    expect(seen?.aborted).toBe(true);
    await expect(resolve({}, ['A 1.0'], { provider, signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow(
      'before',
    );
  });
});

describe('a graph that is too large', () => {
  it('fails when a feed has ever more packages', async () => {
    const endless = new WorldProvider({});
    endless.listVersions = async () => [NuGetVersion.parse('1.0.0')];
    endless.dependencies = async ({ id }) => ({
      id,
      dependencies: [wish(`${id}0 1.0`), wish(`${id}1 1.0`)],
      fit: 'compatible',
    });
    await expect(resolve({}, ['A 1.0'], { provider: endless, maxPackages: 500 })).rejects.toMatchObject({
      code: 'LIMIT',
    });
    await expect(resolve({}, ['A 1.0'], { provider: endless, maxDepth: 5 })).rejects.toMatchObject({
      code: 'LIMIT',
      message: expect.stringContaining('maxDepth'),
    });
    await expect(resolve({}, ['A 1.0'], { provider: endless, maxDepth: 0 })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });

  it('fails where it has more nodes than allowed, however few its packages are', async () => {
    const world = {
      'A 1.0.0': ['C 1.0', 'D 1.0'],
      'B 1.0.0': ['C 2.0', 'D 1.0'],
      'C 1.0.0': [],
      'C 2.0.0': [],
      'D 1.0.0': [],
    };
    expect((await resolve(world, ['A 1.0', 'B 1.0'], { maxNodes: 7 })).success).toBe(true);
    await expect(resolve(world, ['A 1.0', 'B 1.0'], { maxNodes: 2 })).rejects.toMatchObject({
      code: 'LIMIT',
      message: expect.stringContaining('maxNodes'),
    });
  });

  it('is no graph with diamonds above diamonds, whose tree has more nodes than there are atoms', async () => {
    const world: Record<string, string[]> = {};
    for (let layer = 0; layer < 60; layer++) {
      for (const name of ['a', 'b', 'c']) {
        world[`${name}${layer} 1.0.0`] = layer === 59 ? [] : ['a', 'b', 'c'].map((next) => `${next}${layer + 1} 1.0`);
      }
    }
    const graph = await resolve(world, ['a0 1.0', 'b0 1.0']);
    expect(graph.packages).toHaveLength(179);
    expect(graph.success).toBe(true);
  });
});

describe('the dependencies of a package', () => {
  const group = (name: string, ...wanted: string[]) => ({
    targetFramework: name === 'any' ? NuGetFramework.any : NuGetFramework.parse(name),
    dependencies: wanted.map(wish),
  });
  const select = (groups: ReturnType<typeof group>[], fallbacks: string[] = []) => {
    const { dependencies, fit } = selectDependencies(
      'A',
      groups,
      framework,
      fallbacks.map((name) => NuGetFramework.parse(name)),
    );
    return [fit, ...dependencies.map(({ id }) => id)];
  };

  it('are those of the group for the nearest framework', () => {
    expect(select([])).toEqual(['compatible']);
    expect(select([group('netstandard2.0', 'S'), group('net6.0', 'N'), group('net472', 'F')])).toEqual([
      'compatible',
      'N',
    ]);
    expect(select([group('any', 'Y'), group('net472', 'F')])).toEqual(['compatible', 'Y']);
    expect(select([group('net9.0', 'T'), group('net472', 'F')])).toEqual(['incompatible']);
    expect(select([group('net9.0', 'T'), group('net45', 'F')], ['net461', 'net472'])).toEqual(['fallback', 'F']);
  });

  it('are those of the first of several groups for the same framework', () => {
    const groups = [group('netstandard2.0', 'A'), group('.NETStandard,Version=v2.0', 'B'), group('net472', 'F')];
    expect(select(groups)).toEqual(['compatible', 'A']);
    expect(select([...groups.slice(1), ...groups])).toEqual(['compatible', 'B']);
  });

  it('may be those for .NET Framework where the SDK has it so', () => {
    const names = (name: string) =>
      sdkFallbacks(NuGetFramework.parse(name)).map(({ shortFolderName }) => shortFolderName);
    expect(names('net8.0')).toEqual(['net461', 'net462', 'net47', 'net471', 'net472', 'net48', 'net481']);
    expect(names('netstandard2.0')).toHaveLength(7);
    expect([...names('netstandard1.6'), ...names('net472'), ...names('netcoreapp1.1')]).toEqual([]);
  });

  it("make packages errors or warnings that don't fit", async () => {
    const provider = new WorldProvider({ 'A 1.0.0': [], 'B 1.0.0': [] });
    const dependencies = provider.dependencies.bind(provider);
    provider.dependencies = async (identity) => {
      const selected = await dependencies(identity);
      return selected && { ...selected, fit: identity.id === 'A' ? 'incompatible' : 'fallback' };
    };
    const graph = await resolve({}, ['A 1.0', 'B 1.0'], { provider });
    expect(codes(graph)).toEqual(['NU1202 A', 'NU1701 B']);
    expect(graph.success).toBe(false);
  });
});

describe('a graph from sources', () => {
  const disposables: AsyncDisposable[] = [];
  const own = <T extends AsyncDisposable>(resource: T): T => {
    disposables.push(resource);
    return resource;
  };
  afterEach(async () => {
    for (const resource of disposables.splice(0).reverse()) await resource[Symbol.asyncDispose]();
  });

  const packages: PackageInit[] = [
    {
      id: 'App.Core',
      version: '1.2.0',
      dependencyGroups: [
        { targetFramework: 'net6.0', dependencies: [{ id: 'logging', version: '2.0' }] },
        { targetFramework: 'net472', dependencies: [{ id: 'Old.Thing', version: '1.0' }] },
      ],
    },
    { id: 'Logging', version: '2.0.0', dependencies: [{ id: 'Base', version: '[1.0,2.0)' }] },
    { id: 'Base', version: '1.0.0' },
    { id: 'Base', version: '1.5.0' },
  ];

  it.each(['v3', 'v2'] as const)('is that of the packages there: %s', async (protocol) => {
    const feed = own(await startFeedServer({ packages }));
    const client = own(
      new NuGetClient({ sources: [{ name: 'feed', sourceUrl: protocol === 'v3' ? feed.v3Url : feed.v2Url }] }),
    );
    const graph = await resolve({}, ['app.core 1.0', 'Missing 1.0'], { provider: clientDependencies(client) });
    expect(used(graph)).toEqual(['App.Core 1.2.0', 'Logging 2.0.0', 'Base 1.0.0']);
    expect(codes(graph)).toEqual(['NU1101 Missing', 'NU1603 app.core']);
    expect(graph.diagnostics[0]!.message).toContain('feed');
    // Nobody downloads packages to know what they need.
    expect(feed.requests.all().some(({ path }) => path.endsWith('.nupkg') || path.includes('/package/'))).toBe(false);
  });

  it('has versions that came since what is cached, unless nothing is taken from there', async () => {
    const feed = own(await startFeedServer({ packages }));
    let now = Date.now();
    const sources = [{ name: 'feed', sourceUrl: feed.v3Url }];
    const client = own(new NuGetClient({ sources, clock: () => now }));
    const versions = async (wanted: string, options = {}) =>
      used(await resolve({}, [wanted], { provider: clientDependencies(client, options) }));
    expect(await versions('Base 2.0')).toEqual([]);
    await feed.packages.add({ id: 'Base', version: '2.0.0' });
    expect(await versions('Base 2.0')).toEqual([]);
    now += 30_000;
    expect(await versions('Base 2.0')).toEqual(['Base 2.0.0']);
    feed.requests.clear();
    expect(await versions('Base 3.0', { cacheContext: new SourceCacheContext({ directDownload: true }) })).toEqual([]);
    expect(feed.requests.targets(/base\/index\.json$/)).toHaveLength(1);
  });

  it('can be read in the packages, which then are in the cache', async () => {
    const feed = own(await startFeedServer({ packages }));
    const cacheDir = await mkdtemp(join(tmpdir(), 'granary-resolve-'));
    own({ [Symbol.asyncDispose]: () => rm(cacheDir, { recursive: true, force: true }) });
    const client = own(new NuGetClient({ sources: [{ name: 'feed', sourceUrl: feed.v3Url }], cacheDir }));
    const provider = clientDependencies(client, { read: 'package' });
    const graph = await resolve({}, ['App.Core 1.2', 'Missing 1.0'], { provider });
    expect(used(graph)).toEqual(['App.Core 1.2.0', 'Logging 2.0.0', 'Base 1.0.0']);
    expect(feed.requests.all().filter(({ path }) => path.endsWith('.nuspec'))).toEqual([]);
    // Lists of versions are for what isn't there.
    const lists = feed.requests.all().filter(({ path }) => path.includes('flat') && path.endsWith('/index.json'));
    expect(lists.map(({ path }) => path.split('/').at(-2))).toEqual(['missing']);
    const before = feed.requests.all().length;
    for (const { id, version } of graph.packages) (await client.downloadPackage(id, version)).destroy();
    expect(feed.requests.all()).toHaveLength(before);
    const gone = await resolve({}, ['Base 1.0'], {
      provider: {
        ...provider,
        listVersions: async () => [NuGetVersion.parse('9.0.0')],
        dependencies: provider.dependencies.bind(provider),
      },
    });
    expect(codes(gone)).toContain('NU1301 Base');
  });

  it.each(['metadata', 'package'] as const)('goes by assemblies where no group fits, read in %s', async (read) => {
    const groups = (...names: string[]) => names.map((targetFramework) => ({ targetFramework, dependencies: [] }));
    const odd: PackageInit[] = [
      { id: 'Lib', version: '1.0.0', dependencyGroups: groups('net40'), files: { 'lib/netstandard2.0/Lib.dll': 'x' } },
      { id: 'Meta', version: '1.0.0', dependencyGroups: groups('uap10.0'), files: { 'readme.md': 'x' } },
      { id: 'Phone', version: '1.0.0', dependencyGroups: groups('wp8'), files: { 'lib/wp8/Phone.dll': 'x' } },
      { id: 'Old', version: '1.0.0', dependencyGroups: groups('net45'), files: { 'lib/net45/Old.dll': 'x' } },
      { id: 'New', version: '1.0.0', dependencyGroups: groups('net45'), files: { 'lib/net6.0/New.dll': 'x' } },
    ];
    const feed = own(await startFeedServer({ packages: odd }));
    const client = own(new NuGetClient({ sources: [{ name: 'feed', sourceUrl: feed.v3Url }] }));
    const wanted = ['Lib 1.0', 'Meta 1.0', 'Phone 1.0', 'Old 1.0', 'New 1.0'];
    const provider = clientDependencies(client, { read });
    const graph = await resolve({}, wanted, { provider, fallbacks: sdkFallbacks(framework) });
    expect(codes(graph)).toEqual(['NU1202 Phone', 'NU1701 Old']);

    const folder = await mkdtemp(join(tmpdir(), 'granary-resolve-'));
    own({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) });
    await new PackageInstaller({ folder, packages: clientPackages(client) }).install(graph.packages);
    feed.requests.clear();
    const again = await resolve({}, wanted, {
      provider: installedDependencies(folder, provider),
      fallbacks: sdkFallbacks(framework),
    });
    expect(codes(again)).toEqual(['NU1202 Phone', 'NU1701 Old']);
    expect(feed.requests.targets(/\.nupkg$/)).toEqual([]);
  });

  it('goes by groups where packages can not be had', async () => {
    const dependencyGroups = [{ targetFramework: 'net45', dependencies: [] }];
    const feed = own(await startFeedServer({ packages: [{ id: 'A', version: '1.0.0', dependencyGroups }] }));
    feed.fault(/\.nupkg$/, { kind: 'status', status: 403 });
    const provider = clientDependencies(own(new NuGetClient({ sources: [{ name: 'feed', sourceUrl: feed.v3Url }] })));
    expect(codes(await resolve({}, ['A 1.0'], { provider }))).toEqual(['NU1202 A']);
    expect(codes(await resolve({}, ['A 1.0'], { provider, fallbacks: sdkFallbacks(framework) }))).toEqual(['NU1701 A']);
  });

  it('is that of their packages where several may have them', async () => {
    const first = own(await startFeedServer({ packages: packages.slice(0, 2) }));
    const second = own(await startFeedServer({ packages: packages.slice(2) }));
    const sources = [first, second].map(({ v3Url }, i) => ({ name: `feed ${i}`, sourceUrl: v3Url }));
    const provider = clientDependencies(own(new NuGetClient({ sources })), { read: 'package' });
    const graph = await resolve({}, ['App.Core 1.2', 'Missing 1.0'], { provider });
    expect(used(graph)).toEqual(['App.Core 1.2.0', 'Logging 2.0.0', 'Base 1.0.0']);
    expect(codes(graph)).toEqual(['NU1101 Missing']);
    // None is asked for a package that it doesn't list.
    const asked = first.requests.all().filter(({ path }) => path.endsWith('.nupkg'));
    expect(asked.map(({ path }) => path.split('/').at(-3)).sort()).toEqual(['app.core', 'logging']);
  });

  it('names no version that a source which fails might have a nearer one than, but for the lowest that is wanted', async () => {
    const [failing, other] = [
      own(await startFeedServer({ packages: [{ id: 'A', version: '1.0.0' }] })),
      own(await startFeedServer({ packages: [{ id: 'A', version: '2.0.0' }] })),
    ];
    failing.fault(/./, { kind: 'status', status: 503 });
    const sources = [failing, other].map(({ v3Url }, i) => ({ name: `feed ${i}`, sourceUrl: v3Url }));
    const client = own(new NuGetClient({ sources, http: { retry: false, circuitBreaker: false } }));
    const provider = clientDependencies(client);
    for (const wanted of ['A 1.0', 'A *', 'A [1.0]', 'A (1.0,]', 'A']) {
      const graph = await resolve({}, [wanted], { provider });
      expect([wanted, ...used(graph)]).toEqual([wanted]);
      expect(graph.diagnostics[0]).toMatchObject({ code: 'NU1301', message: expect.stringContaining('feed 0: ') });
    }
    const exact = await resolve({}, ['A 2.0'], { provider });
    expect([used(exact), codes(exact)]).toEqual([['A 2.0.0'], []]);
  });

  it('has no package that the mapping leaves without a source', async () => {
    const feed = own(await startFeedServer({ packages }));
    const mapping = new PackageSourceMapping([['feed', ['App.*', 'Base']]]);
    const client = own(new NuGetClient({ sources: [{ name: 'Feed', sourceUrl: feed.v3Url }], mapping }));
    const graph = await resolve({}, ['App.Core 1.2'], { provider: clientDependencies(client, { mapping }) });
    expect(used(graph)).toEqual(['App.Core 1.2.0']);
    expect(codes(graph)).toEqual(['NU1100 logging']);
  });

  it('has what is installed, whatever the mapping names for it', async () => {
    const feed = own(await startFeedServer({ packages }));
    const sources = [{ name: 'feed', sourceUrl: feed.v3Url }];
    const client = own(new NuGetClient({ sources }));
    const folder = await mkdtemp(join(tmpdir(), 'granary-resolve-'));
    own({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) });
    const graph = await resolve({}, ['App.Core 1.2'], { provider: clientDependencies(client) });
    await new PackageInstaller({ folder, packages: clientPackages(client) }).install(graph.packages);

    const mapping = new PackageSourceMapping([['feed', ['Other.*']]]);
    const mapped = own(new NuGetClient({ sources, mapping }));
    const provider = installedDependencies(folder, clientDependencies(mapped, { mapping, read: 'package' }));
    const again = await resolve({}, ['App.Core 1.2', 'Logging 9.0'], { provider });
    expect(used(again)).toContain('App.Core 1.2.0');
    expect(codes(again)).toEqual(['NU1100 Logging']);
  });
});
