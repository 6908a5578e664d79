import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import { MemoryFeed, record } from '../http/testing/memory-feed.js';
import { TestServer } from '../http/testing/test-server.js';
import { MergedFeed } from '../merged/merged-feed.js';

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
});

afterEach(() => server[Symbol.asyncDispose]());

const untold = { totalDownloads: 0, verified: false };

const ids = ({ data }: { readonly data: readonly { readonly id: string; readonly version: string }[] }) =>
  data.map(({ id, version }) => `${id} ${version}`);

describe('a search', () => {
  it('shows what the feed found, with URLs of this server only', async () => {
    server.feed.add(
      record('My.Package', '1.0.0+build', {
        title: 'Mine',
        description: 'What it does',
        owners: ['me'],
        tags: ['x'],
        iconUrl: 'https://icons.test/a.png',
        packageTypes: ['DotnetTool'],
        vulnerabilities: [{ advisoryUrl: 'https://advisories.test/1', severity: 3 }],
      }),
    );
    const leaf = `${server.url}/v3/registration-gz-semver2/my.package`;
    expect(await server.json('/v3/search?q=my&semVerLevel=2.0.0')).toEqual({
      totalHits: 1,
      data: [
        {
          '@id': `${leaf}/index.json`,
          '@type': 'Package',
          registration: `${leaf}/index.json`,
          id: 'My.Package',
          version: '1.0.0+build',
          title: 'Mine',
          description: 'What it does',
          summary: '',
          authors: ['A'],
          owners: ['me'],
          tags: ['x'],
          iconUrl: 'https://icons.test/a.png',
          totalDownloads: 1,
          verified: false,
          packageTypes: [{ name: 'DotnetTool' }],
          versions: [{ '@id': `${leaf}/1.0.0.json`, version: '1.0.0+build', downloads: 1 }],
          vulnerabilities: [{ advisoryUrl: 'https://advisories.test/1', severity: '3' }],
        },
      ],
    });
  });

  it('calls packages by their ids that have no other title', async () => {
    server.feed.add(record('My.Package', '1.0.0'));
    const found = { title: 'My.Package', description: '', packageTypes: [{ name: 'Dependency' }] };
    expect(await server.json('/v3/search?q=my')).toMatchObject({ data: [found] });
  });

  it.each([
    ['', { includePrerelease: false, skip: 0, take: 20, semVer2: false }],
    [
      'q=&prerelease=&skip=&take=&packageType=&semVerLevel=',
      { includePrerelease: false, skip: 0, take: 20, semVer2: false },
    ],
    ['prerelease=true&skip=40&take=5&semVerLevel=2.0.0', { includePrerelease: true, skip: 40, take: 5, semVer2: true }],
    ['prerelease=True&semVerLevel=2', { includePrerelease: true, semVer2: true }],
    ['semVerLevel=1.0.0', { semVer2: false }],
    ['take=100000', { take: 1000 }],
    ['take=0', { take: 0 }],
    ['packageType=DotnetTool', { packageType: 'DotnetTool' }],
    ['Prerelease=true&TAKE=5&packagetype=x&semverlevel=2.0.0', { includePrerelease: true, take: 5, semVer2: true }],
  ])('asks the feed what %j means', async (query, options) => {
    for (const resource of ['search', 'autocomplete']) {
      await server.json(`/v3/${resource}?${query}`);
      expect(server.feed.searches.pop()).toMatchObject({ query: '', options });
    }
  });

  it('takes text as it was typed', async () => {
    await server.json('/v3/search?q=a%26b%3Dc+d%20%C3%A9+id:x');
    expect(server.feed.searches).toMatchObject([{ query: 'a&b=c d é id:x' }]);
  });

  it.each([
    ['take=-1'],
    ['take=x'],
    ['skip=1.5'],
    ['skip=10001'],
    ['prerelease=maybe'],
    ['semVerLevel=x'],
    ['packageType=a%20b'],
    [`q=${'a'.repeat(600)}`],
  ])('with %s makes no sense', async (query) => {
    expect((await server.ask(`/nuget/v3/search?${query}`)).status).toBe(400);
    expect(server.feed.searches).toEqual([]);
  });

  it('never shows what is not listed, whatever the feed says', async () => {
    server.feed.add(record('Some', '1.0.0'));
    server.feed.add(record('Some', '2.0.0', { listed: false }));
    server.feed.add(record('Hidden', '1.0.0', { listed: false }));
    server.feed.add(record('Shown', '1.0.0'));
    const found = await server.json('/v3/search?semVerLevel=2.0.0');
    expect(found).toMatchObject({ totalHits: 2 });
    expect(ids(found)).toEqual(['Some 1.0.0', 'Shown 1.0.0']);
    expect(JSON.stringify(found)).not.toContain('2.0.0"');
  });

  it("shows no SemVer 2 to who doesn't understand it, but the version before it", async () => {
    server.feed.add(record('Only', '1.0.0-a.1'));
    server.feed.add(record('Also', '1.0.0'));
    server.feed.add(record('Also', '2.0.0+x'));
    server.feed.add(record('Older', '1.0.0-a.1'));
    server.feed.add(record('Older', '2.0.0'));
    const needing = [{ dependencies: [{ id: 'B', range: '[1.0.0-a.1, )' }] }];
    server.feed.add(record('Needs', '1.0.0', { dependencyGroups: needing }));
    const found = await server.json('/v3/search?prerelease=true');
    expect(ids(found)).toEqual(['Also 1.0.0', 'Older 2.0.0']);
    expect(found).toMatchObject({
      totalHits: 2,
      data: [{ versions: [{ version: '1.0.0' }] }, { versions: [{ version: '2.0.0' }] }],
    });
    expect(JSON.stringify(found)).not.toContain('semver2');
    expect(ids(await server.json('/v3/search?prerelease=true&semVerLevel=2.0.0')).length).toBe(4);
  });

  it('is as old as what is told of a package whose older version is shown', async () => {
    server.feed.add(record('Some', '1.0.0'));
    server.feed.add(record('Some', '2.0.0', { listed: false }));
    const records = server.feed.records.bind(server.feed);
    server.feed.records = async (id, call) => {
      const answer = await records(id, call);
      return answer && { ...answer, state: 'stale', asOf: Date.now() - 5500 };
    };
    const { headers } = await server.ask('/nuget/v3/search');
    expect(headers['x-cache']).toBe('stale');
  });

  it('names the versions of a hit that is shown with an older one, where the source named the newest alone', async () => {
    const feed = new MemoryFeed('two', [record('Some', '1.0.0', { downloads: 7 }), record('Some', '1.1.0')]);
    const newest = record('Some', '2.0.0-a.1');
    feed.add(newest);
    const value = {
      total: 1,
      hits: [{ record: newest, versions: [{ version: '2.0.0-a.1', downloads: 1 }], ...untold }],
    };
    feed.search = async () => ({ value, state: 'miss', asOf: 0 });
    await using other = await TestServer.start({ all: feed });
    expect(await other.json('/v3/search?prerelease=true')).toMatchObject({
      data: [
        {
          version: '1.1.0',
          versions: [
            { version: '1.0.0', downloads: 7 },
            { version: '1.1.0', downloads: 0 },
          ],
        },
      ],
    });
  });

  it('shows what can be shown while a source that may know more of the rest can not be asked', async () => {
    const [there, gone] = [new MemoryFeed('there'), new MemoryFeed('gone')];
    there.add(record('Plain', '1.0.0'));
    there.add(record('Older', '1.0.0'));
    there.add(record('Older', '2.0.0-a.1'));
    gone.failure = new FeedUnavailableError('gone', 'it is down');
    await using other = await TestServer.start({ all: new MergedFeed({ sources: [there, gone] }) });
    expect(ids(await other.json('/v3/search'))).toEqual(['Plain 1.0.0']);
    expect(ids(await other.json('/v3/search?prerelease=true&semVerLevel=2.0.0'))).toHaveLength(2);
  });

  it('looks into several hits at a time, but not into all', async () => {
    const feed = new MemoryFeed();
    for (let i = 0; i < 30; i++) {
      feed.add(record(`P${i}`, '1.0.0'));
      feed.add(record(`P${i}`, '2.0.0-a.1'));
    }
    let running = 0;
    let most = 0;
    const records = feed.records.bind(feed);
    feed.records = async (id) => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      return records(id);
    };
    await using other = await TestServer.start({ all: feed });
    expect(ids(await other.json('/v3/search'))).toEqual(Array.from({ length: 30 }, (_, i) => `P${i} 1.0.0`));
    expect(most).toBe(8);
  });

  it('is asked of the feed each time, which has it', async () => {
    server.feed.add(record('A', '1.0.0'));
    expect(await server.json('/v3/search?q=a')).toMatchObject({ totalHits: 1 });
    server.feed.add(record('AB', '1.0.0'));
    expect(await server.json('/v3/search?q=a')).toMatchObject({ totalHits: 2 });
    expect(await server.json('/v3/search?q=ab')).toMatchObject({ totalHits: 1 });
  });
});

