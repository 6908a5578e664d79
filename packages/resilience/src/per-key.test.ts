import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidOptionError } from './errors.js';
import { PerKey } from './per-key.js';

const keysOf = (values: Iterable<[string, unknown]>) => Array.from(values, ([key]) => key);

describe('values by key', () => {
  it('makes a value once, when its key is first asked for', () => {
    const made: string[] = [];
    const values = new PerKey((key) => {
      made.push(key);
      return { key };
    });
    expect(values.peek('a')).toBeUndefined();
    expect(made).toEqual([]);
    const a = values.get('a');
    expect(values.get('a')).toBe(a);
    expect(values.peek('a')).toBe(a);
    expect(made).toEqual(['a']);
    expect([...values]).toEqual([['a', a]]);
  });

  it('keeps nothing when the maker throws', () => {
    let broken = true;
    const values = new PerKey((key) => {
      if (broken) throw new Error('no');
      return key;
    });
    expect(() => values.get('a')).toThrow('no');
    expect(values.size).toBe(0);
    broken = false;
    expect(values.get('a')).toBe('a');
  });

  it('forgets the least recently used key when it is full; to peek is no use', () => {
    const values = new PerKey((key) => key, { maxKeys: 3 });
    for (const key of ['a', 'b', 'c', 'a']) values.get(key);
    values.peek('b');
    values.get('d');
    expect(keysOf(values)).toEqual(['a', 'c', 'd']);
  });

  it('forgets idle values first, even if they were used more recently', () => {
    const busy = new Set(['a', 'b']);
    const values = new PerKey((key) => key, { maxKeys: 4, isIdle: (key) => !busy.has(key) });
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) values.get(key);
    expect(keysOf(values)).toEqual(['a', 'b', 'f', 'g']);
  });

  it('forgets the least recently used of all when none is idle, and never what is being made', () => {
    const evicted: [string, string][] = [];
    const values = new PerKey((key) => key.toUpperCase(), {
      maxKeys: 2,
      isIdle: () => false,
      onEvict: (value, key) => evicted.push([value, key]),
    });
    for (const key of ['a', 'b', 'a', 'c', 'd']) values.get(key);
    expect(keysOf(values)).toEqual(['c', 'd']);
    expect(evicted).toEqual([
      ['B', 'b'],
      ['A', 'a'],
    ]);
  });

  it('notices when values that were busy have become idle by themselves', () => {
    let busy = true;
    const values = new PerKey((key) => key, { maxKeys: 20, isIdle: (key) => key !== 'used' && !busy });
    for (let i = 0; i < 19; i++) values.get(`k${i}`);
    values.get('used');
    values.get('new1');
    busy = false;
    values.get('new2');
    expect(values.peek('k1')).toBeUndefined();
    expect(values.peek('used')).toBe('used');
  });

  it('finds the one among many that has become idle, looking at a few each time', () => {
    const idle = new Set<string>();
    const values = new PerKey((key) => key, { maxKeys: 20, isIdle: (key) => idle.has(key) });
    for (let i = 0; i < 21; i++) values.get(`k${i}`);
    idle.add('k15');
    values.get('new1');
    expect(values.peek('k15')).toBe('k15');
    values.get('new2');
    expect(values.peek('k15')).toBeUndefined();
  });

  it('lets a listener of evictions use it', () => {
    const values: PerKey<string> = new PerKey((key) => key, { maxKeys: 2, onEvict: (_, key) => void values.peek(key) });
    const again: PerKey<string> = new PerKey((key) => key, {
      maxKeys: 2,
      onEvict: (_, key) => void (key === 'a' && again.get('again')),
    });
    for (const key of ['a', 'b', 'c']) {
      values.get(key);
      again.get(key);
    }
    expect(keysOf(values)).toEqual(['b', 'c']);
    expect(keysOf(again)).toEqual(['c', 'again']);
  });

  it('deletes a key when told to, without telling the listener', () => {
    const evicted: string[] = [];
    const values = new PerKey((key) => key, { maxKeys: 2, onEvict: (_, key) => evicted.push(key) });
    for (const key of ['a', 'b']) values.get(key);
    expect(values.delete('a')).toBe(true);
    expect(values.delete('a')).toBe(false);
    values.get('c');
    expect(keysOf(values)).toEqual(['b', 'c']);
    expect(evicted).toEqual([]);
  });

  it('refuses a bound that makes no sense', () => {
    for (const maxKeys of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => new PerKey((key) => key, { maxKeys })).toThrow(InvalidOptionError);
    }
  });

  it('looks at few values for each key of 100 000, whether they are idle or busy', () => {
    for (const idle of [true, false]) {
      let looks = 0;
      const isIdle = () => {
        looks++;
        return idle;
      };
      const values = new PerKey((key) => key, { maxKeys: 10_000, isIdle });
      for (let i = 0; i < 100_000; i++) values.get(`host${i}`);
      expect(values.size).toBe(10_000);
      expect(looks).toBeLessThan(1_000_000);
    }
  });

  it('behaves like a list by last use in which the first idle value goes, else the first', () => {
    const key = fc.integer({ min: 0, max: 9 }).map(String);
    const step = fc.oneof(
      fc.record({ do: fc.constant('get' as const), key }),
      fc.record({ do: fc.constant('delete' as const), key }),
    );
    // Busy by key alone, so that what was seen as busy stays so, and the order is exact.
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.uniqueArray(key), fc.array(step), (maxKeys, busy, steps) => {
        const isIdle = (value: string) => !busy.includes(value);
        const values = new PerKey((name) => name, { maxKeys, isIdle });
        let model: string[] = [];
        for (const { do: action, key } of steps) {
          const known = model.includes(key);
          const others = model.filter((other) => other !== key);
          if (action === 'delete') {
            expect(values.delete(key)).toBe(known);
            model = others;
          } else {
            expect(values.get(key)).toBe(key);
            const victim = !known && model.length === maxKeys ? (model.find(isIdle) ?? model[0]) : undefined;
            model = [...others.filter((other) => other !== victim), key];
          }
          expect(keysOf(values).sort()).toEqual([...model].sort());
        }
      }),
      { numRuns: 2000 },
    );
  });
});
