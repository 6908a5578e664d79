import { ManualTime } from '@granary/resilience/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { estimateBytes } from './estimate-bytes.js';
import { FunctionLayer } from './function-layer.js';
import { MemoryLayer } from './memory-layer.js';

describe('a memory layer', () => {
  it('answers without a promise', () => {
    const layer = new MemoryLayer<number>();
    expect(layer.set('key', 1, { ttlMs: 1000, graceMs: 1000 })).toBeUndefined();
    expect(layer.get('key')).toBe(1);
    expect(layer.getEntry('key')?.value).toBe(1);
    expect(layer.delete('key')).toBe(true);
  });

  it('gives the value itself, not a copy', () => {
    const layer = new MemoryLayer<object>();
    const value = {};
    layer.set('plain', value);
    layer.set('graced', value, { ttlMs: 1000, graceMs: 1000 });
    expect(layer.get('plain')).toBe(value);
    expect(layer.get('graced')).toBe(value);
  });

  it('takes lifetimes that it was made with, unless a write says otherwise', async () => {
    const time = new ManualTime();
    const layer = new MemoryLayer<number>({ ttlMs: 100, graceMs: 50, clock: time.clock });
    layer.set('default', 1);
    layer.set('for ever', 2, { ttlMs: Number.POSITIVE_INFINITY });
    layer.set('no grace', 3, { graceMs: 0 });
    await time.advance(99);
    expect(layer.getMany(['default', 'for ever', 'no grace']).size).toBe(3);
    expect(layer.get('default')).toBe(1);
    await time.advance(1);
    expect(layer.get('default')).toBeUndefined();
    expect(layer.getEntry('default')).toEqual({ value: 1, expiresAt: time.clock() });
    expect(layer.getEntry('for ever')).toEqual({ value: 2, expiresAt: undefined });
    expect(layer.getEntry('no grace')).toBeUndefined();
    await time.advance(50);
    expect(layer.getEntry('default')).toBeUndefined();
  });

  it('says exactly when a value stops being fresh, with a clock that has fractions too', () => {
    const layer = new MemoryLayer<number>({ clock: () => 1_700_000_000_000.25 });
    layer.set('key', 1, { ttlMs: 1000 });
    expect(layer.getEntry('key')?.expiresAt).toBe(1_700_000_001_000.25);
  });

  it.each([-10, 0, 0.5, 1])('ends what was written at %d, whatever the clock', (start) => {
    let now = start;
    const layer = new MemoryLayer<number>({ clock: () => now });
    layer.set('short', 1, { ttlMs: 0.5 });
    layer.set('long', 1, { ttlMs: 10 });
    expect([layer.get('short'), layer.get('long')]).toEqual([1, 1]);
    now = start + 10;
    expect([layer.get('short'), layer.get('long')]).toEqual([undefined, undefined]);
  });

  it('takes an option that is undefined as one that is not given', () => {
    const none = { name: undefined, maxEntries: undefined, maxBytes: undefined, sizeOf: undefined, clock: undefined };
    const layer = new MemoryLayer<number>({ ...none, ttlMs: undefined, graceMs: undefined });
    layer.set('key', 1);
    expect([layer.name, layer.get('key'), layer.stats().maxEntries]).toEqual(['memory', 1, 10_000]);
    expect(new FunctionLayer(() => 1, { name: undefined, loadMany: undefined, clock: undefined }).name).toBe(
      'function',
    );
  });

  it('takes undefined for a removal', () => {
    const layer = new MemoryLayer<number | undefined>();
    layer.set('key', 1);
    layer.set('key', undefined);
    expect(layer.stats().entries).toBe(0);
  });

  it('lets the least recently used go first', () => {
    const layer = new MemoryLayer<number>({ maxEntries: 2 });
    layer.set('a', 1);
    layer.set('b', 2);
    layer.get('a');
    layer.set('c', 3);
    expect(layer.getMany(['a', 'b', 'c']).size).toBe(2);
    expect(layer.get('b')).toBeUndefined();
    expect(layer.stats().evictions).toBe(1);
  });

  it('does not keep a value that is larger than everything it may hold', () => {
    const layer = new MemoryLayer<string>({ maxBytes: 10, sizeOf: (value) => value.length });
    layer.set('other', 'x');
    layer.set('key', 'small');
    layer.set('key', 'much too large');
    expect(layer.get('key')).toBeUndefined();
    expect(layer.get('other')).toBe('x');
    expect(layer.stats().bytes).toBe(1);
  });

  it('measures a value again that grew since', () => {
    const layer = new MemoryLayer<number[]>({ maxBytes: 10, sizeOf: (value) => value.length });
    const value = [1];
    layer.set('other', [1, 2, 3]);
    layer.set('key', value);
    value.push(2, 3, 4, 5, 6, 7, 8);
    layer.set('key', value);
    expect(layer.stats()).toMatchObject({ bytes: 8, entries: 1 });
    expect(layer.get('key')).toBe(value);
  });

  it('counts hits and misses', () => {
    const layer = new MemoryLayer<number>();
    layer.set('key', 0);
    layer.set('stale', 0, { ttlMs: 0, graceMs: 1000 });
    for (const key of ['key', 'nothing', 'stale']) layer.get(key);
    layer.getEntry('stale');
    layer.getEntry('nothing');
    expect(layer.stats()).toMatchObject({ hits: 2, misses: 3, maxEntries: 10_000, bytes: undefined });
  });

  it('holds nothing once it is closed', () => {
    const layer = new MemoryLayer<number>();
    layer.set('key', 1);
    layer.close();
    layer.set('key', 2);
    expect(layer.get('key')).toBeUndefined();
    expect(layer.stats().entries).toBe(0);
  });

  it.each([
    ['maxEntries', { maxEntries: 0 }],
    ['maxBytes', { maxBytes: 1.5 }],
    ['ttlMs', { ttlMs: Number.NaN }],
    ['graceMs', { graceMs: -1 }],
  ])('refuses a %s that makes no sense', (name, options) => {
    expect(() => new MemoryLayer(options)).toThrow(name);
  });

  it('refuses sizes that are none', () => {
    const layer = new MemoryLayer<number>({ maxBytes: 10, sizeOf: () => Number.NaN });
    expect(() => layer.set('key', 1)).toThrow('sizeOf');
  });

  it('does as a simple model does, within both bounds', () => {
    const key = fc.integer({ min: 0, max: 9 }).map(String);
    const operation = fc.oneof(
      fc.record({
        do: fc.constant('set'),
        key,
        size: fc.integer({ min: 1, max: 40 }),
        ttl: fc.integer({ min: -1, max: 9 }),
      }),
      fc.record({
        do: fc.constant('grace'),
        key,
        size: fc.integer({ min: 1, max: 40 }),
        ttl: fc.integer({ min: 0, max: 9 }),
      }),
      fc.record({ do: fc.constantFrom('get', 'entry', 'delete'), key, size: fc.constant(0), ttl: fc.constant(0) }),
      fc.record({
        do: fc.constantFrom('wait', 'clear'),
        key,
        size: fc.constant(0),
        ttl: fc.integer({ min: 0, max: 5 }),
      }),
    );
    const [MAX_ENTRIES, MAX_BYTES, GRACE_MS] = [4, 60, 3];
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
        let now = 1000;
        const sizeOf = (value: number[]) => value.length;
        const layer = new MemoryLayer({ maxEntries: MAX_ENTRIES, maxBytes: MAX_BYTES, sizeOf, clock: () => now });
        // In the order of use, the last one last.
        const model = new Map<string, { value: number[]; expiresAt: number; goneAt: number }>();
        const bytes = () => [...model.values()].reduce((sum, { value }) => sum + value.length, 0);
        const oldest = () => model.keys().next().value as string;
        const look = (name: string) => {
          const entry = model.get(name);
          model.delete(name);
          if (!entry || now >= entry.goneAt) return undefined;
          model.set(name, entry);
          return entry;
        };
        // A miss is no use, even where the value is kept for those who take a stale one.
        const lookFresh = (name: string) => {
          const entry = model.get(name);
          return entry && entry.expiresAt <= now && now < entry.goneAt ? undefined : look(name);
        };
        for (const { do: what, key: name, size, ttl } of operations) {
          if (what === 'set' || what === 'grace') {
            const graceMs = what === 'grace' ? GRACE_MS : 0;
            const value = new Array<number>(size).fill(ttl);
            layer.set(name, value, { ttlMs: ttl, graceMs });
            const known = model.delete(name);
            if (now >= now + ttl + graceMs) continue;
            if (!known && model.size === MAX_ENTRIES) model.delete(oldest());
            while (bytes() + size > MAX_BYTES) model.delete(oldest());
            model.set(name, { value, expiresAt: now + ttl, goneAt: now + ttl + graceMs });
          } else if (what === 'get') {
            expect(layer.get(name)).toBe(lookFresh(name)?.value);
          } else if (what === 'entry') {
            const entry = look(name);
            expect(layer.getEntry(name)).toEqual(entry && { value: entry.value, expiresAt: entry.expiresAt });
          } else if (what === 'delete') {
            expect(layer.delete(name)).toBe(model.delete(name));
          } else if (what === 'wait') {
            now += ttl;
          } else {
            layer.clear();
            model.clear();
          }
          expect(layer.stats()).toMatchObject({ entries: model.size, bytes: bytes() });
        }
      }),
    );
  });

  it('holds no more than it may after a million keys', () => {
    const layer = new MemoryLayer<string>({ maxEntries: 1000, maxBytes: 1_000_000, ttlMs: 60_000 });
    for (let i = 0; i < 1_000_000; i++) layer.set(`key ${i}`, 'value');
    const { entries, bytes, evictions } = layer.stats();
    expect(entries).toBe(1000);
    expect(bytes).toBeLessThanOrEqual(1_000_000);
    expect(evictions).toBe(999_000);
    for (let i = 0; i < 1_000_000; i++) layer.delete(`key ${i}`);
    expect(layer.stats()).toMatchObject({ entries: 0, bytes: 0 });
  });
});

