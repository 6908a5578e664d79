import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CircuitOpenError } from '../errors.js';
import type { CallContext } from '../pipeline/call-scope.js';
import { ManualTime } from '../testing/index.js';
import { type RetryEvent, type RetryOptions, retry } from './retry.js';

describe('retry', () => {
  let time: ManualTime;
  let begun: number;
  /** When each attempt was made, in milliseconds from the start. */
  let attempts: number[];

  beforeEach(() => {
    time = new ManualTime();
    begun = time.clock();
    attempts = [];
  });

  afterEach(() => expect(time.pending).toBe(0));

  /** Runs what fails so often, then succeeds; gives the outcome after all the time it may take. */
  async function run(failures: number, options: RetryOptions = {}, error: (n: number) => unknown = boom) {
    const call = retry(
      async () => {
        attempts.push(time.clock() - begun);
        if (attempts.length <= failures) throw error(attempts.length);
        return 'done';
      },
      { timers: time, jitter: 0, ...options },
    );
    const outcome = call.then(
      (value) => ({ value }),
      (thrown: unknown) => ({ thrown }),
    );
    await time.advance(1_000_000);
    return outcome;
  }

  const boom = (n: number) => new Error(`boom ${n}`);

  it('makes one attempt of what succeeds', async () => {
    expect(await run(0)).toEqual({ value: 'done' });
    expect(attempts).toEqual([0]);
  });

  it('tries again with growing waits until it succeeds', async () => {
    expect(await run(3)).toEqual({ value: 'done' });
    expect(attempts).toEqual([0, 1000, 3000, 7000]);
  });

  it('throws the last error as it is when maxRetries retries have failed too', async () => {
    expect(await run(9, { maxRetries: 2 })).toEqual({ thrown: new Error('boom 3') });
    expect(attempts).toHaveLength(3);
    const error = { not: 'an Error' };
    const outcome = await run(99, { maxRetries: 0 }, () => error);
    expect(outcome).toHaveProperty('thrown', error);
  });

  it('waits with jitter, from the random numbers it is given', async () => {
    await run(2, { jitter: 0.25, random: () => 0 });
    expect(attempts).toEqual([0, 750, 2250]);
  });

  it('retries synchronous functions', async () => {
    const fn = vi.fn().mockImplementationOnce(() => {
      throw new Error('once');
    });
    const call = retry(() => fn.mockReturnValue(1)(), { timers: time });
    await time.advance(2000);
    expect(await call).toBe(1);
  });

  it('counts attempts from 1 for the function and for shouldRetry', async () => {
    const seen: number[] = [];
    const shouldRetry = vi.fn((_: unknown, attempt: number) => attempt < 3);
    const call = retry(
      ({ attempt }: CallContext) => {
        seen.push(attempt);
        return Promise.reject(boom(attempt));
      },
      { timers: time, shouldRetry },
    );
    call.catch(() => {});
    await time.advance(100_000);
    await expect(call).rejects.toThrow('boom 3');
    expect(seen).toEqual([1, 2, 3]);
    expect(shouldRetry.mock.calls.map(([error, attempt]) => [(error as Error).message, attempt])).toEqual([
      ['boom 1', 1],
      ['boom 2', 2],
      ['boom 3', 3],
    ]);
  });

  it('never retries an open circuit', async () => {
    const open = new CircuitOpenError(500, 'feed');
    const shouldRetry = vi.fn(() => true);
    expect(await run(9, { shouldRetry }, () => open)).toHaveProperty('thrown', open);
    expect(attempts).toHaveLength(1);
    expect(shouldRetry).not.toHaveBeenCalled();
  });

  it('is rejected with what shouldRetry throws', async () => {
    const shouldRetry = () => {
      throw new Error('from shouldRetry');
    };
    expect(await run(9, { shouldRetry })).toEqual({ thrown: new Error('from shouldRetry') });
  });

  describe('told how long to wait', () => {
    it('waits so long instead of its own wait, without jitter', async () => {
      await run(2, { jitter: 0.25, retryAfter: (error) => ((error as Error).message === 'boom 1' ? 5000 : 0) });
      expect(attempts).toEqual([0, 5000, 5001]);
    });

    it('waits at most maxDelayMs', async () => {
      await run(1, { maxDelayMs: 4000, retryAfter: () => 3_600_000 });
      expect(attempts).toEqual([0, 4000]);
    });

    it.each([undefined, null, Number.NaN, -1, '5'])('takes %o as no answer', async (answer) => {
      await run(1, { retryAfter: () => answer as number | undefined });
      expect(attempts).toEqual([0, 1000]);
    });
  });

  describe('with a listener', () => {
    it('says which attempt failed, with what, and how long it waits', async () => {
      const events: RetryEvent[] = [];
      await run(9, { maxRetries: 2, onRetry: (event) => events.push(event) });
      expect(events).toEqual([
        { attempt: 1, delayMs: 1000, error: boom(1) },
        { attempt: 2, delayMs: 2000, error: boom(2) },
      ]);
    });

    it('is not broken by one that throws, at once or later', async () => {
      const unhandled = vi.fn();
      process.on('unhandledRejection', unhandled);
      const onRetry = () => {
        throw new Error('from a listener');
      };
      expect(await run(1, { onRetry })).toEqual({ value: 'done' });
      expect(await run(1, { onRetry: async () => onRetry() })).toEqual({ value: 'done' });
      process.off('unhandledRejection', unhandled);
      expect(unhandled).not.toHaveBeenCalled();
    });
  });

  describe('of a caller who aborts', () => {
    it('is rejected at once during a wait, and takes its timer back', async () => {
      const caller = new AbortController();
      const call = retry(() => Promise.reject(boom(1)), { timers: time, signal: caller.signal });
      call.catch(() => {});
      await time.advance(100);
      expect(time.pending).toBe(1);
      caller.abort('gone');
      expect(time.pending).toBe(0);
      await expect(call).rejects.toBe('gone');
    });

    it('is rejected at once during an attempt, and makes no other', async () => {
      const caller = new AbortController();
      const fn = vi.fn(({ signal }: CallContext) => {
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))));
      });
      const call = retry(fn, { timers: time, signal: caller.signal });
      caller.abort('gone');
      await expect(call).rejects.toBe('gone');
      await time.advance(100_000);
      expect(fn).toHaveBeenCalledTimes(1);
    });

    it('is rejected even when the function ignores its signal', async () => {
      const caller = new AbortController();
      const call = retry(() => new Promise(() => {}), { timers: time, signal: caller.signal });
      caller.abort('gone');
      await expect(call).rejects.toBe('gone');
    });

    it('is rejected when onRetry makes the caller abort', async () => {
      const caller = new AbortController();
      expect(await run(1, { signal: caller.signal, onRetry: () => caller.abort('enough') })).toEqual({
        thrown: 'enough',
      });
      expect(attempts).toHaveLength(1);
    });

    it('is not made when the caller has gone before', async () => {
      expect(await run(0, { signal: AbortSignal.abort('gone') })).toEqual({ thrown: 'gone' });
      expect(attempts).toHaveLength(0);
    });

    it('leaves no listener on the signal', async () => {
      const { signal } = new AbortController();
      const added = vi.spyOn(signal, 'addEventListener');
      const removed = vi.spyOn(signal, 'removeEventListener');
      await run(2, { signal });
      expect(added).toHaveBeenCalledTimes(1);
      expect(removed.mock.calls.map(([, listener]) => listener)).toContain(added.mock.calls[0]?.[1]);
    });
  });

  it.each([-1, 0.5, Number.NaN])('refuses maxRetries of %d', async (maxRetries) => {
    await expect(retry(() => 1, { maxRetries })).rejects.toThrow(/^maxRetries must be/);
  });
});
