import { MemoryLayer } from '@granary/cache';
import { HttpClient } from '@granary/http';
import { NuGetVersion, SourceError } from '@granary/nuget';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FeedUnderTest, identityOf, metadataOf, type OpenOptions, PlayedUpstream } from '../testing/feed-under-test.js';
import type { Kept } from './kept-values.js';

const MINUTE = 60_000;
const YEAR = 365 * 24 * 60 * MINUTE;
const V1 = NuGetVersion.parse('1.0.0');
const V2 = NuGetVersion.parse('2.0.0');
const DOWN = () => Promise.reject(new SourceError('SOURCE_UNAVAILABLE', 'up', 'it is down'));

let local: FeedUnderTest;
let upstream: PlayedUpstream;

beforeEach(async () => {
  local = await FeedUnderTest.start((options) => new HttpClient(options));
  upstream = new PlayedUpstream();
});
afterEach(async () => {
  await local[Symbol.asyncDispose]();
});

describe('an answer that was kept with a longer lifetime than it has now', () => {
  it('is asked for again', async () => {
    const layers = [local.layer()];
    upstream.play.listVersions = async () => [V1];
    upstream.play.listMetadata = async () => [];
    const before = local.feed({ upstream, layers, versionsTtlMs: YEAR, notFoundTtlMs: YEAR });
    await before.versions('a');
    await before.records('none');
    await local.time.advance(10 * MINUTE);
    upstream.play.listVersions = async () => [V1, V2];
    upstream.play.listMetadata = async () => [metadataOf('none', '1.0.0')];
    const feed = local.feed({ upstream, layers });
    expect(await feed.versions('a')).toMatchObject({ state: 'miss', value: [{}, { version: '2.0.0' }] });
    expect(await feed.versions('a')).toMatchObject({ state: 'hit' });
    expect(await feed.records('none')).toMatchObject({ state: 'miss' });
  });

  it('is given all the same when the source is down', async () => {
    const layers = [local.layer()];
    upstream.play.listVersions = async () => [V1];
    await local.feed({ upstream, layers, versionsTtlMs: YEAR }).versions('a');
    await local.time.advance(10 * MINUTE);
    upstream.play.listVersions = DOWN;
    const feed = local.feed({ upstream, layers });
    for (let i = 0; i < 2; i++) expect(await feed.versions('a')).toMatchObject({ state: 'stale', value: [{}] });
    expect(upstream.asked).toEqual(['listVersions', 'listVersions']);
  });
});

describe('a feed whose clock was ahead and is put right', () => {
  let aheadMs: number;
  const clock = () => local.time.clock() + aheadMs;
  const layer = () => new MemoryLayer<Kept>({ maxEntries: 1000, clock });
  const open = (options: OpenOptions = {}) => local.feed({ upstream, clock, layers: [layer()], ...options });

  beforeEach(() => {
    aheadMs = YEAR;
  });

  it('asks for what it was told by that clock', async () => {
    upstream.play.listVersions = async () => [V1];
    upstream.play.downloadPackage = async () => undefined;
    const feed = open();
    await feed.versions('a');
    expect(await feed.package(identityOf('b'))).toBeUndefined();
    upstream.play.listVersions = async () => [];
    await feed.versions('none');
    expect(feed.versionsAtHand('none')).toBeNull();
    aheadMs = 0;
    expect(feed.versionsAtHand('none')).toBeUndefined();
    upstream.play.listVersions = async () => [V1, V2];
    expect(await feed.versions('a')).toMatchObject({ state: 'miss', value: [{}, {}] });
    expect(await feed.versions('a')).toMatchObject({ state: 'hit', value: [{}, {}] });
    expect(await feed.package(identityOf('b'))).toBeUndefined();
    expect(upstream.asked.filter((asked) => asked === 'downloadPackage')).toHaveLength(2);
  });

  it('gives that as stale while the source is down', async () => {
    upstream.play.listVersions = async () => [V1];
    const feed = open();
    await feed.versions('a');
    aheadMs = 0;
    upstream.play.listVersions = DOWN;
    for (let i = 0; i < 2; i++) expect(await feed.versions('a')).toMatchObject({ state: 'stale', value: [{}] });
  });

  it('asks again, after its rest, a source that had failed', async () => {
    upstream.play.listVersions = async () => [V1];
    const feed = open({ versionsTtlMs: 0, restMs: 5000 });
    await feed.versions('a');
    upstream.play.listVersions = DOWN;
    expect(await feed.versions('a')).toMatchObject({ state: 'stale' });
    aheadMs = 0;
    upstream.play.listVersions = async () => [V1, V2];
    expect(await feed.versions('a')).toMatchObject({ state: 'stale' });
    await local.time.advance(5000);
    await feed.versions('a');
    await local.time.advance(0);
    expect((await feed.versions('a'))?.value).toHaveLength(2);
  });

  it('leaves a source alone for as long as it asked, and no longer', async () => {
    const LIMITED = { statusCode: 429, retryAfterMs: 10_000 };
    upstream.play.listVersions = () =>
      Promise.reject(new SourceError('SOURCE_UNAVAILABLE', 'up', 'too many requests', LIMITED));
    const feed = open({ maxWaitMs: 1000 });
    await expect(feed.versions('a')).rejects.toThrow();
    aheadMs = 0;
    expect(feed.status().state).toBe('limited');
    upstream.play.listVersions = async () => [V1];
    await local.time.advance(10_000);
    expect(await feed.versions('a')).toMatchObject({ state: 'miss' });
  });
});
