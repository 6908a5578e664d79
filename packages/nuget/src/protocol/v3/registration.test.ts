import type { Logger } from '@granary/telemetry';
import { nullLogger } from '@granary/telemetry';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isNuGetError } from '../../errors.js';
import { type FakeAnswer, type FakeFeed, fakeV3Feed } from '../../testing/fake-feed.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { VersionRange } from '../../versions/version-range.js';
import type { PackageMetadata } from '../model.js';
import { V3Provider } from './v3-provider.js';

const BASE = 'https://feed.test/v3/registration/';
const INDEX = 'registration/my.package/index.json';

const identity = (version: string, id = 'My.Package') => ({ id, version: NuGetVersion.parse(version) });
const entry = (version: unknown, more: object = {}) => ({ id: 'My.Package', version, ...more });
const leaf = (version: unknown, more: object = {}) => ({
  '@id': `${BASE}my.package/${version}.json`,
  catalogEntry: entry(version, more),
  packageContent: `https://content.test/${version}.nupkg`,
});
const inlined = (...items: readonly unknown[]) => ({ '@id': `${BASE}my.package/index.json#page`, items });
const page = (id: unknown, lower?: unknown, upper?: unknown) => ({ '@id': id, count: 1, lower, upper });
const feedOf = (index: FakeAnswer, more: Readonly<Record<string, FakeAnswer>> = {}) =>
  fakeV3Feed({ [INDEX]: index, ...more });
const list = async (feed: FakeFeed) => await new V3Provider(feed).listMetadata('My.Package');
const texts = (all: readonly PackageMetadata[]) => all.map(({ version }) => version.toFullString());
/** The metadata of the one version that a registration has. */
const only = async (more: object) => {
  const all = await list(feedOf({ items: [inlined(leaf('1.0.0', more))] }));
  expect(all).toHaveLength(1);
  return all[0]!;
};
const pagesAsked = (feed: FakeFeed) => feed.urls.slice(2).map((url) => url.replace('https://feed.test/v3/', ''));

