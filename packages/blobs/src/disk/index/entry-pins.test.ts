import { expect, it } from 'vitest';
import { EntryPins } from './entry-pins.js';

it('holds an entry until the last who holds it lets go', () => {
  const pins = new EntryPins();
  for (let i = 0; i < 3; i++) pins.pin('a');
  pins.pin('b');
  const left: unknown[] = [];
  for (let i = 0; i < 4; i++) {
    left.push([pins.holders('a'), pins.isPinned('a'), pins.count]);
    pins.unpin('a');
  }
  expect(left).toEqual([
    [3, true, 2],
    [2, true, 2],
    [1, true, 2],
    [0, false, 1],
  ]);
  expect(pins.isPinned('b')).toBe(true);
});
