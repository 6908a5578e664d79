import { describe, expect, it } from 'vitest';
import { Doubts } from './doubts.js';

describe('doubts', () => {
  it('are of keys that were not written, until they are', () => {
    const doubts = new Doubts();
    doubts.note('a', false);
    expect([doubts.has('a'), doubts.has('b'), doubts.isEmpty]).toEqual([true, false, false]);
    doubts.note('a', true);
    expect([doubts.has('a'), doubts.isEmpty]).toEqual([false, true]);
  });

  it('are of all keys but those written since, once a layer could not be cleared', () => {
    const doubts = new Doubts();
    doubts.note('a', false);
    doubts.noteCleared(false);
    doubts.note('b', true);
    expect([doubts.has('a'), doubts.has('b'), doubts.has('c')]).toEqual([true, false, true]);
    doubts.note('b', false);
    expect(doubts.has('b')).toBe(true);
    doubts.noteCleared(true);
    expect(doubts.isEmpty).toBe(true);
  });

  it('are bounded: the oldest is given up', () => {
    const doubts = new Doubts();
    for (let i = 0; i <= 10_000; i++) doubts.note(`key${i}`, false);
    expect([doubts.has('key0'), doubts.has('key1'), doubts.has('key10000')]).toEqual([false, true, true]);
  });
});
