import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff } from './backoff.js';

const delays = (backoff: Backoff, attempts: number) =>
  Array.from({ length: attempts }, (_, i) => backoff.delayMs(i + 1));

describe('backoff', () => {
  it('starts at a second, doubles and stays at half a minute', () => {
    expect(delays(new Backoff({ jitter: 0 }), 7)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  });

  it('leaves a quarter of the wait to chance, both ways', () => {
    expect(new Backoff({ random: () => 0 }).delayMs(1)).toBe(750);
    expect(new Backoff({ random: () => 0.5 }).delayMs(1)).toBe(1000);
    expect(new Backoff({ random: () => 1 - Number.EPSILON }).delayMs(1)).toBeCloseTo(1250);
  });

  it('still spreads callers at the longest wait', () => {
    expect(new Backoff({ random: () => 0 }).delayMs(20)).toBe(22_500);
    expect(new Backoff({ random: () => 0.5 }).delayMs(20)).toBe(26_250);
  });

  it('differs from call to call by default', () => {
    expect(new Set(delays(new Backoff({ multiplier: 1 }), 20)).size).toBeGreaterThan(10);
  });

  it('is nothing forever when it starts with nothing', () => {
    expect(new Backoff({ initialDelayMs: 0 }).delayMs(5000)).toBe(0);
  });

  it('never leaves its bounds', () => {
    const options = fc.record({
      initialDelayMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
      maxDelayMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
      multiplier: fc.double({ min: 1, max: 100, noNaN: true }),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(options, chance, fc.integer({ min: 1, max: 10_000 }), (given, random, attempt) => {
        const delay = new Backoff({ ...given, random: () => random }).delayMs(attempt);
        const growth = Math.min(given.multiplier ** (attempt - 1), Number.MAX_VALUE);
        const middle = Math.min(given.initialDelayMs * growth, given.maxDelayMs);
        expect(delay).toBeGreaterThanOrEqual(middle * (1 - given.jitter));
        expect(delay).toBeLessThanOrEqual(middle * (1 + given.jitter));
        expect(delay).toBeLessThanOrEqual(given.maxDelayMs);
      }),
    );
  });

  it.each([
    ['initialDelayMs', -1],
    ['initialDelayMs', Number.NaN],
    ['maxDelayMs', -1],
    ['maxDelayMs', 2 ** 31],
    ['multiplier', 0.5],
    ['multiplier', Number.POSITIVE_INFINITY],
    ['jitter', -0.1],
    ['jitter', 1.1],
    ['jitter', '0.25'],
    ['initialDelayMs', '1000'],
  ])('refuses %s of %o', (option, value) => {
    expect(() => new Backoff({ [option]: value })).toThrow(`${option} must be`);
  });
});
