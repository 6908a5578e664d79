import { describe, expect, it } from 'vitest';
import type { Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { layerContract } from '../testing/layer-contract.js';
import { NamespacedLayer, type PrefixClearing } from './namespaced-layer.js';

/** A layer that can clear by prefix. */
class Clearable implements Layer<unknown>, PrefixClearing {
  readonly name = 'clearable';
  readonly values = new Map<string, unknown>();

  get(key: string): unknown {
    return this.values.get(key);
  }

  set(key: string, value: unknown): void {
    this.values.set(key, value);
  }

  delete(key: string): boolean {
    return this.values.delete(key);
  }

  clearPrefix(prefix: string): void {
    for (const key of this.values.keys()) if (key.startsWith(prefix)) this.values.delete(key);
  }

  close(): void {}
}

describe('a namespaced layer', () => {
  it('keeps its keys apart from those of others in the same layer', async () => {
    const shared = new MemoryLayer<string>();
    const [a, b] = [new NamespacedLayer(shared, 'a'), new NamespacedLayer(shared, 'b')];
    a.set('key', '1');
    b.setMany?.(new Map([['key', '2']]));
    expect([a.get('key'), b.get('key'), shared.get('key')]).toEqual(['1', '2', undefined]);
    expect(await b.getMany?.(['key'])).toEqual(new Map([['key', { value: '2', expiresAt: undefined }]]));
    expect(a.deleteMany?.(['key'])).toBe(1);
    expect(b.getEntry?.('key')).toMatchObject({ value: '2' });
  });

  it('clears its own keys only, and only where the layer can', () => {
    expect(new NamespacedLayer(new MemoryLayer(), 'a').clear).toBeUndefined();
    const shared = new Clearable();
    const [a, ab] = [new NamespacedLayer(shared, 'a'), new NamespacedLayer(shared, 'ab')];
    const within = new NamespacedLayer(a as Layer<unknown>, 'x');
    for (const layer of [a, ab, within]) layer.set('key', '1');
    within.clear?.();
    expect([...shared.values.keys()]).toEqual(['a:key', 'ab:key']);
    a.clear?.();
    expect([...shared.values.keys()]).toEqual(['ab:key']);
  });

  it('leaves the layer open that others use too', () => {
    const shared = new MemoryLayer<string>();
    const layer = new NamespacedLayer(shared, 'a', { name: 'users' });
    layer.set('key', '1');
    layer.close();
    expect(layer.get('key')).toBe('1');
    expect([layer.name, new NamespacedLayer(shared, 'b').name]).toEqual(['users', 'memory']);
  });

  it.each(['', 'a:b'])('refuses %j as a namespace', (namespace) => {
    expect(() => new NamespacedLayer(new MemoryLayer(), namespace)).toThrow(/^namespace must be/);
  });
});

layerContract({ describe, it, expect }, 'NamespacedLayer around a layer that clears by prefix', () => {
  const memory = new MemoryLayer<unknown>();
  const keys = new Set<string>();
  const layer: Layer<unknown> & PrefixClearing = {
    name: 'clearable',
    get: (key) => memory.get(key),
    set: (key, value, options) => {
      keys.add(key);
      memory.set(key, value, options);
    },
    delete: (key) => memory.delete(key),
    close: () => memory.close(),
    clearPrefix: (prefix) => {
      for (const key of keys) if (key.startsWith(prefix)) memory.delete(key);
    },
  };
  return { layer: new NamespacedLayer(layer, 'a') };
});
