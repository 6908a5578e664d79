import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { loggerFor } from '@granary/telemetry';
import { describe, expect, it, vi } from 'vitest';
import { SourceError } from '../../errors.js';
import { SourceCacheContext } from '../../source/source-cache-context.js';
import { buildPackage } from '../../testing/build-package.js';
import { type FakeAnswer, type FakeFeed, fakeFeed } from '../../testing/fake-feed.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { VersionRange } from '../../versions/version-range.js';
import { V2Provider, type V2ProviderOptions } from './v2-provider.js';

const BASE = 'https://feed.test/api/v2';
const NAMESPACES =
  'xmlns="http://www.w3.org/2005/Atom" xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" ' +
  'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"';

interface EntryInit {
  readonly id?: string;
  readonly version: string;
  readonly src?: string;
  readonly properties?: Readonly<Record<string, string>>;
}

function entry({ id = 'A', version, src, properties = {} }: EntryInit): string {
  const all = Object.entries({ Id: id, Version: version, ...properties });
  const content = src === undefined ? '' : `<content type="application/zip" src="${src}"/>`;
  return (
    `<entry><title>${id}</title>${content}<m:properties>` +
    `${all.map(([name, value]) => `<d:${name}>${value}</d:${name}>`).join('')}</m:properties></entry>`
  );
}

function page(entries: readonly (string | EntryInit)[], next?: string): string {
  const all = entries.map((one) => (typeof one === 'string' ? entry({ version: one }) : entry(one)));
  return `<feed ${NAMESPACES}>${all.join('')}${next === undefined ? '' : `<link rel="next" href="${next}"/>`}</feed>`;
}

const METADATA = (functions: readonly string[], properties: readonly string[] = ['Id', 'IsAbsoluteLatestVersion']) =>
  `<Edmx><EntityType Name="P">${properties.map((name) => `<Property Name="${name}"/>`).join('')}</EntityType>
  <EntityContainer><EntitySet Name="Packages" EntityType="N.P"/>${functions.map((name) => `<FunctionImport Name="${name}"/>`).join('')}
  </EntityContainer></Edmx>`;
const EVERYTHING = METADATA(['Search', 'GetUpdates', 'FindPackagesById']);

function setUp(answers: Readonly<Record<string, FakeAnswer>> = {}, options?: V2ProviderOptions, url = `${BASE}/`) {
  const below = Object.entries(answers).map(([path, answer]) => [new URL(path, `${BASE}/`).href, answer] as const);
  const feed = fakeFeed(Object.fromEntries(below), { name: 'test', url });
  return { feed, provider: new V2Provider(feed, options) };
}

const id = (name: string, version: string) => ({ id: name, version: NuGetVersion.parse(version) });
const texts = (versions: readonly { toNormalizedString(): string }[]) =>
  versions.map((one) => one.toNormalizedString());
const paths = (feed: FakeFeed) => feed.urls.map((url) => url.slice(BASE.length));
const coded = (code: string, message: RegExp = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

async function privateTemporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'granary-test-'));
  vi.stubEnv('TMPDIR', path);
  return {
    path,
    async [Symbol.asyncDispose]() {
      vi.unstubAllEnvs();
      await rm(path, { recursive: true });
    },
  };
}

