import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { InvalidOptionError, isQueueFull, isRateLimitExceeded } from '../errors.js';
import { ManualTime } from '../testing/manual-time.js';
import type { Timers } from '../time.js';
import { TokenBucket, type TokenBucketOptions } from './token-bucket.js';

function bucketAt(time: ManualTime, options: TokenBucketOptions = {}): TokenBucket {
  return new TokenBucket({ clock: time.clock, timers: time, ...options });
}

/** How many single tokens can be had at this moment. */
function drain(bucket: TokenBucket): number {
  let count = 0;
  while (bucket.allow()) count++;
  return count;
}

/** Timers that note what they were set to. */
function watched(time: ManualTime): { readonly asked: number[]; readonly timers: Timers } {
  const asked: number[] = [];
  const setTimeout = (callback: () => void, ms: number) => {
    asked.push(ms);
    return time.setTimeout(callback, ms);
  };
  return { asked, timers: { setTimeout, clearTimeout: (handle) => time.clearTimeout(handle) } };
}

/** Notes when, and in which order, promises are fulfilled. */
class Arrivals {
  readonly list: [name: string, atMs: number][] = [];
  readonly #time: ManualTime;
  readonly #start: number;

  constructor(time: ManualTime) {
    this.#time = time;
    this.#start = time.clock();
  }

  note(name: string, promise: Promise<void>): void {
    promise.then(
      () => this.list.push([name, this.#time.clock() - this.#start]),
      () => this.list.push([`${name} rejected`, this.#time.clock() - this.#start]),
    );
  }
}

const reasonOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('fulfilled'),
    (reason: unknown) => reason,
  );

describe('a token bucket', () => {
  it('admits as many as it holds and then nobody', () => {
    expect(drain(bucketAt(new ManualTime(), { capacity: 10, refillRate: 10 }))).toBe(10);
  });

  it('is refilled steadily, and never above its capacity', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 10, refillRate: 10, initialTokens: 0 });
    expect(bucket.allow()).toBe(false);
    await time.advance(99);
    expect(bucket.allow()).toBe(false);
    await time.advance(1);
    expect(drain(bucket)).toBe(1);
    await time.advance(1000);
    expect(drain(bucket)).toBe(10);
    await time.advance(3_600_000);
    expect(drain(bucket)).toBe(10);
  });

  it('lets a burst of its capacity through, then one at a time', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 100, refillRate: 10 });
    expect(drain(bucket)).toBe(100);
    await time.advance(110);
    expect(bucket.allow()).toBe(true);
    expect(bucket.allow()).toBe(false);
  });

  it('takes several tokens or none', () => {
    const bucket = bucketAt(new ManualTime(), { capacity: 10, refillRate: 10 });
    expect(bucket.allowN(5)).toBe(true);
    expect(bucket.allowN(6)).toBe(false);
    expect(bucket.allowN(5)).toBe(true);
    expect(bucket.allowN(1)).toBe(false);
    expect(bucket.allowN(0)).toBe(true);
    void bucket.wait();
    expect([bucket.allowN(0), bucket.waiting]).toEqual([true, 1]);
    expect(bucketAt(new ManualTime(), { capacity: 10 }).allowN(11)).toBe(false);
  });

  it('starts full unless told otherwise, empty with 0 tokens, and holds no more than its capacity', () => {
    const tokens = (options: TokenBucketOptions) => bucketAt(new ManualTime(), { capacity: 10, ...options }).tokens;
    expect(tokens({})).toBe(10);
    expect(tokens({ initialTokens: undefined })).toBe(10);
    expect(tokens({ initialTokens: 0 })).toBe(0);
    expect(tokens({ initialTokens: 2.5 })).toBe(2.5);
    expect(tokens({ initialTokens: 11 })).toBe(10);
  });

  it('holds 100 tokens and gets 50 a second by default', () => {
    expect(new TokenBucket().stats()).toEqual({ capacity: 100, refillRate: 50, tokens: 100, waiting: 0 });
  });

  it('shows its tokens, with the part of the next one', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 100, refillRate: 50, initialTokens: 75 });
    expect(bucket.stats()).toEqual({ capacity: 100, refillRate: 50, tokens: 75, waiting: 0 });
    bucket.allowN(50);
    await time.advance(10);
    expect(bucket.tokens).toBe(25.5);
    void bucket.waitN(100);
    expect(bucket.stats().waiting).toBe(1);
  });

  it('loses nothing to rounding, however often and however late it is asked', async () => {
    const time = new ManualTime();
    const slow = bucketAt(time, { capacity: 1_000_000, refillRate: 1 / 3600, initialTokens: 500_000 });
    let admitted = 0;
    for (let i = 0; i < 10_000; i++) {
      await time.advance(0.72); // a refill that is lost when it is added to half a million
      if (slow.allowN(500_000)) admitted++;
    }
    expect(admitted).toBe(1);
    expect(slow.tokens).toBeCloseTo(0.002, 9);
    await time.advance(100 * 365 * 86_400_000);
    expect(slow.tokens).toBeCloseTo(876_000.002, 6);
  });

  it('is idle when it is full and nobody waits', async () => {
    const time = new ManualTime();
    let now = 0;
    const bucket = bucketAt(time, { capacity: 2, refillRate: 10, clock: () => now });
    expect(bucket.idle).toBe(true);
    bucket.allow();
    now += 99;
    expect(bucket.idle).toBe(false);
    now += 1;
    expect(bucket.idle).toBe(true);
    await bucket.waitN(2);
    void bucket.wait();
    now += 1000; // the timer is late
    expect(bucket.idle).toBe(false);
    await time.advance(100);
    expect(bucket.waiting).toBe(0);
  });

  it('works with the clock and the timers of Node, and is never early', async () => {
    const bucket = new TokenBucket({ capacity: 1, refillRate: 150, initialTokens: 0 });
    const start = performance.now();
    for (let i = 0; i < 3; i++) await bucket.wait();
    expect(performance.now() - start).toBeGreaterThanOrEqual(19.99);
  });

  it.each([
    ['capacity', { capacity: 0 }],
    ['capacity', { capacity: 1.5 }],
    ['capacity', { capacity: 1e9 + 1 }],
    ['refillRate', { refillRate: -1 }],
    ['refillRate', { refillRate: Number.POSITIVE_INFINITY }],
    ['initialTokens', { initialTokens: -1 }],
    ['initialTokens', { initialTokens: Number.NaN }],
    ['maxQueue', { maxQueue: -1 }],
    ['maxQueue', { maxQueue: 0.5 }],
    ['maxWaitMs', { maxWaitMs: -1 }],
    ['maxWaitMs', { maxWaitMs: Number.NaN }],
    ['initialTokens', { initialTokens: '5' as never }],
    ['maxWaitMs', { maxWaitMs: null as never }],
  ])('refuses a wrong %s: %o', (name, options) => {
    expect(() => new TokenBucket(options)).toThrow(InvalidOptionError);
    expect(() => new TokenBucket(options)).toThrow(name);
  });

  it('holds up to a billion tokens', () => {
    expect(bucketAt(new ManualTime(), { capacity: 1e9 }).allowN(1e9)).toBe(true);
  });

  it('refuses numbers of tokens that are none', async () => {
    const bucket = bucketAt(new ManualTime());
    for (const n of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => bucket.allowN(n)).toThrow(InvalidOptionError);
      await expect(bucket.waitN(n)).rejects.toThrow(InvalidOptionError);
    }
  });
});

