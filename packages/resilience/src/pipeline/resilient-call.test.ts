import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CircuitBreaker } from '../breaker/circuit-breaker.js';
import { isCircuitOpen, isTimeout } from '../errors.js';
import { TokenBucket } from '../limiter/token-bucket.js';
import { ManualTime } from '../testing/index.js';
import type { ProtectedCall } from './pipeline.js';
import { type ResilientCallOptions, resilientCall } from './resilient-call.js';

const never = () => new Promise<never>(() => {});
const boom = () => Promise.reject(new Error('boom'));

describe('a resilient call', () => {
  let time: ManualTime;
  let breaker: CircuitBreaker;
  let bucket: TokenBucket;
  const unhandled = vi.fn();

  beforeEach(() => {
    time = new ManualTime();
    breaker = new CircuitBreaker({ maxFailures: 3, timeoutMs: 60_000, clock: time.clock });
    bucket = new TokenBucket({ capacity: 10, refillRate: 1, clock: time.clock, timers: time });
    unhandled.mockReset();
    process.on('unhandledRejection', unhandled);
  });

  afterEach(() => {
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(time.pending).toBe(0);
  });

  /** Everything on, unless said otherwise: ten seconds in all, one for an attempt, waits of 100, 200 and 400 ms. */
  const everything = (options: ResilientCallOptions = {}): ProtectedCall =>
    resilientCall({
      timeoutMs: 10_000,
      retry: { initialDelayMs: 100, jitter: 0 },
      rateLimit: bucket,
      breaker,
      attemptTimeoutMs: 1000,
      timers: time,
      clock: time.clock,
      ...options,
    });

  /** The error of a call and when it came, after all the time that it may take. */
  async function failureOf(result: Promise<unknown>) {
    const begun = time.clock();
    const failure = result.then(
      (value) => expect.fail(`succeeded with ${value}`),
      (error: unknown) => ({ error, afterMs: time.clock() - begun }),
    );
    await time.advance(100_000);
    return failure;
  }

  it('that succeeds takes one token and counts one success', async () => {
    breaker.recordFailure();
    expect(await everything()(({ attempt }) => `attempt ${attempt}`)).toBe('attempt 1');
    expect(bucket.tokens).toBe(9);
    expect(breaker.stats().failures).toBe(0);
  });

  it('takes a token and counts for each attempt', async () => {
    const fn = vi.fn(boom);
    const { error } = await failureOf(everything({ retry: { maxRetries: 1, initialDelayMs: 100 } })(fn));
    expect(error).toEqual(new Error('boom'));
    expect(fn).toHaveBeenCalledTimes(2);
    expect(breaker.stats().failures).toBe(2);
    const seconds = 100;
    expect(bucket.tokens).toBe(Math.min(10, 10 - 2 + seconds));
  });

  it('waits for a token before each attempt, and the attempt timeout begins after that', async () => {
    bucket.allowN(10);
    const begun = time.clock();
    const made: number[] = [];
    const result = everything({ retry: { maxRetries: 1, initialDelayMs: 100, jitter: 0 } })(() => {
      made.push(time.clock() - begun);
      return never();
    });
    const { error, afterMs } = await failureOf(result);
    expect(isTimeout(error)).toBe(true);
    expect(made).toEqual([1000, 2100]);
    expect(afterMs).toBe(3100);
    expect(breaker.stats().failures).toBe(2);
  });

  it('ends its retries as soon as the breaker opens, with what the breaker says', async () => {
    const fn = vi.fn(boom);
    const { error, afterMs } = await failureOf(
      everything({ retry: { maxRetries: 9, initialDelayMs: 100, jitter: 0 } })(fn),
    );
    expect(isCircuitOpen(error)).toBe(true);
    expect(fn).toHaveBeenCalledTimes(3);
    expect(afterMs).toBe(100 + 200);
    expect(breaker.stats()).toMatchObject({ state: 'open', opens: 1 });
  });

  it('neither waits nor takes a token for an attempt that the breaker would refuse', async () => {
    const onRetry = vi.fn();
    const slow = everything({ timeoutMs: undefined, retry: { retryAfter: () => 30_000, onRetry } });
    breaker.recordFailure();
    breaker.recordFailure();
    const { error, afterMs } = await failureOf(slow(boom));
    expect(error).toMatchObject({ code: 'CIRCUIT_OPEN', retryAfterMs: 60_000 });
    expect(afterMs).toBe(0);
    expect(onRetry).not.toHaveBeenCalled();
  });

  it('whose last attempt opens the breaker ends with what that failed with', async () => {
    const call = everything({ retry: { maxRetries: 2, initialDelayMs: 100, jitter: 0 } });
    const { error } = await failureOf(call(boom));
    expect(error).toEqual(new Error('boom'));
    expect(breaker.state).toBe('open');
  });

  it('is refused at once by an open breaker, and not retried', async () => {
    for (let i = 0; i < 3; i++) breaker.recordFailure();
    const fn = vi.fn();
    const { error, afterMs } = await failureOf(everything()(fn));
    expect(isCircuitOpen(error)).toBe(true);
    expect(afterMs).toBe(0);
    expect(fn).not.toHaveBeenCalled();
  });

  it('is not held up for longer than its time, waits included', async () => {
    const fn = vi.fn(boom);
    const options = { timeoutMs: 250, retry: { initialDelayMs: 200, jitter: 0, maxRetries: 9 } };
    const { error, afterMs } = await failureOf(everything(options)(fn));
    expect(error).toMatchObject({ code: 'TIMEOUT', timeoutMs: 250 });
    expect(afterMs).toBe(250);
    expect(fn).toHaveBeenCalledTimes(2);
    expect(breaker.stats().failures).toBe(2);
  });

  it('is not held up for longer than its time by waiting for tokens', async () => {
    bucket.allowN(10);
    const fn = vi.fn();
    const { error, afterMs } = await failureOf(everything({ timeoutMs: 250 })(fn));
    expect(error).toMatchObject({ code: 'TIMEOUT', timeoutMs: 250 });
    expect(afterMs).toBe(250);
    expect(fn).not.toHaveBeenCalled();
    expect(breaker.stats().failures).toBe(0);
  });

  it('opens the breaker by total timeouts alone', async () => {
    const call = everything({ attemptTimeoutMs: undefined, timeoutMs: 500 });
    for (let i = 0; i < 3; i++) await failureOf(call(never));
    expect(breaker.state).toBe('open');
  });

  it('waits as long as the other side asks for, at most maxDelayMs', async () => {
    const asks = [5000, 3_600_000];
    const made: number[] = [];
    const begun = time.clock();
    const result = everything({
      timeoutMs: undefined,
      retry: { maxRetries: 2, maxDelayMs: 20_000, retryAfter: () => asks.shift() },
    })(() => {
      made.push(time.clock() - begun);
      return boom();
    });
    await failureOf(result);
    expect(made).toEqual([0, 5000, 25_000]);
  });

  describe('whose caller aborts', () => {
    it('counts neither as success nor as failure, and is not retried', async () => {
      breaker.recordFailure();
      const caller = new AbortController();
      const fn = vi.fn(({ signal }: { signal: AbortSignal }) => {
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      });
      const result = everything()(fn, { signal: caller.signal });
      await time.advance(10);
      caller.abort(new Error('gone'));
      const { error, afterMs } = await failureOf(result);
      expect(error).toEqual(new Error('gone'));
      expect(afterMs).toBe(0);
      expect(fn).toHaveBeenCalledTimes(1);
      expect(breaker.stats().failures).toBe(1);
    });

    it('gives the place of a probe back', async () => {
      for (let i = 0; i < 3; i++) breaker.recordFailure();
      await time.advance(60_000);
      const caller = new AbortController();
      const result = everything()(never, { signal: caller.signal });
      expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenActive: 1 });
      caller.abort('gone');
      await failureOf(result);
      expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenActive: 0 });
      expect(await everything()(() => 'probe')).toBe('probe');
      expect(breaker.state).toBe('closed');
    });
  });

  it('gives the place of a probe back when the time is up, even if the function never ends', async () => {
    for (let i = 0; i < 3; i++) breaker.recordFailure();
    await time.advance(60_000);
    await failureOf(everything({ attemptTimeoutMs: undefined })(never));
    expect(breaker.stats()).toMatchObject({ opens: 2, halfOpenActive: 0 });
    await time.advance(60_000);
    expect(await everything()(() => 'probe')).toBe('probe');
  });

  it('takes every part as options too', async () => {
    const call = resilientCall({
      timeoutMs: 10_000,
      retry: {},
      rateLimit: { capacity: 2, refillRate: 1 },
      breaker: { maxFailures: 2, name: 'feed' },
      attemptTimeoutMs: 1000,
      timers: time,
      clock: time.clock,
    });
    const { error } = await failureOf(call(boom));
    expect(error).toMatchObject({ code: 'CIRCUIT_OPEN', target: 'feed' });
  });

  it('has only the parts that are named', async () => {
    expect(await resilientCall({})(() => 1)).toBe(1);
    const fn = vi.fn(boom);
    await expect(resilientCall({ attemptTimeoutMs: 1000, timers: time })(fn)).rejects.toThrow('boom');
    expect(fn).toHaveBeenCalledTimes(1);
  });

  it.each([
    ['timeoutMs', { timeoutMs: 0 }],
    ['attemptTimeoutMs', { attemptTimeoutMs: -1 }],
    ['maxRetries', { retry: { maxRetries: -1 } }],
    ['capacity', { rateLimit: { capacity: 0 } }],
    ['maxFailures', { breaker: { maxFailures: 0 } }],
  ])('refuses a wrong %s when it is made', (option, options) => {
    expect(() => resilientCall(options)).toThrow(new RegExp(`^${option} must be`));
  });

  it('settles in every case, in its time, counts what it called, and leaves nothing behind', async () => {
    const attempt = fc.constantFrom('succeeds', 'fails', 'hangs', 'is slow');
    const script = fc.array(attempt, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(script, { maxLength: 8 }), fc.option(fc.nat(5000)), async (calls, abortAfterMs) => {
        time = new ManualTime();
        breaker = new CircuitBreaker({ maxFailures: 3, timeoutMs: 2000, clock: time.clock });
        bucket = new TokenBucket({ capacity: 3, refillRate: 2, clock: time.clock, timers: time });
        const call = everything({ timeoutMs: 4000 });
        const caller = new AbortController();
        const begun = time.clock();
        let made = 0;
        const settledAt = calls.map((steps) => {
          const result = call(
            ({ attempt }) => {
              made++;
              const step = steps[(attempt - 1) % steps.length];
              if (step === 'succeeds') return 1;
              if (step === 'fails') return boom();
              if (step === 'hangs') return never();
              return new Promise<number>((resolve) => time.setTimeout(() => resolve(1), 700));
            },
            { signal: caller.signal },
          );
          const ended = () => time.clock() - begun;
          return result.then(ended, ended);
        });
        if (abortAfterMs !== null) time.setTimeout(() => caller.abort('gone'), abortAfterMs);
        await time.advance(10_000);
        const latest = Math.min(4000, abortAfterMs === null ? 4000 : Math.max(abortAfterMs, 1));
        for (const at of await Promise.all(settledAt)) expect(at).toBeLessThanOrEqual(latest);
        expect(made).toBeLessThanOrEqual(3 + 2 * 4);
        expect(bucket.waiting).toBe(0);
        expect(breaker.stats().halfOpenActive).toBe(0);
        expect(time.pending).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
