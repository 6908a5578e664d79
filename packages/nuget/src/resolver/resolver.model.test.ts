import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NuGetFramework } from '../frameworks/nuget-framework.js';
import type { DependencyGraph, DependencyNode } from './dependency-graph.js';
import { resolveDependencies } from './resolve-dependencies.js';
import { resolveNaively } from './testing/naive-tree.js';
import { type World, WorldProvider, wish } from './testing/package-world.js';

const framework = NuGetFramework.parse('net8.0');
const IDS = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H'];

const range = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('1.0', '2.0', '3.0') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('[1.0]', '[2.0]', '[1.0,2.0]', '[1.0,3.0)', '*', '2.*', '(1.0,)', '(,3.0]', '4.0'),
  },
);
const need = fc.tuple(fc.constantFrom(...IDS), range).map(([id, text]) => `${id} ${text}`);
const needs = fc.array(need, { maxLength: 3 });
const world: fc.Arbitrary<World> = fc.dictionary(
  fc
    .tuple(fc.constantFrom(...IDS), fc.constantFrom('1.0.0', '2.0.0', '3.0.0'))
    .map(([id, version]) => `${id} ${version}`),
  needs,
  { minKeys: 6, maxKeys: 22, noNullPrototype: true },
);
const roots = fc.array(need, { minLength: 1, maxLength: 3 });

const resolve = (packages: World, wanted: readonly string[], delay?: () => Promise<void> | undefined) =>
  resolveDependencies({
    provider: new WorldProvider(packages, delay),
    dependencies: wanted.map(wish),
    framework,
    maxParallel: 3,
  });

const versions = ({ packages }: DependencyGraph) =>
  new Map(packages.map(({ id, version }) => [id, version.toNormalizedString()]));

const allNodes = (nodes: readonly DependencyNode[]): DependencyNode[] =>
  nodes.flatMap((node) => [node, ...allNodes(node.children)]);

/** Everything that can be seen of a graph. */
const print = (graph: DependencyGraph) =>
  JSON.stringify(graph, (_, value) => (value instanceof Map ? [...value] : value));

describe('a resolved graph', () => {
  it('is that of the tree in which every way is walked', async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(world, roots, async (packages, wanted) => {
        const naive = resolveNaively(packages, wanted.map(wish));
        const graph = await resolve(packages, wanted);
        if (naive === undefined || !naive.complete) return;
        compared++;
        const of = (code: string) => graph.diagnostics.filter((diagnostic) => diagnostic.code === code);
        expect(versions(graph)).toEqual(naive.chosen);
        expect(of('NU1108')).toHaveLength(naive.cycles.size);
        // The same dependency can close a cycle, or be missing, on one way and be a downgrade on another: the error is told.
        if (naive.cycles.size + naive.missing.size === 0) expect(of('NU1605')).toHaveLength(naive.downgrades.size);
        expect(of('NU1107')).toHaveLength(naive.conflicts.size);
        expect(of('NU1101').length + of('NU1102').length).toBe(naive.missing.size);
      }),
      { numRuns: 1500 },
    );
    expect(compared).toBeGreaterThan(1000);
  });

  it('has of each package one version, which fits every wish or is told of', async () => {
    await fc.assert(
      fc.asyncProperty(world, roots, async (packages, wanted) => {
        const graph = await resolve(packages, wanted);
        const chosen = versions(graph);
        expect(chosen.size).toBe(graph.packages.length);
        const told = new Set(
          graph.diagnostics
            .filter(({ code }) => ['NU1107', 'NU1605', 'NU1608', 'NU1108', 'NU1101', 'NU1102', 'NU1103'].includes(code))
            .map(({ id }) => id),
        );
        for (const { dependencies } of graph.packages) {
          for (const { id, range: wanted, version } of dependencies) {
            const touchesBound = wanted.minVersion !== undefined && version?.equals(wanted.minVersion) === true;
            if (version === undefined || !(wanted.satisfies(version) || touchesBound)) expect(told).toContain(id);
          }
        }
        // Whatever is used stands in the tree exactly once with its dependencies.
        const shown = allNodes(graph.roots).filter(({ outcome }) => outcome === 'chosen');
        expect(shown.map(({ id }) => id).sort()).toEqual([...chosen.keys()].sort());
      }),
      { numRuns: 1000 },
    );
  });

  it('is the same in whatever order the answers come', async () => {
    await fc.assert(
      fc.asyncProperty(world, roots, fc.scheduler(), async (packages, wanted, scheduler) => {
        const inOrder = await resolve(packages, wanted);
        const shuffled = resolve(packages, wanted, () => scheduler.schedule(Promise.resolve()));
        await scheduler.waitFor(shuffled);
        expect(print(await shuffled)).toBe(print(inOrder));
      }),
      { numRuns: 300 },
    );
  });

  it('is the same whether versions are listed first or only where the lowest one is not there', async () => {
    await fc.assert(
      fc.asyncProperty(world, roots, async (packages, wanted) => {
        const provider = Object.assign(new WorldProvider(packages), { triesLowest: () => true });
        const graph = await resolveDependencies({
          provider,
          dependencies: wanted.map(wish),
          framework,
          maxParallel: 3,
        });
        expect(print(graph)).toBe(print(await resolve(packages, wanted)));
      }),
      { numRuns: 1000 },
    );
  });
});
