import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CircuitBreaker } from '../breaker/circuit-breaker.js';
import { isTimeout } from '../errors.js';
import { retryPolicy } from '../retry/retry.js';
import { ManualTime } from '../testing/index.js';
import { timeoutPolicy } from '../timeout/timeout.js';
import type { CallContext } from './call-scope.js';
import { pipeline } from './pipeline.js';
import { breakerPolicy } from './policies.js';
import type { Policy } from './policy.js';

describe('a pipeline', () => {
  let time: ManualTime;
  const unhandled = vi.fn();

  beforeEach(() => {
    time = new ManualTime();
    unhandled.mockReset();
    process.on('unhandledRejection', unhandled);
  });

  afterEach(() => {
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(time.pending).toBe(0);
  });

  const never = () => new Promise<never>(() => {});
  const boom = () => Promise.reject(new Error('boom'));

  /** A policy that writes down when it is entered and left. */
  const tracing = (name: string, log: string[]): Policy => {
    return (inner) => async (fn, scope) => {
      log.push(`${name} in`);
      try {
        return await inner(fn, scope);
      } finally {
        log.push(`${name} out`);
      }
    };
  };

  it('without policies only calls', async () => {
    expect(await pipeline()(({ attempt }) => attempt)).toBe(1);
    await expect(pipeline()(boom)).rejects.toThrow('boom');
  });

  it('puts the first policy outermost', async () => {
    const log: string[] = [];
    await pipeline(tracing('a', log), tracing('b', log))(() => log.push('call'));
    expect(log).toEqual(['a in', 'b in', 'call', 'b out', 'a out']);
  });

  it('serves many calls of different functions at once', async () => {
    const call = pipeline(timeoutPolicy(100, { timers: time }), retryPolicy({ timers: time }));
    const answers = Array.from({ length: 50 }, (_, i) => call(async () => i));
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  it('of a retry around a timeout gives each attempt the whole time', async () => {
    const call = pipeline(
      retryPolicy({ maxRetries: 1, initialDelayMs: 50, jitter: 0, timers: time }),
      timeoutPolicy(100, { timers: time }),
    );
    const attempts: number[] = [];
    const result = call(({ attempt }) => {
      attempts.push(attempt);
      return never();
    });
    result.catch(() => {});
    await time.advance(249);
    expect(attempts).toEqual([1, 2]);
    await time.advance(1);
    await expect(result).rejects.toSatisfy(isTimeout);
  });

  it('of a timeout around a retry ends during a wait, and nothing is tried any more', async () => {
    const call = pipeline(timeoutPolicy(100, { timers: time }), retryPolicy({ timers: time }));
    const fn = vi.fn(boom);
    const result = call(fn);
    result.catch(() => {});
    await time.advance(100);
    await expect(result).rejects.toSatisfy(isTimeout);
    expect(time.pending).toBe(0);
    await time.advance(100_000);
    expect(fn).toHaveBeenCalledTimes(1);
  });

  it('of a timeout around a retry is not held up by an attempt that ignores the end', async () => {
    const call = pipeline(timeoutPolicy(100, { timers: time }), retryPolicy({ timers: time }));
    const result = call(never);
    result.catch(() => {});
    await time.advance(100);
    await expect(result).rejects.toSatisfy(isTimeout);
  });

  it('of timeouts in each other tells the function why it must stop', async () => {
    const call = pipeline(timeoutPolicy(100, { timers: time }), timeoutPolicy(1000, { timers: time }));
    let reason: unknown;
    const result = call(({ signal }) => {
      signal.addEventListener('abort', () => (reason = signal.reason));
      return never();
    });
    result.catch(() => {});
    await time.advance(100);
    await expect(result).rejects.toMatchObject({ timeoutMs: 100 });
    expect(reason).toMatchObject({ timeoutMs: 100 });
  });

  it('counts attempts anew in a retry within a retry', async () => {
    const once = retryPolicy({ maxRetries: 1, initialDelayMs: 1, timers: time });
    const seen: number[] = [];
    const result = pipeline(
      once,
      once,
    )(({ attempt }) => {
      seen.push(attempt);
      return boom();
    });
    result.catch(() => {});
    await time.advance(1000);
    await expect(result).rejects.toThrow('boom');
    expect(seen).toEqual([1, 2, 1, 2]);
  });

  it('makes what a policy throws a rejection that those around it hear of', async () => {
    const broken: Policy = () => () => {
      throw new Error('from a policy');
    };
    const log: string[] = [];
    await expect(pipeline(tracing('outer', log), broken)(() => 1)).rejects.toThrow('from a policy');
    expect(log).toEqual(['outer in', 'outer out']);
  });

  it('lets a policy call more than once at a time', async () => {
    const hedged: Policy = (inner) => (fn, scope) => Promise.race([inner(fn, scope), inner(fn, scope)]);
    const call = pipeline(timeoutPolicy(100, { timers: time }), hedged, timeoutPolicy(50, { timers: time }));
    const signals: AbortSignal[] = [];
    const caller = new AbortController();
    const result = call(
      ({ signal }: CallContext) => {
        signals.push(signal);
        return never();
      },
      { signal: caller.signal },
    );
    caller.abort('gone');
    await expect(result).rejects.toBe('gone');
    expect(signals.map(({ reason }) => reason)).toEqual(['gone', 'gone']);
  });

  describe('of a caller with a signal', () => {
    it('hands on the very signal where no policy has one of its own', async () => {
      const { signal } = new AbortController();
      expect(await pipeline(retryPolicy())((context) => context.signal === signal, { signal })).toBe(true);
    });

    it('is rejected at once when the caller aborts, whatever the function does', async () => {
      const caller = new AbortController();
      const result = pipeline()(never, { signal: caller.signal });
      caller.abort('gone');
      await expect(result).rejects.toBe('gone');
    });

    it('does not call for a caller who has gone', async () => {
      const fn = vi.fn();
      await expect(pipeline()(fn, { signal: AbortSignal.abort('gone') })).rejects.toBe('gone');
      expect(fn).not.toHaveBeenCalled();
    });

    it('shares one listener on it with all others, and ends all of them', async () => {
      const caller = new AbortController();
      const calls = [
        pipeline(),
        pipeline(retryPolicy()),
        pipeline(timeoutPolicy(100, { timers: time })),
        pipeline(breakerPolicy(new CircuitBreaker())),
      ];
      const results = Array.from({ length: 100 }, (_, i) =>
        calls[i % calls.length]?.(never, { signal: caller.signal }),
      );
      expect(getEventListeners(caller.signal, 'abort')).toHaveLength(1);
      caller.abort('gone');
      const settled = await Promise.allSettled(results);
      expect(settled).toEqual(settled.map(() => ({ status: 'rejected', reason: 'gone' })));
      expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    });

    it('has no listener left afterwards', async () => {
      const { signal } = new AbortController();
      const added = vi.spyOn(signal, 'addEventListener');
      const removed = vi.spyOn(signal, 'removeEventListener');
      await pipeline(timeoutPolicy(100, { timers: time }), retryPolicy())(() => 1, { signal });
      expect(added).toHaveBeenCalledTimes(1);
      expect(removed.mock.calls.map(([, listener]) => listener)).toContain(added.mock.calls[0]?.[1]);
    });
  });

  it('refuses what is not a policy', () => {
    expect(() => pipeline(retryPolicy(), {} as Policy)).toThrow(/^policy 2 must be a function/);
  });
});
