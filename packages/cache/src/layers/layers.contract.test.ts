import { ManualTime } from '@granary/resilience/testing';
import { describe, expect, it } from 'vitest';
import { layerContract } from '../testing/layer-contract.js';
import { FunctionLayer } from './function-layer.js';
import { MemoryLayer } from './memory-layer.js';

const runner = { describe, it, expect };

layerContract(runner, 'MemoryLayer', () => {
  const time = new ManualTime();
  return { layer: new MemoryLayer({ clock: time.clock }), advance: (ms) => time.advance(ms), now: time.clock };
});

layerContract(runner, 'MemoryLayer with a bound in bytes', () => {
  const time = new ManualTime();
  const layer = new MemoryLayer({ clock: time.clock, maxBytes: 4 * 2 ** 20 });
  return { layer, advance: (ms) => time.advance(ms), now: time.clock };
});

layerContract(runner, 'MemoryLayer by the wall clock', () => ({ layer: new MemoryLayer() }));

layerContract(
  runner,
  'FunctionLayer',
  () => {
    const database = new Map<string, unknown>();
    return {
      layer: new FunctionLayer<unknown>(async (key) => database.get(key)),
      put: (key, value) => void database.set(key, value),
    };
  },
  { readOnly: true },
);

layerContract(
  runner,
  'FunctionLayer that answers at once and knows many keys',
  () => {
    const database = new Map<string, unknown>();
    const some = (keys: readonly string[]) => new Map([...database].filter(([key]) => keys.includes(key)));
    return {
      layer: new FunctionLayer<unknown>((key) => database.get(key), { loadMany: some }),
      put: (key, value) => void database.set(key, value),
    };
  },
  { readOnly: true },
);
