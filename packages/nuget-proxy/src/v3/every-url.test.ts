import type { PackageInit } from '@granary/nuget/testing';
import { describe, expect, it } from 'vitest';
import { MemoryFeed, record } from '../http/testing/memory-feed.js';
import { TestServer } from '../http/testing/test-server.js';
import { documentsOf } from './testing/documents-of.js';
import { ProxiedUpstream, type ProxiedUpstreamOptions } from './testing/proxied-upstream.js';

/** What packages say of themselves leads there, and to the upstream. */
const OUTWARD = new Set([
  'outward.test',
  'advisories.test',
  'schemas.microsoft.com',
  'www.w3.org',
  'docs.oasis-open.org',
]);

/** What clients of protocol 2 ask for without being led there. */
const V2_LISTS = [
  "FindPackagesById()?id='my.package'&semVerLevel=2.0.0",
  "Search()?searchTerm='my'&includePrerelease=true&$skip=0&$top=1",
  "GetUpdates()?packageIds='My.Package'&versions='0.1.0'&includePrerelease=true&includeAllVersions=true",
  "Packages(Id='My.Package',Version='2.1.0')",
];

const VERSIONS = ['1.0.0', '1.1.0-beta', '1.2.0-beta.1', '2.0.0+build', '2.1.0'];
const PNG = Buffer.from('\x89PNG\r\n\x1a\n, and more', 'latin1');

/** Packages that tell of the upstream wherever they can. */
function packagesOf(upstream: string): PackageInit[] {
  const metadata = (path: string) => ({
    // Where nuget.org has them, too, beside the packages.
    iconUrl: `${upstream}/v3/flat/my.package/${plainOf(path)}/icon`,
    readme: 'README.md',
    projectUrl: `https://outward.test/${path}?a=1&b=2`,
    licenseUrl: `${upstream}/${path}/license`,
  });
  const dependencyGroups = [
    { targetFramework: 'net8.0', dependencies: [{ id: 'Other.One', version: '[1.0.0, 2.0.0)' }] },
    { targetFramework: 'netstandard2.0' },
  ];
  const files = { 'README.md': '# Read me' };
  const some = VERSIONS.map((version) => {
    return { id: 'My.Package', version, metadata: metadata(version), dependencyGroups, files };
  });
  const others = ['Other.One', 'Ünï.cödé_1'].map((id) => ({
    id,
    version: '1.0.0',
    metadata: { readme: 'README.md' },
    files,
  }));
  return [...some, ...others];
}

/** What lies beside the packages of a source. */
function besidePackages(): ReadonlyMap<string, Buffer> {
  const files = packagesOf('x').flatMap(({ id, version }) => {
    const place = `${id.toLowerCase()}/${plainOf(version)}`;
    return [[`${place}/icon`, PNG] as const, [`${place}/readme`, Buffer.from('# Read me')] as const];
  });
  return new Map(files);
}

const plainOf = (version: string) => version.split('+', 1)[0]?.toLowerCase() as string;

/** Walks everything there is, and looks for what must not be there. */
async function walk(server: TestServer, roots: readonly string[], upstream: string): Promise<readonly string[]> {
  const named = packagesOf('x').map(({ id, version }) => ({ id, version: plainOf(version) }));
  const documents = await documentsOf(
    server,
    roots.map((root) => server.url + root),
    named,
    OUTWARD,
  );
  const host = new URL(upstream).host;
  const failed = documents.filter(({ answer }) => answer.status !== 200);
  expect(failed.map(({ url, from, answer: { status, reason } }) => `${url} (${from}): ${status} ${reason}`)).toEqual(
    [],
  );
  for (const { url, answer } of documents) {
    // Packages and their manifests are what their authors made of them.
    if (!/\.nu(?:pkg|spec)$/.test(url) && !/\/(?:package|download)\//.test(url)) {
      expect([url, answer.body.includes(host)]).toEqual([url, false]);
    }
    const head = await server.ask(new URL(url).pathname + new URL(url).search, { method: 'HEAD' });
    expect([url, head.status, head.body.length]).toEqual([url, 200, 0]);
    expect(JSON.stringify(head.headers)).not.toContain(host);
  }
  return documents.map(({ url }) => url.slice(server.url.length));
}

