import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { InvalidOptionError, isRateLimitExceeded } from '../errors.js';
import { ManualTime } from '../testing/manual-time.js';
import { PerSourceLimiter, type PerSourceLimiterOptions } from './per-source-limiter.js';

const NUGET = 'https://api.nuget.org/v3/index.json';
const OTHER = 'https://feed.example/v3/index.json';

function limiterAt(time: ManualTime, options: PerSourceLimiterOptions = {}): PerSourceLimiter {
  return new PerSourceLimiter({ clock: time.clock, timers: time, ...options });
}

describe('a limiter per source', () => {
  it('keeps sources apart', () => {
    const limiter = limiterAt(new ManualTime(), { capacity: 10, refillRate: 10 });
    for (let i = 0; i < 10; i++) expect(limiter.allow(NUGET)).toBe(true);
    expect(limiter.allow(NUGET)).toBe(false);
    expect(limiter.allowN(OTHER, 10)).toBe(true);
    expect(limiter.allowN(OTHER, 1)).toBe(false);
  });

  it('makes a bucket when its source is first used', () => {
    const limiter = limiterAt(new ManualTime());
    expect(limiter.getAllStats().size).toBe(0);
    expect(limiter.getStats(NUGET)).toBeUndefined();
    expect(limiter.getAllStats().size).toBe(0);
    expect(limiter.allow(NUGET)).toBe(true);
    expect(limiter.getStats(NUGET)).toEqual({ capacity: 100, refillRate: 50, tokens: 99, waiting: 0 });
  });

  it('shows all sources, whatever their names', () => {
    const limiter = limiterAt(new ManualTime());
    const sources = [NUGET, OTHER, '', '__proto__'];
    for (const [i, source] of sources.entries()) limiter.allowN(source, i);
    expect([...limiter.getAllStats()].map(([source, { tokens }]) => [source, tokens])).toEqual(
      sources.map((source, i) => [source, 100 - i]),
    );
  });

  it('lets callers wait, each for its own source', async () => {
    const time = new ManualTime();
    const limiter = limiterAt(time, { capacity: 2, refillRate: 10, initialTokens: 0 });
    const caller = new AbortController();
    const left = expect(limiter.wait(OTHER, { signal: caller.signal })).rejects.toBe('gone');
    const served: string[] = [];
    void limiter.waitN(NUGET, 2).then(() => served.push('two'));
    void limiter.wait(OTHER).then(() => served.push('one'));
    caller.abort('gone');
    await left;
    await time.advance(100);
    expect(served).toEqual(['one']);
    await time.advance(100);
    expect(served).toEqual(['one', 'two']);
    expect(isRateLimitExceeded(await limiter.waitN(NUGET, 3).catch((error: unknown) => error))).toBe(true);
  });

  it('listens to a signal once, however many sources somebody waits for under it', async () => {
    const limiter = limiterAt(new ManualTime(), { capacity: 1, initialTokens: 0, maxQueue: 2 });
    const caller = new AbortController();
    const { signal } = caller;
    const waits = Array.from({ length: 40 }, (_, i) => limiter.wait(`${OTHER}?${i % 20}`, { signal }));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    caller.abort('gone');
    expect(new Set(await Promise.all(waits.map((wait) => wait.catch((reason: unknown) => reason))))).toEqual(
      new Set(['gone']),
    );
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    expect([...limiter.getAllStats().values()].every(({ waiting }) => waiting === 0)).toBe(true);
  });

  it('refuses wrong options when it is made', () => {
    expect(() => new PerSourceLimiter({ capacity: 0 })).toThrow(InvalidOptionError);
    for (const maxSources of [0, 1.5, Number.POSITIVE_INFINITY]) {
      expect(() => new PerSourceLimiter({ maxSources })).toThrow(/maxSources must be/);
    }
  });
});

describe('a limiter with more sources than it may remember', () => {
  it('forgets those first that are full again', async () => {
    const time = new ManualTime();
    const limiter = limiterAt(time, { capacity: 10, refillRate: 10, maxSources: 3 });
    limiter.allowN('empty', 10);
    limiter.allowN('nearly full', 2);
    limiter.allowN('full', 1);
    await time.advance(100);
    limiter.allow('new');
    expect([...limiter.getAllStats().keys()]).toEqual(['empty', 'nearly full', 'new']);
    expect(limiter.getStats('empty')?.tokens).toBe(1);
  });

  it('still serves those who wait for a source that had to go', async () => {
    const time = new ManualTime();
    const limiter = limiterAt(time, { capacity: 1, refillRate: 10, maxSources: 1 });
    limiter.allow('first');
    let served = false;
    void limiter.wait('first').then(() => {
      served = true;
    });
    limiter.allow('second');
    expect([...limiter.getAllStats().keys()]).toEqual(['second']);
    await time.advance(100);
    expect(served).toBe(true);
    expect(time.pending).toBe(0);
  });

  it('keeps nothing of 100,000 sources but the last', async () => {
    const time = new ManualTime();
    const limiter = limiterAt(time, { capacity: 2, refillRate: 1000 });
    const callers: AbortController[] = [];
    const left: Promise<unknown>[] = [];
    for (let i = 0; i < 100_000; i++) {
      const source = `https://feed-${i}.example`;
      expect(limiter.allowN(source, 2)).toBe(true);
      if (i % 100 > 0) continue;
      const caller = new AbortController();
      callers.push(caller);
      left.push(limiter.wait(source, { signal: caller.signal }).catch(() => 'left'));
    }
    expect(time.pending).toBe(1000);
    for (const caller of callers) caller.abort();
    expect(new Set(await Promise.all(left))).toEqual(new Set(['left']));
    expect(time.pending).toBe(0);
    expect(limiter.getAllStats().size).toBe(1000);
    expect(limiter.getStats('https://feed-99999.example')).toBeDefined();
  });
});
