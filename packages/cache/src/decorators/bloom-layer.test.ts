import { ManualTime } from '@granary/resilience/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer } from '../testing/chaos-layer.js';
import { BloomFilter } from './bloom-filter.js';
import { BloomLayer, type BloomLayerOptions } from './bloom-layer.js';

const settle = () => new Promise((resolve) => setImmediate(resolve));

function setup(options: BloomLayerOptions = {}) {
  const time = new ManualTime();
  const inner = new ChaosLayer(new MemoryLayer<string>(), { timers: time });
  return { time, inner, layer: new BloomLayer<string>(inner, { clock: time.clock, ...options }) };
}

describe('a Bloom filter', () => {
  it('says yes for each key that was added, and no for nearly all others', () => {
    for (const rate of [0.1, 0.01, 0.001]) {
      const filter = new BloomFilter(5000, rate);
      for (let i = 0; i < 5000; i++) filter.add(`key:${i}`);
      for (let i = 0; i < 5000; i++) expect(filter.mayHave(`key:${i}`)).toBe(true);
      let wrong = 0;
      for (let i = 0; i < 20_000; i++) if (filter.mayHave(`other:${i}`)) wrong++;
      expect(wrong / 20_000).toBeLessThan(rate * 1.6);
      expect(filter.isSaturated).toBe(false);
    }
  });

  it('knows when it has too many keys', () => {
    const filter = new BloomFilter(1000, 0.01);
    let added = 0;
    while (!filter.isSaturated) filter.add(`key ${added++}`);
    expect(added).toBeGreaterThan(1000);
    expect(added).toBeLessThan(1500);
  });
});

