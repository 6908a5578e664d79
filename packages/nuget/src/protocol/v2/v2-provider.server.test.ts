import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { HttpClient } from '@granary/http';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpFeed } from '../../source/http-feed.js';
import { SourceCache } from '../../source/source-cache.js';
import { startFeedServer } from '../../testing/feed-server.js';
import { buildPackage, type FeedServerOptions, type PackageInit } from '../../testing/index.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { V3Provider } from '../v3/v3-provider.js';
import { V2Provider, type V2ProviderOptions } from './v2-provider.js';

const PACKAGES: PackageInit[] = [
  {
    id: 'Package.A',
    version: '1.0.0',
    description: 'One & <only>',
    metadata: { tags: 'json parser', projectUrl: 'https://a.test/' },
    dependencyGroups: [
      { targetFramework: 'net45', dependencies: [{ id: 'Dep', version: '[1.0,2.0)' }] },
      { targetFramework: 'netstandard2.0' },
    ],
  },
  { id: 'Package.A', version: '2.0.0', dependencies: [{ id: 'Dep' }, { id: 'Other', version: '1.0' }] },
  { id: 'Package.A', version: '3.0.0-beta.1+build' },
  { id: 'Other', version: '1.0.0' },
];

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function setUp(server: FeedServerOptions = {}, options?: V2ProviderOptions) {
  const feedServer = await startFeedServer({ packages: PACKAGES, ...server });
  const client = new HttpClient({ retry: { maxRetries: 0 } });
  const cache = new SourceCache();
  const feed = (url: string) => new HttpFeed({ name: 'test', url, client, cache });
  const [v2, v3] = [feed(feedServer.v2Url), feed(feedServer.v3Url)];
  open.push(feedServer, client, cache, v2, v3);
  return { server: feedServer, v2: new V2Provider(v2, options), v3: new V3Provider(v3) };
}

const id = (version: string, name = 'package.a') => ({ id: name, version: NuGetVersion.parse(version) });
const texts = (versions: readonly NuGetVersion[]) => versions.map((one) => one.toNormalizedString());
const coded = (code: string) => expect.objectContaining({ code });