describe('autocomplete', () => {
  beforeEach(() => {
    server.feed.add(record('New.Thing', '1.0.0'));
    server.feed.add(record('New.Thing', '1.1.0', { listed: false }));
    server.feed.add(record('New.Thing', '2.0.0-beta'));
    server.feed.add(record('New.Thing', '2.0.0-beta.2'));
    server.feed.add(record('Other', '1.0.0'));
  });

  it('has ids that begin so', async () => {
    expect(await server.json('/v3/autocomplete?q=NEW')).toEqual({ totalHits: 1, data: ['new.thing'] });
    expect(await server.json('/v3/autocomplete')).toMatchObject({ totalHits: 2 });
  });

  it.each([
    ['id=new.thing', ['1.0.0']],
    ['id=new.thing&prerelease=true', ['1.0.0', '2.0.0-beta']],
    ['id=New.Thing&prerelease=true&semVerLevel=2.0.0', ['1.0.0', '2.0.0-beta', '2.0.0-beta.2']],
    ['ID=new.thing', ['1.0.0']],
    ['id=none', []],
  ])('has the listed versions of %s', async (query, data) => {
    expect(await server.json(`/v3/autocomplete?${query}`)).toEqual({ totalHits: data.length, data });
  });

  it('refuses what is no id', async () => {
    expect((await server.ask('/nuget/v3/autocomplete?id=a/b')).status).toBe(400);
  });
});

describe('one source', () => {
  it('leads to itself', async () => {
    const one = new MemoryFeed('one', [record('A', '1.0.0')]);
    await using other = await TestServer.start({ bySource: { one } });
    const text = JSON.stringify(await other.json('/one/v3/search?semVerLevel=2.0.0'));
    expect(text.match(/http:\/\/[^"]*?\/v3\//g)).toEqual(Array.from({ length: 3 }, () => `${other.url}/one/v3/`));
  });
});
