import { ManualTime } from '@granary/resilience/testing';
import { describe, expect, it } from 'vitest';
import type { Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { FOREIGN_ANSWERS, foreignLayer } from '../layers/testing/foreign-layer.js';
import { ChaosLayer } from '../testing/chaos-layer.js';
import { layerContract } from '../testing/layer-contract.js';
import { BatchAdapter } from './batch-adapter.js';
import { BloomLayer } from './bloom-layer.js';
import { NamespacedLayer } from './namespaced-layer.js';
import { NegativeLayer } from './negative-layer.js';
import { ResilientLayer } from './resilient-layer.js';
import { ValidatedLayer } from './validated-layer.js';

type Decorate = (layer: Layer<unknown>, clock: () => number) => Layer<unknown>;

const immediates = {
  setTimeout: (callback: () => void) => setImmediate(callback),
  clearTimeout: (handle: unknown) => clearImmediate(handle as NodeJS.Immediate),
};

/** Runs the suite around a layer that answers at once, one that answers later, and one without optional methods. */
function contractOf(name: string, decorate: Decorate, withoutMany = true): void {
  const make = (inner: (memory: MemoryLayer<unknown>) => Layer<unknown>) => () => {
    const time = new ManualTime();
    const layer = decorate(inner(new MemoryLayer<unknown>({ clock: time.clock })), time.clock);
    return { layer, advance: (ms: number) => time.advance(ms), now: time.clock };
  };
  const runner = { describe, it, expect };
  layerContract(
    runner,
    name,
    make((memory) => memory),
  );
  const later = (memory: MemoryLayer<unknown>) =>
    new ChaosLayer(memory, { timers: immediates }).always({ kind: 'slow', ms: 1 });
  layerContract(runner, `${name} around what answers later`, make(later));
  const foreign = (memory: MemoryLayer<unknown>) =>
    foreignLayer<unknown>(memory, FOREIGN_ANSWERS['promises of another realm']);
  layerContract(runner, `${name} around what answers with promises of another realm`, make(foreign));
  if (!withoutMany) return;
  const plain = (memory: MemoryLayer<unknown>): Layer<unknown> => ({
    name: 'plain',
    get: (key) => memory.get(key),
    set: (key, value, options) => memory.set(key, value, options),
    delete: (key) => memory.delete(key),
    close: () => memory.close(),
  });
  layerContract(runner, `${name} around what can only do one at a time`, make(plain));
}

contractOf('ResilientLayer', (layer) => new ResilientLayer(layer));
contractOf('ValidatedLayer', (layer) => new ValidatedLayer(layer, () => undefined));
contractOf('ValidatedLayer with a validator that takes its time', (layer) => {
  return new ValidatedLayer(layer, async () => undefined);
});
contractOf('NegativeLayer', (layer, clock) => new NegativeLayer(layer, { clock }));
contractOf('BloomLayer', (layer) => new BloomLayer(layer, { startsEmpty: true }));
contractOf(
  'BloomLayer that is soon saturated',
  (layer) => new BloomLayer(layer, { startsEmpty: true, expectedKeys: 2 }),
);
contractOf('NamespacedLayer', (layer) => new NamespacedLayer(layer, 'users'));
contractOf('BatchAdapter', (layer, clock) => new BatchAdapter(layer, { clock }), false);
contractOf(
  'all of them together',
  (layer, clock) =>
    new BatchAdapter(
      new NegativeLayer(
        new BloomLayer(new ValidatedLayer(new ResilientLayer(new NamespacedLayer(layer, 'a')), () => undefined), {
          startsEmpty: true,
        }),
        { clock },
      ),
      { clock },
    ),
  false,
);
