import { expect, it } from 'vitest';
import { ResponseMemory } from './response-memory.js';

const MIB = 2 ** 20;

it('lends memory again, or new memory where that is too small', () => {
  const memory = new ResponseMemory();
  const first = memory.take(100_000);
  expect(first.length).toBeGreaterThanOrEqual(100_000);
  memory.give(first);
  expect(memory.take(90_000) === first).toBe(true);
  memory.give(first);
  const larger = memory.take(MIB);
  expect(larger.length).toBeGreaterThanOrEqual(MIB);
});

it('keeps a bounded amount', () => {
  const memory = new ResponseMemory();
  const lent = Array.from({ length: 100 }, () => memory.take(MIB));
  for (const buffer of lent) memory.give(buffer);
  const again = Array.from({ length: 100 }, () => memory.take(MIB));
  expect(again.filter((buffer) => lent.includes(buffer)).length).toBeLessThanOrEqual(8);
});
