import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { CircuitOpenError, InvalidOptionError, isCircuitOpen } from '../errors.js';
import { ManualTime } from '../testing/index.js';
import { CircuitBreaker } from './circuit-breaker.js';
import type { CircuitBreakerOptions } from './circuit-breaker-options.js';
import { rollingWindow } from './rolling-window.js';

const TIMEOUT = 100;

function setup(options: CircuitBreakerOptions = {}) {
  const time = new ManualTime();
  const breaker = new CircuitBreaker({ maxFailures: 3, timeoutMs: TIMEOUT, clock: time.clock, ...options });
  return { time, breaker };
}

function fail(breaker: CircuitBreaker, times: number): void {
  for (let i = 0; i < times; i++) breaker.failed(breaker.acquire());
}

/** A breaker that has opened and may become half-open now. */
async function openAndDue(options: CircuitBreakerOptions = {}) {
  const { time, breaker } = setup(options);
  fail(breaker, options.maxFailures ?? 3);
  await time.advance(TIMEOUT);
  return { time, breaker };
}

const down = () => Promise.reject(new Error('connection refused'));
const never = () => new Promise<never>(() => {});

describe('a closed breaker', () => {
  it('is what one starts as, lets calls through, and stays so while they succeed', () => {
    const { breaker } = setup();
    expect(breaker.state).toBe('closed');
    expect(breaker.canExecute()).toBe(true);
    breaker.recordSuccess();
    breaker.recordSuccess();
    expect(breaker.state).toBe('closed');
  });

  it('opens after maxFailures failures in a row, not before', () => {
    const { breaker } = setup({ maxFailures: 3 });
    for (let i = 0; i < 3; i++) {
      expect(breaker.state).toBe('closed');
      breaker.recordFailure();
    }
    expect(breaker.state).toBe('open');
    expect(breaker.canExecute()).toBe(false);
    expect(breaker.acquire()).toBe(0);
  });

  it('forgets failures when a call succeeds between them', () => {
    const { breaker } = setup({ maxFailures: 2 });
    for (let i = 0; i < 5; i++) {
      breaker.recordFailure();
      breaker.recordSuccess();
    }
    expect(breaker.state).toBe('closed');
    expect(breaker.stats().failures).toBe(0);
  });

  it('opens by default after 5 failures, for a minute', async () => {
    const time = new ManualTime();
    const breaker = new CircuitBreaker({ clock: time.clock });
    fail(breaker, 4);
    expect(breaker.state).toBe('closed');
    fail(breaker, 1);
    await time.advance(59_999);
    expect(breaker.canExecute()).toBe(false);
    await time.advance(1);
    expect(breaker.canExecute()).toBe(true);
    expect(breaker.canExecute()).toBe(false);
    breaker.recordSuccess();
    expect(breaker.state).toBe('closed');
  });

  it('tells its failures, and when the last one was', async () => {
    const { time, breaker } = setup();
    expect(breaker.stats().lastFailureTime).toBeUndefined();
    breaker.recordFailure();
    await time.advance(7);
    breaker.recordFailure();
    const at = time.clock();
    await time.advance(7);
    expect(breaker.stats()).toEqual({
      state: 'closed',
      failures: 2,
      lastFailureTime: at,
      halfOpenSuccesses: 0,
      halfOpenFailures: 0,
      halfOpenActive: 0,
      opens: 0,
    });
  });

  it('is idle while it counts no failures', () => {
    const { breaker } = setup();
    expect(breaker.idle).toBe(true);
    breaker.recordFailure();
    expect(breaker.idle).toBe(false);
    breaker.recordSuccess();
    expect(breaker.idle).toBe(true);
    fail(breaker, 3);
    expect(breaker.idle).toBe(false);
  });

  it('is not idle while it is open, even when it has forgotten the failures that opened it', async () => {
    const { time, breaker } = setup({
      strategy: rollingWindow({ minimumThroughput: 1, windowMs: 10 }),
      timeoutMs: 1000,
    });
    fail(breaker, 1);
    await time.advance(20);
    expect(breaker.stats()).toMatchObject({ state: 'open', failures: 0 });
    expect(breaker.idle).toBe(false);
  });

  it('never reads the clock while calls succeed', () => {
    const clock = vi.fn(() => 0);
    const breaker = new CircuitBreaker({ clock });
    breaker.succeeded(breaker.acquire());
    if (breaker.canExecute()) breaker.recordSuccess();
    expect(clock).not.toHaveBeenCalled();
  });
});

