import { afterEach, describe, expect, it } from 'vitest';
import { parseFeed } from '../../protocol/v2/feed-parser.js';
import { parseODataMetadata } from '../../protocol/v2/odata-metadata.js';
import { buildPackage, type PackageInit } from '../build-package.js';
import { type FeedServer, startFeedServer } from '../feed-server.js';
import type { FeedServerOptions } from './settings.js';

let server: FeedServer;
afterEach(() => server?.close());

const PACKAGES: PackageInit[] = [
  {
    id: 'Package.A',
    version: '1.0.0',
    description: 'One & <only>',
    dependencyGroups: [
      { targetFramework: 'net45', dependencies: [{ id: 'Dep', version: '[1.0,2.0)' }] },
      { targetFramework: 'netstandard2.0' },
    ],
  },
  {
    id: 'Package.A',
    version: '2.0.0',
    metadata: {
      tags: 'json parser',
      title: 'A\'s "title"',
      requireLicenseAcceptance: true,
      licenseUrl: 'https://l.test',
    },
  },
  { id: 'Package.A', version: '3.0.0-beta', dependencies: [{ id: 'Dep' }] },
  { id: 'Package.A', version: '3.0.0-beta.2' },
  { id: 'Other', version: '1.0.0' },
];

async function start(options: FeedServerOptions = {}): Promise<FeedServer> {
  server = await startFeedServer({ packages: PACKAGES, now: () => Date.UTC(2020, 0, 2), ...options });
  return server;
}

const ask = (path: string, init?: RequestInit) => fetch(path.startsWith('http') ? path : server.v2Url + path, init);

async function page(path: string) {
  const response = await ask(path);
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    expect.stringContaining('application/atom+xml'),
  ]);
  return parseFeed(Buffer.from(await response.arrayBuffer()), { source: 'test', url: response.url });
}

const names = async (path: string) =>
  (await page(path)).entries.map(
    ({ id, version }) => `${id === 'Package.A' ? 'A' : id} ${version.toNormalizedString()}`,
  );

describe('the description of the feed', () => {
  it('names its functions and properties, and its one collection', async () => {
    await start();
    const text = await (await ask('/$metadata')).text();
    const { functions, properties } = parseODataMetadata(Buffer.from(text), { source: 'test', url: server.v2Url });
    expect([...functions]).toEqual(['search', 'findpackagesbyid', 'getupdates']);
    expect([...properties]).toEqual(
      expect.arrayContaining(['id', 'islatestversion', 'isabsolutelatestversion', 'dependencies']),
    );
    expect(text).toContain('<Property Name="PackageSize" Type="Edm.Int64" />');
    for (const root of ['', '/']) expect(await (await ask(root)).text()).toContain('<collection href="Packages">');
  });
});

describe('an entry', () => {
  it('says what is known of the package', async () => {
    await start();
    const [entry] = (await page("/Packages(Id='package.a',Version='1.0')")).entries;
    expect(entry).toMatchObject({
      id: 'Package.A',
      title: 'Package.A',
      authors: ['Test authors'],
      contentUrl: `${server.v2Url}/package/Package.A/1.0.0`,
    });
    expect(Object.fromEntries(entry?.properties ?? [])).toMatchObject({
      Version: '1.0.0',
      Description: 'One & <only>',
      Dependencies: 'Dep:[1.0.0, 2.0.0):net45|::netstandard2.0',
      Published: '2020-01-02T00:00:00.000',
      IsLatestVersion: 'false',
      IsPrerelease: 'false',
      PackageHash: server.packages.find('Package.A', '1.0.0')?.hash,
      PackageHashAlgorithm: 'SHA512',
    });
    const second = (await page("/Packages(Id='Package.A',Version='2.0.0')")).entries[0]?.properties;
    expect([second?.get('Title'), second?.get('Tags'), second?.get('LicenseUrl')]).toEqual([
      'A\'s "title"',
      ' json parser ',
      'https://l.test',
    ]);
    expect((await ask("/Packages(Id='Package.A',Version='9.0')")).status).toBe(404);
  });

  it('says that it is unlisted by its date', async () => {
    await start();
    server.packages.setListed('Other', '1.0.0', false);
    const { entries } = await page("/FindPackagesById()?id='Other'");
    expect(entries[0]?.properties.get('Published')).toBe('1900-01-01T00:00:00.000');
    expect(entries[0]?.properties.get('IsAbsoluteLatestVersion')).toBe('false');
  });
});

