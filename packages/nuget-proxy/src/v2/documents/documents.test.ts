import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { record } from '../../http/testing/memory-feed.js';
import { TestServer } from '../../http/testing/test-server.js';
import { SearchFeed } from '../testing/search-feed.js';
import { V2Client } from '../testing/v2-client.js';
import { pageAt } from '../testing/v2-feed.js';

const full = record('A.B', '1.2.3', {
  title: 'T & U',
  description: '<d>',
  summary: 'sum',
  releaseNotes: 'notes',
  copyright: '©',
  language: 'en-US',
  authors: ['X', 'Y'],
  owners: ['o', 'p'],
  tags: ['t', 'u'],
  iconUrl: 'https://project.example/icon.png',
  projectUrl: 'https://project.example/?a=1&b=2',
  licenseUrl: 'https://licenses.example/MIT',
  licenseExpression: 'MIT',
  requireLicenseAcceptance: true,
  minClientVersion: '2.8',
  published: '2020-01-02T03:04:05.678Z',
  downloads: 3_000_000_000,
  packageSize: 5_000_000_000,
  packageHash: { algorithm: 'SHA512', value: 'aGFzaA==' },
  dependencyGroups: [
    { targetFramework: 'net45', dependencies: [{ id: 'C', range: '[1.0.0, 2.0.0)' }] },
    { targetFramework: 'netstandard2.0', dependencies: [] },
  ],
});

async function serving(...records: readonly ReturnType<typeof record>[]) {
  const feed = new SearchFeed('all', records);
  const server = await TestServer.start({ all: feed, upstreamHosts: new Set(['feed.upstream.example']) });
  return { feed, server };
}

/** What is said of a package by name: `null` where it is said that there is nothing. */
async function propertiesOf(server: TestServer, key: string): Promise<Readonly<Record<string, string | null>>> {
  const { status, body } = await server.ask(`/nuget/v2/Packages(${key})`);
  expect(status).toBe(200);
  const found = body.toString().matchAll(/<d:(\w+)([^>]*?)(?: \/>|>([^<]*)<)/g);
  return Object.fromEntries(
    Array.from(found, ([, name, attributes = '', text = '']) => {
      const type = /m:type="Edm\.(\w+)"/.exec(attributes)?.[1];
      const value = attributes.includes('m:null="true"') ? null : text;
      return [type === undefined ? name : `${name}:${type}`, value];
    }),
  );
}

