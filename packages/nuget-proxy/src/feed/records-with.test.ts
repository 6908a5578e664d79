import { describe, expect, it } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import { MemoryFeed, record } from '../http/testing/memory-feed.js';
import { TestServer } from '../http/testing/test-server.js';
import { identityOf } from '../upstream/testing/feed-under-test.js';
import { recordsWith } from './records-with.js';

const DOWN = new FeedUnavailableError('up', 'it is down');

const feedWith = (nuspec: MemoryFeed['nuspec']): MemoryFeed => {
  const feed = new MemoryFeed('up', [record('X', '1.0.0'), record('X', '1.1.0+meta')]);
  feed.state = 'stale';
  feed.nuspec = nuspec;
  return feed;
};
const down = async () => {
  throw DOWN;
};

describe('what is known of a version', () => {
  it('is what a stale answer says of it, whatever its metadata and zeros', async () => {
    const feed = feedWith(down);
    for (const version of ['1.0', '1.1.0', '1.1.0.0+other'])
      expect(await recordsWith(feed, identityOf('X', version), {})).toMatchObject({ state: 'stale' });
  });

  it('is that it is not there, when the source says so, or is asked no more', async () => {
    const feed = feedWith(async () => undefined);
    expect((await recordsWith(feed, identityOf('X', '2.0.0'), {}))?.value).toHaveLength(2);
    expect(await recordsWith(feedWith(down), identityOf('Y', '2.0.0'), {})).toBeUndefined();
    const fresh = feedWith(down);
    fresh.state = 'revalidated';
    expect((await recordsWith(fresh, identityOf('X', '2.0.0'), {}))?.value).toHaveLength(2);
  });

  it('is nothing while the source of a stale answer that lacks it can not be asked', async () => {
    await expect(recordsWith(feedWith(down), identityOf('X', '2.0.0'), {})).rejects.toBe(DOWN);
  });

  it('is what has come while its source was too slow, if that has', async () => {
    const feed = feedWith(async () => ({ value: Buffer.from('<package/>'), state: 'miss', asOf: 1 }));
    await expect(recordsWith(feed, identityOf('X', '2.0.0'), {})).rejects.toBeInstanceOf(FeedUnavailableError);
    const { nuspec } = feed;
    feed.nuspec = async (...args) => {
      feed.add(record('X', '2.0.0'));
      return nuspec(...args);
    };
    expect((await recordsWith(feed, identityOf('X', '2.0.0'), {}))?.value).toHaveLength(3);
  });

  it('goes to clients of both protocols so, and their lists are served as they were', async () => {
    await using server = await TestServer.start({ all: feedWith(down) });
    const statusOf = async (path: string) => (await server.ask(`/nuget${path}`)).status;
    for (const hive of ['registration', 'registration-gz-semver2']) {
      expect(await statusOf(`/v3/${hive}/x/2.0.0.json`)).toBe(503);
      expect(await statusOf(`/v3/${hive}/x/catalog/2.0.0.json`)).toBe(503);
      expect(await statusOf(`/v3/${hive}/x/1.0.0.json`)).toBe(200);
      expect(await statusOf(`/v3/${hive}/x/index.json`)).toBe(200);
    }
    expect(await statusOf('/v3/details/x/2.0.0')).toBe(503);
    expect(await statusOf("/v2/Packages(Id='X',Version='2.0.0')")).toBe(503);
    expect(await statusOf("/v2/Packages(Id='X',Version='1.0')")).toBe(200);
    expect(await statusOf("/v2/FindPackagesById()?id='X'")).toBe(200);
  });
});
