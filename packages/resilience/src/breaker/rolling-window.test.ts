import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidOptionError } from '../errors.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { type RollingWindowOptions, rollingWindow } from './rolling-window.js';

function setup(options: RollingWindowOptions) {
  const clock = { now: 1_000_000 };
  const breaker = new CircuitBreaker({ strategy: rollingWindow(options), timeoutMs: 100, clock: () => clock.now });
  const record = (outcomes: string) => {
    for (const outcome of outcomes) {
      if (outcome === 'F') breaker.recordFailure();
      else breaker.recordSuccess();
    }
  };
  return { clock, breaker, record };
}

describe('counting in a rolling window', () => {
  it('opens when the failures of the window reach the ratio, successes between them or not', () => {
    const { breaker, record } = setup({ failureRatio: 0.5, windowMs: 1000, minimumThroughput: 4 });
    record('SFSSFS');
    expect(breaker.state).toBe('closed');
    record('F');
    expect(breaker.state).toBe('closed');
    record('F');
    expect(breaker.state).toBe('open');
    expect(breaker.stats().failures).toBe(4);
  });

  it('concludes nothing from fewer calls than the minimum', () => {
    const { breaker, record } = setup({ failureRatio: 0.1, windowMs: 1000, minimumThroughput: 10 });
    record('FFFFFFFFF');
    expect(breaker.state).toBe('closed');
    record('F');
    expect(breaker.state).toBe('open');
  });

  it.each([0.07, 0.14, 0.28, 0.55, 0.56, 0.7, 1])('opens when exactly %d of the calls failed', (failureRatio) => {
    const { breaker, record } = setup({ failureRatio, windowMs: 1000, minimumThroughput: 100 });
    const failures = Math.round(failureRatio * 100);
    record('S'.repeat(100 - failures) + 'F'.repeat(failures - 1));
    expect(breaker.state).toBe('closed');
    record('F');
    expect(breaker.state).toBe('open');
  });

  it('never opens on a success', () => {
    const { breaker, record } = setup({ failureRatio: 0.5, windowMs: 1000, minimumThroughput: 4 });
    record('FFFS');
    expect(breaker.state).toBe('closed');
  });

  it('forgets what is older than the window', () => {
    const { breaker, clock, record } = setup({ failureRatio: 0.5, windowMs: 1000, minimumThroughput: 4 });
    record('FFF');
    expect(breaker.idle).toBe(false);
    clock.now += 1000;
    expect(breaker.idle).toBe(true);
    record('FFF');
    expect(breaker.state).toBe('closed');
    clock.now += 500;
    record('F');
    expect(breaker.state).toBe('open');
  });

  it('takes no longer to forget after a long silence', () => {
    const { breaker, clock, record } = setup({ windowMs: 0.001 });
    record('F');
    clock.now += 1e12;
    expect(breaker.idle).toBe(true);
  });

  it('starts anew when the breaker closes again', () => {
    const { breaker, clock, record } = setup({ failureRatio: 0.5, windowMs: 10_000, minimumThroughput: 4 });
    record('FFFF');
    clock.now += 100;
    expect(breaker.canExecute()).toBe(true);
    record('S');
    expect(breaker.stats()).toMatchObject({ state: 'closed', failures: 0 });
    record('FFF');
    expect(breaker.state).toBe('closed');
  });

  it('asks for half of at least 10 calls in 30 seconds by default', () => {
    const { breaker, clock, record } = setup({});
    record('SSSSSFFFF');
    clock.now += 26_000;
    record('F');
    expect(breaker.state).toBe('open');
  });

  it('counts like a list of results with their times, within a tenth of the window', () => {
    const step = fc.record({ wait: fc.nat(700), failed: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const strategy = { now: 500 };
        const window = rollingWindow({ windowMs: 1000, failureRatio: 1, minimumThroughput: 1e9 })(() => strategy.now);
        const failures: number[] = [];
        for (const { wait, failed } of steps) {
          strategy.now += wait;
          if (failed) {
            window.failure();
            failures.push(strategy.now);
          } else window.success();
          const since = (age: number) => failures.filter((at) => at > strategy.now - age).length;
          expect(window.failures).toBeGreaterThanOrEqual(since(900));
          expect(window.failures).toBeLessThanOrEqual(since(1000));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['failureRatio', 0],
    ['failureRatio', 1.1],
    ['failureRatio', Number.NaN],
    ['failureRatio', '0.5'],
    ['windowMs', 0],
    ['windowMs', '1000'],
    ['windowMs', Number.POSITIVE_INFINITY],
    ['minimumThroughput', 0],
    ['minimumThroughput', 2.5],
  ])('refuses an option that makes no sense: %s %o', (option, value) => {
    expect(() => rollingWindow({ [option]: value })).toThrow(InvalidOptionError);
    expect(() => rollingWindow({ [option]: value })).toThrow(option);
  });
});
