import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CircuitBreaker } from '../breaker/circuit-breaker.js';
import { isCircuitOpen, isTimeout } from '../errors.js';
import { TokenBucket } from '../limiter/token-bucket.js';
import { retryPolicy } from '../retry/retry.js';
import { ManualTime } from '../testing/index.js';
import { SemaphoreThrottle } from '../throttle/semaphore-throttle.js';
import { timeoutPolicy } from '../timeout/timeout.js';
import { pipeline } from './pipeline.js';
import { breakerPolicy, rateLimitPolicy, throttlePolicy } from './policies.js';

const never = () => new Promise<never>(() => {});
const boom = () => Promise.reject(new Error('boom'));

let time: ManualTime;
beforeEach(() => {
  time = new ManualTime();
});

describe('a breaker as a policy', () => {
  let breaker: CircuitBreaker;
  beforeEach(() => {
    breaker = new CircuitBreaker({ maxFailures: 2, timeoutMs: 1000, clock: time.clock });
  });

  it('counts failures, opens, refuses without calling, and closes after a probe', async () => {
    const call = pipeline(breakerPolicy(breaker));
    await expect(call(boom)).rejects.toThrow('boom');
    await expect(call(boom)).rejects.toThrow('boom');
    const fn = vi.fn(() => 'fine');
    await expect(call(fn)).rejects.toSatisfy(isCircuitOpen);
    expect(fn).not.toHaveBeenCalled();
    await time.advance(1000);
    expect(await call(fn)).toBe('fine');
    expect(breaker.state).toBe('closed');
  });

  it('asks the breaker’s own rules what is a failure', async () => {
    const strict = new CircuitBreaker({ maxFailures: 1, isFailure: () => false, isFailureResult: (n) => n === 500 });
    const call = pipeline(breakerPolicy(strict));
    await expect(call(boom)).rejects.toThrow('boom');
    expect(strict.state).toBe('closed');
    expect(await call(async () => 500)).toBe(500);
    expect(strict.state).toBe('open');
  });

  it.each(['closed', 'half-open'])('counts an abort as neither while %s', async (state) => {
    if (state === 'half-open') {
      breaker.recordFailure();
      breaker.recordFailure();
      await time.advance(1000);
    } else breaker.recordFailure();
    const caller = new AbortController();
    const result = pipeline(timeoutPolicy(100, { timers: time }), breakerPolicy(breaker))(never, caller);
    expect(breaker.state).toBe(state);
    const { failures, halfOpenFailures } = breaker.stats();
    caller.abort(new Error('gone'));
    await expect(result).rejects.toThrow('gone');
    expect(breaker.stats()).toMatchObject({ state, failures, halfOpenFailures, halfOpenActive: 0 });
  });

  it('counts a timeout within it as a failure', async () => {
    const result = pipeline(breakerPolicy(breaker), timeoutPolicy(100, { timers: time }))(never);
    result.catch(() => {});
    await time.advance(100);
    await expect(result).rejects.toSatisfy(isTimeout);
    expect(breaker.stats().failures).toBe(1);
  });

  it('counts a timeout around it as a failure, even of a function that never ends', async () => {
    const call = pipeline(timeoutPolicy(100, { timers: time }), breakerPolicy(breaker));
    for (let i = 0; i < 2; i++) {
      const result = call(never);
      result.catch(() => {});
      await time.advance(100);
      await expect(result).rejects.toSatisfy(isTimeout);
    }
    expect(breaker.state).toBe('open');
  });
});

describe('a rate limit as a policy', () => {
  let bucket: TokenBucket;
  beforeEach(() => {
    bucket = new TokenBucket({ capacity: 1, refillRate: 1, clock: time.clock, timers: time });
  });

  it('calls at once while there are tokens, and waits for them otherwise', async () => {
    const call = pipeline(rateLimitPolicy(bucket));
    const fn = vi.fn(() => time.clock());
    const begun = time.clock();
    expect(await call(fn)).toBe(begun);
    const second = call(fn);
    await time.advance(999);
    expect(fn).toHaveBeenCalledTimes(1);
    await time.advance(1);
    expect(await second).toBe(begun + 1000);
  });

  it('reads no signal while there are tokens', async () => {
    const wait = vi.fn();
    const call = pipeline(rateLimitPolicy({ allow: () => true, wait }));
    await call(() => 1);
    expect(wait).not.toHaveBeenCalled();
  });

  it.each(['the caller aborts', 'the time is up'])('gives the place in the queue back when %s', async (how) => {
    bucket.allow();
    const caller = new AbortController();
    const fn = vi.fn();
    const result = pipeline(timeoutPolicy(100, { timers: time }), rateLimitPolicy(bucket))(fn, caller);
    result.catch(() => {});
    await time.advance(50);
    expect(bucket.waiting).toBe(1);
    if (how === 'the caller aborts') caller.abort('gone');
    else await time.advance(50);
    expect(bucket.waiting).toBe(0);
    await expect(result).rejects.toSatisfy((error) => error === 'gone' || isTimeout(error));
    expect(fn).not.toHaveBeenCalled();
    expect(time.pending).toBe(0);
  });

  it('does not call when the token comes together with the end', async () => {
    const caller = new AbortController();
    const call = pipeline(rateLimitPolicy({ allow: () => false, wait: async () => caller.abort('gone') }));
    const fn = vi.fn();
    await expect(call(fn, caller)).rejects.toBe('gone');
    expect(fn).not.toHaveBeenCalled();
  });
});

it('a rate limit within a retry hears of the end in later attempts too', async () => {
  const caller = new AbortController();
  const first = vi.fn().mockReturnValueOnce(true).mockReturnValue(false);
  const limiter = { allow: first, wait: async () => caller.abort('gone') };
  const fn = vi.fn(boom);
  const result = pipeline(retryPolicy({ timers: time }), rateLimitPolicy(limiter))(fn, caller);
  result.catch(() => {});
  await time.advance(10_000);
  await expect(result).rejects.toBe('gone');
  expect(fn).toHaveBeenCalledTimes(1);
});

describe('a throttle as a policy', () => {
  it('calls when there is room', async () => {
    const throttle = new SemaphoreThrottle(1);
    const call = pipeline(throttlePolicy(throttle));
    let finish = () => {};
    const first = call(() => new Promise<void>((resolve) => (finish = resolve)));
    const fn = vi.fn(() => 'second');
    const second = call(fn);
    await time.advance(0);
    expect(fn).not.toHaveBeenCalled();
    finish();
    await first;
    expect(await second).toBe('second');
    expect(throttle.active).toBe(0);
  });

  it('gives the place in the queue back when the time is up', async () => {
    const throttle = new SemaphoreThrottle(1);
    const release = await throttle.acquire();
    const fn = vi.fn();
    const result = pipeline(timeoutPolicy(100, { timers: time }), throttlePolicy(throttle))(fn);
    result.catch(() => {});
    await time.advance(100);
    await expect(result).rejects.toSatisfy(isTimeout);
    expect(throttle.queued).toBe(0);
    release();
    await time.advance(0);
    expect(fn).not.toHaveBeenCalled();
    expect(throttle.active).toBe(0);
  });
});
