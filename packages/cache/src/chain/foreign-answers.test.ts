import { MemoryCollector } from '@granary/telemetry';
import { describe, expect, it, vi } from 'vitest';
import { NegativeLayer } from '../decorators/negative-layer.js';
import { ResilientLayer } from '../decorators/resilient-layer.js';
import { ValidatedLayer } from '../decorators/validated-layer.js';
import type { Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { FOREIGN_ANSWERS, foreignLayer } from '../layers/testing/foreign-layer.js';
import { ChaosLayer } from '../testing/chaos-layer.js';
import { AsyncWriter } from '../writer/async-writer.js';
import { createChain } from './chain.js';

/** What a chain asks of layers that can do one thing at a time. */
function plain(layer: Layer<string>): Layer<string> {
  return {
    name: 'plain',
    get: (key) => layer.get(key),
    set: (key, value, options) => layer.set(key, value, options),
    delete: (key) => layer.delete(key),
    close: () => layer.close(),
  };
}

const broken = () => new ChaosLayer(new MemoryLayer<string>()).always({ kind: 'rejects', error: new Error('broken') });

describe.each(Object.entries(FOREIGN_ANSWERS))('a layer that answers with %s', (_, answering) => {
  describe.each([
    ['one by one', plain],
    ['many at once', (layer: Layer<string>) => layer],
  ])('%s', (_, shape) => {
    it('is read and written in a chain', async () => {
      const memory = new MemoryLayer<string>();
      const first = new MemoryLayer<string>({ name: 'first' });
      const chain = createChain<string>({ layers: [first, foreignLayer(shape(memory), answering)] });
      expect(await chain.get('a')).toBeUndefined();
      await chain.set('a', 'one', { tags: ['t'] });
      first.clear();
      expect(await chain.get('a')).toBe('one');
      expect(first.get('a')).toBe('one');
      first.clear();
      expect(await chain.getMany(['a', 'b'])).toEqual(new Map([['a', 'one']]));
      expect(await chain.deleteByTag('t')).toBe(1);
      await chain.setMany([
        ['b', 'two'],
        ['c', 'three'],
      ]);
      expect(memory.get('c')).toBe('three');
      expect(await chain.deleteMany(['b', 'c', 'd'])).toBe(2);
      expect(await chain.getOrLoad('e', () => 'five')).toBe('five');
      await chain.flush();
      expect(memory.get('e')).toBe('five');
      expect(await chain.delete('e')).toBe(true);
      expect(memory.get('e')).toBeUndefined();
      await chain.close();
    });

    it('has failed where that rejects', async () => {
      const metrics = new MemoryCollector();
      const layers = [{ layer: foreignLayer(shape(broken()), answering), resilience: false as const }];
      const chain = createChain<string>({ layers, metrics });
      expect(await chain.get('a')).toBeUndefined();
      expect(await chain.getMany(['a', 'b'])).toEqual(new Map());
      expect(metrics.snapshot().layerMetrics[layers[0]?.layer.name ?? '']?.errors).toBeGreaterThan(0);
      await expect(chain.set('a', 'one')).rejects.toThrow('broken');
      await expect(chain.delete('a')).rejects.toThrow('broken');
      await expect(
        chain.setMany(
          new Map([
            ['a', 'one'],
            ['b', 'two'],
          ]),
        ),
      ).rejects.toThrow('broken');
      await expect(chain.deleteMany(['a', 'b'])).rejects.toThrow('broken');
    });
  });

  it('fails writes behind where that rejects', async () => {
    const onFailure = vi.fn();
    const writer = new AsyncWriter(foreignLayer(broken(), answering), { onFailure });
    await writer.set('a', 'one');
    expect(await writer.flush(10_000)).toBe(false);
    expect(onFailure).toHaveBeenCalledTimes(1);
  });

  it('is spared where that rejects too often', async () => {
    const layer = new ResilientLayer(foreignLayer(broken(), answering), { breaker: { maxFailures: 1 } });
    await expect(layer.get('a')).rejects.toThrow('broken');
    expect(layer.breaker.state).toBe('open');
  });

  it('is remembered to have nothing', async () => {
    const memory = new MemoryLayer<string>();
    const layer = new NegativeLayer(plain(foreignLayer(memory, answering)));
    await layer.get('a');
    await layer.get('a');
    expect(layer.stats().avoided).toBe(1);
  });
});

describe.each(Object.entries(FOREIGN_ANSWERS))('what answers with %s', (_, answering) => {
  const fail = () => {
    throw new Error('no');
  };

  it('validates', async () => {
    const memory = new MemoryLayer<string>();
    await new ValidatedLayer(memory, () => answering(() => 'is wrong') as Promise<string>, { onEntry: 'skip' }).set(
      'a',
      'b',
    );
    await new ValidatedLayer(memory, () => answering(fail) as Promise<string>, { onEntry: 'skip' }).set('c', 'd');
    expect(memory.stats().entries).toBe(0);
  });

  it('ends nothing where it rejects and nobody waits for it', async () => {
    const metrics = Object.assign(new MemoryCollector(), { recordGet: () => answering(fail) });
    const published = vi.fn(() => answering(fail) as Promise<void>);
    const bus = { publish: published, subscribe: () => () => {}, close: async () => {} };
    const chain = createChain<string>({ layers: [new MemoryLayer()], metrics, bus });
    await chain.set('a', 'one');
    expect(await chain.get('a')).toBe('one');
    expect(published).toHaveBeenCalledTimes(1);
    // Rejections that nobody has caught fail the run.
    await new Promise(setImmediate);
  });
});
