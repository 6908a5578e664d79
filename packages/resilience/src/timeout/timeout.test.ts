import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isTimeout } from '../errors.js';
import type { CallContext } from '../pipeline/call-scope.js';
import { ManualTime } from '../testing/index.js';
import { CoarseTimers } from './coarse-timers.js';
import { withTimeout } from './timeout.js';

const never = () => new Promise<never>(() => {});

/** What became of a promise so far. */
function outcomeOf(promise: Promise<unknown>): { state: string; value?: unknown } {
  const outcome: { state: string; value?: unknown } = { state: 'pending' };
  promise.then(
    (value) => Object.assign(outcome, { state: 'fulfilled', value }),
    (value) => Object.assign(outcome, { state: 'rejected', value }),
  );
  return outcome;
}

describe('a call with a timeout', () => {
  let time: ManualTime;
  const unhandled = vi.fn();

  beforeEach(() => {
    time = new ManualTime();
    unhandled.mockReset();
    process.on('unhandledRejection', unhandled);
  });

  afterEach(() => {
    vi.unstubAllGlobals();
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(time.pending).toBe(0);
  });

  it('gives the result and takes its timer back', async () => {
    expect(await withTimeout(async () => 'done', 100, { timers: time })).toBe('done');
    expect(time.pending).toBe(0);
  });

  it('takes synchronous functions and foreign promises', async () => {
    expect(await withTimeout(() => 1, 100, { timers: time })).toBe(1);
    // biome-ignore lint/suspicious/noThenProperty: a foreign promise is what this is about
    const foreign = { then: (done: (value: number) => void) => done(2) } as PromiseLike<number>;
    expect(await withTimeout(() => foreign, 100, { timers: time })).toBe(2);
  });

  it('passes what the function throws through unchanged, thrown or rejected', async () => {
    const error = new Error('from inside');
    await expect(withTimeout(() => Promise.reject(error), 100, { timers: time })).rejects.toBe(error);
    const throwing = () => {
      throw error;
    };
    await expect(withTimeout(throwing, 100, { timers: time })).rejects.toBe(error);
  });

  it('is rejected at the deadline, not before, even if the function ignores its signal', async () => {
    const outcome = outcomeOf(withTimeout(never, 100, { timers: time }));
    await time.advance(99);
    expect(outcome.state).toBe('pending');
    await time.advance(1);
    expect(isTimeout(outcome.value)).toBe(true);
    expect(outcome.value).toMatchObject({ timeoutMs: 100 });
  });

  it('tells each function in its own async context, though the timers are those of all', async () => {
    const caller = new AsyncLocalStorage<string>();
    const timers = new CoarseTimers({ clock: time.clock, timers: time });
    const heard: unknown[] = [];
    const calls = ['a', 'b'].map((name) => {
      const call = ({ signal }: CallContext) => {
        signal.addEventListener('abort', () => heard.push([name, caller.getStore()]));
        return never();
      };
      return caller.run(name, () => outcomeOf(withTimeout(call, 100, { timers })));
    });
    await time.advance(200);
    expect(calls.map(({ state }) => state)).toEqual(['rejected', 'rejected']);
    expect(heard).toEqual([
      ['a', 'a'],
      ['b', 'b'],
    ]);
  });

  it('tells the function to stop, with the same error', async () => {
    let signal: AbortSignal | undefined;
    const outcome = outcomeOf(
      withTimeout(
        (context) => {
          signal = context.signal;
          return never();
        },
        100,
        { timers: time },
      ),
    );
    expect(signal?.aborted).toBe(false);
    await time.advance(100);
    expect(signal?.aborted).toBe(true);
    expect(signal?.reason).toBe(outcome.value);
  });

  it('gives a signal that is aborted already to who reads it after the deadline', async () => {
    let context: CallContext | undefined;
    const outcome = outcomeOf(
      withTimeout(
        (given) => {
          context = given;
          return never();
        },
        100,
        { timers: time },
      ),
    );
    await time.advance(100);
    expect(context?.signal.aborted).toBe(true);
    expect(context?.signal.reason).toBe(outcome.value);
  });

  it.each(['resolves', 'rejects'])('ignores a function that %s too late', async (how) => {
    const fn = () =>
      new Promise((resolve, reject) => {
        time.setTimeout(() => (how === 'resolves' ? resolve('late') : reject(new Error('late'))), 150);
      });
    const outcome = outcomeOf(withTimeout(fn, 100, { timers: time }));
    await time.advance(200);
    expect(isTimeout(outcome.value)).toBe(true);
  });

  it('makes no AbortController unless the signal is read', async () => {
    const made = vi.fn();
    class Counted extends AbortController {
      constructor() {
        super();
        made();
      }
    }
    vi.stubGlobal('AbortController', Counted);
    await withTimeout(async () => 1, 100, { timers: time });
    expect(made).not.toHaveBeenCalled();
    await withTimeout(async ({ signal }) => signal.aborted, 100, { timers: time });
    expect(made).toHaveBeenCalledTimes(1);
  });

  describe('of a caller with a signal', () => {
    it('is rejected at once when the caller aborts, and the function is told', async () => {
      const caller = new AbortController();
      let inner: AbortSignal | undefined;
      const outcome = outcomeOf(
        withTimeout(
          ({ signal }) => {
            inner = signal;
            return never();
          },
          100,
          { timers: time, signal: caller.signal },
        ),
      );
      const reason = new Error('the caller left');
      caller.abort(reason);
      expect(inner?.reason).toBe(reason);
      await time.advance(0);
      expect(outcome).toEqual({ state: 'rejected', value: reason });
    });

    it('is not made when the caller has gone before', async () => {
      const fn = vi.fn();
      const signal = AbortSignal.abort('gone');
      await expect(withTimeout(fn, 100, { timers: time, signal })).rejects.toBe('gone');
      expect(fn).not.toHaveBeenCalled();
    });

    it('is rejected when the function itself makes the caller abort', async () => {
      const caller = new AbortController();
      const call = withTimeout(
        () => {
          caller.abort('by the way');
          return never();
        },
        100,
        { timers: time, signal: caller.signal },
      );
      await expect(call).rejects.toBe('by the way');
    });

    it('leaves the caller’s signal alone when the time is up', async () => {
      const caller = new AbortController();
      const outcome = outcomeOf(withTimeout(never, 100, { timers: time, signal: caller.signal }));
      await time.advance(100);
      expect(isTimeout(outcome.value)).toBe(true);
      expect(caller.signal.aborted).toBe(false);
    });

    it.each([
      ['succeeded', async () => 1],
      ['failed', () => Promise.reject(new Error('no'))],
      ['taken too long', never],
    ])('has no listener left when it has %s', async (_, fn) => {
      const { signal } = new AbortController();
      const added = vi.spyOn(signal, 'addEventListener');
      const removed = vi.spyOn(signal, 'removeEventListener');
      const outcome = outcomeOf(withTimeout<unknown>(fn, 100, { timers: time, signal }));
      expect(added).toHaveBeenCalledTimes(1);
      await time.advance(100);
      expect(outcome.state).not.toBe('pending');
      expect(removed.mock.calls.map(([, listener]) => listener)).toContain(added.mock.calls[0]?.[1]);
    });
  });

  it('runs on shared timers by default', async () => {
    await expect(withTimeout(never, 1)).rejects.toSatisfy(isTimeout);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '5'])('refuses %o ms', async (ms) => {
    await expect(withTimeout(never, ms as number, { timers: time })).rejects.toThrow(/^ms must be/);
  });

  it('says that a text is one', async () => {
    const call = withTimeout(never, '5' as never);
    await expect(call).rejects.toThrow("ms must be a number above 0 and at most 2147483647, but is '5'");
  });
});
