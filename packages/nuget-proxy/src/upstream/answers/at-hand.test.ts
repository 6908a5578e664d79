import { HttpClient } from '@granary/http';
import { NuGetVersion, SourceError } from '@granary/nuget';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HostedUnderTest } from '../../hosted/testing/hosted-under-test.js';
import { MemoryFeed, record } from '../../http/testing/memory-feed.js';
import { MergedFeed } from '../../merged/merged-feed.js';
import { FeedUnderTest, identityOf, PlayedUpstream } from '../testing/feed-under-test.js';
import type { UpstreamFeed } from '../upstream-feed.js';

let local: FeedUnderTest;
let upstream: PlayedUpstream;
let feed: UpstreamFeed;

beforeEach(async () => {
  local = await FeedUnderTest.start((options) => new HttpClient(options));
  upstream = new PlayedUpstream();
  upstream.play.listVersions = async (id) => (id === 'none' ? [] : [NuGetVersion.parse('1.0.0')]);
  feed = local.feed({ upstream, versionsTtlMs: 5000, notFoundTtlMs: 2000 });
});

afterEach(() => local[Symbol.asyncDispose]());

describe('the versions that a source has at hand', () => {
  it('are those that were asked for, as long as they are fresh', async () => {
    expect(feed.versionsAtHand('A')).toBeUndefined();
    const { value } = (await feed.versions('A'))!;
    await local.time.advance(4999);
    expect(feed.versionsAtHand('a')).toEqual({ value, state: 'hit', asOf: Date.UTC(2026, 0, 1) });
    expect(feed.versionsAtHand('a')!.value).toBe(value);
    await local.time.advance(1);
    expect(feed.versionsAtHand('a')).toBeUndefined();
    expect(upstream.asked).toEqual(['listVersions']);
  });

  it('may be none', async () => {
    await feed.versions('none');
    expect(feed.versionsAtHand('none')).toBeNull();
    await local.time.advance(2000);
    expect(feed.versionsAtHand('none')).toBeUndefined();
  });

  it('are asked for again when something was changed', async () => {
    upstream.play.delete = async () => true;
    await feed.versions('a');
    await feed.delete(identityOf('a'), { apiKey: undefined });
    expect(feed.versionsAtHand('a')).toBeUndefined();
  });

  it('are not what the source could not confirm', async () => {
    await feed.versions('a');
    await local.time.advance(5000);
    upstream.play.listVersions = () => Promise.reject(new SourceError('SOURCE_UNAVAILABLE', 'up', 'it is down'));
    expect(await feed.versions('a')).toMatchObject({ state: 'stale' });
    expect(feed.versionsAtHand('a')).toBeUndefined();
  });

  it('are asked for where nothing is in memory, or what is makes no sense', async () => {
    const slow = local.layer();
    const asked = vi.fn(async (key: string) => slow.getEntry?.(key));
    const later = {
      name: 'slow',
      get: async () => undefined,
      getEntry: asked,
      set: slow.set.bind(slow),
      delete: slow.delete.bind(slow),
      close: () => {},
    };
    const slowly = local.feed({ name: 'slow', upstream, layers: [later] });
    const gets = vi.spyOn(later, 'get');
    await slowly.versions('a');
    gets.mockClear();
    for (let i = 0; i < 3; i++) expect(slowly.versionsAtHand('a')).toBeUndefined();
    expect(gets.mock.calls.length).toBeLessThanOrEqual(1);
    const layer = local.layer();
    const broken = local.feed({ name: 'broken', upstream, layers: [layer] });
    await layer.set('versions/a', { asOf: 1, value: 'nonsense' });
    expect(broken.versionsAtHand('a')).toBeUndefined();
  });

  it('are not counted when the server is offline, as all is stale then', async () => {
    const layers = [local.layer()];
    const online = local.feed({ name: 'online', upstream, layers });
    await online.versions('a');
    expect(online.versionsAtHand('a')).toBeDefined();
    expect(local.feed({ name: 'offline', upstream, layers, offline: true }).versionsAtHand('a')).toBeUndefined();
  });
});

describe('the versions of a hosted feed', () => {
  it('are always at hand', async () => {
    await using hosted = await HostedUnderTest.open();
    expect(hosted.feed.versionsAtHand('a')).toBeNull();
    await hosted.push({ id: 'A', version: '1.0.0' });
    expect(hosted.feed.versionsAtHand('a')).toEqual(await hosted.feed.versions('a'));
    expect(hosted.feed.versionsAtHand('a')).toMatchObject({ value: [{ version: '1.0.0' }], state: 'hit' });
  });
});

describe('the versions that several sources have at hand', () => {
  const withAtHand = (name: string, answer: ReturnType<UpstreamFeed['versionsAtHand']>) =>
    Object.assign(new MemoryFeed(name), { versionsAtHand: () => answer });
  const of = (state: 'hit', asOf: number, ...versions: string[]) => ({
    value: versions.map((version) => ({ version })),
    state,
    asOf,
  });

  it('are those of all of them', () => {
    const merged = new MergedFeed({
      sources: [withAtHand('a', of('hit', 5, '1.0.0')), withAtHand('b', null), withAtHand('c', of('hit', 3, '2.0.0'))],
    });
    expect(merged.versionsAtHand('x')).toEqual(of('hit', 3, '1.0.0', '2.0.0'));
    expect(merged.versionsAtHand('x')!.value).toBe(merged.versionsAtHand('x')!.value);
  });

  it('are none when all say so', () => {
    expect(new MergedFeed({ sources: [withAtHand('a', null), withAtHand('b', null)] }).versionsAtHand('x')).toBeNull();
  });

  it('are not known unless all know', () => {
    const known = withAtHand('a', of('hit', 5, '1.0.0'));
    expect(new MergedFeed({ sources: [known, withAtHand('b', undefined)] }).versionsAtHand('x')).toBeUndefined();
    const silent = new MemoryFeed('b', [record('x', '1.0.0')]);
    expect(new MergedFeed({ sources: [known, silent] }).versionsAtHand('x')).toBeUndefined();
  });
});
