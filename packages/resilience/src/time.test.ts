import { mock } from 'node:test';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CircuitBreaker } from './breaker/circuit-breaker.js';
import { TokenBucket } from './limiter/token-bucket.js';
import { monotonicClock, steadyClock } from './time.js';
import { withTimeout } from './timeout/timeout.js';

const never = () => new Promise<never>(() => {});
const refusal = (ms: number) => withTimeout(never, ms).catch((error: Error) => error.message);

describe('time under fake timers', () => {
  let bucket: TokenBucket;
  let breaker: CircuitBreaker;

  beforeEach(() => {
    bucket = new TokenBucket({ capacity: 5, refillRate: 1 });
    breaker = new CircuitBreaker({ maxFailures: 1, timeoutMs: 60_000 });
    breaker.recordFailure();
  });

  afterEach(() => {
    vi.useRealTimers();
    mock.timers.reset();
  });

  it('goes on where it was, and never back, when they come and when they go', () => {
    for (const clock of [monotonicClock, steadyClock]) {
      let last = clock();
      for (const change of [vi.useFakeTimers, vi.useRealTimers, vi.useFakeTimers, vi.useFakeTimers, vi.useRealTimers]) {
        change.call(vi);
        if (vi.isFakeTimers()) vi.advanceTimersByTime(5000);
        const now = clock();
        expect(now).toBeGreaterThanOrEqual(last + (vi.isFakeTimers() ? 5000 : 0));
        expect(now).toBeLessThan(last + 8000);
        last = now;
      }
    }
  });

  it('is theirs for what was made before them', async () => {
    vi.useFakeTimers();
    await vi.advanceTimersByTimeAsync(1000);
    expect(bucket.allowN(5)).toBe(true);
    expect(breaker.canExecute()).toBe(false);
    const tokens = bucket.waitN(5);
    await vi.advanceTimersByTimeAsync(60_000);
    await tokens;
    expect(breaker.canExecute()).toBe(true);
  });

  it('is that of the date where only that and the timers are faked', () => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_800_000_000_000 });
    expect(breaker.canExecute()).toBe(false);
    mock.timers.tick(59_000);
    expect(breaker.canExecute()).toBe(false);
    mock.timers.tick(1000);
    expect(breaker.canExecute()).toBe(true);
  });

  it('never goes back where they begin anew when they are taken away, or are set back', async () => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_800_000_000_000 });
    expect(bucket.allowN(5)).toBe(true);
    let last = monotonicClock();
    mock.timers.tick(2000);
    expect(monotonicClock()).toBe(last + 2000);
    last += 2000;
    mock.timers.setTime(5);
    expect(monotonicClock()).toBe(last);
    mock.timers.reset();
    expect(monotonicClock()).toBeGreaterThanOrEqual(last);
    expect(monotonicClock()).toBeLessThan(last + 1000);
    expect(bucket.allowN(2)).toBe(true);
    expect(await refusal(1)).toBe('no answer within 1 ms');
  });

  it('goes on by itself where only the date is faked', () => {
    vi.setSystemTime(0);
    const before = monotonicClock();
    vi.setSystemTime(1e12);
    expect(monotonicClock() - before).toBeLessThan(1000);
  });

  it('ends timeouts, also just after the other kind of timers', async () => {
    await withTimeout(() => 'in time', 1000);
    vi.useFakeTimers();
    const faked = refusal(1000);
    await vi.advanceTimersByTimeAsync(1010);
    expect(await faked).toBe('no answer within 1000 ms');
    await withTimeout(() => 'in time', 1000);
    vi.useRealTimers();
    expect(await refusal(1)).toBe('no answer within 1 ms');
  });
});