describe('an open breaker', () => {
  it('refuses without calling, and says who it protects and how long it will refuse', async () => {
    const { time, breaker } = setup({ name: 'feed.example' });
    fail(breaker, 3);
    await time.advance(40);
    const fn = vi.fn(() => 1);
    const error = await breaker.execute(fn).catch((error: unknown) => error);
    expect(fn).not.toHaveBeenCalled();
    expect(error).toBeInstanceOf(CircuitOpenError);
    expect(isCircuitOpen(error)).toBe(true);
    expect(error).toMatchObject({ target: 'feed.example', retryAfterMs: 60 });
    expect(String(error)).toContain('feed.example');
  });

  it('stays open after the timeout until somebody asks, and is half-open then', async () => {
    const { time, breaker } = setup();
    fail(breaker, 3);
    await time.advance(TIMEOUT - 1);
    expect(breaker.canExecute()).toBe(false);
    await time.advance(10 * TIMEOUT);
    expect(breaker.state).toBe('open');
    expect(breaker.canExecute()).toBe(true);
    expect(breaker.state).toBe('half-open');
  });

  it('ignores results that are recorded meanwhile', async () => {
    const { time, breaker } = setup();
    fail(breaker, 3);
    const before = breaker.stats();
    await time.advance(TIMEOUT - 1);
    breaker.recordSuccess();
    breaker.recordFailure();
    expect(breaker.stats()).toEqual(before);
    await time.advance(1);
    expect(breaker.canExecute()).toBe(true);
  });

  it('closes when it is reset, and counts anew', () => {
    const { breaker } = setup();
    fail(breaker, 3);
    breaker.reset();
    expect(breaker.state).toBe('closed');
    expect(breaker.canExecute()).toBe(true);
    fail(breaker, 2);
    expect(breaker.state).toBe('closed');
  });
});

