import { describe, expect, it } from 'vitest';
import { createChain } from '../chain/chain.js';
import type { Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { NamespacedLayer } from './namespaced-layer.js';

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

  it('clears its own keys only, and only where the layer can', async () => {
    const plain: Layer<unknown> = { name: 'plain', get() {}, set() {}, delete: () => false, close() {} };
    expect(new NamespacedLayer(plain, 'a').clear).toBeUndefined();
    const shared = new MemoryLayer<string>();
    const [a, ab] = [new NamespacedLayer(shared, 'a'), new NamespacedLayer(shared, 'ab')];
    const within = new NamespacedLayer(a, 'x');
    const left = () => [...shared.getMany(['a:key', 'ab:key', 'a:x:key', 'key']).keys()];
    for (const layer of [shared, a, ab, within]) layer.set('key', '1');
    await within.clear?.();
    expect(left()).toEqual(['a:key', 'ab:key', 'key']);
    await a.clear?.();
    expect(left()).toEqual(['ab:key', 'key']);
  });

  it('keeps the keys of chains apart', async () => {
    const shared = new MemoryLayer<string>();
    const [a, b] = ['a', 'b'].map((name) => createChain({ layers: [new NamespacedLayer(shared, name)] }));
    await a?.set('key', '1');
    await b?.set('key', '2');
    expect([await a?.get('key'), await b?.get('key'), shared.get('key')]).toEqual(['1', '2', undefined]);
  });

  it('leaves the layer open that others use too', () => {
    const shared = new MemoryLayer<string>();
    const layer = new NamespacedLayer(shared, 'a', { name: 'users' });
    layer.set('key', '1');
    layer.close();
    expect(layer.get('key')).toBe('1');
    expect([layer.name, new NamespacedLayer(shared, 'b').name]).toEqual(['users', 'memory']);
  });

  it.each(['', 'a:b', undefined, 7])('refuses %j as a namespace', (namespace) => {
    expect(() => new NamespacedLayer(new MemoryLayer(), namespace as string)).toThrow(/^namespace must be/);
  });
});
