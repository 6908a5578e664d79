import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { InvalidOptionError, isQueueFull } from '../errors.js';
import { SemaphoreThrottle } from './semaphore-throttle.js';
import { nullThrottle, type Throttle } from './throttle.js';

/** A call that runs until it is told how to end. */
class Call {
  started = false;
  finish!: (value: string) => void;
  fail!: (error: Error) => void;
  readonly #result = new Promise<string>((resolve, reject) => {
    this.finish = resolve;
    this.fail = reject;
  });

  readonly fn = (): Promise<string> => {
    this.started = true;
    return this.#result;
  };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe.each<[string, () => Throttle]>([
  ['the null throttle', () => nullThrottle],
  ['a semaphore', () => new SemaphoreThrottle(2)],
])('%s', (_name, make) => {
  it('gives what the function gives, be it asynchronous or not', async () => {
    const throttle = make();
    await expect(throttle.run(() => 1)).resolves.toBe(1);
    await expect(throttle.run(async () => 'two')).resolves.toBe('two');
  });

  it('passes on what the function throws, be it asynchronous or not', async () => {
    const throttle = make();
    const error = new Error('no');
    const sync = throttle.run(() => {
      throw error;
    });
    await expect(sync).rejects.toBe(error);
    await expect(throttle.run(() => Promise.reject(error))).rejects.toBe(error);
  });

  it('does not call the function when the caller has gone away before', async () => {
    const call = new Call();
    await expect(make().run(call.fn, { signal: AbortSignal.abort('gone') })).rejects.toBe('gone');
    expect(call.started).toBe(false);
  });

  it('calls the function at once when there is room', () => {
    const throttle = make();
    const calls = [new Call(), new Call()];
    for (const call of calls) void throttle.run(call.fn);
    expect(calls.every(({ started }) => started)).toBe(true);
  });
});

describe('the null throttle', () => {
  it('has room for everybody', () => {
    const calls = Array.from({ length: 1000 }, () => new Call());
    for (const call of calls) void nullThrottle.run(call.fn);
    expect(calls.every(({ started }) => started)).toBe(true);
  });
});

describe('a semaphore', () => {
  it('runs no more than its maximum at a time, and the others in the order in which they came', async () => {
    const throttle = new SemaphoreThrottle(2);
    const calls = Array.from({ length: 5 }, () => new Call());
    const results = calls.map((call) => throttle.run(call.fn));
    const started = () => calls.map((call) => (call.started ? 'x' : '-')).join('');
    expect(started()).toBe('xx---');
    expect([throttle.max, throttle.active, throttle.queued]).toEqual([2, 2, 3]);
    calls[1]?.finish('one');
    await settle();
    expect(started()).toBe('xxx--');
    expect([throttle.active, throttle.queued]).toEqual([2, 2]);
    for (const call of calls) call.finish('done');
    await expect(Promise.all(results)).resolves.toEqual(['done', 'one', 'done', 'done', 'done']);
    expect([throttle.active, throttle.queued]).toEqual([0, 0]);
  });

  it('frees the slot of a function that throws or rejects', async () => {
    const throttle = new SemaphoreThrottle(1);
    const error = new Error('no');
    const thrown = throttle.run(() => {
      throw error;
    });
    const rejected = throttle.run(() => Promise.reject(error));
    await expect(thrown).rejects.toBe(error);
    await expect(rejected).rejects.toBe(error);
    await expect(throttle.run(() => 'free')).resolves.toBe('free');
    expect(throttle.active).toBe(0);
  });

  it('hands a slot to the first who waits, not to whoever comes in between', async () => {
    const throttle = new SemaphoreThrottle(1);
    const release = await throttle.acquire();
    const [waiting, late] = [new Call(), new Call()];
    void throttle.run(waiting.fn);
    release();
    void throttle.run(late.fn);
    await settle();
    expect([waiting.started, late.started]).toEqual([true, false]);
  });

  it('gives the place of a caller who goes away to those behind', async () => {
    const throttle = new SemaphoreThrottle(1);
    const running = new Call();
    void throttle.run(running.fn);
    const caller = new AbortController();
    const [aborted, next] = [new Call(), new Call()];
    const rejection = expect(throttle.run(aborted.fn, { signal: caller.signal })).rejects.toBe('gone');
    void throttle.run(next.fn);
    caller.abort('gone');
    await rejection;
    expect(throttle.queued).toBe(1);
    running.finish('done');
    await settle();
    expect([aborted.started, next.started]).toEqual([false, true]);
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  });

  it('frees the slot again when the caller goes away just when it is handed over', async () => {
    const throttle = new SemaphoreThrottle(1);
    const release = await throttle.acquire();
    const caller = new AbortController();
    const call = new Call();
    const rejections = [
      expect(throttle.run(call.fn, { signal: caller.signal })).rejects.toBe('gone'),
      expect(throttle.acquire({ signal: caller.signal })).rejects.toBe('gone'),
    ];
    release();
    caller.abort('gone');
    await Promise.all(rejections);
    expect(call.started).toBe(false);
    expect([throttle.active, throttle.queued]).toEqual([0, 0]);
  });

  it('takes no slot for a caller who has gone away before', async () => {
    const throttle = new SemaphoreThrottle(1);
    await expect(throttle.acquire({ signal: AbortSignal.abort('gone') })).rejects.toBe('gone');
    expect(throttle.active).toBe(0);
  });

  it('does not interrupt what runs already', async () => {
    const throttle = new SemaphoreThrottle(1);
    const caller = new AbortController();
    const call = new Call();
    const result = throttle.run(call.fn, { signal: caller.signal });
    caller.abort();
    call.finish('done all the same');
    await expect(result).resolves.toBe('done all the same');
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  });

  it('turns away who finds the queue full, at once', async () => {
    const throttle = new SemaphoreThrottle(1, { maxQueue: 1 });
    const release = await throttle.acquire();
    const waiting = throttle.acquire();
    const call = new Call();
    expect(isQueueFull(await throttle.run(call.fn).catch((error: unknown) => error))).toBe(true);
    await expect(throttle.acquire()).rejects.toThrow('1 callers wait for a slot already');
    expect(call.started).toBe(false);
    release();
    (await waiting)();
    expect(throttle.active).toBe(0);
  });

  it('lets nobody wait with a queue of 0', async () => {
    const throttle = new SemaphoreThrottle(1, { maxQueue: 0 });
    await expect(throttle.run(() => 'alone')).resolves.toBe('alone');
    const release = await throttle.acquire();
    expect(isQueueFull(await throttle.acquire().catch((error: unknown) => error))).toBe(true);
    release();
  });

  it('frees a slot once, however often it is released', async () => {
    const throttle = new SemaphoreThrottle(2);
    const release = await throttle.acquire();
    await throttle.acquire();
    release();
    release();
    expect(throttle.active).toBe(1);
    await throttle.acquire();
    release();
    expect(throttle.active).toBe(2);
  });

  it('refuses wrong options', () => {
    for (const max of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => new SemaphoreThrottle(max)).toThrow(InvalidOptionError);
    }
    expect(() => new SemaphoreThrottle(1, { maxQueue: -1 })).toThrow(/maxQueue/);
  });
});