describe('a half-open breaker', () => {
  it.each([1, 2, 5])('admits exactly maxHalfOpenRequests probes at once (%i), the first included', async (max) => {
    for (const ask of ['canExecute', 'acquire'] as const) {
      const { breaker } = await openAndDue({ maxHalfOpenRequests: max });
      const admitted = Array.from({ length: 10 }, () => breaker[ask]()).filter(Boolean);
      expect(admitted).toHaveLength(max);
      expect(breaker.stats().halfOpenActive).toBe(max);
    }
  });

  it('admits exactly as many when 1000 callers come at once', async () => {
    const { breaker } = await openAndDue({ maxHalfOpenRequests: 3, halfOpenSuccesses: 3 });
    let calls = 0;
    const results = await Promise.allSettled(
      Array.from({ length: 1000 }, () =>
        breaker.execute(async () => {
          calls++;
          await null;
        }),
      ),
    );
    expect(calls).toBe(3);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
    expect(breaker.state).toBe('closed');
  });

  it('says that probes are under way when it refuses', async () => {
    const { breaker } = await openAndDue();
    breaker.acquire();
    expect(breaker.rejection()).toMatchObject({ retryAfterMs: 0 });
    expect(breaker.rejection().message).toContain('under way');
  });

  it('admits the next probe when one has ended', async () => {
    const { breaker } = await openAndDue({ halfOpenSuccesses: 3 });
    for (let i = 0; i < 2; i++) {
      const permit = breaker.acquire();
      expect(breaker.acquire()).toBe(0);
      breaker.succeeded(permit);
    }
    expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenSuccesses: 2, halfOpenActive: 0 });
    breaker.succeeded(breaker.acquire());
    expect(breaker.state).toBe('closed');
    expect(breaker.stats()).toMatchObject({ failures: 0, halfOpenSuccesses: 3, opens: 1 });
  });

  it('closes on a recorded success, opens on a recorded failure', async () => {
    const good = await openAndDue();
    good.breaker.canExecute();
    good.breaker.recordSuccess();
    expect(good.breaker.state).toBe('closed');

    const bad = await openAndDue();
    bad.breaker.canExecute();
    bad.breaker.recordFailure();
    expect(bad.breaker.state).toBe('open');
  });

  it('opens for the whole timeout again on one failure, whatever succeeded before', async () => {
    const { time, breaker } = await openAndDue({ halfOpenSuccesses: 3, maxHalfOpenRequests: 2 });
    breaker.succeeded(breaker.acquire());
    breaker.succeeded(breaker.acquire());
    breaker.failed(breaker.acquire());
    expect(breaker.stats()).toMatchObject({ state: 'open', halfOpenFailures: 1, halfOpenActive: 0, opens: 2 });
    expect(breaker.stats().lastFailureTime).toBe(time.clock());
    await time.advance(TIMEOUT - 1);
    expect(breaker.acquire()).toBe(0);
    await time.advance(1);
    expect(breaker.acquire()).toBeGreaterThan(0);
    expect(breaker.stats()).toMatchObject({ halfOpenSuccesses: 0, halfOpenFailures: 0 });
  });

  it('frees the place of a canExecute caller that vanished after the timeout', async () => {
    const { time, breaker } = await openAndDue();
    expect(breaker.canExecute()).toBe(true);
    await time.advance(TIMEOUT - 1);
    expect(breaker.canExecute()).toBe(false);
    await time.advance(1);
    expect(breaker.stats().halfOpenActive).toBe(0);
    expect(breaker.canExecute()).toBe(true);
    expect(breaker.canExecute()).toBe(false);
    expect(breaker.state).toBe('half-open');
  });

  it('still counts the result of a slow canExecute caller whose place nobody took', async () => {
    const { time, breaker } = await openAndDue();
    breaker.canExecute();
    await time.advance(5 * TIMEOUT);
    expect(breaker.stats().halfOpenActive).toBe(0);
    breaker.recordSuccess();
    expect(breaker.state).toBe('closed');
  });

  it('keeps the place of a slow probe past the timeout, but not for ever when it never ends', async () => {
    const { time, breaker } = await openAndDue();
    void breaker.execute(never);
    await time.advance(599_999);
    expect(breaker.canExecute()).toBe(false);
    await time.advance(1);
    expect(breaker.canExecute()).toBe(true);
  });

  it('ignores recorded results while no canExecute caller has a place', async () => {
    const { breaker } = await openAndDue();
    const probe = breaker.acquire();
    breaker.recordSuccess();
    breaker.recordFailure();
    expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenActive: 1 });
    breaker.succeeded(probe);
    expect(breaker.state).toBe('closed');
  });

  it('takes a place back without a verdict when a permit is released', async () => {
    const { breaker } = await openAndDue();
    breaker.released(breaker.acquire());
    expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenActive: 0, halfOpenSuccesses: 0 });
    expect(breaker.acquire()).toBeGreaterThan(0);
  });

  it('opens at once for a failure that is decisive', () => {
    const { breaker } = setup({ maxFailures: 5 });
    const permits = [breaker.acquire(), breaker.acquire()];
    breaker.failed(permits[0] as number);
    expect(breaker.state).toBe('closed');
    breaker.failed(permits[1] as number, true);
    expect(breaker.state).toBe('open');
  });

  it('is tried again sooner after failures that cost no time, and less and less often', async () => {
    const { time, breaker } = setup({ timeoutMs: 3000, quickTimeoutMs: 500 });
    breaker.failed(breaker.acquire(), true, true);
    for (const restMs of [500, 1000, 2000, 3000, 3000]) {
      expect(breaker.rejection().retryAfterMs).toBe(restMs);
      await time.advance(restMs - 1);
      expect(breaker.acquire()).toBe(0);
      await time.advance(1);
      breaker.failed(breaker.acquire(), true, true);
    }
    await time.advance(3000);
    breaker.succeeded(breaker.acquire());
    breaker.failed(breaker.acquire(), true, true);
    expect(breaker.rejection().retryAfterMs).toBe(500);
    await time.advance(500);
    // This one took its time.
    breaker.failed(breaker.acquire(), true);
    expect(breaker.rejection().retryAfterMs).toBe(3000);
  });

  it('goes on probing however often it failed quickly, where that needs no rest', () => {
    const { breaker } = setup({ timeoutMs: 3000, quickTimeoutMs: 0 });
    for (let i = 0; i < 2000; i++) {
      const permit = breaker.acquire();
      expect(permit).toBeGreaterThan(0);
      breaker.failed(permit, true, true);
    }
  });

  it('rests as long after quick failures as after others, unless it is told otherwise', () => {
    const { breaker } = setup({ timeoutMs: 3000 });
    breaker.failed(breaker.acquire(), true, true);
    expect(breaker.rejection().retryAfterMs).toBe(3000);
    expect(() => setup({ quickTimeoutMs: -1 })).toThrow('quickTimeoutMs');
  });

  it('takes no failure for a quick one that nobody says was quick', async () => {
    const { time, breaker } = setup({ maxFailures: 1, timeoutMs: 3000, quickTimeoutMs: 500 });
    breaker.recordFailure();
    expect(breaker.rejection().retryAfterMs).toBe(3000);
    await time.advance(3000);
    expect(breaker.canExecute()).toBe(true);
    breaker.recordFailure();
    expect(breaker.rejection().retryAfterMs).toBe(3000);
    await time.advance(3000);
    await breaker.execute(down).catch(() => {});
    expect(breaker.rejection().retryAfterMs).toBe(3000);
  });

  it('counts a permit once, however often it is settled', async () => {
    const { breaker } = await openAndDue({ halfOpenSuccesses: 2 });
    const permit = breaker.acquire();
    for (let i = 0; i < 3; i++) breaker.succeeded(permit);
    breaker.failed(permit);
    expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenSuccesses: 1 });
  });

  it('never goes round its limit when the clock stands still with a timeout of 0', () => {
    const { breaker } = setup({ timeoutMs: 0, maxFailures: 1 });
    fail(breaker, 1);
    expect([breaker.canExecute(), breaker.canExecute()]).toEqual([true, false]);
  });
});

