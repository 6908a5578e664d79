import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InFlight } from './in-flight.js';

const key = fc.integer({ min: 0, max: 20 });
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constantFrom('set' as const, 'delete' as const), key }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('overtake' as const, 'end' as const), key }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('overtake all' as const), key }) },
);

describe('InFlight', () => {
  it('holds what a Map holds, and beside it what was overtaken until that ends', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const under = new InFlight<number, string>();
        const model = new Map<number, string>();
        const overtaken = new Map<string, number>();
        const overtake = (key: number) => {
          const value = model.get(key);
          if (value !== undefined) overtaken.set(value, key);
          model.delete(key);
        };
        steps.forEach(({ op, key }, i) => {
          if (op === 'set') {
            under.set(key, `${i}`);
            model.set(key, `${i}`);
          } else if (op === 'delete') {
            expect(under.delete(key)).toBe(model.delete(key));
          } else if (op === 'overtake') {
            under.overtake(key);
            overtake(key);
          } else if (op === 'overtake all') {
            under.overtakeAll();
            for (const each of [...model.keys()]) overtake(each);
          } else {
            // What was overtaken under the key ends first, and leaves alone what is there now.
            const [late] = [...overtaken].find(([, its]) => its === key) ?? [];
            const value = late ?? model.get(key);
            if (value !== undefined) under.end(key, value);
            if (late === undefined) model.delete(key);
            else overtaken.delete(late);
          }
          expect(under.get(key)).toBe(model.get(key));
          expect(under.has(key)).toBe(model.has(key));
          expect(under.size).toBe(model.size);
          expect(under.total).toBe(model.size + overtaken.size);
        });
        expect([...under.values()]).toEqual([...model.values()]);
        expect(under.all()).toEqual([...model.values(), ...overtaken.keys()]);
      }),
    );
  });

  it('leaves out what is deleted while its values are read', () => {
    const under = new InFlight<number, string>();
    for (let i = 0; i < 5; i++) under.set(i, `${i}`);
    const seen: string[] = [];
    for (const value of under.values()) {
      seen.push(value);
      under.delete(3);
      if (value === '1') under.overtakeAll();
    }
    expect(seen).toEqual(['0', '1']);
  });
});
