import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { coarseClock } from './coarse-clock.js';
import { MemoryLayer } from './memory-layer.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('stands still while the event loop is held up, and goes on with it', async () => {
  vi.useRealTimers();
  const clock = coarseClock();
  const start = clock();
  while (Date.now() < start + 5);
  expect(clock()).toBe(start);
  await vi.waitFor(() => expect(clock()).toBeGreaterThanOrEqual(start + 5));
});

it('tells the time that a test sets, also without a turn, and the real one after it', async () => {
  const clock = coarseClock();
  const start = clock();
  vi.setSystemTime(start + 5000);
  expect(clock()).toBe(start + 5000);
  vi.useRealTimers();
  expect(clock()).toBeLessThan(start + 5000);
  const replaced = vi.spyOn(Date, 'now').mockReturnValue(42);
  expect(clock()).toBe(42);
  replaced.mockRestore();
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  const before = clock();
  vi.useRealTimers();
  await vi.waitFor(() => expect(clock()).toBeGreaterThan(before));
});

it('ends lifetimes in a layer that was given no clock', () => {
  const layer = new MemoryLayer<number>();
  layer.set('key', 1, { ttlMs: 100 });
  vi.advanceTimersByTime(99);
  expect(layer.get('key')).toBe(1);
  vi.advanceTimersByTime(1);
  expect(layer.get('key')).toBeUndefined();
});
