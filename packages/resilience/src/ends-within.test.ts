import { expect, it } from 'vitest';
import { endsWithin } from './ends-within.js';
import { ManualTime } from './testing/manual-time.js';
import { MAX_TIMER_MS } from './time.js';

it('says whether work has ended within a time, and leaves no timer behind', async () => {
  const time = new ManualTime();
  await expect(endsWithin(100, Promise.resolve('done'), time)).resolves.toBe(true);
  await expect(endsWithin(100, Promise.reject(new Error('broken')), time)).rejects.toThrow('broken');
  const late = endsWithin(100, new Promise(() => {}), time);
  await time.advance(100);
  await expect(late).resolves.toBe(false);
  expect(time.pending).toBe(0);
});

it('sets no timer to more than it can measure, which would ring at once', async () => {
  const time = new ManualTime();
  const late = endsWithin(Number.POSITIVE_INFINITY, new Promise(() => {}), time);
  await time.advance(MAX_TIMER_MS);
  await expect(late).resolves.toBe(false);
});
