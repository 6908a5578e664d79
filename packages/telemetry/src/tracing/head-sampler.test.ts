import { describe, expect, it } from 'vitest';
import { HeadSampler } from './head-sampler.js';
import { REMOTE } from './testing/remote-caller.js';

describe('the sampler at the head', () => {
  it('records the share that was asked for, and draws nothing where the caller decided', () => {
    const drawn = [0, 0.24, 0.25, 0.99];
    const sampler = new HeadSampler(0.25, () => drawn.shift() ?? expect.fail('drew too often'));
    expect(Array.from({ length: 4 }, () => sampler.decide(undefined))).toEqual([true, true, false, false]);
    expect([sampler.decide(REMOTE), sampler.decide({ sampled: false })]).toEqual([true, false]);
  });

  it.each([-0.1, 1.1, Number.NaN])('refuses the ratio %s', (ratio) => {
    expect(() => new HeadSampler(ratio)).toThrow(/0 to 1/);
  });
});