describe('a caller who waits for tokens', () => {
  it('does not wait when they are there', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 10 });
    await bucket.wait();
    await bucket.waitN(9);
    await bucket.waitN(0);
    expect(bucket.tokens).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('is woken exactly when they are there', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 10, refillRate: 100, initialTokens: 0 });
    const arrivals = new Arrivals(time);
    arrivals.note('one', bucket.wait());
    arrivals.note('two more', bucket.waitN(2));
    await time.advance(1000);
    expect(arrivals.list).toEqual([
      ['one', 10],
      ['two more', 30],
    ]);
  });

  it('is served in order, and a later small wish does not pass an earlier big one', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 10, refillRate: 10, initialTokens: 5 });
    const arrivals = new Arrivals(time);
    arrivals.note('ten', bucket.waitN(10));
    arrivals.note('one', bucket.wait());
    expect(bucket.allow()).toBe(false);
    expect(bucket.allowN(2)).toBe(false);
    await time.advance(1000);
    expect(arrivals.list).toEqual([
      ['ten', 500],
      ['one', 600],
    ]);
  });

  it('is not served early when the tokens come in fractions of a millisecond', async () => {
    const time = new ManualTime();
    const { asked, timers } = watched(time);
    const bucket = bucketAt(time, { capacity: 10, refillRate: 3, initialTokens: 0, timers });
    const arrivals = new Arrivals(time);
    for (const name of ['a', 'b', 'c']) arrivals.note(name, bucket.wait());
    await time.advance(2000);
    expect(asked).toEqual([334, 333, 333]);
    expect(arrivals.list).toEqual([
      ['a', 334],
      ['b', 667],
      ['c', 1000],
    ]);
  });

  it('is not served early when the timer rings early', async () => {
    const time = new ManualTime();
    const hasty: Timers = {
      setTimeout: (callback, ms) => time.setTimeout(callback, ms * 0.9),
      clearTimeout: (handle) => time.clearTimeout(handle),
    };
    const bucket = bucketAt(time, { refillRate: 10, initialTokens: 0, timers: hasty });
    const arrivals = new Arrivals(time);
    arrivals.note('a', bucket.wait());
    await time.advance(99.9);
    expect(arrivals.list).toEqual([]);
    await time.advance(1);
    expect(arrivals.list).toHaveLength(1);
  });

  it('shares one timer with all others, and leaves none behind', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 100, refillRate: 1000, initialTokens: 0 });
    for (let i = 0; i < 1000; i++) void bucket.wait();
    expect(time.pending).toBe(1);
    await time.advance(999);
    expect(bucket.waiting).toBe(1);
    expect(time.pending).toBe(1);
    await time.advance(1);
    expect(bucket.waiting).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('is served after months too, though timers reach no further than 25 days', async () => {
    const time = new ManualTime();
    const { asked, timers } = watched(time);
    const bucket = bucketAt(time, { refillRate: 1e-7, initialTokens: 0, timers });
    const arrivals = new Arrivals(time);
    arrivals.note('patient', bucket.wait());
    await time.advance(1e10 - 1);
    expect(arrivals.list).toEqual([]);
    await time.advance(2);
    expect(arrivals.list).toHaveLength(1);
    expect(Math.max(...asked)).toBe(2 ** 31 - 1);
  });

  it('who asks for more than the capacity is turned away at once', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 10 });
    const reason = await reasonOf(bucket.waitN(11));
    expect(isRateLimitExceeded(reason)).toBe(true);
    expect(String(reason)).toContain('11 tokens');
    expect(bucket.tokens).toBe(10);
  });

  it('is turned away at once when no token ever comes back', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 2, refillRate: 0 });
    await bucket.waitN(2);
    expect(isRateLimitExceeded(await reasonOf(bucket.wait()))).toBe(true);
    await bucket.waitN(0);
    expect(time.pending).toBe(0);
  });

  it('is turned away at once when so many wait already', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { initialTokens: 0, maxQueue: 2 });
    const leaving = new AbortController();
    const left = reasonOf(bucket.wait({ signal: leaving.signal }));
    void bucket.wait();
    expect(isQueueFull(await reasonOf(bucket.wait()))).toBe(true);
    leaving.abort();
    await left;
    void bucket.wait();
    expect(bucket.waiting).toBe(2);
    const impatient = bucketAt(time, { initialTokens: 1, maxQueue: 0 });
    await impatient.wait();
    expect(isQueueFull(await reasonOf(impatient.wait()))).toBe(true);
  });

  it('is turned away at once when those before leave too little for the longest wait allowed', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 10, refillRate: 10, initialTokens: 0, maxWaitMs: 500 });
    void bucket.waitN(4);
    const reason = await reasonOf(bucket.waitN(2));
    expect(isRateLimitExceeded(reason)).toBe(true);
    expect(String(reason)).toContain('600 ms');
    const arrivals = new Arrivals(time);
    arrivals.note('just', bucket.wait());
    await time.advance(500);
    expect(arrivals.list).toEqual([['just', 500]]);
    const caller = new AbortController();
    const left = reasonOf(bucket.waitN(5, { signal: caller.signal }));
    caller.abort();
    await left;
    arrivals.note('with nobody before', bucket.waitN(5));
    await time.advance(500);
    expect(arrivals.list[1]).toEqual(['with nobody before', 1000]);
  });

  it('waits only for what is missing, which is what the longest wait allowed is compared with', async () => {
    const bucket = bucketAt(new ManualTime(), { capacity: 10, refillRate: 10, initialTokens: 3, maxWaitMs: 100 });
    expect(String(await reasonOf(bucket.waitN(5)))).toContain('200 ms');
    void bucket.waitN(4);
    expect(bucket.waiting).toBe(1);
  });

  it('may be told never to wait', async () => {
    const bucket = bucketAt(new ManualTime(), { capacity: 1, maxWaitMs: 0 });
    await bucket.wait();
    expect(isRateLimitExceeded(await reasonOf(bucket.wait()))).toBe(true);
  });

  it('keeps being served when nobody holds the bucket any more', async () => {
    const time = new ManualTime();
    const arrivals = new Arrivals(time);
    arrivals.note('a', bucketAt(time, { refillRate: 10, initialTokens: 0 }).wait());
    await time.advance(100);
    expect(arrivals.list).toEqual([['a', 100]]);
  });
});