describe('versions of protocol 2', () => {
  it('are those of all pages, each once and in ascending order', async () => {
    const { feed, provider } = setUp({
      'FindPackagesById()': page(['2.0.0', '1.0'], `${BASE}/FindPackagesById()?id='A'&amp;$skiptoken=2`),
      "FindPackagesById()?id='A'&$skiptoken=2": page(['1.0.0-beta', '1.0.0.0', '10.0.0']),
    });
    expect(texts(await provider.listVersions('A'))).toEqual(['1.0.0-beta', '1.0.0', '2.0.0', '10.0.0']);
    expect(paths(feed)).toEqual([
      "/FindPackagesById()?id='A'&semVerLevel=2.0.0",
      '/FindPackagesById()?id=%27A%27&$skiptoken=2',
    ]);
  });

  it('are kept page by page under the names of the NuGet client', async () => {
    const { feed, provider } = setUp({
      'FindPackagesById()': page(['1.0'], `${BASE}/next`),
      next: page(['2.0']),
    });
    await provider.listVersions('Some.Package');
    expect(feed.requests.map(({ cacheKey }) => cacheKey)).toEqual([
      'list_some.package_page1',
      'list_some.package_page2',
    ]);
    expect(feed.requests[0]?.headers['accept']).toContain('application/atom+xml');
  });

  it('leave out other packages, and those that are not there', async () => {
    const { provider } = setUp({
      'FindPackagesById()': page([
        { id: 'a', version: '1.0' },
        { id: 'AB', version: '2.0' },
      ]),
    });
    expect(texts(await provider.listVersions('A'))).toEqual(['1.0.0']);
    expect(await setUp().provider.listVersions('A')).toEqual([]);
  });

  it('are those that are some, where a source has others too', async () => {
    const logs: string[] = [];
    const logger = loggerFor(
      { write: ({ level, message }) => void logs.push(`${level}: ${message}`) },
      { level: 'debug' },
    );
    const { feed, provider } = setUp({ 'FindPackagesById()': page(['1.0', 'v2', '1.2.3.4.5', '3.0']) }, { logger });
    expect(texts(await provider.listVersions('A'))).toEqual(['1.0.0', '3.0.0']);
    expect(logs).toEqual([`debug: 2 entries in ${BASE}/FindPackagesById() are left out: their versions are none`]);
    feed.answer(`${BASE}/FindPackagesById()`, page(['v2']));
    await expect(provider.listVersions('A')).rejects.toEqual(coded('PROTOCOL', /no entry whose version is one/));
  });

  it('may lie on pages of another host', async () => {
    const { feed, provider } = setUp({
      'FindPackagesById()': page(['1.0'], 'https://cdn.test/page2'),
      'https://cdn.test/page2': page(['2.0']),
    });
    expect(await provider.listVersions('A')).toHaveLength(2);
    expect(feed.urls[1]).toBe('https://cdn.test/page2');
  });

  it('are no list when one of their pages is missing', async () => {
    const { provider } = setUp({ 'FindPackagesById()': page(['1.0'], `${BASE}/2`) });
    await expect(provider.listVersions('A')).rejects.toEqual(coded('PROTOCOL', /v2\/2 isn't there/));
  });

  it('end at a page that is named twice, and after many pages or entries', async () => {
    const again = setUp({ 'FindPackagesById()': page(['1.0'], `${BASE}/2`), 2: page(['2.0'], `${BASE}/2`) });
    await expect(again.provider.listVersions('A')).rejects.toEqual(coded('PROTOCOL', /twice/));

    const itself = setUp({
      'FindPackagesById()': page(['1.0'], `${BASE}/FindPackagesById()?id='A'&amp;semVerLevel=2.0.0`),
    });
    await expect(itself.provider.listVersions('A')).rejects.toEqual(coded('PROTOCOL', /twice/));
    expect(itself.feed.requests).toHaveLength(1);

    let pages = 0;
    const endless = () => page([`1.0.${pages}`], `${BASE}/FindPackagesById()?page=${++pages}`);
    const unlimited = setUp({ 'FindPackagesById()': endless }, { maxPages: 7 });
    await expect(unlimited.provider.listVersions('A')).rejects.toEqual(coded('LIMIT', /7 pages/));
    expect(unlimited.feed.requests).toHaveLength(7);

    const many = setUp({ 'FindPackagesById()': endless }, { maxEntries: 3 });
    await expect(many.provider.listVersions('A')).rejects.toEqual(coded('LIMIT', /3 entries/));
  });

  it('are asked for with quotes doubled, and refused for what is no id', async () => {
    const { feed, provider } = setUp();
    await expect(provider.listVersions("x'y")).rejects.toEqual(coded('INVALID_PACKAGE_ID'));
    await expect(provider.listVersions('')).rejects.toEqual(coded('INVALID_PACKAGE_ID'));
    expect(feed.requests).toEqual([]);
    await provider.listVersions('Ünï.x');
    expect(paths(feed)).toEqual(["/FindPackagesById()?id='%C3%9Cn%C3%AF.x'&semVerLevel=2.0.0"]);
  });

  it('are asked for below the URL of the source, without its query', async () => {
    for (const url of ['https://feed.test/api/v2', 'https://feed.test/api/v2//', 'https://feed.test/api/v2/?x=1#y']) {
      const { feed, provider } = setUp({ 'FindPackagesById()': page(['1.0']) }, {}, url);
      expect(await provider.listVersions('A')).toHaveLength(1);
      expect(feed.urls[0]).toBe(`${BASE}/FindPackagesById()?id='A'&semVerLevel=2.0.0`);
    }
  });

  it('are not what a login page says', async () => {
    const { provider } = setUp({ 'FindPackagesById()': '<!DOCTYPE html><html></html>' });
    await expect(provider.listVersions('A')).rejects.toEqual(coded('PROTOCOL', /^test: .*HTML/));
    await expect(provider.listVersions('A')).rejects.toBeInstanceOf(SourceError);
  });

  it('stop to be asked for when the caller goes away', async () => {
    const abort = new AbortController();
    const { feed, provider } = setUp({
      'FindPackagesById()': () => {
        abort.abort(new Error('enough'));
        return page(['1.0'], `${BASE}/2`);
      },
    });
    await expect(provider.listVersions('A', { signal: abort.signal })).rejects.toThrow('enough');
    expect(feed.requests).toHaveLength(1);
  });
});

describe('metadata of protocol 2', () => {
  const FULL: EntryInit = {
    id: 'A',
    version: '1.2.0-beta',
    src: 'https://feed.test/api/v2/package/A/1.2.0-beta',
    properties: {
      Title: 'The A',
      Description: 'Does &lt;A&gt;',
      Summary: 'A',
      ReleaseNotes: 'new',
      Copyright: '(c)',
      Language: 'en-US',
      Authors: 'Ann, Bob ,',
      Tags: ' x  y,z ',
      IconUrl: 'https://icon.test/a.png',
      ProjectUrl: 'https://a.test',
      LicenseUrl: 'no url',
      RequireLicenseAcceptance: 'true',
      MinClientVersion: '2.8',
      Dependencies: 'B:[1.0, 2.0):net45|C::net45|D:null:null|b:1.0:net45|::netstandard2.0|E:3.0',
      Published: '2020-02-03T04:05:06.7890000',
      DownloadCount: '12',
      PackageSize: '345',
      PackageHash: 'aGFzaA==',
      PackageHashAlgorithm: 'SHA512',
      GalleryDetailsUrl: 'https://gallery.test/a',
      ReportAbuseUrl: 'https://gallery.test/a/abuse',
    },
  };

  it('says everything that the source says', async () => {
    const { feed, provider } = setUp({ "Packages(Id='A',Version='1.2.0-beta')": page([FULL]) });
    const metadata = await provider.getMetadata(id('A', '1.2-beta'));
    expect(metadata).toMatchObject({
      id: 'A',
      title: 'The A',
      description: 'Does <A>',
      summary: 'A',
      releaseNotes: 'new',
      copyright: '(c)',
      language: 'en-US',
      authors: ['Ann', 'Bob'],
      owners: [],
      tags: ['x', 'y', 'z'],
      iconUrl: 'https://icon.test/a.png',
      projectUrl: 'https://a.test',
      licenseUrl: undefined,
      requireLicenseAcceptance: true,
      minClientVersion: '2.8',
      published: new Date('2020-02-03T04:05:06.789Z'),
      listed: true,
      downloads: 12,
      packageSize: 345,
      packageHash: { algorithm: 'SHA512', value: 'aGFzaA==' },
      packageUrl: 'https://feed.test/api/v2/package/A/1.2.0-beta',
      detailsUrl: 'https://gallery.test/a',
      reportAbuseUrl: 'https://gallery.test/a/abuse',
      vulnerabilities: [],
    });
    expect(feed.requests.map(({ cacheKey }) => cacheKey)).toEqual([
      "list_/Packages(Id='A',Version='1.2.0-beta')_page1",
    ]);
    const groups = metadata?.dependencyGroups.map(({ targetFramework, dependencies }) => [
      targetFramework.isAny ? 'any' : targetFramework.shortFolderName,
      dependencies.map((one) => `${one.id} ${one.range.toNormalizedString()}`),
    ]);
    expect(groups).toEqual([
      ['net45', ['B [1.0.0, 2.0.0)', 'C (, )']],
      ['any', ['D (, )', 'E [3.0.0, )']],
      ['netstandard2.0', []],
    ]);
  });

  it('is that of an unlisted version too', async () => {
    const { provider } = setUp({
      "Packages(Id='A',Version='1.0.0')": page([{ version: '1.0', properties: { Published: '1900-01-01T00:00:00' } }]),
    });
    expect((await provider.getMetadata(id('A', '1.0')))?.listed).toBe(false);
  });

  it('comes from the list of all versions where the source gives no single one, or another', async () => {
    const { feed, provider } = setUp({ 'FindPackagesById()': page(['1.0', '2.0']) });
    expect((await provider.getMetadata(id('A', '2.0')))?.version.toNormalizedString()).toBe('2.0.0');
    expect(paths(feed)).toEqual(["/Packages(Id='A',Version='2.0.0')", "/FindPackagesById()?id='A'&semVerLevel=2.0.0"]);
    feed.answer(`${BASE}/Packages(Id='A',Version='2.0.0')`, page([{ id: 'B', version: '2.0' }, '3.0']));
    expect((await provider.getMetadata(id('A', '2.0')))?.id).toBe('A');
    expect(await provider.getMetadata(id('A', '4.0'))).toBeUndefined();
  });

  it.each([
    ['a 400', new SourceError('PROTOCOL', 'test', 'answered 400', { statusCode: 400 })],
    ['a 500', 500],
    ['a 501', new SourceError('UNSUPPORTED', 'test', 'answered 501', { statusCode: 501 })],
    ['a page', '<html/>'],
  ])(
    'comes from the list of all versions where the source answers with %s to a question for one',
    async (_, answer) => {
      const { provider } = setUp({ "Packages(Id='A',Version='1.0.0')": answer, 'FindPackagesById()': page(['1.0']) });
      expect((await provider.getMetadata(id('A', '1.0')))?.version.toNormalizedString()).toBe('1.0.0');
    },
  );

  it.each([401, 403, 429, 503])('is not looked for elsewhere where the source answers with %i', async (statusCode) => {
    const { provider } = setUp({ "Packages(Id='A',Version='1.0.0')": statusCode, 'FindPackagesById()': page(['1.0']) });
    await expect(provider.getMetadata(id('A', '1.0'))).rejects.toMatchObject({ statusCode });
  });

  it('of all versions is in ascending order', async () => {
    const { provider } = setUp({ 'FindPackagesById()': page([{ version: '2.0' }, FULL, { version: '1.0' }]) });
    const all = await provider.listMetadata('A');
    expect(all.map(({ version, title }) => [version.toNormalizedString(), title])).toEqual([
      ['1.0.0', 'A'],
      ['1.2.0-beta', 'The A'],
      ['2.0.0', 'A'],
    ]);
  });

  it('takes dependencies whose range is none for such on all versions, as nuspecs are read, and says so', async () => {
    const logs: string[] = [];
    const logger = loggerFor({ write: ({ level, message }) => void logs.push(`${level}: ${message}`) });
    const Dependencies = 'B:(2.0,1.0):net45|C:[1.0]:net45|D:1.0:.NETFramework,Version=vx|E:later';
    const versions = [{ version: '1.0', properties: { Dependencies } }, '2.0'];
    const { provider } = setUp({ 'FindPackagesById()': page(versions) }, { logger });
    const [first, second] = await provider.listMetadata('A');
    expect(
      first?.dependencyGroups.map(({ targetFramework, dependencies }) => [
        targetFramework.shortFolderName,
        dependencies.map(({ id, range }) => `${id} ${range.toNormalizedString()}`),
      ]),
    ).toEqual([
      ['net45', ['B (, )', 'C [1.0.0, 1.0.0]']],
      ['unsupported', ['D [1.0.0, )']],
      ['any', ['E (, )']],
    ]);
    expect(second?.dependencyGroups).toEqual([]);
    expect(logs.map((line) => line.replaceAll('"', ''))).toEqual([
      'warning: A dependency of A 1.0 in test takes all versions: the range in B:(2.0,1.0):net45 is none',
      'warning: A dependency of A 1.0 in test takes all versions: the range in E:later is none',
    ]);
  });

  it('survives numbers and dates of any size', async () => {
    const properties = { DownloadCount: '9'.repeat(400), PackageSize: '-1', Published: '99999-99-99T00:00:00' };
    const { provider } = setUp({ 'FindPackagesById()': page([{ version: '1.0', properties }]) });
    expect(await provider.listMetadata('A')).toMatchObject([
      { downloads: undefined, packageSize: undefined, published: undefined },
    ]);
  });
});

describe('a search of protocol 2', () => {
  it('asks for the newest stable versions, or for the newest of all', async () => {
    const { feed, provider } = setUp({ $metadata: EVERYTHING, 'Search()': page([]) });
    await provider.search("it's c# & more", { supportedFrameworks: ['.NETFramework,Version=v4.5', 'net8.0'] });
    await provider.search('', { includePrerelease: true, skip: 40, take: 10 });
    expect(paths(feed)).toEqual([
      '/$metadata',
      "/Search()?$filter=IsLatestVersion&searchTerm='it''s%20c%23%20%26%20more'&targetFramework='net45%7Cnet8.0'" +
        '&includePrerelease=false&$skip=0&$top=20&$inlinecount=allpages&semVerLevel=2.0.0',
      "/Search()?$filter=IsAbsoluteLatestVersion&searchTerm=''&targetFramework=''" +
        '&includePrerelease=true&$skip=40&$top=10&$inlinecount=allpages&semVerLevel=2.0.0',
    ]);
    expect(feed.requests.slice(1).map(({ cacheKey }) => cacheKey)).toEqual([undefined, undefined]);
  });

  it.each([[{ take: -1 }], [{ skip: 1.5 }], [{ skip: Number.NaN }]])('asks for no page %j', async (search) => {
    const { feed, provider } = setUp();
    await expect(provider.search('a', search)).rejects.toEqual(coded('INVALID_OPTION'));
    await expect(provider.autocomplete('a', search)).rejects.toEqual(coded('INVALID_OPTION'));
    expect(feed.requests).toEqual([]);
  });

  it('shows the newest of each package in the order of the source, and no unlisted one', async () => {
    const { provider } = setUp({
      'Search()': page([
        { id: 'B', version: '1.0', properties: { DownloadCount: '7', VersionDownloadCount: '3' } },
        { id: 'A', version: '1.0' },
        { id: 'b', version: '2.0' },
        { id: 'a', version: '0.5' },
        { id: 'C', version: '1.0', properties: { Published: '1900-01-01T00:00:00' } },
      ]),
    });
    const { results, total } = await provider.search('x');
    expect(results.map((one) => `${one.id} ${one.version.toNormalizedString()}`)).toEqual(['b 2.0.0', 'A 1.0.0']);
    expect(total).toBeUndefined();
  });

  it('takes as many pages as it needs, and no result too many', async () => {
    const { feed, provider } = setUp({
      'Search()': page(
        [
          { id: 'A', version: '1.0' },
          { id: 'B', version: '1.0' },
        ],
        `${BASE}/2`,
      ),
      2: page(
        [
          { id: 'C', version: '1.0' },
          { id: 'D', version: '1.0' },
        ],
        `${BASE}/3`,
      ),
    });
    expect((await provider.search('', { take: 3 })).results.map((one) => one.id)).toEqual(['A', 'B', 'C']);
    expect(feed.requests).toHaveLength(3);
    expect(await provider.search('', { take: 0 })).toEqual({ total: undefined, results: [] });
  });

  it('says how often packages were downloaded, and how many there are if the source tells', async () => {
    const properties = { DownloadCount: '7', VersionDownloadCount: '3' };
    const text = page([{ version: '1.0', properties }]).replace('<entry>', '<m:count>31</m:count><entry>');
    const { results, total } = await setUp({ 'Search()': text }).provider.search('');
    expect(total).toBe(31);
    expect(results[0]).toMatchObject({ totalDownloads: 7, verified: false, versions: [{ downloads: 3 }] });
  });

  it('filters packages where the source has no search', async () => {
    const { feed, provider } = setUp({ $metadata: METADATA(['FindPackagesById']), 'Packages()': page(['1.0']) });
    expect((await provider.search('Json lib')).results).toHaveLength(1);
    await provider.search('', { take: 5 });
    expect(paths(feed).slice(1)).toEqual([
      '/Packages()?$filter=(' +
        ['json', 'lib']
          .flatMap((word) => [
            `((Id%20ne%20null)%20and%20substringof('${word}',tolower(Id)))`,
            `((Description%20ne%20null)%20and%20substringof('${word}',tolower(Description)))`,
            `((Tags%20ne%20null)%20and%20substringof('%20${word}%20',tolower(Tags)))`,
          ])
          .join('%20or%20') +
        ')%20and%20IsLatestVersion&$skip=0&$top=20&$inlinecount=allpages&semVerLevel=2.0.0',
      '/Packages()?$filter=IsLatestVersion&$skip=0&$top=5&$inlinecount=allpages&semVerLevel=2.0.0',
    ]);
  });

  it('finds stable versions where the source knows no newest of all', async () => {
    const { feed, provider } = setUp({
      $metadata: METADATA(['Search'], ['Id', 'IsLatestVersion']),
      'Search()': page([]),
    });
    await provider.search('x', { includePrerelease: true });
    expect(feed.urls[1]).toContain('$filter=IsLatestVersion&');
    expect(feed.urls[1]).toContain('includePrerelease=false');
  });

  it('trusts a source that does not describe itself, but not one that wants credentials', async () => {
    const { feed, provider } = setUp({ $metadata: 500, 'Search()': page(['1.0']) });
    expect((await provider.search('', { includePrerelease: true })).results).toHaveLength(1);
    expect(feed.urls[1]).toContain('IsAbsoluteLatestVersion');
    feed.answer(`${BASE}/$metadata`, 401);
    await expect(provider.search('')).rejects.toEqual(coded('UNAUTHORIZED'));
  });

  it('is a filter where there turns out to be no search, and an error where there is neither', async () => {
    const { feed, provider } = setUp({ $metadata: 503, 'Packages()': page(['1.0']) });
    expect((await provider.search('x')).results).toHaveLength(1);
    expect(paths(feed).map((path) => path.replace(/\?.*/, ''))).toEqual(['/$metadata', '/Search()', '/Packages()']);
    await expect(setUp().provider.search('x')).rejects.toEqual(coded('UNSUPPORTED', /search/));
    const filtered = setUp({ $metadata: METADATA(['FindPackagesById']) });
    await expect(filtered.provider.search('x')).rejects.toEqual(coded('UNSUPPORTED'));
    expect(filtered.feed.urls.join()).not.toContain('Search()');
  });

  it('knows no types of packages', async () => {
    const { provider } = setUp();
    await expect(provider.search('', { packageType: 'DotnetTool' })).rejects.toEqual(coded('UNSUPPORTED'));
    await expect(provider.autocomplete('', { packageType: 'DotnetTool' })).rejects.toEqual(coded('UNSUPPORTED'));
  });
});

describe('the description of a source of protocol 2', () => {
  it('is asked for once', async () => {
    const { feed, provider } = setUp({ $metadata: EVERYTHING });
    expect([...((await provider.capabilities())?.functions ?? [])]).toEqual([
      'search',
      'getupdates',
      'findpackagesbyid',
    ]);
    await provider.capabilities();
    expect(feed.requests.map(({ cacheKey }) => cacheKey)).toEqual(['odata_metadata']);
  });

  it('is asked for again after a failure', async () => {
    const { feed, provider } = setUp({ $metadata: 503 });
    await expect(provider.capabilities()).rejects.toEqual(coded('SOURCE_UNAVAILABLE'));
    feed.answer(`${BASE}/$metadata`, METADATA(['FindPackagesById']));
    expect([...((await provider.capabilities())?.functions ?? [])]).toEqual(['findpackagesbyid']);
  });

  it('is not needed for anything but searches and updates', async () => {
    const { feed, provider } = setUp({
      $metadata: 503,
      'FindPackagesById()': page(['1.0']),
      "Packages(Id='A',Version='1.0.0')": page(['1.0']),
    });
    await provider.listVersions('A');
    await provider.listMetadata('A');
    await provider.getMetadata(id('A', '1.0'));
    await provider.downloadPackage(id('A', '1.0'));
    expect(feed.urls.join()).not.toContain('$metadata');
  });

  it('may be missing, or be none', async () => {
    expect(await setUp().provider.capabilities()).toBeUndefined();
    await expect(setUp({ $metadata: '<html/>' }).provider.capabilities()).rejects.toEqual(coded('PROTOCOL'));
  });
});

describe('completion in protocol 2', () => {
  it('is a list of ids', async () => {
    const { feed, provider } = setUp({ 'package-ids': ['A', 'AB', 'AC'] });
    expect(await provider.autocomplete('a b', { includePrerelease: true, skip: 1, take: 1 })).toEqual(['AB']);
    expect(await provider.autocomplete('a')).toEqual(['A', 'AB', 'AC']);
    expect(paths(feed)[0]).toBe('/package-ids?partialId=a%20b&includePrerelease=True&semVerLevel=2.0.0');
  });

  it('is a list of versions', async () => {
    const { feed, provider } = setUp({ 'package-versions/A': ['2.0.0', '1.0.0-a', 'nonsense', '1.0'] });
    expect(texts(await provider.autocompleteVersions('A'))).toEqual(['1.0.0-a', '1.0.0', '2.0.0']);
    expect(paths(feed)).toEqual(['/package-versions/A?includePrerelease=False&semVerLevel=2.0.0']);
  });

  it('is something that few sources have', async () => {
    await expect(setUp().provider.autocomplete('a')).rejects.toEqual(coded('UNSUPPORTED', /completion/));
  });

  it.each([['{"data":[]}'], ['[1]'], ['<html></html>'], ['']])('is not %s', async (text) => {
    await expect(setUp({ 'package-ids': text }).provider.autocomplete('a')).rejects.toEqual(coded('PROTOCOL'));
  });
});

describe('updates in protocol 2', () => {
  it('are asked for by id, version and constraint', async () => {
    const { feed, provider } = setUp({ $metadata: EVERYTHING, 'GetUpdates()': page(['2.0']) });
    const installed = [{ ...id('A', '1.0'), constraint: VersionRange.parse('[1.0,3.0)') }, id('B', '2.0-x')];
    expect(await provider.getUpdates(installed, { includePrerelease: true, frameworks: ['net472'] })).toMatchObject([
      { id: 'A' },
    ]);
    expect(paths(feed)[1]).toBe(
      "/GetUpdates()?packageIds='A%7CB'&versions='1.0.0%7C2.0.0-x'&includePrerelease=true&includeAllVersions=false" +
        "&targetFrameworks='net472'&versionConstraints='%5B1.0.0%2C%203.0.0%29%7C'&semVerLevel=2.0.0",
    );
  });

  it('of many packages are asked for in several requests', async () => {
    const { feed, provider } = setUp({ 'GetUpdates()': page(['2.0']) });
    const installed = Array.from({ length: 25 }, (_, i) => id(`P${i}`, '1.0'));
    expect(await provider.getUpdates(installed, { includeAllVersions: true })).toHaveLength(3);
    expect(feed.urls.filter((url) => url.includes('GetUpdates'))).toHaveLength(3);
    expect(await provider.getUpdates([])).toEqual([]);
  });

  it('are something that a source may not have', async () => {
    const { provider } = setUp({ $metadata: METADATA(['Search']) });
    await expect(provider.getUpdates([id('A', '1.0')])).rejects.toEqual(coded('UNSUPPORTED', /updates/));
  });
});

describe('a package of protocol 2', () => {
  const package1 = buildPackage({ id: 'A', version: '1.0.0' });

  it('comes from where its entry says', async () => {
    const { feed, provider } = setUp({
      'FindPackagesById()': page([{ version: '1.0', src: 'https://cdn.test/a.nupkg' }]),
      'https://cdn.test/a.nupkg': package1,
    });
    const stream = await provider.downloadPackage(id('a', '1.0.0.0'));
    expect(stream?.url).toBe('https://cdn.test/a.nupkg');
    expect(stream?.length).toBe(package1.length);
    expect(await buffer(stream!.body)).toEqual(package1);
    expect(feed.requests.map(({ kind }) => kind)).toEqual(['document', 'stream']);
  });

  it('comes from the usual place when the entry says none, or one that nobody should open', async () => {
    for (const src of [undefined, 'file:///etc/passwd']) {
      const { feed, provider } = setUp({
        'FindPackagesById()': page([{ version: '1.0.0-B', ...(src ? { src } : {}) }]),
      });
      expect(await provider.downloadPackage(id('A', '1.0-b'))).toBeUndefined();
      expect(paths(feed)[1]).toBe('/package/A/1.0.0-B');
    }
  });

  it('may be too new for the list that is kept', async () => {
    const { provider } = setUp({
      'FindPackagesById()': page(['1.0']),
      "Packages(Id='A',Version='2.0.0')": page(['2.0']),
      'package/A/2.0.0': package1,
    });
    const stream = await provider.downloadPackage(id('A', '2.0'));
    stream?.body.destroy();
    expect(stream?.length).toBe(package1.length);
    expect(await provider.downloadPackage(id('A', '3.0'))).toBeUndefined();
  });

  it('is asked for alone where nothing may come from a cache, and found in the list where that is not understood', async () => {
    const cacheContext = new SourceCacheContext({ maxAgeMs: 0 });
    const list = { 'FindPackagesById()': page(['1.0', '2.0']), 'package/A/2.0.0': package1 };
    const alone = "Packages(Id='A',Version='2.0.0')";
    const { feed, provider } = setUp({ ...list, [alone]: page(['2.0']) });
    (await provider.downloadPackage(id('A', '2.0'), { cacheContext }))?.body.destroy();
    expect(paths(feed)).toEqual([`/${alone}`, '/package/A/2.0.0']);
    for (const answer of [404, 500, '<html/>']) {
      const other = setUp({ ...list, [alone]: answer });
      const stream = await other.provider.downloadPackage(id('A', '2.0'), { cacheContext });
      expect(stream?.length).toBe(package1.length);
      stream?.body.destroy();
    }
    for (const answer of [401, 429, 503]) {
      const other = setUp({ ...list, [alone]: answer });
      await expect(other.provider.downloadPackage(id('A', '2.0'), { cacheContext })).rejects.toThrow();
      expect(paths(other.feed)).toEqual([`/${alone}`]);
    }
  });

  it('is fetched for its nuspec, and leaves nothing behind', async () => {
    await using temporary = await privateTemporaryFolder();
    const { provider } = setUp({ 'FindPackagesById()': page(['1.0']), 'package/A/1.0.0': package1 });
    expect(String(await provider.getNuspec(id('A', '1.0')))).toContain('<id>A</id>');
    expect(await provider.getNuspec(id('A', '2.0'))).toBeUndefined();
    expect(await readdir(temporary.path)).toEqual([]);
  });

  it('is not fetched for its nuspec when it is too long or none', async () => {
    await using temporary = await privateTemporaryFolder();
    const answers = { 'FindPackagesById()': page(['1.0']), 'package/A/1.0.0': package1 as FakeAnswer };
    const limited = setUp(answers, { maxPackageBytes: 100 });
    await expect(limited.provider.getNuspec(id('A', '1.0'))).rejects.toEqual(coded('LIMIT', /100 bytes/));
    const broken = setUp({ ...answers, 'package/A/1.0.0': package1.subarray(0, 200) });
    await expect(broken.provider.getNuspec(id('A', '1.0'))).rejects.toEqual(coded('INVALID_PACKAGE'));
    expect(await readdir(temporary.path)).toEqual([]);
  });
});

describe('publishing in protocol 2', () => {
  const content = Buffer.from('the package');
  const pushed = { name: 'a.nupkg', size: content.length, open: () => Readable.from([content]) };

  it('puts a form at the URL of the source, or at the known path of a host', async () => {
    for (const [url, target] of [
      [`${BASE}/`, `${BASE}/`],
      ['https://feed.test/nuget', 'https://feed.test/nuget/'],
      ['https://feed.test/', 'https://feed.test/api/v2/package/'],
    ] as const) {
      const { feed, provider } = setUp({ [target]: 201 }, {}, url);
      await provider.push(pushed, { apiKey: 'secret' });
      const [request] = feed.requests;
      expect(request).toMatchObject({ method: 'PUT', url: target, headers: { 'x-nuget-apikey': 'secret' } });
      const { headers, body } = request!;
      const boundary = /boundary="?([^"]+)/.exec(headers['content-type'] ?? '')?.[1];
      expect(Number(headers['content-length'])).toBe(body?.length);
      expect(String(body)).toContain('\r\n\r\nthe package\r\n');
      expect(String(body).endsWith(`--${boundary}--\r\n`)).toBe(true);
    }
  });

  it.each([
    [400, 'INVALID_PACKAGE'],
    [401, 'UNAUTHORIZED'],
    [403, 'FORBIDDEN'],
    [404, 'UNSUPPORTED'],
    [405, 'UNSUPPORTED'],
    [409, 'CONFLICT'],
    [413, 'LIMIT'],
    [500, 'SOURCE_UNAVAILABLE'],
  ])('that is answered with %i fails as %s', async (statusCode, code) => {
    const { provider } = setUp({ '': statusCode, 'A/1.0.0': statusCode });
    await expect(provider.push(pushed)).rejects.toMatchObject({ code, statusCode, source: 'test' });
    if (statusCode === 404) return;
    await expect(provider.delete(id('A', '1.0'))).rejects.toMatchObject({ code, statusCode, source: 'test' });
  });

  it('fails with what the source says', async () => {
    const reason = new SourceError('PROTOCOL', 'test', 'answered 400: No description', { statusCode: 400 });
    await expect(setUp({ '': reason }).provider.push(pushed)).rejects.toMatchObject({
      message: "test: can't push a.nupkg: it is no valid package there (answered 400: No description)",
      cause: reason,
    });
    const broken = new SourceError('SOURCE_UNAVAILABLE', 'test', 'reset');
    await expect(setUp({ '': broken }).provider.push(pushed)).rejects.toBe(broken);
  });

  it('says that there are no symbols, without a request', async () => {
    const { feed, provider } = setUp({ '': 201 });
    await expect(provider.push(pushed, { symbols: true })).rejects.toEqual(
      coded('UNSUPPORTED', /^test: .*symbol packages: protocol 2 has none/),
    );
    expect(feed.requests).toEqual([]);
  });

  it('deletes and lists again, and says when there is nothing', async () => {
    const { feed, provider } = setUp({ 'A/1.0.0': 204 });
    expect(await provider.delete(id('A', '1.0'), { apiKey: 'secret' })).toBe(true);
    expect(await provider.relist(id('A', '1.0'))).toBe(true);
    expect(await provider.delete(id('A', '2.0'))).toBe(false);
    expect(feed.requests.map(({ method }) => method)).toEqual(['DELETE', 'POST', 'DELETE']);
    expect(feed.requests[0]?.headers['x-nuget-apikey']).toBe('secret');
    expect(feed.requests[1]?.headers['x-nuget-apikey']).toBeUndefined();
    await expect(provider.delete(id('../x', '1.0'))).rejects.toEqual(coded('INVALID_PACKAGE_ID'));
  });
});

describe('a provider of protocol 2', () => {
  it('knows of no vulnerabilities', async () => {
    const { provider } = setUp();
    expect(provider.protocol).toBe('v2');
    expect(await provider.vulnerabilities()).toBeUndefined();
  });

  it.each(['maxPages', 'maxEntries', 'maxDocumentBytes', 'maxPackageBytes'])('refuses a %s of nothing', (name) => {
    for (const value of [0, -1, 1.5, Number.NaN]) {
      expect(() => setUp({}, { [name]: value })).toThrow(coded('INVALID_OPTION', new RegExp(name)));
    }
  });

  it('limits documents to what it was told', async () => {
    const { feed, provider } = setUp({ 'FindPackagesById()': page(['1.0']) }, { maxDocumentBytes: 50 });
    await expect(provider.listVersions('A')).rejects.toEqual(coded('LIMIT'));
    expect(feed.requests[0]?.maxBytes).toBe(50);
  });
});
