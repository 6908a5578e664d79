import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { coarseClock } from './coarse-clock.js';
import { MemoryLayer } from './memory-layer.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('reads the wall clock once a millisecond, and goes on with it', () => {
  const read = vi.spyOn(Date, 'now');
  const clock = coarseClock();
  const start = clock();
  expect(clock()).toBe(start);
  expect(read).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1);
  expect(clock()).toBe(start + 1);
  vi.advanceTimersByTime(5000);
  expect(clock()).toBe(start + 5001);
});

it('ends lifetimes in a layer that was given no clock', () => {
  const layer = new MemoryLayer<number>();
  layer.set('key', 1, { ttlMs: 100 });
  vi.advanceTimersByTime(99);
  expect(layer.get('key')).toBe(1);
  vi.advanceTimersByTime(1);
  expect(layer.get('key')).toBeUndefined();
});