describe('a caller who goes away', () => {
  it('gets the reason of the signal', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { refillRate: 1, initialTokens: 0 });
    const caller = new AbortController();
    const rejection = reasonOf(bucket.wait({ signal: caller.signal }));
    await time.advance(100);
    caller.abort(new Error('enough'));
    expect(await rejection).toEqual(new Error('enough'));
    expect(bucket.waiting).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('takes no token when gone before asking', async () => {
    const bucket = bucketAt(new ManualTime(), { capacity: 10 });
    await expect(bucket.wait({ signal: AbortSignal.abort('gone') })).rejects.toBe('gone');
    expect(bucket.tokens).toBe(10);
  });

  it('lets those behind move up', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 10, refillRate: 10, initialTokens: 0 });
    const arrivals = new Arrivals(time);
    const [first, middle] = [new AbortController(), new AbortController()];
    arrivals.note('first', bucket.waitN(5, { signal: first.signal }));
    arrivals.note('second', bucket.wait());
    arrivals.note('third', bucket.waitN(4, { signal: middle.signal }));
    arrivals.note('fourth', bucket.wait());
    await time.advance(50);
    middle.abort();
    first.abort();
    await time.advance(1000);
    expect(arrivals.list).toEqual([
      ['third rejected', 50],
      ['first rejected', 50],
      ['second', 100],
      ['fourth', 200],
    ]);
  });

  it('makes room at once for whoever wants no more than is there', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: 10, refillRate: 1, initialTokens: 5 });
    const arrivals = new Arrivals(time);
    const big = new AbortController();
    arrivals.note('big', bucket.waitN(10, { signal: big.signal }));
    arrivals.note('small', bucket.waitN(2));
    arrivals.note('next', bucket.waitN(4));
    big.abort();
    await time.advance(0);
    expect(arrivals.list).toEqual([
      ['big rejected', 0],
      ['small', 0],
    ]);
    await time.advance(1000);
    expect(arrivals.list[2]).toEqual(['next', 1000]);
  });

  it('leaves no listener at the signal, and neither does one who was served', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { refillRate: 1000, initialTokens: 0 });
    const { signal } = new AbortController();
    const served = [bucket.wait({ signal }), bucket.wait({ signal })];
    await time.advance(1);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await time.advance(1);
    await Promise.all(served);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);

    const caller = new AbortController();
    const left = reasonOf(bucket.wait({ signal: caller.signal }));
    caller.abort();
    await left;
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  });

  it('is heard at the second wait with a signal too', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { refillRate: 1000, initialTokens: 0 });
    const caller = new AbortController();
    const first = bucket.wait({ signal: caller.signal });
    await time.advance(1);
    await first;
    const second = reasonOf(bucket.wait({ signal: caller.signal }));
    caller.abort('gone');
    expect(await second).toBe('gone');
  });

  it('shares one listener with all who have the same signal', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { initialTokens: 0 });
    const batch = new AbortController();
    const waits = Array.from({ length: 50 }, () => reasonOf(bucket.wait({ signal: batch.signal })));
    void bucket.wait();
    expect(getEventListeners(batch.signal, 'abort')).toHaveLength(1);
    batch.abort('all of them');
    expect(new Set(await Promise.all(waits))).toEqual(new Set(['all of them']));
    expect(bucket.waiting).toBe(1);
  });
});

describe('a queue of 100,000 callers', () => {
  const COUNT = 100_000;

  // With a cost per caller that grows with the queue, these take minutes.
  it('is joined, left in any order and served quickly', async () => {
    const time = new ManualTime();
    const bucket = bucketAt(time, { capacity: COUNT, refillRate: COUNT, initialTokens: 0, maxQueue: COUNT });
    const batch = new AbortController();
    const callers = Array.from({ length: COUNT / 10 }, () => new AbortController());
    let served = 0;
    let left = 0;
    const note = (promise: Promise<void>) =>
      promise.then(
        () => served++,
        () => left++,
      );
    for (let i = 0; i < COUNT; i++) {
      const signal = i % 10 === 0 ? callers[i / 10]?.signal : i % 2 === 0 ? batch.signal : undefined;
      void note(bucket.wait({ signal }));
    }
    for (const caller of callers.reverse()) caller.abort();
    expect(bucket.waiting).toBe(COUNT - COUNT / 10);
    batch.abort();
    expect(bucket.waiting).toBe(COUNT / 2);
    await time.advance(1000);
    expect([served, left]).toEqual([COUNT / 2, COUNT / 2]);
    expect(time.pending).toBe(0);
  }, 20_000);
});