describe('a late result', () => {
  it('of a call from before the breaker opened changes nothing: not while open, not while half-open', async () => {
    const { time, breaker } = setup();
    const slow = Array.from({ length: 4 }, () => breaker.acquire());
    fail(breaker, 3);
    breaker.succeeded(slow[0]!);
    expect(breaker.state).toBe('open');
    await time.advance(TIMEOUT);
    const probe = breaker.acquire();
    breaker.succeeded(slow[1]!);
    breaker.failed(slow[2]!);
    expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenActive: 1, halfOpenSuccesses: 0 });
    breaker.succeeded(probe);
    breaker.failed(slow[3]!);
    expect(breaker.stats()).toMatchObject({ state: 'closed', failures: 0 });
  });

  it('of a slow execute from before the breaker opened changes nothing, but reaches its caller', async () => {
    const { breaker } = setup();
    const { promise, resolve } = withResolvers<string>();
    const slow = breaker.execute(() => promise);
    fail(breaker, 3);
    resolve('late');
    await expect(slow).resolves.toBe('late');
    expect(breaker.state).toBe('open');
  });

  it('of a probe from an earlier half-open period changes nothing', async () => {
    const { time, breaker } = await openAndDue({ maxHalfOpenRequests: 2 });
    const [slow, quick] = [breaker.acquire(), breaker.acquire()];
    breaker.failed(quick);
    await time.advance(TIMEOUT);
    breaker.acquire();
    breaker.succeeded(slow);
    expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenActive: 1 });
  });

  it('of a call from before a reset changes nothing', () => {
    const { breaker } = setup({ maxFailures: 1 });
    const permit = breaker.acquire();
    breaker.reset();
    breaker.failed(permit);
    expect(breaker.state).toBe('closed');
  });

  it('for a call that was refused changes nothing', () => {
    const { breaker } = setup({ maxFailures: 1 });
    fail(breaker, 1);
    const refused = breaker.acquire();
    breaker.succeeded(refused);
    breaker.failed(refused);
    breaker.released(refused);
    expect(breaker.stats()).toMatchObject({ state: 'open', opens: 1 });
  });
});