describe('an entry', () => {
  it('says all that is known of a package', async () => {
    const { server } = await serving(full);
    await using _ = server;
    expect(await propertiesOf(server, "Id='a.b',Version='1.2.3'")).toEqual({
      Id: 'A.B',
      Version: '1.2.3',
      NormalizedVersion: '1.2.3',
      Authors: 'X, Y',
      Owners: 'o, p',
      Copyright: '©',
      'Created:DateTime': '2020-01-02T03:04:05.678',
      Dependencies: 'C:[1.0.0, 2.0.0):net45|::netstandard2.0',
      Description: '&lt;d&gt;',
      'DownloadCount:Int32': '2147483647',
      GalleryDetailsUrl: `${server.url}/v3/details/a.b/1.2.3`,
      IconUrl: 'https://project.example/icon.png',
      'IsLatestVersion:Boolean': 'true',
      'IsAbsoluteLatestVersion:Boolean': 'true',
      'IsPrerelease:Boolean': 'false',
      Language: 'en-US',
      'LastEdited:DateTime': null,
      'LastUpdated:DateTime': '2020-01-02T03:04:05.678',
      'Published:DateTime': '2020-01-02T03:04:05.678',
      'Listed:Boolean': 'true',
      PackageHash: 'aGFzaA==',
      PackageHashAlgorithm: 'SHA512',
      'PackageSize:Int64': '5000000000',
      ProjectUrl: 'https://project.example/?a=1&amp;b=2',
      ReportAbuseUrl: `${server.url}/v3/details/a.b/1.2.3#contact`,
      ReleaseNotes: 'notes',
      'RequireLicenseAcceptance:Boolean': 'true',
      Summary: 'sum',
      Tags: ' t u ',
      Title: 'T &amp; U',
      'VersionDownloadCount:Int32': '2147483647',
      MinClientVersion: '2.8',
      LicenseUrl: 'https://licenses.example/MIT',
      LicenseNames: 'MIT',
      LicenseReportUrl: null,
    });
  });

  it('says the same in the elements of Atom, which old clients read', async () => {
    const { server } = await serving(full);
    await using _ = server;
    const { body, headers } = await server.ask("/nuget/v2/Packages(Id='A.B',Version='1.2.3')");
    const text = body.toString();
    const base = `${server.url}/v2/`;
    expect(headers['content-type']).toBe('application/atom+xml;type=entry;charset=utf-8');
    expect(headers['dataserviceversion']).toBe('2.0;');
    expect(text).toContain(`xml:base="${base}"`);
    expect(text).toContain(`<id>${base}Packages(Id='A.B',Version='1.2.3')</id>`);
    expect(text).toContain('<title type="text">A.B</title><summary type="text">sum</summary>');
    expect(text).toContain('<updated>2020-01-02T03:04:05.678Z</updated><author><name>X, Y</name></author>');
    expect(text).toContain(`<content type="application/zip" src="${base}package/A.B/1.2.3" />`);
  });

  it('says so where there is nothing to say', async () => {
    const { server } = await serving(record('A', '1.0.0-beta', { authors: [], published: 'at some time' }));
    await using _ = server;
    const properties = await propertiesOf(server, "Id='A',Version='1.0.0-BETA'");
    expect(properties).toMatchObject({
      Authors: '',
      Copyright: null,
      Description: '',
      Dependencies: '',
      IconUrl: null,
      PackageHash: null,
      PackageHashAlgorithm: null,
      Summary: null,
      Tags: null,
      Title: 'A',
      'DownloadCount:Int32': '0',
      'PackageSize:Int64': '0',
      'Published:DateTime': '1970-01-01T00:00:00.000',
      'IsPrerelease:Boolean': 'true',
      'IsLatestVersion:Boolean': 'false',
      'IsAbsoluteLatestVersion:Boolean': 'true',
      'RequireLicenseAcceptance:Boolean': 'false',
    });
  });

  it('gives what is not listed the date by which clients know it', async () => {
    const { server } = await serving(record('A', '1.0.0', { listed: false, published: '2020-01-02T03:04:05Z' }));
    await using _ = server;
    expect(await propertiesOf(server, "Id='A',Version='1.0'")).toMatchObject({
      'Created:DateTime': '2020-01-02T03:04:05.000',
      'Published:DateTime': '1900-01-01T00:00:00.000',
      'Listed:Boolean': 'false',
      'IsLatestVersion:Boolean': 'false',
    });
  });

  it.each([
    '+012000-01-01T00:00:00Z',
    '-000001-01-01T00:00:00Z',
    // Dates that nobody set, by which clients would take a package for unlisted.
    '0001-01-01T00:00:00Z',
    '1900-01-01T00:00:00Z',
  ])('has no date like %s', async (published) => {
    const { server } = await serving(record('A', '1.0.0', { published }));
    await using _ = server;
    expect(await propertiesOf(server, "Id='A',Version='1.0.0'")).toMatchObject({
      'Published:DateTime': '1970-01-01T00:00:00.000',
    });
  });

  it('leads nowhere but here and to what packages say of themselves', async () => {
    const upstream = 'https://feed.upstream.example/x';
    const { server } = await serving({ ...full, iconUrl: upstream, projectUrl: upstream, licenseUrl: upstream });
    await using _ = server;
    const page = await pageAt(server, "FindPackagesById()?id='A.B'");
    expect(page.text).not.toContain('upstream');
    const urls = page.text.match(/https?:\/\/[^"<]+/g) ?? [];
    const foreign = urls.filter((url) => !url.startsWith(server.url));
    expect(foreign.every((url) => /^http:\/\/(?:www\.w3\.org|schemas\.microsoft\.com)\//.test(url))).toBe(true);
  });

  it('is read by other clients as it was meant, whatever texts are in it', async () => {
    const { feed, server } = await serving();
    await using _ = server;
    const { provider } = new V2Client(server);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what gets lost
    const lost = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu;
    const odd = [
      ']]>',
      '\r\n',
      '\t',
      '<!--',
      '&#0;',
      '&',
      '"',
      "'",
      '\u0000',
      '\u001f',
      '\ud800',
      '\udc00',
      '\ufffe',
      '😀',
    ];
    const texts = fc.array(fc.oneof(fc.string(), fc.constantFrom(...odd))).map((parts) => parts.join(''));
    let count = 0;
    await fc.assert(
      fc.asyncProperty(texts, texts, async (description, releaseNotes) => {
        const id = `P${++count}`;
        feed.add(record(id, '1.0.0', { description, releaseNotes }));
        const [read] = await provider.listMetadata(id);
        expect(read?.description ?? '').toBe(description.replace(lost, ''));
        expect(read?.releaseNotes ?? '').toBe(releaseNotes.replace(lost, ''));
      }),
      { numRuns: 50 },
    );
  });
});

describe('$metadata', () => {
  it('describes what entries have, and what can be asked', async () => {
    const { server } = await serving(full);
    await using _ = server;
    const { status, headers, body } = await server.ask('/nuget/v2/$metadata');
    expect([status, headers['content-type']]).toEqual([200, 'application/xml;charset=utf-8']);
    const described = Array.from(
      body.toString().matchAll(/<Property Name="(\w+)" Type="Edm\.(\w+)"/g),
      ([, name, type]) => {
        return type === 'String' ? name : `${name}:${type}`;
      },
    );
    expect(described).toEqual(Object.keys(await propertiesOf(server, "Id='A.B',Version='1.2.3'")));
    const capabilities = await new V2Client(server).provider.capabilities();
    expect(capabilities?.functions).toEqual(new Set(['search', 'findpackagesbyid', 'getupdates']));
    expect(capabilities?.properties).toContain('isabsolutelatestversion');
  });
});

it('has the packages as its only collection', async () => {
  const { server } = await serving();
  await using _ = server;
  for (const path of ['/nuget/v2', '/nuget/v2/', '/nuget/v3/v2/']) {
    const { status, headers, body } = await server.ask(path);
    expect([status, headers['content-type']]).toEqual([200, 'application/xml;charset=utf-8']);
    expect(body.toString()).toContain(`xml:base="${server.url}${path.slice('/nuget'.length).replace(/\/$/, '')}/"`);
    expect(body.toString()).toContain('<collection href="Packages">');
  }
});
