import { afterEach, describe, expect, it } from 'vitest';
import { buildPackage, type PackageInit } from '../build-package.js';
import { type FeedServer, startFeedServer } from '../feed-server.js';
import type { FeedServerOptions } from './settings.js';

let server: FeedServer;
afterEach(() => server?.close());

const A = (version: string, more: Partial<PackageInit> = {}): PackageInit => ({ id: 'Package.A', version, ...more });
const PACKAGES = [
  A('1.0.0', { dependencyGroups: [{ targetFramework: 'net45', dependencies: [{ id: 'Dep', version: '[1.0,2.0)' }] }] }),
  A('2.0.0-beta', { dependencies: [{ id: 'Dep' }] }),
  A('1.5.0+build'),
  {
    id: 'Tool.B',
    version: '3.0.0',
    packageTypes: [{ name: 'DotnetTool' }],
    description: 'a thing',
    metadata: { tags: 'x y' },
  },
];

async function start(options: FeedServerOptions = {}): Promise<FeedServer> {
  server = await startFeedServer({ packages: PACKAGES, now: () => Date.UTC(2020, 0, 2), ...options });
  return server;
}

// biome-ignore lint/suspicious/noExplicitAny: documents are looked at as clients without types do
async function get(path: string): Promise<any> {
  const response = await fetch(path.startsWith('http') ? path : `${server.url}/v3/${path}`);
  if (response.status !== 200) return response.status;
  return response.headers.get('content-type') === 'application/json' ? response.json() : response.text();
}

const resource = async (type: string): Promise<string> =>
  // biome-ignore lint/suspicious/noExplicitAny: as above
  (await get('index.json')).resources.find((one: any) => one['@type'] === type)['@id'];

describe('the service index', () => {
  it('lists everything, each below itself', async () => {
    await start();
    const { version, resources } = await get('index.json');
    expect(version).toBe('3.0.0');
    const types = new Set(resources.map((one: Record<string, string>) => one['@type']));
    for (const type of [
      'SearchQueryService/3.5.0',
      'SearchAutocompleteService/3.5.0',
      'RegistrationsBaseUrl',
      'RegistrationsBaseUrl/3.4.0',
      'RegistrationsBaseUrl/3.6.0',
      'RegistrationsBaseUrl/Versioned',
      'PackageBaseAddress/3.0.0',
      'PackagePublish/2.0.0',
      'LegacyGallery/2.0.0',
      'ReportAbuseUriTemplate/3.0.0-rc',
      'PackageDetailsUriTemplate/5.1.0',
      'VulnerabilityInfo/6.7.0',
    ]) {
      expect(types).toContain(type);
    }
    expect(types).not.toContain('RepositorySignatures/5.0.0');
    expect(await resource('LegacyGallery/2.0.0')).toBe(server.v2Url);
  });

  it('leaves out what the settings say', async () => {
    await start({ withoutResources: /^(?:VulnerabilityInfo|Search)/, repositorySignatures: true });
    const types = (await get('index.json')).resources.map((one: Record<string, string>) => one['@type']);
    expect(types.some((type: string) => /^Vuln|^Search/.test(type))).toBe(false);
    expect(await get(await resource('RepositorySignatures/5.0.0'))).toEqual({
      allRepositorySigned: false,
      signingCertificates: [],
    });
  });
});

describe('the flat container', () => {
  it('has versions, packages and their nuspecs, all in lower case', async () => {
    await start();
    const base = await resource('PackageBaseAddress/3.0.0');
    expect(await get(`${base}package.a/index.json`)).toEqual({ versions: ['1.0.0', '1.5.0', '2.0.0-beta'] });
    const nupkg = await fetch(`${base}package.a/1.5.0/package.a.1.5.0.nupkg`);
    expect(Buffer.from(await nupkg.arrayBuffer())).toEqual(buildPackage(A('1.5.0+build')));
    expect(await get(`${base}package.a/1.0.0/package.a.nuspec`)).toContain('<id>Package.A</id>');
    for (const path of [
      'Package.A/index.json',
      'package.b/index.json',
      'package.a/1.0/package.a.1.0.nupkg',
      'package.a/9.0.0/package.a.9.0.0.nupkg',
      'package.a/1.0.0/other.nupkg',
      'package.a/1.0.0/package.a.nuspec/x',
      'package.a',
    ]) {
      expect(await get(base + path)).toBe(404);
    }
  });
});

