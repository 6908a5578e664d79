import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { ManualTime } from '../testing/index.js';
import { CoarseTimers } from './coarse-timers.js';

const RESOLUTION_MS = 10;

function coarse() {
  const time = new ManualTime();
  const timers = new CoarseTimers({ resolutionMs: RESOLUTION_MS, clock: time.clock, timers: time });
  return { time, timers };
}

describe('coarse timers', () => {
  it('ring once, never early and at most the resolution late', async () => {
    const { time, timers } = coarse();
    const callback = vi.fn();
    timers.setTimeout(callback, 100);
    await time.advance(99);
    expect(callback).not.toHaveBeenCalled();
    await time.advance(1 + RESOLUTION_MS);
    expect(callback).toHaveBeenCalledTimes(1);
    await time.advance(10_000);
    expect(callback).toHaveBeenCalledTimes(1);
  });

  it('share one real timer, and have none when nothing is set', async () => {
    const { time, timers } = coarse();
    const handles = Array.from({ length: 1000 }, (_, i) => timers.setTimeout(() => {}, 1 + i * 7));
    expect(time.pending).toBe(1);
    await time.advance(3000);
    expect(time.pending).toBe(1);
    for (const handle of handles) timers.clearTimeout(handle);
    expect(timers.size).toBe(0);
    await time.advance(RESOLUTION_MS / 2);
    expect(time.pending).toBe(0);
  });

  it('set no real timer for each of many that are cleared at once', async () => {
    const { time, timers } = coarse();
    const real = vi.spyOn(time, 'setTimeout');
    for (let i = 0; i < 1000; i++) timers.clearTimeout(timers.setTimeout(() => {}, 1000));
    expect(real).toHaveBeenCalledTimes(1);
    await time.advance(RESOLUTION_MS);
    expect(real).toHaveBeenCalledTimes(1);
    expect(time.pending).toBe(0);
  });

  it('sleep until something is due', async () => {
    const { time, timers } = coarse();
    const real = vi.spyOn(time, 'setTimeout');
    timers.setTimeout(() => {}, 60_000);
    await time.advance(61_000);
    // A wheel of 256 ticks of 5 ms turns 47 times in a minute.
    expect(real.mock.calls.length).toBeLessThan(60);
    expect(timers.size).toBe(0);
  });

  it('are not early when the event loop was blocked before they were set', async () => {
    const { time, timers } = coarse();
    let now = 0;
    const blocked = new CoarseTimers({ resolutionMs: RESOLUTION_MS, clock: () => time.clock() + now, timers: time });
    blocked.setTimeout(() => {}, 20);
    now += 500;
    const rung: number[] = [];
    const set = time.clock() + now;
    blocked.setTimeout(() => rung.push(time.clock() + now - set), 100);
    await time.advance(200);
    expect(rung).toHaveLength(1);
    expect(rung[0]).toBeGreaterThanOrEqual(100);
    expect(timers.size).toBe(0);
  });

  it('let callbacks set and clear others, and themselves again', async () => {
    const { time, timers } = coarse();
    const order: string[] = [];
    timers.setTimeout(() => {
      order.push('first');
      timers.clearTimeout(victim);
      timers.setTimeout(() => order.push('second'), 50);
    }, 50);
    const victim = timers.setTimeout(() => order.push('cleared'), 50);
    await time.advance(200);
    expect(order).toEqual(['first', 'second']);
    expect(time.pending).toBe(0);
  });

  it('ring all the others when a callback throws, and don’t hide the error', async () => {
    const { time, timers } = coarse();
    const uncaught: unknown[] = [];
    const microtasks = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => {
      try {
        task();
      } catch (error) {
        uncaught.push(error);
      }
    });
    const other = vi.fn();
    timers.setTimeout(() => {
      throw new Error('from a callback');
    }, 10);
    timers.setTimeout(other, 10);
    await time.advance(50);
    microtasks.mockRestore();
    expect(other).toHaveBeenCalledTimes(1);
    expect(uncaught).toEqual([new Error('from a callback')]);
  });

  it('ignore handles of others, of timers that rang, and of none', async () => {
    const { time, timers } = coarse();
    const handle = timers.setTimeout(() => {}, 1);
    await time.advance(100);
    for (const each of [handle, handle, undefined, {}, 7]) timers.clearTimeout(each);
    expect(timers.size).toBe(0);
  });

  it('are not put off by others that are set while they wait', async () => {
    const { time, timers } = coarse();
    const begun = time.clock();
    let rangAt = Number.POSITIVE_INFINITY;
    timers.setTimeout(() => {
      rangAt = time.clock();
    }, RESOLUTION_MS + 1);
    for (let i = 0; i < 17; i++) {
      await time.advance(1);
      timers.clearTimeout(timers.setTimeout(() => {}, 5000));
    }
    timers.setTimeout(() => {}, 0);
    await time.advance(100);
    expect(rangAt - begun).toBeLessThanOrEqual(2 * RESOLUTION_MS + 1);
  });

  it('are exact to the resolution whatever is set, cleared and waited for', async () => {
    const step = fc.oneof(
      fc.record({ set: fc.integer({ min: 0, max: 5000 }) }),
      fc.record({ clear: fc.nat(30) }),
      fc.record({ wait: fc.oneof(fc.nat(50), fc.nat(4000)) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { time, timers } = coarse();
        const all: { from: number; ms: number; handle: unknown; clearedAt?: number; rangAt?: number }[] = [];
        for (const each of steps) {
          if ('set' in each) {
            const timer: (typeof all)[number] = { from: time.clock(), ms: Math.max(each.set, 1), handle: undefined };
            timer.handle = timers.setTimeout(() => {
              expect(timer.rangAt, 'rings once').toBeUndefined();
              timer.rangAt = time.clock();
            }, each.set);
            all.push(timer);
          } else if ('clear' in each) {
            const timer = all[each.clear];
            if (timer === undefined) continue;
            timers.clearTimeout(timer.handle);
            timer.clearedAt ??= time.clock();
          } else await time.advance(each.wait);
        }
        await time.advance(6000);
        for (const { from, ms, rangAt, clearedAt } of all) {
          if (rangAt === undefined) expect(clearedAt).toBeLessThanOrEqual(from + ms + RESOLUTION_MS);
          else {
            expect(rangAt - from).toBeGreaterThanOrEqual(ms);
            expect(rangAt - from).toBeLessThanOrEqual(ms + RESOLUTION_MS);
            if (clearedAt !== undefined) expect(clearedAt).toBeGreaterThanOrEqual(rangAt);
          }
        }
        expect(timers.size).toBe(0);
        expect(time.pending).toBe(0);
      }),
      { numRuns: 300, examples: [[[{ set: 11 }, { wait: 17 }, { set: 0 }]]] },
    );
  });

  it('work on real time', async () => {
    const timers = new CoarseTimers({ resolutionMs: 2 });
    const begun = performance.now();
    await new Promise<void>((resolve) => timers.setTimeout(resolve, 20));
    expect(performance.now() - begun).toBeGreaterThanOrEqual(20);
  });

  it.each([0, -5, Number.NaN, Number.POSITIVE_INFINITY])('refuse a resolution of %d ms', (resolutionMs) => {
    expect(() => new CoarseTimers({ resolutionMs })).toThrow(/^resolutionMs must be/);
  });
});