describe('a Bloom layer', () => {
  it('answers for no key before it knows all', async () => {
    const { inner, layer } = setup();
    inner.set('from before', '1');
    expect(layer.get('from before')).toBe('1');
    expect(layer.get('nothing')).toBeUndefined();
    expect(inner.calls.get).toBe(2);
    expect(layer.stats()).toMatchObject({ complete: false, avoided: 0 });
  });

  it('spares the layer what it doesn’t have once it was filled, or when it starts empty', async () => {
    const { inner, layer } = setup();
    inner.set('from before', '1');
    expect(await layer.fill(['from before'])).toBe(true);
    expect(layer.get('from before')).toBe('1');
    const calls = { ...inner.calls };
    expect(layer.get('nothing')).toBeUndefined();
    expect(layer.getEntry?.('nothing')).toBeUndefined();
    expect(layer.getMany?.(['nothing', 'neither'])).toEqual(new Map());
    expect(layer.delete('nothing')).toBe(false);
    expect(inner.calls).toEqual(calls);
    expect(layer.stats()).toMatchObject({ complete: true, avoided: 5 });
    const empty = setup({ startsEmpty: true });
    expect(empty.layer.get('nothing')).toBeUndefined();
    expect(empty.inner.calls.get).toBe(0);
  });

  it('says what memory it takes, some 1.2 bytes for each key that it has room for', async () => {
    const { layer } = setup({ expectedKeys: 10_000 });
    expect(layer.stats().bytes).toBe(0);
    await layer.fill([]);
    expect(layer.stats().bytes).toBeGreaterThan(11_900);
    expect(layer.stats().bytes).toBeLessThan(12_100);
    await layer.close();
    expect(layer.stats()).toMatchObject({ complete: false, bytes: 0 });
  });

  it('takes no memory after it was closed, though it is told its keys only then', async () => {
    const { layer } = setup();
    const filled = layer.fill(['a']);
    await layer.close();
    expect(await filled).toBe(false);
    expect(layer.stats()).toMatchObject({ complete: false, bytes: 0 });
  });

  it('leaves all as it was when the keys can’t be told', async () => {
    const { layer } = setup();
    const keys = async function* () {
      yield 'a';
      throw new Error('no more');
    };
    await expect(layer.fill(keys())).rejects.toThrow('no more');
    expect(layer.stats().complete).toBe(false);
  });

  it('knows what was set while it was being filled, begun before or not', async () => {
    const { inner, layer } = setup();
    inner.plan('set', { kind: 'hangs' });
    const slow = layer.set('begun before', '1');
    let goOn = () => {};
    const keys = async function* () {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      yield* [] as string[];
    };
    const filled = layer.fill(keys());
    await settle();
    layer.set('meanwhile', '1');
    goOn();
    await filled;
    inner.release();
    await slow;
    expect([layer.get('begun before'), layer.get('meanwhile')]).toEqual(['1', '1']);
    expect(layer.stats().complete).toBe(true);
  });

  it('answers for none any more when it is saturated, and is filled anew from the keys', async () => {
    const memory = new Map<string, string>();
    const { time, inner, layer } = setup({ startsEmpty: true, expectedKeys: 100, keys: () => memory.keys() });
    for (let i = 0; layer.stats().complete; i++) {
      layer.set(`k${i}`, '1');
      if (i < 50) memory.set(`k${i}`, '1');
      else inner.delete(`k${i}`);
    }
    expect(layer.get('nothing')).toBeUndefined();
    expect(inner.calls.get).toBe(1);
    await settle();
    expect(layer.stats().complete).toBe(true);
    for (let i = 0; i < 50; i++) expect(layer.get(`k${i}`)).toBe('1');
    expect(time.pending).toBe(0);
  });

  it('isn’t filled again and again when there are too many keys', async () => {
    let listed = 0;
    const keys = () => {
      listed++;
      return Array.from({ length: 1000 }, (_, i) => `k${i}`);
    };
    const { time, layer } = setup({ startsEmpty: true, expectedKeys: 100, keys, minRefillMs: 1000 });
    for (let i = 0; i < 500; i++) layer.set(`k${i}`, '1');
    await settle();
    for (let i = 0; i < 500; i++) layer.set(`k${i}`, '1');
    expect(listed).toBe(1);
    expect(layer.stats().complete).toBe(false);
    await time.advance(1000);
    layer.set('k', '1');
    await settle();
    expect(listed).toBe(2);
  });

  it('knows that a layer that was cleared has only what was set since', async () => {
    const { time, inner, layer } = setup();
    inner.set('a', '1');
    inner.plan('clear', { kind: 'slow', ms: 10 });
    const cleared = layer.clear?.();
    expect(layer.stats().complete).toBe(false);
    await time.advance(10);
    await cleared;
    expect(layer.stats().complete).toBe(true);
    const sync = setup({ startsEmpty: true });
    sync.layer.set('a', '1');
    sync.layer.clear?.();
    expect(sync.layer.get('a')).toBeUndefined();
    expect(sync.inner.calls.get).toBe(0);
    sync.layer.set('b', '1');
    expect(sync.layer.get('b')).toBe('1');
    sync.inner.plan('clear', { kind: 'rejects' }).plan('clear', { kind: 'throws' });
    await expect(sync.layer.clear?.()).rejects.toThrow();
    expect(() => sync.layer.clear?.()).toThrow();
    expect(sync.layer.get('b')).toBe('1');
  });

  it('never denies what was set through it, whatever interleaves', async () => {
    const key = fc.nat(40).map((i) => `k${i}`);
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('set', 'setMany', 'delete'), key, slow: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('clear', 'fill'), key, slow: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('wait'), key, slow: fc.nat(4) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 60 }), async (startsEmpty, steps) => {
        const known = new Set<string>();
        const memory = new MemoryLayer<string>();
        const time = new ManualTime();
        const inner = new ChaosLayer(memory, { timers: time });
        const all = Array.from({ length: 41 }, (_, i) => `k${i}`);
        const present = () => all.filter((each) => memory.get(each) !== undefined);
        const options = { startsEmpty, expectedKeys: 20, keys: present, minRefillMs: 2, clock: time.clock };
        const layer = new BloomLayer<string>(inner, options);
        for (const { do: operation, key, slow } of steps) {
          const fault = slow === 0 ? undefined : ({ kind: 'slow', ms: slow } as const);
          if (operation === 'wait') await time.advance(slow);
          else if (operation === 'fill') void layer.fill(present());
          else {
            inner.plan(operation as 'set', fault);
            if (operation === 'set') layer.set(key, '1');
            else if (operation === 'setMany')
              layer.setMany?.(
                new Map([
                  [key, '1'],
                  ['k0', '1'],
                ]),
              );
            else if (operation === 'delete') layer.delete(key);
            else layer.clear?.();
            inner.heal();
            known.add(key);
          }
        }
        await time.advance(10);
        for (const each of present()) expect(layer.get(each)).toBe('1');
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['expectedKeys', 0],
    ['falsePositiveRate', 1],
    ['falsePositiveRate', 0],
    ['expectedKeys', 1.5],
    ['minRefillMs', Number.NaN],
    ['minRefillMs', '60000'],
  ])('refuses a %s of %s, which makes no sense', (option, value) => {
    expect(() => setup({ [option]: value })).toThrow(new RegExp(`^${option} must be`));
  });
});