describe('registrations', () => {
  it('have everything in one document, or pages by their first and last version', async () => {
    await start({ registrationPageSize: 2 });
    const index = `${await resource('RegistrationsBaseUrl/3.6.0')}package.a/index.json`;
    const inlined = await get(index);
    expect(inlined['@id']).toBe(index);
    expect(inlined.items.map((page: Record<string, unknown>) => [page['lower'], page['upper'], page['count']])).toEqual(
      [
        ['1.0.0', '1.5.0', 2],
        ['2.0.0-beta', '2.0.0-beta', 1],
      ],
    );
    expect(inlined.items[0]['@id']).toBe(`${index}#page/1.0.0/1.5.0`);
    server.settings.registration = 'paged';
    const paged = await get(index);
    expect(paged.items[0].items).toBeUndefined();
    const page = await get(paged.items[0]['@id']);
    expect(page['@id']).toBe(paged.items[0]['@id']);
    expect(page.parent).toBe(index);
    expect(page.items).toEqual(inlined.items[0].items);
    expect(await get(index.replace('index', 'page/1.0.0/2.0.0'))).toBe(404);
  });

  it('say what is known of each version', async () => {
    await start({
      vulnerabilities: [{ id: 'package.a', severity: 2, url: 'https://advisory.test/1', versions: '(, 1.0.0]' }],
    });
    const { items } = await get(`${await resource('RegistrationsBaseUrl/3.6.0')}package.a/index.json`);
    const [first, second] = items[0].items;
    expect(first.packageContent).toBe(`${server.url}/v3/flat/package.a/1.0.0/package.a.1.0.0.nupkg`);
    expect(first.catalogEntry).toMatchObject({
      id: 'Package.A',
      version: '1.0.0',
      listed: true,
      published: '2020-01-02T00:00:00.000+00:00',
      dependencyGroups: [{ targetFramework: 'net45', dependencies: [{ id: 'Dep', range: '[1.0.0, 2.0.0)' }] }],
      vulnerabilities: [{ advisoryUrl: 'https://advisory.test/1', severity: '2' }],
    });
    expect(second.catalogEntry.version).toBe('1.5.0+build');
    expect(second.catalogEntry.vulnerabilities).toBeUndefined();
    const leaf = await get(first['@id']);
    expect(leaf).toMatchObject({ listed: true, packageContent: first.packageContent });
    server.packages.setListed('Package.A', '1.0', false);
    expect(await get(first['@id'])).toMatchObject({ listed: false, published: expect.stringMatching(/^1900-01-01/) });
  });

  it('hide from old clients what these do not understand', async () => {
    await start();
    await server.packages.add({ id: 'C', version: '1.0.0', dependencies: [{ id: 'D', version: '[1.0.0-a.1, )' }] });
    const hive = async (type: string, id: string) => get(`${await resource(type)}${id}/index.json`);
    for (const type of ['RegistrationsBaseUrl', 'RegistrationsBaseUrl/3.4.0']) {
      expect((await hive(type, 'package.a')).items[0].count).toBe(2);
      expect(await hive(type, 'c')).toBe(404);
    }
    expect((await hive('RegistrationsBaseUrl/3.6.0', 'package.a')).items[0].count).toBe(3);
    expect((await hive('RegistrationsBaseUrl/3.6.0', 'c')).count).toBe(1);
    expect(await hive('RegistrationsBaseUrl', 'Package.A')).toBe(404);
    expect(await get(`${await resource('RegistrationsBaseUrl')}package.a/9.0.0.json`)).toBe(404);
    expect(await get(`${await resource('RegistrationsBaseUrl')}package.a`)).toBe(404);
  });
});

