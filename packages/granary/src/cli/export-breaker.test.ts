import { ManualTime } from '@granary/resilience/testing';
import { expect, it } from 'vitest';
import { exportBreaker } from './export-breaker.js';

it('leaves a collector that takes no spans alone for 15 seconds at a time', async () => {
  const time = new ManualTime();
  const policy = exportBreaker(time.clock);
  let exports = 0;
  let fails = true;
  const send = async () => {
    exports++;
    if (fails) throw new Error('connection refused');
  };
  const refusals = async (attempts: number) => {
    for (let i = 0; i < attempts; i++) await policy(send).catch(() => {});
    return exports;
  };
  expect(await refusals(10)).toBe(2);
  await time.advance(15_000);
  expect(await refusals(10)).toBe(3);
  await time.advance(15_000);
  fails = false;
  expect(await refusals(10)).toBe(13);
});