describe('execute', () => {
  it('passes results and errors through, of async and sync functions and of thenables', async () => {
    const { breaker } = setup();
    const error = new Error('no');
    // biome-ignore lint/suspicious/noThenProperty: a promise of another kind is what this is about
    const thenable: PromiseLike<number> = { then: (...reactions) => Promise.resolve(3).then(...reactions) };
    await expect(breaker.execute(async () => 1)).resolves.toBe(1);
    await expect(breaker.execute(() => 2)).resolves.toBe(2);
    await expect(breaker.execute(() => thenable)).resolves.toBe(3);
    await expect(breaker.execute(() => undefined)).resolves.toBeUndefined();
    await expect(breaker.execute(() => Promise.reject(error))).rejects.toBe(error);
    const thrown = breaker.execute(() => {
      throw error;
    });
    await expect(thrown).rejects.toBe(error);
  });

  it('counts errors, thrown at once or later, as failures, and anything else as success', async () => {
    const { breaker } = setup({ maxFailures: 2 });
    const throws = () => {
      throw new Error('no');
    };
    await breaker.execute(down).catch(() => {});
    await breaker.execute(() => null);
    await breaker.execute(throws).catch(() => {});
    await breaker.execute(async () => null);
    await breaker.execute(throws).catch(() => {});
    expect(breaker.stats()).toMatchObject({ state: 'closed', failures: 1 });
    await breaker.execute(down).catch(() => {});
    expect(breaker.state).toBe('open');
  });

  it('counts the failure of a thenable, whether that is an object or a function', async () => {
    const { breaker } = setup({ maxFailures: 2 });
    // biome-ignore lint/suspicious/noThenProperty: a promise of another kind is what this is about
    const rejects: PromiseLike<never> = { then: (...reactions) => down().then(...reactions) };
    await expect(breaker.execute(() => rejects)).rejects.toThrow('refused');
    expect(breaker.stats().failures).toBe(1);
    await expect(breaker.execute(() => Object.assign(() => {}, rejects))).rejects.toThrow('refused');
    expect(breaker.state).toBe('open');
  });

  it('has counted the result when its caller goes on', async () => {
    const { breaker } = setup({ maxFailures: 1 });
    let seen = '';
    await breaker.execute(down).catch(() => {
      seen = breaker.state;
    });
    expect(seen).toBe('open');
  });

  it('counts exactly, however many calls are under way', async () => {
    const { breaker } = setup({ maxFailures: 100 });
    await Promise.allSettled(Array.from({ length: 99 }, () => breaker.execute(down)));
    expect(breaker.stats()).toMatchObject({ state: 'closed', failures: 99 });
    await Promise.allSettled(Array.from({ length: 50 }, () => breaker.execute(down)));
    expect(breaker.stats()).toMatchObject({ state: 'open', failures: 100, opens: 1 });
  });

  it('gives its place back in every case while half-open', async () => {
    const throws = () => {
      throw abortError();
    };
    for (const fn of [throws, () => Promise.reject(abortError()), async () => 1, () => 1, down]) {
      const { time, breaker } = await openAndDue({ halfOpenSuccesses: 9 });
      await breaker.execute(fn).catch(() => {});
      expect(breaker.stats().halfOpenActive).toBe(0);
      await time.advance(TIMEOUT);
      expect(breaker.acquire()).toBeGreaterThan(0);
    }
  });

  it('counts what isFailure says: an error that is none is an answer', async () => {
    const notFound = Object.assign(new Error('not found'), { status: 404 });
    const isFailure = (error: unknown) => error !== notFound;
    const { breaker } = await openAndDue({ isFailure });
    await expect(breaker.execute(() => Promise.reject(notFound))).rejects.toBe(notFound);
    expect(breaker.state).toBe('closed');
    for (let i = 0; i < 3; i++) await breaker.execute(down).catch(() => {});
    expect(breaker.state).toBe('open');
  });

  it('counts results that isFailureResult says are failures, and passes them through', async () => {
    const { breaker } = setup({ maxFailures: 2, isFailureResult: (result) => result === 'busy' });
    await expect(breaker.execute(() => 'busy')).resolves.toBe('busy');
    await expect(breaker.execute(async () => 'busy')).resolves.toBe('busy');
    expect(breaker.state).toBe('open');
  });

  it('counts as if a predicate were not there when it throws', async () => {
    const throws = () => {
      throw new Error('a mistake');
    };
    const { breaker } = setup({ isFailure: throws, isFailureResult: throws });
    await expect(breaker.execute(() => 1)).resolves.toBe(1);
    await expect(breaker.execute(down)).rejects.toThrow('connection refused');
    expect(breaker.stats().failures).toBe(1);
  });

  it('leaves an error that nobody catches visible', async () => {
    const { breaker } = setup();
    const others = process.rawListeners('unhandledRejection') as NodeJS.UnhandledRejectionListener[];
    process.removeAllListeners('unhandledRejection');
    const seen = new Promise((resolve) => process.once('unhandledRejection', resolve));
    void breaker.execute(down);
    await expect(seen).resolves.toMatchObject({ message: 'connection refused' });
    for (const listener of others) process.on('unhandledRejection', listener);
  });
});