describe('lists', () => {
  it('are all versions of a package, with those of SemVer 2 for who knows it', async () => {
    await start();
    expect(await names("/FindPackagesById()?id='package.a'")).toEqual(['A 1.0.0', 'A 2.0.0', 'A 3.0.0-beta']);
    expect(await names("/FindPackagesById()?id='Package.A'&semVerLevel=2.0.0")).toHaveLength(4);
    expect(await names('/FindPackagesById?id=%27Package.A%27&$filter=IsLatestVersion')).toEqual(['A 2.0.0']);
    expect(await names("/FindPackagesById()?id='it''s'")).toEqual([]);
  });

  it('are filtered, ordered and cut as asked', async () => {
    await start();
    expect(await names("/Packages()?$filter=tolower(Id)%20eq%20'package.a'%20and%20IsLatestVersion")).toEqual([
      'A 2.0.0',
    ]);
    expect(await names('/Packages()?$filter=IsAbsoluteLatestVersion&$orderby=Id')).toEqual([
      'Other 1.0.0',
      'A 3.0.0-beta',
    ]);
    expect(await names('/Packages?$orderby=Id desc,Version desc&$skip=1&$top=2')).toEqual(['A 2.0.0', 'A 1.0.0']);
    expect(await (await ask('/Packages()/$count')).text()).toBe('4');
    expect(await (await ask("/FindPackagesById()/$count?id='Other'")).text()).toBe('1');
    expect((await page('/Packages()?$inlinecount=allpages&$top=1')).count).toBe(4);
  });

  it('are refused with a filter, an order or a number that is none', async () => {
    await start();
    for (const query of ['$filter=Nope', '$orderby=Nope', '$top=x', '$skip=-1', '$filter=what(Id)']) {
      expect((await ask(`/Packages()?${query}`)).status).toBe(400);
    }
  });

  it('are what a search finds', async () => {
    await start();
    const search = (term: string, more = '') =>
      names(`/Search()?searchTerm='${term}'&targetFramework=''&includePrerelease=false${more}`);
    expect(await search('json')).toEqual(['A 2.0.0']);
    expect(await search('package.a', '&$filter=IsLatestVersion')).toEqual(['A 2.0.0']);
    expect(await search('')).toEqual(['Other 1.0.0', 'A 1.0.0', 'A 2.0.0']);
    expect(
      await names("/Search()?searchTerm='package.a'&includePrerelease=true&$filter=IsAbsoluteLatestVersion"),
    ).toEqual(['A 3.0.0-beta']);
    server.packages.setListed('Other', '1.0.0', false);
    expect(await search('other')).toEqual([]);
  });

  it('are updates of what is installed', async () => {
    await start();
    const updates = (more: string) =>
      names(`/GetUpdates()?packageIds='package.a|Other|None'&versions='0.9|1.0.0|1.0'&targetFrameworks=''${more}`);
    expect(await updates("&includePrerelease=false&includeAllVersions=false&versionConstraints=''")).toEqual([
      'A 2.0.0',
    ]);
    expect(await updates('&includePrerelease=true&includeAllVersions=true')).toEqual([
      'A 1.0.0',
      'A 2.0.0',
      'A 3.0.0-beta',
    ]);
    expect(await updates("&includePrerelease=false&includeAllVersions=false&versionConstraints='(,2.0.0)||'")).toEqual([
      'A 1.0.0',
    ]);
    expect(
      await names("/GetUpdates()?packageIds='Other'&versions='x'&includePrerelease=false&includeAllVersions=false"),
    ).toEqual([]);
  });

  it('go on at the next page', async () => {
    await start({ pageSize: 2 });
    const first = await page("/FindPackagesById()?id='Package.A'&semVerLevel=2.0.0");
    expect(first.entries).toHaveLength(2);
    const second = await page(first.next ?? '');
    expect(second.entries.map(({ version }) => version.toNormalizedString())).toEqual(['3.0.0-beta', '3.0.0-beta.2']);
    expect(second.next).toBeUndefined();
    expect(first.next).toMatch(
      /\/api\/v2\/FindPackagesById\(\)\?id=%27Package\.A%27&semVerLevel=2\.0\.0&\$skiptoken=2$/,
    );
    expect((await page('/Packages()?$top=2')).next).toBeUndefined();
    expect((await page('/Packages()?$top=3')).next).toBeDefined();
  });

  it('go on for ever where that is wanted', async () => {
    await start({ pageSize: 2 });
    const remove = server.fault('/api/v2/Packages', { kind: 'endless' });
    const seen = new Set<string>();
    let next: string | undefined = '/Packages()';
    for (let i = 0; i < 10 && next !== undefined; i++) {
      const one: Awaited<ReturnType<typeof page>> = await page(next);
      expect(one.entries).toHaveLength(2);
      next = one.next;
      seen.add(next ?? '');
    }
    expect(seen.size).toBe(10);
    remove();
    server.fault('/api/v2/Packages', { kind: 'endless', repeat: true });
    const again = await page('/Packages()');
    expect((await page(again.next ?? '')).next).toBe(again.next);
  });
});

describe('what is no list', () => {
  it('is a package, by version or the newest', async () => {
    await start();
    const download = async (path: string) => Buffer.from(await (await ask(path)).arrayBuffer());
    expect(await download('/package/package.a/1.0')).toEqual(buildPackage(PACKAGES[0] as PackageInit));
    expect(await download('/package/Package.A')).toEqual(buildPackage(PACKAGES[1] as PackageInit));
    expect((await ask('/package/Package.A/9.0')).status).toBe(404);
    expect((await ask('/package/None')).status).toBe(404);
  });

  it('is a completion', async () => {
    await start();
    expect(await (await ask('/package-ids?partialId=PACK&includePrerelease=False')).json()).toEqual(['Package.A']);
    expect(await (await ask('/package-versions/package.a?includePrerelease=True&semVerLevel=2.0.0')).json()).toEqual([
      '1.0.0',
      '2.0.0',
      '3.0.0-beta',
      '3.0.0-beta.2',
    ]);
  });

  it('is nothing', async () => {
    await start();
    expect((await ask('/Nope()')).status).toBe(404);
    expect((await ask('/Packages()', { method: 'PATCH' })).status).toBe(405);
  });
});