describe('the estimate of an entry’s bytes', () => {
  it('counts text, bytes, and what hangs on objects, each once', () => {
    const shared = { text: 'x'.repeat(1000) };
    const size = (value: unknown) => estimateBytes(value, 'key') - estimateBytes(null, 'key');
    expect(size('x'.repeat(1000))).toBeGreaterThanOrEqual(1000);
    expect(size('€'.repeat(1000))).toBeGreaterThanOrEqual(2000);
    expect(size(Buffer.alloc(5000))).toBeGreaterThanOrEqual(5000);
    expect(size(new ArrayBuffer(5000))).toBeGreaterThanOrEqual(5000);
    expect(size(2n ** 8000n)).toBeGreaterThanOrEqual(1000);
    expect(size([shared, shared])).toBeLessThan(1500);
    expect(size(new Map([[shared, new Set(['y'.repeat(1000)])]]))).toBeGreaterThanOrEqual(2000);
    expect(size(1)).toBe(0);
  });

  it('ends with values that contain themselves', () => {
    const circle: { self?: object } = {};
    circle.self = circle;
    expect(estimateBytes(circle, 'key')).toBeLessThan(1000);
  });
});

describe('graces', () => {
  const lifetime = fc.constantFrom(undefined, 0, 1, 2, 5, 0.5, Number.POSITIVE_INFINITY);
  const operation = fc.record({
    do: fc.constantFrom('set', 'set', 'get', 'getEntry', 'delete', 'wait', 'clear'),
    key: fc.constantFrom('a', 'b', 'c'),
    ttlMs: lifetime,
    graceMs: lifetime,
    ms: fc.integer({ min: 1, max: 4 }),
  });

  it.each([{}, { graceMs: 2 }, { ttlMs: 3, graceMs: 2 }, { maxBytes: 1000, sizeOf: () => 1 }])(
    'are kept for each entry, however different they are, with %j',
    (options) => {
      fc.assert(
        fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
          let now = 1000;
          const layer = new MemoryLayer<number>({ ...options, clock: () => now });
          const model = new Map<string, { value: number; expiresAt: number; goneAt: number }>();
          for (const [value, { do: what, key, ttlMs, graceMs, ms }] of operations.entries()) {
            if (what === 'set') {
              layer.set(key, value, { ttlMs, graceMs });
              const expiresAt = now + (ttlMs ?? options.ttlMs ?? Number.POSITIVE_INFINITY);
              model.set(key, { value, expiresAt, goneAt: expiresAt + (graceMs ?? options.graceMs ?? 0) });
            } else if (what === 'wait') now += ms;
            else if (what === 'clear' && ms === 1) {
              layer.clear();
              model.clear();
            } else if (what === 'delete') {
              layer.delete(key);
              model.delete(key);
            }
            const known = model.get(key);
            const entry = known && now < known.goneAt ? known : undefined;
            if (what === 'get') expect(layer.get(key)).toBe(entry && now < entry.expiresAt ? entry.value : undefined);
            if (what === 'getEntry') {
              const expiresAt = entry && (entry.expiresAt === Number.POSITIVE_INFINITY ? undefined : entry.expiresAt);
              expect(layer.getEntry(key)).toEqual(entry && { value: entry.value, expiresAt });
            }
          }
        }),
      );
    },
  );

  it('let go of what is over when it is asked for, and of what is stale when it was not for the longest time', async () => {
    const time = new ManualTime();
    const layer = new MemoryLayer<number>({ maxEntries: 3, clock: time.clock });
    for (const key of ['a', 'b', 'c']) layer.set(key, 1, { ttlMs: 10, graceMs: 10 });
    await time.advance(10);
    expect(layer.get('a')).toBeUndefined();
    expect(layer.getEntry('a')?.value).toBe(1);
    layer.set('d', 1, { ttlMs: 100, graceMs: 5 });
    expect([...layer.getMany(['a', 'b', 'c', 'd']).keys()]).toEqual(['a', 'c', 'd']);
    await time.advance(10);
    layer.get('a');
    layer.getEntry('c');
    expect(layer.stats().entries).toBe(1);
    layer.clearPrefix('');
    expect(layer.stats().entries).toBe(0);
  });
});