describe('a permit that is settled by the rules', () => {
  const options = {
    maxFailures: 1,
    isFailure: (error: unknown) => error !== 404,
    isFailureResult: (n: unknown) => n === 5,
  };

  it.each([
    ['a result that is a failure', (breaker: CircuitBreaker, permit: number) => breaker.resolved(permit, 5), 'open'],
    ['another result', (breaker: CircuitBreaker, permit: number) => breaker.resolved(permit, 2), 'closed'],
    ['an error that is a failure', (breaker: CircuitBreaker, permit: number) => breaker.rejected(permit, 500), 'open'],
    ['another error', (breaker: CircuitBreaker, permit: number) => breaker.rejected(permit, 404), 'closed'],
  ])('counts %s', (_, settle, state) => {
    const { breaker } = setup(options);
    settle(breaker, breaker.acquire());
    expect(breaker.state).toBe(state);
  });

  it('is released when the caller has gone away, whatever the error', async () => {
    const { breaker } = await openAndDue({ isFailure: () => true });
    breaker.rejected(breaker.acquire(), new Error('reset'), AbortSignal.abort());
    expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenActive: 0 });
  });
});

describe('a caller who goes away', () => {
  it('is not called for when gone already', async () => {
    const { breaker } = await openAndDue();
    const fn = vi.fn();
    const signal = AbortSignal.abort('gone');
    await expect(breaker.execute(fn, { signal })).rejects.toBe('gone');
    expect(fn).not.toHaveBeenCalled();
    expect(breaker.state).toBe('open');
  });

  it('counts as neither, whether the function listens, throws something else, or succeeds too late', async () => {
    const { breaker } = setup({ maxFailures: 2, isFailure: () => true });
    fail(breaker, 1);
    for (const end of ['reject', 'resolve'] as const) {
      const controller = new AbortController();
      const call = withResolvers<string>();
      const result = breaker.execute(() => call.promise, { signal: controller.signal });
      const reason = new Error('the client closed the connection');
      controller.abort(reason);
      call[end]('late');
      await expect(result).rejects.toBe(reason);
    }
    expect(breaker.stats()).toMatchObject({ state: 'closed', failures: 1 });
  });

  it('gets an answer at once and frees the place of a probe, even if the function never ends', async () => {
    const { breaker } = await openAndDue();
    const controller = new AbortController();
    const result = breaker.execute(never, { signal: controller.signal });
    expect(breaker.acquire()).toBe(0);
    controller.abort();
    await expect(result).rejects.toMatchObject({ name: 'AbortError' });
    expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenActive: 0 });
    expect(breaker.acquire()).toBeGreaterThan(0);
  });

  it('may go away from within the function, sync or async', async () => {
    const { breaker } = await openAndDue();
    for (const then of [never, down]) {
      const controller = new AbortController();
      const aborts = () => {
        controller.abort('changed my mind');
        return then();
      };
      await expect(breaker.execute(aborts, { signal: controller.signal })).rejects.toBe('changed my mind');
    }
    const controller = new AbortController();
    const throws = () => {
      controller.abort();
      throw new Error('stopped');
    };
    await expect(breaker.execute(throws, { signal: controller.signal })).rejects.toThrow('stopped');
    await expect(breaker.execute(() => 'too late', { signal: controller.signal })).rejects.toThrow('aborted');
    const late = new AbortController();
    const returns = () => {
      late.abort();
      return 'done';
    };
    await expect(breaker.execute(returns, { signal: late.signal })).resolves.toBe('done');
    expect(breaker.stats()).toMatchObject({ state: 'half-open', halfOpenActive: 0 });
  });

  it('counts as neither when only the error tells, unless isFailure says that it is a failure', async () => {
    const { breaker } = setup({ maxFailures: 1 });
    await breaker.execute(() => Promise.reject(abortError())).catch(() => {});
    expect(breaker.state).toBe('closed');
    const strict = new CircuitBreaker({ maxFailures: 1, isFailure: () => true });
    await strict.execute(() => Promise.reject(abortError())).catch(() => {});
    expect(strict.state).toBe('open');
    const { breaker: lenient } = await openAndDue({ isFailure: () => false });
    await lenient.execute(() => Promise.reject(abortError())).catch(() => {});
    expect(lenient.state).toBe('half-open');
  });

  it('may be the caller of many calls, which share one listener', async () => {
    const { breaker } = setup();
    const controller = new AbortController();
    const calls = Array.from({ length: 50 }, () => breaker.execute(never, { signal: controller.signal }));
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    controller.abort('gone');
    for (const call of calls) await expect(call).rejects.toBe('gone');
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('counts as usual when the caller stays, and leaves no listener behind', async () => {
    const { breaker } = setup({ maxFailures: 2 });
    const { signal } = new AbortController();
    const removed = vi.spyOn(signal, 'removeEventListener');
    const added = vi.spyOn(signal, 'addEventListener');
    await breaker.execute(down, { signal }).catch(() => {});
    await breaker.execute(async () => 1, { signal });
    await breaker.execute(() => 1, { signal });
    await breaker.execute(down, { signal }).catch(() => {});
    expect(breaker.stats()).toMatchObject({ state: 'closed', failures: 1 });
    await breaker.execute(down, { signal }).catch(() => {});
    expect(breaker.state).toBe('open');
    expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
      added.mock.calls.map(([, listener]) => listener),
    );
    expect(added).toHaveBeenCalledTimes(4);
  });
});

