import { describe, expect, it } from 'vitest';
import { tagIndexContract } from '../testing/tag-index-contract.js';
import { LocalTagIndex } from './local-tag-index.js';
import { checkTag, checkTags, MAX_TAGS } from './tags.js';

tagIndexContract({ describe, it, expect }, 'LocalTagIndex', () => ({ index: new LocalTagIndex() }));

describe('a LocalTagIndex', () => {
  it('forgets the oldest pairs beyond its bound, and says whose values are to be deleted', async () => {
    const index = new LocalTagIndex({ maxPairs: 3 });
    expect(index.add(['a', 'b'], ['red'])).toEqual([]);
    index.add(['a'], ['red']);
    expect(index.add(['c', 'd'], ['red'])).toEqual(['b']);
    expect(index.add(['e'], ['red', 'round'])).toEqual(['a', 'c']);
    expect(index.size).toBe(3);
    const keys = [];
    for await (const batch of index.keysOf('red')) keys.push(...batch.keys);
    expect(keys).toEqual(['d', 'e']);
  });

  it('has nobody delete what has expired by itself', async () => {
    let now = 1000;
    const index = new LocalTagIndex({ maxPairs: 2, clock: () => now });
    index.add(['early'], ['red'], { expiresAt: 2000 });
    index.add(['a'], ['red'], { expiresAt: 2000 });
    expect(index.add(['b'], ['red'], { expiresAt: 3000 })).toEqual(['early']);
    now = 2000;
    expect(index.add(['c'], ['red'])).toEqual([]);
    now = 3000;
    for await (const batch of index.keysOf('red')) expect(batch.keys).toEqual(['c']);
  });

  it('stays within its bound however many come and go', async () => {
    const index = new LocalTagIndex({ maxPairs: 100 });
    for (let i = 0; i < 20_000; i++) {
      index.add([`key ${i}`], [`tag ${i % 7}`]);
      if (i % 1000 === 0) for await (const batch of index.keysOf('tag 3')) batch.forget();
      expect(index.size).toBeLessThanOrEqual(100);
    }
  });

  it('checks its options', () => {
    expect(() => new LocalTagIndex({ maxPairs: 0 })).toThrow(/maxPairs/);
  });
});

describe('tags', () => {
  it('are what keys may be, and not too many', () => {
    expect(() => checkTags(['a', 'ü b'])).not.toThrow();
    expect(() => checkTag('')).toThrow(/as a tag: a key must not be empty/);
    expect(() => checkTags(['ok', 'a\nb'])).toThrow(/control characters/);
    expect(() => checkTags('team' as never)).toThrow(/a list/);
    const many = Array.from({ length: MAX_TAGS }, (_, n) => `tag ${n}`);
    expect(() => checkTags(many)).not.toThrow();
    expect(() => checkTags([...many, 'one more'])).toThrow(/at most 64 tags/);
  });
});
