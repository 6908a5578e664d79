import { describe, expect, it } from 'vitest';
import { SourceCacheContext } from './source-cache-context.js';

describe('a cache context', () => {
  it('believes what is 30 minutes old, and has a session of its own', () => {
    const context = new SourceCacheContext();
    expect(context).toMatchObject({
      maxAgeMs: 1_800_000,
      effectiveMaxAgeMs: 1_800_000,
      noCache: false,
      directDownload: false,
      refreshMemoryCache: false,
    });
    expect(context.sessionId).not.toBe(new SourceCacheContext().sessionId);
  });

  it('takes nothing from a cache with noCache or directDownload, whatever its age', () => {
    expect(new SourceCacheContext({ noCache: true, maxAgeMs: 5 }).effectiveMaxAgeMs).toBe(0);
    expect(new SourceCacheContext({ directDownload: true, maxAgeMs: 5 }).effectiveMaxAgeMs).toBe(0);
  });

  it('believes for 30 s what says that something is missing, where older answers count at all', () => {
    const context = new SourceCacheContext();
    expect(context.forMissing()).toMatchObject({ maxAgeMs: 30_000, sessionId: context.sessionId });
    expect(context.forMissing(7)?.maxAgeMs).toBe(7);
    expect(context.forMissing(0)).toBeUndefined();
    expect(new SourceCacheContext({ maxAgeMs: 30_000 }).forMissing()).toBeUndefined();
    expect(new SourceCacheContext({ noCache: true }).forMissing()).toBeUndefined();
  });

  it('keeps its session and its other rules when one of them changes', () => {
    const context = new SourceCacheContext({ maxAgeMs: 7, sessionId: 'a.b' });
    expect(context.with({ refreshMemoryCache: true })).toMatchObject({
      maxAgeMs: 7,
      sessionId: 'a.b',
      refreshMemoryCache: true,
    });
  });

  it.each([{ maxAgeMs: -1 }, { maxAgeMs: Number.NaN }, { sessionId: '' }, { sessionId: 'a\r\nb: c' }])(
    'refuses %j',
    (options) => {
      expect(() => new SourceCacheContext(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    },
  );
});