describe('every URL in every document leads to something here, and to no upstream', () => {
  it.each<[string, ProxiedUpstreamOptions, page: string]>([
    ['of protocol 3', {}, '1.0.0/2.1.0'],
    ['of protocol 3 with pages', { registration: 'paged', registrationPageSize: 2, gzip: true }, '1.2.0-beta.1/2.0.0'],
    ['of protocol 2', { protocol: 'v2' }, '1.0.0/2.1.0'],
  ])('over an upstream %s', async (_, options, page) => {
    await using proxied = await ProxiedUpstream.start(options);
    const { server, upstream } = proxied;
    upstream.settings.beside = besidePackages();
    for (const init of packagesOf(upstream.url)) await upstream.packages.add(init);
    upstream.packages.setListed('My.Package', '1.0.0', false);
    upstream.settings.vulnerabilities = [
      { id: 'My.Package', severity: 1, url: `${upstream.url}/advisories/1`, versions: '(, 1.1.0]' },
      { id: 'My.Package', severity: 2, url: 'https://advisories.test/2', versions: '(, )' },
    ];
    const roots = ['/v3/index.json', '/up/v3/index.json', '/v2/', ...V2_LISTS.map((list) => `/up/v2/${list}`)];
    const seen = await walk(server, roots, upstream.url);
    expect(seen.filter((path) => path.startsWith('/up/v2/')).length).toBeGreaterThan(10);
    for (const folder of ['/v3', '/up/v3']) {
      expect(seen).toEqual(
        expect.arrayContaining([
          `${folder}/flatcontainer/my.package/2.0.0/my.package.2.0.0.nupkg`,
          `${folder}/registration/other.one/1.0.0.json`,
          `${folder}/registration-gz/my.package/index.json`,
          `${folder}/registration-gz-semver2/my.package/1.2.0-beta.1.json`,
          `${folder}/registration-gz-semver2/my.package/page/${page}.json`,
          `${folder}/details/My.Package/1.0.0`,
          `${folder}/flatcontainer/other.one/1.0.0/readme`,
          `${folder}/vulnerabilities/all.json`,
        ]),
      );
    }
  });

  it('over an upstream whose index names other hosts, which have things of authors, too', async () => {
    await using proxied = await ProxiedUpstream.start();
    const { server, upstream } = proxied;
    const elsewhere = upstream.url.replace('127.0.0.1', 'localhost');
    const { host } = new URL(elsewhere);
    upstream.settings.origin = elsewhere;
    const own = `${elsewhere}/v3`;
    await upstream.packages.add({
      id: 'My.Package',
      version: '1.0.0',
      metadata: {
        iconUrl: `${own}/flat/my.package/1.0.0/icon`,
        licenseUrl: `${own}/details/my.package/1.0.0/license`,
        projectUrl: `${elsewhere}/authors/project`,
      },
    });
    upstream.settings.vulnerabilities = [
      { id: 'My.Package', severity: 1, url: `${own}/details/my.package/1.0.0#advisory`, versions: '(, )' },
    ];
    const documents = await documentsOf(
      server,
      ['/v3/index.json', '/up/v3/index.json', ...V2_LISTS.map((list) => `/up/v2/${list}`)].map(
        (path) => server.url + path,
      ),
      [{ id: 'My.Package', version: '1.0.0' }],
      new Set([...OUTWARD, host]),
    );
    const isMetadata = ({ url }: { readonly url: string }) => !/\.nu(?:pkg|spec)$|\/(?:package|download)\//.test(url);
    const leaking = documents.filter((document) => isMetadata(document) && document.answer.body.includes(own));
    expect(leaking.map(({ url }) => url)).toEqual([]);
    const projects = documents.filter(({ answer }) => answer.body.includes(`${elsewhere}/authors/project`));
    for (const part of ['/v3/registration/', '/v3/search', '/v3/details/', '/v2/FindPackagesById'])
      expect(projects.map(({ url }) => url)).toContainEqual(expect.stringContaining(part));
  });

  it('of a feed with more versions than an index has in it', async () => {
    const records = Array.from({ length: 130 }, (_, i) => record('My.Package', `1.${i}.0-Beta`));
    const feed = new MemoryFeed();
    for (const each of records) feed.add(each, Buffer.from('package'));
    feed.embeddedFiles.set('my.package/1.129.0-beta/readme', Buffer.from('# Read me'));
    await using server = await TestServer.start({ all: feed });
    const documents = await documentsOf(server, [`${server.url}/v3/index.json`], records.slice(-1), OUTWARD);
    expect(documents.filter(({ answer }) => answer.status !== 200).map(({ url }) => url)).toEqual([]);
    const pages = documents.filter(({ url }) => /registration-gz-semver2\/my\.package\/page\//.test(url));
    expect(pages.length).toBe(3);
  });
});