describe('a registration', () => {
  it('is read from pages in its index, in ascending order', async () => {
    const feed = feedOf({ items: [inlined(leaf('2.0.0'), leaf('10.0.0')), inlined(leaf('1.0.0'), leaf('2.0.0-a+b'))] });
    expect(texts(await list(feed))).toEqual(['1.0.0', '2.0.0-a+b', '2.0.0', '10.0.0']);
    expect(feed.requests.at(-1)).toMatchObject({
      url: `${BASE}my.package/index.json`,
      cacheKey: 'list_my.package_index',
    });
  });

  it('has each version once', async () => {
    const feed = feedOf({ items: [inlined(leaf('1.0.0'), leaf('1.0'), leaf('1.0.0.0+x'))] });
    expect(texts(await list(feed))).toEqual(['1.0.0']);
  });

  it('is read from pages of their own, with the names that NuGet gives them in its cache', async () => {
    const feed = feedOf(
      { items: [page('page/1.json', '1.0', '2.0.0-BETA'), page('https://other.test/2.json', '3.0.0', '4.0.0')] },
      {
        'registration/my.package/page/1.json': inlined(leaf('1.0.0'), leaf('2.0.0-beta')),
        'https://other.test/2.json': inlined(leaf('3.0.0'), leaf('4.0.0')),
      },
    );
    expect(texts(await list(feed))).toEqual(['1.0.0', '2.0.0-beta', '3.0.0', '4.0.0']);
    expect(feed.requests.slice(-2).map(({ url, cacheKey }) => [url, cacheKey])).toEqual([
      [`${BASE}my.package/page/1.json`, 'list_my.package_range_1.0.0-2.0.0-BETA'],
      ['https://other.test/2.json', 'list_my.package_range_3.0.0-4.0.0'],
    ]);
  });

  it('is read from pages that say nothing of what they hold, but that they are some', async () => {
    const items = [{ '@id': '1.json', '@type': 'catalog:CatalogPage' }];
    const feed = feedOf({ items }, { 'registration/my.package/1.json': inlined(leaf('1.0.0'), leaf('2.0.0')) });
    expect(texts(await list(feed))).toEqual(['1.0.0', '2.0.0']);
  });

  it('says in which page of the index each version is, and whether the index has that in it', async () => {
    const pages = [inlined(leaf('2.0.0'), leaf('2.1.0')), page('1.json', '1.0.0', '1.9.0'), leaf('3.0.0')];
    const within = { items: [inlined(leaf('1.0.0')), inlined({ '@id': `${BASE}leaf.json` })] };
    const feed = feedOf(
      { items: pages },
      { 'registration/my.package/1.json': within, 'registration/leaf.json': leaf('1.1.0') },
    );
    expect((await list(feed)).map(({ version, page }) => [version.toFullString(), page])).toEqual([
      ['1.0.0', { number: 1, isInlined: false }],
      ['1.1.0', { number: 1, isInlined: false }],
      ['2.0.0', { number: 0, isInlined: true }],
      ['2.1.0', { number: 0, isInlined: true }],
      ['3.0.0', undefined],
    ]);
  });

  it('has what several pages have from the first of them, whichever comes first', async () => {
    const pages = [page('0.json', '1.0.0', '2.0.0'), page('1.json', '2.0.0', '3.0.0')];
    for (const late of [0, 1]) {
      const answer = async (number: number, ...versions: readonly string[]) => {
        if (number === late) for (let i = 0; i < 50; i++) await new Promise(setImmediate);
        return inlined(...versions.map((each) => leaf(each, { title: `${number}` })));
      };
      const feed = feedOf(
        { items: pages },
        {
          'registration/my.package/0.json': () => answer(0, '1.0.0', '2.0.0'),
          'registration/my.package/1.json': () => answer(1, '2.0.0', '3.0.0'),
        },
      );
      expect((await list(feed)).map(({ title, page }) => [title, page?.number])).toEqual([
        ['0', 0],
        ['0', 0],
        ['1', 1],
      ]);
    }
  });

  it('fetches only pages that may hold the version that is asked for', async () => {
    const pages = [
      page('1.json', '1.0.0', '1.9.0'),
      page('2.json', '2.0.0-alpha', '2.9.0'),
      page('3.json', '3.0.0', '3.9.0'),
    ];
    const feed = feedOf({ items: pages }, { 'registration/my.package/2.json': inlined(leaf('2.0.0'), leaf('2.1.0')) });
    const provider = new V3Provider(feed);
    expect((await provider.getMetadata(identity('2.1.0.0+build')))?.version.toFullString()).toBe('2.1.0');
    expect(pagesAsked(feed)).toEqual(['registration/my.package/2.json']);
    expect(await provider.getMetadata(identity('2.2.0'))).toBeUndefined();
    expect(await provider.getMetadata(identity('5.0.0'))).toBeUndefined();
  });

  it('fetches pages that do not say what they hold', async () => {
    const pages = [page('a.json'), page('b.json', 'nonsense', 7), page(undefined)];
    const feed = feedOf(
      { items: pages },
      {
        'registration/my.package/a.json': inlined(leaf('1.0.0')),
        'registration/my.package/b.json': inlined(leaf('2.0.0')),
      },
    );
    expect((await new V3Provider(feed).getMetadata(identity('2.0.0')))?.listed).toBe(true);
    expect(texts(await list(feed))).toEqual(['1.0.0', '2.0.0']);
    expect(feed.requests.find(({ url }) => url.endsWith('a.json'))?.cacheKey).toBeUndefined();
  });

  it('fetches pages side by side, but not too many', async () => {
    let running = 0;
    let most = 0;
    const slowly = async (request: { url: string }) => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      return inlined(leaf(`${Number.parseInt(request.url.split('/').at(-1) ?? '', 10)}.0.0`));
    };
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    const answers = Object.fromEntries(numbers.map((i) => [`registration/my.package/${i}.json`, slowly]));
    const feed = feedOf({ items: numbers.map((i) => page(`${i}.json`, `${i}.0.0`, `${i}.9.0`)) }, answers);
    expect(await new V3Provider(feed, { concurrency: 3 }).listMetadata('my.package')).toHaveLength(20);
    expect(most).toBe(3);
  });

  it('fails as a whole when a page fails, and begins no other page then', async () => {
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    const feed = feedOf(
      { items: numbers.map((i) => page(`${i}.json`, `${i}.0.0`, `${i}.9.0`)) },
      { 'registration/my.package/0.json': inlined(leaf('0.0.0')), 'registration/my.package/1.json': 503 },
    );
    const listed = new V3Provider(feed, { concurrency: 2 }).listMetadata('my.package');
    await expect(listed).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(feed.urls.length).toBeLessThan(8);
  });

  it('fails when a page that it names is not there: the versions in it would seem not to exist', async () => {
    const pages = [page('a.json', '1.0.0', '1.9.0'), page('gone.json', '2.0.0', '2.9.0')];
    const feed = feedOf({ items: pages }, { 'registration/my.package/a.json': inlined(leaf('1.0.0')) });
    await expect(list(feed)).rejects.toMatchObject({ code: 'PROTOCOL', message: expect.stringContaining('gone.json') });
    const provider = new V3Provider(feed);
    expect((await provider.getMetadata(identity('1.0.0')))?.listed).toBe(true);
    await expect(provider.getMetadata(identity('2.0.0'))).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  it('is read again when a page is not there any more: the index may be older than its pages', async () => {
    const before = { items: [page('1-2.json', '1.0.0', '2.0.0')] };
    const after = { items: [page('1-3.json', '1.0.0', '3.0.0')] };
    const asked: (number | undefined)[] = [];
    const feed = feedOf(
      (request) => {
        asked.push(request.options.cacheContext?.effectiveMaxAgeMs);
        return asked.length % 2 === 1 ? before : after;
      },
      { 'registration/my.package/1-3.json': inlined(leaf('1.0.0'), leaf('3.0.0')) },
    );
    expect(texts(await list(feed))).toEqual(['1.0.0', '3.0.0']);
    // Not from a cache the second time.
    expect(asked).toEqual([undefined, 0]);
    expect((await new V3Provider(feed).getMetadata(identity('1.0.0')))?.version.toFullString()).toBe('1.0.0');
    const gone = feedOf(before);
    await expect(list(gone)).rejects.toMatchObject({ code: 'PROTOCOL' });
    expect(pagesAsked(gone)).toHaveLength(3);
    const failing = feedOf(before, { 'registration/my.package/1-2.json': 503 });
    await expect(list(failing)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(pagesAsked(failing)).toHaveLength(1);
  });

  it('knows nothing of a package that is not there', async () => {
    const provider = new V3Provider(fakeV3Feed());
    expect(await provider.listMetadata('Nothing')).toEqual([]);
    expect(await provider.getMetadata(identity('1.0.0', 'Nothing'))).toBeUndefined();
  });

  it('may have null for no items, as long as it counts none', async () => {
    expect(await list(feedOf('{"count":0,"items":null}'))).toEqual([]);
  });

  it.each([['<html>'], ['[1]'], ['{}'], ['{"items":{}}'], ['{"count":1,"items":null}']])(
    'is refused when it is %s',
    async (body) => {
      await expect(list(feedOf(body))).rejects.toMatchObject({ code: 'PROTOCOL' });
      const paged = feedOf({ items: [page('1.json', '1.0.0', '2.0.0')] }, { 'registration/my.package/1.json': body });
      await expect(list(paged)).rejects.toMatchObject({ code: 'PROTOCOL' });
    },
  );

  it('keeps what makes sense, and says at debug that there was something else', async () => {
    const said: unknown[][] = [];
    const logger: Logger = { ...nullLogger, debug: (...values) => void said.push(values) };
    const items = [null, 7, 'text', [], {}, leaf('nonsense'), leaf(7), leaf('2.0.0', { id: 'Another' }), leaf('1.0.0')];
    const provider = new V3Provider(feedOf({ items: [inlined(...items), null, 'x'] }), { logger });
    expect(texts(await provider.listMetadata('my.package'))).toEqual(['1.0.0']);
    expect(said).toHaveLength(1);
    expect(said[0]?.[1]).toBe(10);
  });
});

describe('catalog entries', () => {
  const there = `${BASE}my.package/1.0.0.json`;

  it('may be documents of their own', async () => {
    const pointer = { '@id': there, catalogEntry: 'https://catalog.test/1.json', packageContent: '../x.nupkg' };
    const document = { ...entry('1.0.0'), packageHash: 'aGFzaA==', packageHashAlgorithm: 'SHA512', packageSize: 12 };
    const feed = feedOf({ items: [inlined(pointer)] }, { 'https://catalog.test/1.json': document });
    expect(await new V3Provider(feed).getMetadata(identity('1.0.0'))).toMatchObject({
      packageSize: 12,
      packageHash: { algorithm: 'SHA512', value: 'aGFzaA==' },
    });
  });

  it('are kept by their URLs when they are documents of their own', async () => {
    const urls = ['https://catalog.test/1.json', 'https://catalog.test/2.json'];
    const feed = feedOf(
      { items: [inlined(...urls.map((url) => ({ '@id': there, catalogEntry: url })))] },
      Object.fromEntries(urls.map((url, i) => [url, entry(`${i + 1}.0.0`)])),
    );
    await list(feed);
    await list(feed);
    const keys = feed.requests.filter(({ url }) => urls.includes(url)).map(({ url, cacheKey }) => [url, cacheKey]);
    const [first, second] = [...new Set(keys.map(([, key]) => key))];
    expect(first).toMatch(/^list_my\.package_entry_[0-9a-f]{32}$/);
    expect(new Map(keys as [string, string][])).toEqual(
      new Map([
        [urls[0], first],
        [urls[1], second],
      ]),
    );
    expect(second).not.toBe(first);
  });

  it('may be behind the document of their leaf', async () => {
    const published = '2020-05-01T00:00:00Z';
    const byUrl = { '@id': there, catalogEntry: 'https://catalog.test/1.json', listed: false, published };
    const feed = feedOf(
      { items: [inlined({ '@id': there })] },
      { [there]: byUrl, 'https://catalog.test/1.json': entry('1.0.0') },
    );
    expect(await list(feed)).toMatchObject([{ listed: false, published: new Date(published) }]);
    const inline = feedOf({ items: [inlined({ '@id': there })] }, { [there]: leaf('1.0.0') });
    expect(await list(inline)).toMatchObject([{ packageUrl: 'https://content.test/1.0.0.nupkg' }]);
  });

  it('may be without a shell, and without pages', async () => {
    expect(texts(await list(feedOf({ items: [leaf('1.0.0'), entry('2.0.0')] })))).toEqual(['1.0.0', '2.0.0']);
  });

  it('are left out where they are nowhere to be found', async () => {
    const items = [
      { catalogEntry: 'ftp://catalog.test/1' },
      { catalogEntry: 'https://catalog.test/gone' },
      { catalogEntry: 'https://catalog.test/garbage' },
      { '@id': 'https://catalog.test/leaf' },
    ];
    const feed = feedOf(
      { items: [inlined(...items, leaf('1.0.0'))] },
      { 'https://catalog.test/garbage': '<html>', 'https://catalog.test/leaf': { catalogEntry: 7 } },
    );
    expect(texts(await list(feed))).toEqual(['1.0.0']);
    feed.answer('https://catalog.test/gone', 503);
    await expect(list(feed)).rejects.toMatchObject({ statusCode: 503 });
  });

  it('say all that a feed tells of a package', async () => {
    const metadata = await only({
      title: 'A title',
      description: 'Words',
      summary: 'Word',
      releaseNotes: 'New',
      copyright: '© me',
      language: 'en-US',
      authors: 'One, Two',
      owners: ['Three', '', 4, 'Four, Inc.'],
      tags: 'a b,c',
      iconUrl: 'https://icon.test/',
      projectUrl: 'https://project.test/',
      licenseUrl: 'https://license.test/',
      licenseExpression: 'MIT',
      requireLicenseAcceptance: 'True',
      minClientVersion: '2.12',
      published: '2021-02-03T04:05:06.1234567+00:00',
      downloads: '12',
    });
    expect(metadata).toMatchObject({
      id: 'My.Package',
      title: 'A title',
      description: 'Words',
      summary: 'Word',
      releaseNotes: 'New',
      copyright: '© me',
      language: 'en-US',
      authors: ['One', 'Two'],
      owners: ['Three', 'Four, Inc.'],
      tags: ['a', 'b', 'c'],
      iconUrl: 'https://icon.test/',
      projectUrl: 'https://project.test/',
      licenseUrl: 'https://license.test/',
      licenseExpression: 'MIT',
      requireLicenseAcceptance: true,
      minClientVersion: '2.12',
      published: new Date('2021-02-03T04:05:06.123Z'),
      listed: true,
      downloads: 12,
      packageUrl: 'https://content.test/1.0.0.nupkg',
      detailsUrl: 'https://feed.test/v3/packages/My.Package/1.0.0',
      reportAbuseUrl: 'https://feed.test/v3/packages/My.Package/1.0.0/report',
    });
  });

  it('say little in many feeds', async () => {
    expect(await only({ title: '', tags: [], authors: null, published: 'yesterday', listed: 'maybe' })).toMatchObject({
      title: undefined,
      authors: [],
      owners: [],
      tags: [],
      listed: true,
      published: undefined,
      requireLicenseAcceptance: false,
      dependencyGroups: [],
      vulnerabilities: [],
      deprecation: undefined,
      downloads: undefined,
    });
    const nameless = await list(feedOf({ items: [inlined({ catalogEntry: { version: '1.0.0' } })] }));
    expect(nameless).toMatchObject([{ id: 'My.Package', packageUrl: undefined }]);
  });

  it.each([
    [{}, true],
    [{ listed: true }, true],
    [{ listed: false }, false],
    [{ listed: 'false' }, false],
    [{ published: '1900-01-01T00:00:00+00:00' }, false],
    [{ published: '1900-01-01T00:00:00' }, false],
    [{ published: '2020-01-01T00:00:00' }, true],
    [{ published: '0001-01-01T00:00:00' }, true],
  ])('with %j are listed: %s', async (more, listed) => {
    expect((await only(more)).listed).toBe(listed);
  });

  it.each([
    ['1e400', undefined],
    ['-1', undefined],
    ['"-5"', undefined],
    ['"many"', undefined],
    ['9007199254740993e9', undefined],
    ['[1]', undefined],
    ['"  "', undefined],
    ['3.7', 3],
    ['"42"', 42],
    ['0', 0],
  ])('with %s downloads have %s', async (written, downloads) => {
    const body = JSON.stringify({ items: [inlined(leaf('1.0.0', { downloads: '#' }))] }).replace('"#"', written);
    expect(await list(feedOf(body))).toMatchObject([{ downloads }]);
  });

  it('survive numbers, dates and versions of any size', async () => {
    const digits = '9'.repeat(400);
    const document = JSON.stringify({
      items: [
        inlined(
          leaf('1.0.0', { packageSize: 'HUGE', downloads: digits, published: `${digits}-01-01T00:00:00Z` }),
          leaf(`${digits}.0.0`),
          leaf(`2.0.0-${digits}`),
          leaf('3.0.0', { dependencyGroups: [{ dependencies: [{ id: 'B', range: `[${digits}, )` }] }] }),
        ),
        page(`${BASE}far.json`, `${digits}.0`, digits),
      ],
    }).replaceAll('"HUGE"', '1e999');
    const all = await list(feedOf(document, { 'registration/far.json': inlined(leaf('4.0.0')) }));
    expect(texts(all)).toEqual(['1.0.0', `2.0.0-${digits}`, '3.0.0', '4.0.0']);
    expect(all[0]).toMatchObject({ packageSize: undefined, downloads: undefined, published: undefined });
    expect(all[2]?.dependencyGroups).toMatchObject([{ dependencies: [{ id: 'B', range: VersionRange.all }] }]);
  });

  it('give no packages that are neither http nor https', async () => {
    const item = { ...leaf('1.0.0'), packageContent: 'file:///etc/passwd' };
    expect(await list(feedOf({ items: [inlined(item)] }))).toMatchObject([{ packageUrl: undefined }]);
  });
});

describe('dependencies', () => {
  it('are in groups by target framework', async () => {
    const { dependencyGroups } = await only({
      dependencyGroups: [
        { targetFramework: 'net8.0', dependencies: [{ id: 'A', range: '[1.0.0, )' }] },
        { targetFramework: '.NETStandard2.0' },
        { dependencies: [{ id: 'B', range: '' }, { id: 'C' }, { id: 'D', range: null }] },
        { targetFramework: 'no framework at all', dependencies: [] },
        { targetFramework: '', dependencies: 'none' },
        { targetFramework: '.NETFramework,Version=nonsense' },
      ],
    });
    expect(dependencyGroups.map(({ targetFramework }) => targetFramework.shortFolderName)).toEqual([
      'net8.0',
      'netstandard2.0',
      'any',
      'unsupported',
      'any',
      'unsupported',
    ]);
    expect(dependencyGroups[0]?.dependencies).toEqual([{ id: 'A', range: VersionRange.parse('[1.0.0, )') }]);
    expect(dependencyGroups[2]?.dependencies.map(({ range }) => range === VersionRange.all)).toEqual([
      true,
      true,
      true,
    ]);
    expect(dependencyGroups.flatMap(({ dependencies }) => dependencies)).toHaveLength(4);
  });

  it('take all versions where their range is none, as nuspecs are read', async () => {
    const dependencies = [
      { id: 'A', range: 'later' },
      { id: 'B', range: '(2.0,1.0)' },
      { id: 'C', range: 7 },
    ];
    const { dependencyGroups } = await only({ dependencyGroups: [{ dependencies }] });
    expect(dependencyGroups.flatMap((group) => group.dependencies)).toEqual(
      ['A', 'B', 'C'].map((id) => ({ id, range: VersionRange.all })),
    );
  });

  it('that several versions have in common are kept once, and others are not', async () => {
    const needs = (...dependencies: unknown[]) => ({ targetFramework: 'net8.0', dependencies });
    const versions = [
      [needs({ id: 'A', range: '1.0' })],
      [needs({ id: 'A', range: '1.0' }), needs({ id: 'A', range: '1.0' })],
      [needs({ id: 'A', range: '2.0' }), { targetFramework: 'net6.0', dependencies: [{ id: 'A', range: '1.0' }] }],
      [needs({ id: 'B', range: '2.0' })],
      [needs({ id: 'B', range: '2.0' }, { id: 'C' })],
      [needs(null, { id: 'B', range: '2.0' })],
      [needs({ id: 'B', range: '2.0' })],
    ].map((dependencyGroups, i) =>
      inlined({ ...leaf(`${i}.0.0`), catalogEntry: { version: `${i}.0.0`, dependencyGroups } }),
    );
    const all = (await list(feedOf({ items: versions }))).map(({ dependencyGroups }) => dependencyGroups);
    expect(
      all.map((groups) =>
        groups.map(({ dependencies }) => dependencies.map(({ id, range }) => `${id} ${range.minVersion ?? 'any'}`)),
      ),
    ).toEqual([
      [['A 1.0']],
      [['A 1.0'], ['A 1.0']],
      [['A 2.0'], ['A 1.0']],
      [['B 2.0']],
      [['B 2.0', 'C any']],
      [['B 2.0']],
      [['B 2.0']],
    ]);
    expect(all[1]?.[0]).toBe(all[0]?.[0]);
    expect(all[6]?.[0]).toBe(all[5]?.[0]);
    expect(all[2]?.[1]?.targetFramework.shortFolderName).toBe('net6.0');
  });

  it('are left out where they make no sense', async () => {
    const dependencies = [null, 7, {}, { id: '' }, { range: '1.0' }, { id: 'C', range: '1.0' }];
    const { dependencyGroups } = await only({ dependencyGroups: [null, 'x', { dependencies }] });
    expect(dependencyGroups).toHaveLength(1);
    expect(dependencyGroups[0]?.dependencies.map(({ id }) => id)).toEqual(['C']);
  });
});

describe('warnings about packages', () => {
  it('say that one is deprecated, and what to use', async () => {
    const deprecation = {
      reasons: ['Legacy', 'CriticalBugs'],
      message: 'Old',
      alternatePackage: { id: 'New', range: '[2.0.0, )' },
    };
    expect((await only({ deprecation })).deprecation).toEqual({
      reasons: ['Legacy', 'CriticalBugs'],
      message: 'Old',
      alternate: { id: 'New', range: VersionRange.parse('[2.0.0, )') },
    });
    expect((await only({ deprecation: {} })).deprecation).toEqual({ reasons: [] });
    const any = await only({ deprecation: { reasons: 'Other', alternatePackage: { id: 'New', range: 'nonsense' } } });
    expect(any.deprecation).toMatchObject({ reasons: ['Other'], alternate: { id: 'New', range: VersionRange.all } });
    expect((await only({ deprecation: 'yes' })).deprecation).toBeUndefined();
  });

  it.each([
    ['0', 'low'],
    [1, 'moderate'],
    ['2', 'high'],
    ['3', 'critical'],
    ['9', 'critical'],
    ['-1', 'low'],
    ['severe', 'low'],
    [undefined, 'low'],
  ])('say that one is vulnerable with severity %s: %s', async (written, severity) => {
    const vulnerabilities = [null, {}, { severity: '3' }, { advisoryUrl: 'https://advisory.test/', severity: written }];
    expect((await only({ vulnerabilities })).vulnerabilities).toEqual([
      { advisoryUrl: 'https://advisory.test/', severity },
    ]);
  });
});

describe('a registration without an end', () => {
  it('is given up when its index says that it is in the index', async () => {
    const feed = feedOf({ items: [page(`${BASE}my.package/index.json#page/1`, '1.0.0', '2.0.0')] });
    await expect(list(feed)).rejects.toMatchObject({ code: 'LIMIT' });
    expect(feed.urls.length).toBeLessThan(4);
  });

  it('is given up when a page says that it is in itself', async () => {
    const feed = feedOf({ items: [page('a.json')] }, { 'registration/my.package/a.json': { items: [page('a.json')] } });
    await expect(list(feed)).rejects.toMatchObject({ code: 'LIMIT' });
  });

  it('is given up when pages lead to pages for ever', async () => {
    let number = 0;
    const more = () => ({ items: [page(`next-${++number}.json`)] });
    const answers: Record<string, FakeAnswer> = {};
    for (let i = 0; i < 100; i++) answers[`registration/my.package/next-${i}.json`] = more;
    await expect(list(feedOf(more, answers))).rejects.toMatchObject({ code: 'LIMIT' });
    expect(number).toBeLessThan(20);
  });

  it('is given up when pages are in pages for ever', async () => {
    let nested: object = leaf('1.0.0');
    for (let i = 0; i < 50; i++) nested = inlined(nested);
    await expect(list(feedOf({ items: [nested] }))).rejects.toMatchObject({ code: 'LIMIT' });
  });

  it('is given up when it is in too many documents', async () => {
    const numbers = Array.from({ length: 30 }, (_, i) => i);
    const answers = numbers.map((i) => [`registration/my.package/${i}.json`, inlined(leaf(`${i}.0.0`))]);
    const items = numbers.map((i) => page(`${i}.json`));
    const provider = new V3Provider(feedOf({ items }, Object.fromEntries(answers)), { maxDocuments: 10 });
    await expect(provider.listMetadata('my.package')).rejects.toMatchObject({ code: 'LIMIT' });
    const pointers = Array.from({ length: 30 }, () => ({ catalogEntry: 'https://catalog.test/same' }));
    const pointing = new V3Provider(feedOf({ items: pointers }), { maxDocuments: 10 });
    await expect(pointing.listMetadata('my.package')).rejects.toMatchObject({ code: 'LIMIT' });
  });

  it('fetches a page that two others name once', async () => {
    const feed = feedOf(
      { items: [page('a.json#1'), page('a.json#2')] },
      { 'registration/my.package/a.json': inlined(leaf('1.0.0')) },
    );
    expect(texts(await list(feed))).toEqual(['1.0.0']);
    expect(feed.urls.filter((url) => url.includes('a.json'))).toHaveLength(1);
  });
});

describe('any document in the place of a registration', () => {
  const value = fc.jsonValue({ maxDepth: 3 });
  const version = fc.oneof(fc.constantFrom('1.0.0', '2.0.0-beta', '1.0.0.0'), value);
  const entries = fc.record(
    {
      id: fc.oneof(fc.constant('My.Package'), value),
      version,
      dependencyGroups: fc.oneof(
        fc.array(
          fc.record({
            targetFramework: value,
            dependencies: fc.oneof(value, fc.array(fc.record({ id: value, range: value }))),
          }),
        ),
        value,
      ),
      deprecation: fc.oneof(
        fc.record({ reasons: value, alternatePackage: fc.record({ id: fc.string(), range: value }) }),
        value,
      ),
      vulnerabilities: fc.oneof(fc.array(fc.record({ advisoryUrl: fc.string(), severity: value })), value),
      published: value,
      tags: value,
      downloads: value,
    },
    { requiredKeys: [] },
  );
  const leaves = fc.record(
    { '@id': value, catalogEntry: fc.oneof(entries, value), packageContent: value },
    { requiredKeys: [] },
  );
  const pages = fc.record(
    {
      '@id': fc.oneof(fc.constantFrom('a.json', 'b.json#x', 'index.json'), value),
      items: fc.array(fc.oneof(leaves, value)),
      lower: version,
      upper: version,
    },
    { requiredKeys: [] },
  );
  const document = fc.oneof(
    { weight: 8, arbitrary: fc.record({ items: fc.array(fc.oneof(pages, leaves, value)) }) },
    { weight: 1, arbitrary: value },
  );

  it('is a protocol error, endless, or what makes sense of it', async () => {
    await fc.assert(
      fc.asyncProperty(document, document, async (index, other) => {
        const more = Object.fromEntries(
          ['a.json', 'b.json'].map((name) => [`registration/my.package/${name}`, JSON.stringify(other)]),
        );
        const provider = new V3Provider(feedOf(JSON.stringify(index), more));
        try {
          for (const { id, version, dependencyGroups, authors, listed } of await provider.listMetadata('my.package')) {
            expect(id.toLowerCase()).toBe('my.package');
            expect(version).toBeInstanceOf(NuGetVersion);
            expect(Array.isArray(dependencyGroups) && Array.isArray(authors)).toBe(true);
            expect(typeof listed).toBe('boolean');
          }
          await provider.getMetadata(identity('1.0.0'));
        } catch (error) {
          expect(isNuGetError(error) && error.code).toMatch(/^(PROTOCOL|LIMIT)$/);
        }
      }),
      { numRuns: 400 },
    );
  });
});
