import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InFlight } from './in-flight.js';

const key = fc.integer({ min: 0, max: 20 });
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constantFrom('set' as const, 'delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('clear' as const), key }) },
);

describe('InFlight', () => {
  it('holds what a Map holds', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const under = new InFlight<number, string>();
        const model = new Map<number, string>();
        steps.forEach(({ op, key }, i) => {
          if (op === 'set') {
            under.set(key, `${i}`);
            model.set(key, `${i}`);
          } else if (op === 'delete') {
            expect(under.delete(key)).toBe(model.delete(key));
          } else {
            under.clear();
            model.clear();
          }
          expect(under.get(key)).toBe(model.get(key));
          expect(under.has(key)).toBe(model.has(key));
          expect(under.size).toBe(model.size);
        });
        expect([...under.values()]).toEqual([...model.values()]);
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
      if (value === '1') under.clear();
    }
    expect(seen).toEqual(['0', '1']);
  });
});
