import { describe, expect, it } from 'vitest';
import { type FakeAnswer, fakeV3Feed } from '../../testing/fake-feed.js';
import { V3Provider } from './v3-provider.js';

const answering = (answer: FakeAnswer) => {
  const feed = fakeV3Feed({ query: answer, autocomplete: answer });
  return { feed, provider: new V3Provider(feed) };
};
const resultsOf = async (...data: readonly unknown[]) => (await answering({ data }).provider.search('x')).results;

describe('a search', () => {
  it('sends all of its parameters, encoded', async () => {
    const { feed, provider } = answering({ totalHits: 0, data: [] });
    const supportedFrameworks = ['.NETStandard,Version=v2.0', 'net8.0'];
    await provider.search('a&b=c d', {
      skip: 40,
      take: 5,
      includePrerelease: true,
      packageType: 'DotnetTool',
      supportedFrameworks,
    });
    expect(feed.urls.at(-1)).toBe(
      'https://feed.test/v3/query?q=a%26b%3Dc%20d&skip=40&take=5&prerelease=true&semVerLevel=2.0.0' +
        '&supportedFramework=.NETStandard%2CVersion%3Dv2.0&supportedFramework=net8.0&packageType=DotnetTool',
    );
    expect(feed.requests.at(-1)?.cacheKey).toBeUndefined();
  });

  it('survives numbers of any size', async () => {
    const { provider } = answering('{"totalHits":1e999,"data":[{"id":"A","version":"1.0.0","totalDownloads":-1e999}]}');
    const { total, results } = await provider.search('');
    expect([total, results[0]?.totalDownloads]).toEqual([undefined, undefined]);
  });

  it('has defaults for what is not said', async () => {
    const { feed, provider } = answering({ data: [] });
    expect(await provider.search('')).toEqual({ results: [], total: undefined });
    expect(feed.urls.at(-1)).toBe('https://feed.test/v3/query?q=&skip=0&take=20&prerelease=false&semVerLevel=2.0.0');
  });

  it('says nothing of SemVer 2 for who wants only what older clients understand', async () => {
    const { feed, provider } = answering({ data: [] });
    await provider.search('', { semVer2: false });
    expect(feed.urls.at(-1)).toBe('https://feed.test/v3/query?q=&skip=0&take=20&prerelease=false');
  });

  it('gives what the source found', async () => {
    const found = {
      id: 'A',
      version: '2.0.0+build',
      title: 'Title',
      description: 'Words',
      summary: 'Word',
      authors: ['One', 'Two'],
      owners: 'Three, Four',
      tags: 'a b',
      iconUrl: 'https://icon.test/',
      projectUrl: 'https://project.test/',
      licenseUrl: 'https://license.test/',
      totalDownloads: 1234,
      verified: true,
      packageTypes: [{ name: 'Dependency' }, { name: 'DotnetTool' }, {}, null],
      versions: [{ version: '1.0.0', downloads: 4 }, { version: 'x' }, null, { version: '2.0.0', downloads: '5' }],
      vulnerabilities: [{ advisoryUrl: 'https://advisory.test/', severity: 2 }],
      deprecation: { reasons: ['Legacy'] },
    };
    const { total, results } = await answering({ totalHits: 77, data: [found] }).provider.search('a');
    expect(total).toBe(77);
    expect(results).toMatchObject([
      {
        id: 'A',
        title: 'Title',
        description: 'Words',
        summary: 'Word',
        authors: ['One', 'Two'],
        owners: ['Three', 'Four'],
        tags: ['a', 'b'],
        iconUrl: 'https://icon.test/',
        projectUrl: 'https://project.test/',
        licenseUrl: 'https://license.test/',
        totalDownloads: 1234,
        verified: true,
        packageTypes: ['Dependency', 'DotnetTool'],
        vulnerabilities: [{ advisoryUrl: 'https://advisory.test/', severity: 'high' }],
        deprecation: { reasons: ['Legacy'] },
      },
    ]);
    expect(results[0]?.version.toFullString()).toBe('2.0.0+build');
    expect(results[0]?.versions.map(({ version, downloads }) => [version.toFullString(), downloads])).toEqual([
      ['1.0.0', 4],
      ['2.0.0', 5],
    ]);
  });

  it('makes do with what little the source says', async () => {
    const [bare, counted] = await resultsOf(
      { id: 'A', version: '1.0.0' },
      {
        id: 'B',
        version: '2.0.0',
        versions: [
          { version: '1.0.0', downloads: 3 },
          { version: '1.5.0', downloads: 4 },
        ],
      },
    );
    expect(bare).toMatchObject({ authors: [], tags: [], packageTypes: [], verified: false, totalDownloads: undefined });
    expect(bare?.versions.map(({ version }) => version.toNormalizedString())).toEqual(['1.0.0']);
    expect(counted?.totalDownloads).toBe(7);
    expect(counted?.versions.map(({ version }) => version.toNormalizedString())).toEqual(['1.0.0', '1.5.0', '2.0.0']);
  });

  it('leaves out what makes no sense', async () => {
    expect(await resultsOf(null, 7, {}, { id: 'A' }, { id: 'A', version: 'x' }, { version: '1.0.0' })).toEqual([]);
    const [odd] = await resultsOf({
      id: 'A',
      version: '1.0.0',
      totalDownloads: -1,
      versions: 'all',
      packageTypes: 'any',
      tags: 7,
    });
    expect(odd).toMatchObject({ totalDownloads: undefined, packageTypes: [], tags: [] });
  });

  it('gives no more than was asked for, and just the number of results where that is none', async () => {
    const data = Array.from({ length: 9 }, (_, i) => ({ id: `A${i}`, version: '1.0.0' }));
    const { feed, provider } = answering({ totalHits: 77, data });
    expect((await provider.search('a', { take: 3 })).results).toHaveLength(3);
    expect(await provider.search('a', { take: 0 })).toEqual({ total: 77, results: [] });
    expect(feed.urls.at(-1)).toContain('take=0');
    const asked = feed.urls.length;
    expect(await provider.autocomplete('a', { take: 0 })).toEqual([]);
    expect(feed.urls).toHaveLength(asked);
  });

  it.each([[{ take: -1 }], [{ skip: 1.5 }], [{ take: Number.NaN }]])('refuses %j', async (search) => {
    await expect(answering({ data: [] }).provider.search('a', search)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });

  it('asks for package types where the source knows them, and looks itself at what it finds', async () => {
    const data = [
      { id: 'A', version: '1.0.0', packageTypes: [{ name: 'dotnettool' }] },
      { id: 'B', version: '1.0.0', packageTypes: [{ name: 'Template' }] },
      { id: 'C', version: '1.0.0' },
    ];
    const feed = fakeV3Feed(
      { 'https://types.test/': { data }, 'https://old.test/': { data } },
      {
        'SearchQueryService/Versioned': 'https://old.test/',
        'SearchQueryService/3.5.0': 'https://types.test/',
      },
    );
    const provider = new V3Provider(feed);
    const { results } = await provider.search('', { packageType: 'DotnetTool' });
    expect(results.map(({ id }) => id)).toEqual(['A', 'C']);
    expect(feed.urls.at(-1)).toContain('https://types.test/');
    await provider.search('');
    expect(feed.urls.at(-1)).toContain('https://old.test/');
  });

  it('asks the next endpoint when one fails or has nothing there, and keeps their queries', async () => {
    const endpoints = ['https://one.test/', 'https://two.test/', 'https://three.test/?tenant=7'];
    const feed = fakeV3Feed(
      { 'https://one.test/': 503, 'https://three.test/': { data: [{ id: 'A', version: '1.0.0' }] } },
      {
        SearchQueryService: endpoints,
      },
    );
    expect((await new V3Provider(feed).search('a')).results).toHaveLength(1);
    expect(feed.urls.at(-1)).toMatch(/^https:\/\/three\.test\/\?tenant=7&q=a&/);
    feed.answer('https://three.test/', undefined);
    await expect(new V3Provider(feed).search('a')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      statusCode: 404,
    });
  });

  it('finds the page in all results of a feed that is made of files', async () => {
    const data = Array.from({ length: 5 }, (_, i) => ({ id: `A${i}`, version: '1.0.0' }));
    const pageOf = async (answer: FakeAnswer, skip: number) =>
      (await answering(answer).provider.search('a', { skip, take: 2 })).results.map(({ id }) => id);
    expect(await pageOf({ totalHits: 5, data }, 0)).toEqual(['A0', 'A1']);
    expect(await pageOf({ totalHits: 5, data }, 4)).toEqual(['A4']);
    expect(await pageOf({ totalHits: 5, data }, 6)).toEqual([]);
    // Others have more on a page than was asked for, or count what is on it.
    expect(await pageOf({ totalHits: 9, data }, 4)).toEqual(['A0', 'A1']);
    expect(await pageOf({ totalHits: 2, data: data.slice(0, 2) }, 4)).toEqual(['A0', 'A1']);
    const ids = { totalHits: 5, data: ['B', ...data.slice(1).map(({ id }) => id)] };
    expect(await answering(ids).provider.autocomplete('a', { skip: 2, take: 4 })).toEqual(['A3', 'A4']);
  });

  it('takes null for no results', async () => {
    expect(await answering({ totalHits: 0, data: null }).provider.search('a')).toEqual({ total: 0, results: [] });
    expect(await answering({ data: null }).provider.autocomplete('a')).toEqual([]);
  });

  it.each([['<html>'], ['{}'], ['[]'], ['{"data":{}}']])('refuses the answer %s', async (body) => {
    await expect(answering(body).provider.search('a')).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  it('is not supported by sources without it', async () => {
    const provider = new V3Provider(fakeV3Feed({}, {}));
    await expect(provider.search('a')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(provider.search('a', { packageType: 'Template' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(provider.autocomplete('a')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});

describe('autocomplete', () => {
  it('gives ids that begin with what was typed', async () => {
    const { feed, provider } = answering({ data: ['New.Thing', 'newer', 'Old.New', 7, null, 'NEWEST'] });
    expect(await provider.autocomplete('new', { includePrerelease: true, take: 2 })).toEqual(['New.Thing', 'newer']);
    expect(feed.urls.at(-1)).toBe(
      'https://feed.test/v3/autocomplete?q=new&skip=0&take=2&prerelease=true&semVerLevel=2.0.0',
    );
  });

  it('gives the versions of an id in ascending order', async () => {
    const { feed, provider } = answering({ data: ['2.0.0', '1.0.0-beta', 'x', 7, '1.0.0'] });
    const versions = await provider.autocompleteVersions('My.Package', { includePrerelease: true });
    expect(versions.map((version) => version.toNormalizedString())).toEqual(['1.0.0-beta', '1.0.0', '2.0.0']);
    expect(feed.urls.at(-1)).toBe('https://feed.test/v3/autocomplete?id=My.Package&prerelease=true&semVerLevel=2.0.0');
    await expect(provider.autocompleteVersions('no id')).rejects.toMatchObject({ code: 'INVALID_PACKAGE_ID' });
  });
});