describe('protocol 2 over HTTP', () => {
  it('says the same as protocol 3', async () => {
    const { server, v2, v3 } = await setUp({ pageSize: 2, gzip: true });
    server.packages.setListed('Other', '1.0.0', false);
    expect(texts(await v2.listVersions('Package.A'))).toEqual(texts(await v3.listVersions('Package.A')));
    for (const version of ['1.0.0', '2.0', '3.0.0-BETA.1']) {
      const [old, recent] = [await v2.getMetadata(id(version)), await v3.getMetadata(id(version))];
      const shown = (metadata: typeof old) => ({
        id: metadata?.id,
        version: metadata?.version.toFullString(),
        description: metadata?.description,
        authors: metadata?.authors,
        tags: metadata?.tags,
        projectUrl: metadata?.projectUrl,
        listed: metadata?.listed,
        groups: metadata?.dependencyGroups.map((group) => [
          group.targetFramework.shortFolderName,
          group.dependencies.map((one) => `${one.id} ${one.range}`),
        ]),
      });
      expect(shown(old)).toEqual(shown(recent));
      expect(old?.packageHash?.value).toBe(server.packages.find('Package.A', version)?.hash);
    }
    expect((await v2.getMetadata(id('1.0', 'other')))?.listed).toBe(false);
    expect(await v2.getMetadata(id('9.0'))).toBeUndefined();
    expect(await v2.listMetadata('Package.A')).toHaveLength(3);
  });

  it('finds what protocol 3 finds', async () => {
    const { v2, v3 } = await setUp({ pageSize: 1 });
    for (const [query, includePrerelease] of [
      ['', false],
      ['json', true],
      ['package', true],
      ["it's", false],
    ] as const) {
      const ids = async (provider: V2Provider | V3Provider) =>
        (await provider.search(query, { includePrerelease })).results.map((one) => `${one.id} ${one.version}`).sort();
      // Only the older protocol looks at the newest version alone.
      if (query !== 'json') expect(await ids(v2)).toEqual(await ids(v3));
      else expect(await ids(v2)).toEqual([]);
    }
    expect(await v2.autocomplete('pack')).toEqual(await v3.autocomplete('pack'));
    const prereleases = { includePrerelease: true };
    expect(texts(await v2.autocompleteVersions('Package.A', prereleases))).toEqual(
      texts(await v3.autocompleteVersions('Package.A', prereleases)),
    );
  });

  it('downloads, and finds the nuspec within', async () => {
    const { server, v2 } = await setUp();
    const stream = await v2.downloadPackage(id('2.0.0'));
    const content = server.packages.find('Package.A', '2.0.0')?.content;
    expect(await buffer(stream!.body)).toEqual(content);
    expect(stream?.length).toBe(content?.length);
    expect(await v2.getNuspec(id('2.0.0'))).toEqual(server.packages.find('Package.A', '2.0.0')?.nuspec);
    expect(server.requests.targets(/FindPackagesById/)).toHaveLength(1);
  });

  it('pushes, deletes, lists again and tells of updates', async () => {
    const { server, v2 } = await setUp({ apiKey: 'key' });
    const content = buildPackage({ id: 'Package.A', version: '4.0.0' });
    const pushed = { name: 'a.nupkg', size: content.length, open: () => Readable.from([content]) };
    await expect(v2.push(pushed, { apiKey: 'wrong' })).rejects.toEqual(coded('FORBIDDEN'));
    await v2.push(pushed, { apiKey: 'key' });
    await expect(v2.push(pushed, { apiKey: 'key' })).rejects.toEqual(coded('CONFLICT'));
    expect(server.packages.find('Package.A', '4.0')?.content).toEqual(content);
    const updates = await v2.getUpdates([id('1.0'), id('1.0', 'Other')], { includeAllVersions: true });
    expect(texts(updates.map(({ version }) => version))).toEqual(['2.0.0', '4.0.0']);
    expect(await v2.delete(id('4.0'), { apiKey: 'key' })).toBe(true);
    expect((await v2.getMetadata(id('4.0')))?.listed).toBe(false);
    expect(await v2.relist(id('4.0'), { apiKey: 'key' })).toBe(true);
    expect(await v2.delete(id('5.0'), { apiKey: 'key' })).toBe(false);
  });

  it('asks for each page once', async () => {
    const { server, v2 } = await setUp({ pageSize: 2 });
    await v2.listVersions('Package.A');
    await v2.listVersions('Package.A');
    await v2.listMetadata('Package.A');
    expect(server.requests.targets(/FindPackagesById/)).toHaveLength(2);
    expect(server.requests.length).toBe(2);
  });

  it('keeps nothing of what makes no sense', async () => {
    const { server, v2 } = await setUp();
    server.fault('/api/v2/Find', { kind: 'html' }, { times: 1 });
    await expect(v2.listVersions('Package.A')).rejects.toEqual(coded('PROTOCOL'));
    expect(await v2.listVersions('Package.A')).toHaveLength(3);
  });

  it.each([
    ['a page for ever', { kind: 'endless' }, 'LIMIT'],
    ['the same page again', { kind: 'endless', repeat: true }, 'PROTOCOL'],
    ['a huge document', { kind: 'huge', bytes: 10 ** 10 }, 'LIMIT'],
    ['a short document', { kind: 'truncate', silent: true }, 'PROTOCOL'],
    ['JSON', { kind: 'replace', body: '{}', contentType: 'application/json' }, 'PROTOCOL'],
    ['nothing', { kind: 'replace', body: '' }, 'PROTOCOL'],
    ['a failure', { kind: 'status', status: 503 }, 'SOURCE_UNAVAILABLE'],
  ] as const)('refuses %s', async (_name, fault, code) => {
    const { server, v2 } = await setUp({ pageSize: 1 }, { maxPages: 20, maxDocumentBytes: 200_000 });
    server.fault('/api/v2/Find', fault);
    await expect(v2.listVersions('Package.A')).rejects.toEqual(coded(code));
  });

  it('reads on in whatever type of content it comes', async () => {
    const { server, v2 } = await setUp();
    server.fault('/', { kind: 'content-type', contentType: 'text/plain' });
    expect(await v2.listVersions('Package.A')).toHaveLength(3);
  });
});
