// The packages that are restored: a graph as projects have them, some packages near the root that many others need, and
// sizes from a few KiB to a few MiB. The same each time.
import { buildPackage } from '@granary/nuget/testing';

const LAYERS = [10, 25, 40, 40, 25, 10];
export const COUNT = LAYERS.reduce((sum, count) => sum + count);

/** What there is, without what is in it. */
export function namePackages(prefix) {
  return namesOf(prefix).flatMap((ids, layer) => ids.map((id) => ({ id, version: '1.0.0', layer })));
}

/**
 * @param {string} prefix what ids begin with
 * @returns {{ id: string, version: string, layer: number, content: Buffer }[]}
 */
export function makePackages(prefix = 'Bench') {
  const random = randomFrom(20);
  const names = namesOf(prefix);
  return names.flatMap((ids, layer) =>
    ids.map((id, i) => {
      const below = names[layer + 1] ?? [];
      // Each package of the next layer is somebody's dependency, and most are several packages'.
      const needed = new Set(below.filter((_, j) => j % ids.length === i));
      for (let extra = 0; extra < 3 && below.length > 0; extra++)
        needed.add(below[Math.floor(random() * below.length)]);
      const dependencies = [...needed].map((name) => ({ id: name, version: '1.0.0' }));
      const group = { targetFramework: 'netstandard2.0', dependencies };
      const assembly = noise(random, Math.round(4096 * 2 ** (random() * 9)));
      const files = {
        [`lib/netstandard2.0/${id}.dll`]: assembly,
        [`lib/netstandard2.0/${id}.xml`]: `<doc>${id}</doc>`.repeat(200),
      };
      const content = buildPackage({ id, version: '1.0.0', dependencyGroups: [group], files });
      return { id, version: '1.0.0', layer, content };
    }),
  );
}

export const ROOTS = Array.from({ length: LAYERS[0] }, (_, i) => `Bench.Layer0.Part${i}`);

function namesOf(prefix) {
  return LAYERS.map((count, layer) => Array.from({ length: count }, (_, i) => `${prefix}.Layer${layer}.Part${i}`));
}

/** As compressible as code is: half of it random. */
function noise(random, bytes) {
  const data = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 8) data.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
  return data;
}

function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