describe('a listener', () => {
  it('hears of every change of state, once, when it has happened', async () => {
    const changes: unknown[] = [];
    const { time, breaker } = setup({
      name: 'redis',
      onStateChange: (change) => changes.push([change.name, change.from, change.to, breaker.state]),
    });
    fail(breaker, 3);
    await time.advance(TIMEOUT);
    breaker.failed(breaker.acquire());
    await time.advance(TIMEOUT);
    breaker.succeeded(breaker.acquire());
    breaker.reset();
    expect(changes).toEqual([
      ['redis', 'closed', 'open', 'open'],
      ['redis', 'open', 'half-open', 'half-open'],
      ['redis', 'half-open', 'open', 'open'],
      ['redis', 'open', 'half-open', 'half-open'],
      ['redis', 'half-open', 'closed', 'closed'],
    ]);
  });

  it('that throws, at once or later, breaks nothing', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const throws = () => {
      throw new Error('a mistake');
    };
    for (const onStateChange of [throws, async () => throws()]) {
      const { breaker, time } = await openAndDue({ onStateChange });
      await expect(breaker.execute(() => 1)).resolves.toBe(1);
      expect(breaker.state).toBe('closed');
      await time.advance(1);
    }
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it('may use the breaker: its probe takes a place, its reset closes', async () => {
    let probe = 0;
    const prober = await openAndDue({
      onStateChange: ({ to }) => {
        if (to === 'half-open') probe = prober.breaker.acquire();
      },
    });
    expect(prober.breaker.acquire()).toBe(0);
    expect(probe).toBeGreaterThan(0);

    const resetter = await openAndDue({
      onStateChange: ({ to }) => {
        if (to === 'half-open') resetter.breaker.reset();
      },
    });
    await expect(resetter.breaker.execute(() => 'called')).resolves.toBe('called');
    fail(resetter.breaker, 3);
    await resetter.time.advance(TIMEOUT);
    expect(resetter.breaker.canExecute()).toBe(true);
    expect(resetter.breaker.state).toBe('closed');
  });
});

describe('the options of a breaker', () => {
  it.each([
    ['maxFailures', 0],
    ['maxFailures', 1.5],
    ['timeoutMs', -1],
    ['timeoutMs', Number.NaN],
    ['timeoutMs', Number.POSITIVE_INFINITY],
    ['timeoutMs', '3'],
    ['timeoutMs', null],
    ['quickTimeoutMs', '3'],
    ['maxHalfOpenRequests', 0],
    ['halfOpenSuccesses', Number.NaN],
  ])('are refused by name when they make no sense: %s %o', (option, value) => {
    expect(() => new CircuitBreaker({ [option]: value })).toThrow(InvalidOptionError);
    expect(() => new CircuitBreaker({ [option]: value })).toThrow(option);
  });

  it('may bring a way of counting of their own', () => {
    const strategy = () => ({ failures: 0, success() {}, failure: () => true, reset() {} });
    const breaker = new CircuitBreaker({ strategy });
    breaker.recordFailure();
    expect(breaker.state).toBe('open');
  });
});

function abortError(): Error {
  return new DOMException('This operation was aborted', 'AbortError');
}

function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((...settle) => {
    [resolve, reject] = settle;
  });
  return { promise, resolve, reject };
}
