import { ManualTime } from '@granary/resilience/testing';
import { describe, expect, it } from 'vitest';
import { RecentKeys } from './recent-keys.js';

describe('recent keys', () => {
  it('are there for as long as each was added for', async () => {
    const time = new ManualTime();
    const keys = new RecentKeys(10, time.clock);
    keys.add('short', 10);
    keys.add('long', 20);
    keys.add('never', 0);
    await time.advance(10);
    expect(['short', 'long', 'never'].map((key) => keys.has(key))).toEqual([false, true, false]);
    keys.delete('long');
    expect(keys.has('long')).toBe(false);
  });

  it('are as many as there may be: the oldest goes first', () => {
    const keys = new RecentKeys(2, () => 0);
    for (const key of ['a', 'b', 'a', 'c']) keys.add(key, 10);
    expect(['a', 'b', 'c'].map((key) => keys.has(key))).toEqual([true, false, true]);
    keys.clear();
    expect(keys.has('a')).toBe(false);
  });
});