describe('searches', () => {
  const search = async (query: string) => get(`${await resource('SearchQueryService/3.5.0')}?${query}`);
  const found = async (query: string) =>
    (await search(query)).data.map((one: Record<string, string>) => `${one['id']} ${one['version']}`);

  it('find by words of id, description and tags', async () => {
    await start();
    expect(await found('q=package')).toEqual(['Package.A 1.0.0']);
    expect(await found('q=THING%20tool')).toEqual(['Tool.B 3.0.0']);
    expect(await found('q=y')).toEqual(['Tool.B 3.0.0']);
    expect(await found('q=packageid:tool.b')).toEqual(['Tool.B 3.0.0']);
    expect(await found('q=id:tool')).toEqual([]);
    expect(await found('q=nothing')).toEqual([]);
  });

  it('show prereleases, SemVer 2 and types as they are asked', async () => {
    await start();
    expect(await found('q=package&prerelease=true')).toEqual(['Package.A 2.0.0-beta']);
    expect(await found('q=package&semVerLevel=2.0.0')).toEqual(['Package.A 1.5.0+build']);
    expect(await found('packageType=dotnettool')).toEqual(['Tool.B 3.0.0']);
    expect(await found('packageType=Template')).toEqual([]);
    expect(await found('packageType=')).toHaveLength(2);
  });

  it('show a part of what they find, and no unlisted version', async () => {
    await start();
    const page = await search('skip=1&take=1');
    expect(page.totalHits).toBe(2);
    expect(page.data).toMatchObject([
      { id: 'Tool.B', packageTypes: [{ name: 'DotnetTool' }], versions: [{ version: '3.0.0', downloads: 0 }] },
    ]);
    expect(await get(page.data[0].versions[0]['@id'])).toMatchObject({ listed: true });
    server.packages.setListed('Tool.B', '3.0.0', false);
    expect((await search('')).totalHits).toBe(1);
  });

  it('add up downloads', async () => {
    const content = buildPackage(A('1.0.0'));
    await start({
      packages: [
        { content, downloads: 5 },
        { content: buildPackage(A('1.1.0')), downloads: 7 },
      ],
    });
    expect((await search('')).data[0]).toMatchObject({ totalDownloads: 12, version: '1.1.0' });
  });
});

describe('completion', () => {
  const complete = async (query: string) =>
    (await get(`${await resource('SearchAutocompleteService/3.5.0')}?${query}`)).data;

  it('is of ids by their beginning, and of versions by id', async () => {
    await start();
    expect(await complete('q=pack')).toEqual(['Package.A']);
    expect(await complete('')).toEqual(['Package.A', 'Tool.B']);
    expect(await complete('skip=1')).toEqual(['Tool.B']);
    expect(await complete('packageType=DotnetTool')).toEqual(['Tool.B']);
    expect(await complete('id=PACKAGE.a')).toEqual(['1.0.0']);
    expect(await complete('id=package.a&prerelease=true&semVerLevel=2.0.0')).toEqual(['1.0.0', '1.5.0', '2.0.0-beta']);
  });
});

describe('vulnerabilities', () => {
  it('are in the pages that their index names', async () => {
    const one = (id: string) => ({ id, severity: 1, url: `https://advisory.test/${id}`, versions: '(, 2.0.0)' });
    await start({ vulnerabilities: [one('A'), one('a'), one('B')] });
    const index = await get(await resource('VulnerabilityInfo/6.7.0'));
    expect(index.map((page: Record<string, string>) => page['@name'])).toEqual(['base', 'update']);
    expect(await get(index[0]['@id'])).toEqual({
      a: [
        { severity: 1, url: 'https://advisory.test/A', versions: '(, 2.0.0)' },
        { severity: 1, url: 'https://advisory.test/a', versions: '(, 2.0.0)' },
      ],
    });
    expect(Object.keys(await get(index[1]['@id']))).toEqual(['b']);
    expect(await get('vulnerabilities/other.json')).toBe(404);
  });
});
