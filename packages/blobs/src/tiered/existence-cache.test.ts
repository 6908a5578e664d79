import { ManualTime } from '@granary/resilience/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Digest } from '../digest.js';
import { ExistenceCache } from './existence-cache.js';

const digests = Array.from({ length: 40 }, (_, i) => Digest.of(i % 2 ? 'sha256' : 'sha512', Buffer.from(`${i}`)));

describe('the existence cache', () => {
  it('never knows what was not said, nor longer than its time, nor more than its number', async () => {
    const step = fc.oneof(
      fc.record({ add: fc.nat(digests.length - 1) }),
      fc.record({ forget: fc.nat(digests.length - 1) }),
      fc.record({ pass: fc.nat(700) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
        const time = new ManualTime();
        const cache = new ExistenceCache({ maxEntries: 20, ttlMs: 1000, clock: time.clock });
        const saidAt = new Map<Digest, number>();
        for (const one of steps) {
          if ('add' in one) {
            cache.add(digests[one.add]!);
            saidAt.set(digests[one.add]!, time.clock());
            expect(cache.unknown([digests[one.add]!])).toEqual([]);
          } else if ('forget' in one) {
            cache.forget(digests[one.forget]!);
            saidAt.delete(digests[one.forget]!);
          } else await time.advance(one.pass);
          const unknown = new Set(cache.unknown(digests));
          for (const digest of digests) {
            const size = cache.sizeOf(digest.function, digest.bytes);
            expect(size).toBe(unknown.has(digest) ? undefined : digest.size);
            if (unknown.has(digest)) continue;
            expect(time.clock() - (saidAt.get(digest) ?? Number.NEGATIVE_INFINITY)).toBeLessThan(1000);
          }
          expect(cache.count).toBeLessThanOrEqual(20);
        }
      }),
    );
  });

  it('remembers for half of its time at least, where there is room', async () => {
    const time = new ManualTime();
    const cache = new ExistenceCache({ ttlMs: 1000, clock: time.clock });
    await time.advance(499);
    for (const digest of digests) cache.add(digest);
    await time.advance(499);
    expect(cache.unknown(digests)).toEqual([]);
    await time.advance(600);
    expect(cache.unknown(digests)).toEqual(digests);
  });

  it('tells sizes apart, keeps the order, and can be switched off', () => {
    const cache = new ExistenceCache();
    const [first, second, third] = digests as [Digest, Digest, Digest];
    cache.add(second);
    expect(cache.unknown([first, second, third])).toEqual([first, third]);
    const resized = Digest.fromBytes(second.function, second.bytes, second.size + 1);
    expect(cache.unknown([resized])).toEqual([resized]);
    const off = new ExistenceCache({ maxEntries: 0 });
    off.add(first);
    expect(off.unknown([first])).toEqual([first]);
  });
});
