import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { HttpClient } from '@granary/http';
import { SourceRepository } from '@granary/nuget';
import { buildPackage } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FeedAccessError, type FeedCredentials, type FeedRight } from '../http/hooks.js';
import { upstreamHttpOptions } from '../upstream/upstream-http-options.js';
import { ProxiedUpstream } from './testing/proxied-upstream.js';

const BASIC = `Basic ${Buffer.from('me:secret').toString('base64')}`;

const authorize = ({ authorization, apiKey }: FeedCredentials, right: FeedRight) => {
  if (authorization !== BASIC) throw new FeedAccessError('UNAUTHENTICATED', 'who are you?');
  if (right === 'push' && apiKey !== 'key') throw new FeedAccessError('PERMISSION_DENIED', 'the API key is wrong');
  return 'me';
};

let proxied: ProxiedUpstream;
let client: SourceRepository;
let http: HttpClient;

beforeEach(async () => {
  http = new HttpClient({ proxy: false, ...upstreamHttpOptions({ retries: 0 }) });
  proxied = await ProxiedUpstream.start({
    httpClient: http,
    registration: 'paged',
    registrationPageSize: 2,
    packages: [
      { content: buildPackage({ id: 'My.Package', version: '1.0.0' }), listed: false },
      {
        content: buildPackage({
          id: 'My.Package',
          version: '1.1.0',
          dependencyGroups: [{ targetFramework: 'net8.0', dependencies: [{ id: 'Other', version: '[1.0.0, )' }] }],
          packageTypes: [{ name: 'DotnetTool' }],
        }),
        downloads: 7,
      },
      { id: 'My.Package', version: '2.0.0-beta.1+build' },
      { id: 'Other', version: '1.0.0' },
    ],
    vulnerabilities: [{ id: 'My.Package', severity: 2, url: 'https://advisories.test/1', versions: '(, 1.1.0]' }],
    handler: { hooks: { authorize } },
  });
  client = new SourceRepository({
    name: 'proxy',
    sourceUrl: `${proxied.server.url}/v3/index.json`,
    auth: { type: 'basic', username: 'me', password: 'secret' },
  });
});

afterEach(async () => {
  await client.close();
  await proxied[Symbol.asyncDispose]();
  await http.close();
});

describe('a client of this project', () => {
  it('lists versions', async () => {
    const versions = await client.listVersions('my.package');
    expect(versions.map((version) => version.toNormalizedString())).toEqual(['1.0.0', '1.1.0', '2.0.0-beta.1']);
    expect(await client.listVersions('none')).toEqual([]);
  });

  it('reads what is said of a version', async () => {
    const metadata = await client.getMetadata('My.Package', '1.1.0');
    expect(metadata).toMatchObject({
      id: 'My.Package',
      listed: true,
      authors: ['Test authors'],
      description: 'Package My.Package.',
      packageUrl: `${proxied.server.url}/v3/flatcontainer/my.package/1.1.0/my.package.1.1.0.nupkg`,
      detailsUrl: `${proxied.server.url}/v3/details/My.Package/1.1.0`,
      reportAbuseUrl: `${proxied.server.url}/v3/details/My.Package/1.1.0#contact`,
      dependencyGroups: [{ dependencies: [{ id: 'Other' }] }],
      vulnerabilities: [{ advisoryUrl: 'https://advisories.test/1', severity: 'high' }],
    });
    expect(metadata?.version.toFullString()).toBe('1.1.0');
    expect(await client.getMetadata('My.Package', '3.0.0')).toBeUndefined();
  });

  it('reads what is said of all versions', async () => {
    const all = await client.listMetadata('My.Package');
    expect(all.map(({ version, listed }) => [version.toFullString(), listed])).toEqual([
      ['1.0.0', false],
      ['1.1.0', true],
      ['2.0.0-beta.1+build', true],
    ]);
  });

  it('searches', async () => {
    const found = await client.search('my', { packageType: 'DotnetTool' });
    expect(found).toMatchObject({
      total: 1,
      results: [{ id: 'My.Package', totalDownloads: 7, packageTypes: ['DotnetTool'] }],
    });
    expect(found.results[0]?.versions.map(({ version }) => version.toFullString())).toEqual(['1.1.0']);
    const prerelease = await client.search('', { includePrerelease: true, take: 1, skip: 0 });
    expect(prerelease).toMatchObject({ total: 2, results: [{ id: 'My.Package' }] });
    expect(await client.search('', { packageType: 'Template' })).toMatchObject({ results: [] });
    expect(await client.autocomplete('MY')).toEqual(['My.Package']);
  });

  it('downloads packages as the upstream has them', async () => {
    const download = await client.downloadPackage('My.Package', '1.1.0');
    const [expected] = proxied.upstream.packages
      .versions('my.package')
      .filter(({ version }) => `${version}` === '1.1.0');
    expect((await buffer(download!)).equals(expected!.content)).toBe(true);
    expect(await client.downloadPackage('My.Package', '3.0.0')).toBeUndefined();
    expect((await client.getNuspec('Other', '1.0.0'))?.toString()).toContain('<id>Other</id>');
  });

  it('reads vulnerabilities', async () => {
    expect((await client.vulnerabilities())?.get('my.package')).toMatchObject([
      { advisoryUrl: 'https://advisories.test/1', severity: 'high' },
    ]);
  });

  it('pushes, unlists and lists again', async () => {
    const content = buildPackage({ id: 'New', version: '1.0.0' });
    const pushed = { name: 'new.nupkg', size: content.length, open: () => Readable.from([content]) };
    expect(await client.listVersions('New')).toEqual([]);
    await expect(client.push(pushed, { apiKey: 'wrong' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await client.push(pushed, { apiKey: 'key' });
    expect(proxied.upstream.packages.find('New', '1.0.0')?.content.equals(content)).toBe(true);
    await expect(client.push(pushed, { apiKey: 'key' })).rejects.toMatchObject({ code: 'CONFLICT' });
    const listed = async () => {
      const answer = await proxied.server.ask('/nuget/v3/registration-gz-semver2/new/1.0.0.json', {
        headers: { Authorization: BASIC },
      });
      return JSON.parse(answer.body.toString()).listed;
    };
    expect(await listed()).toBe(true);
    expect(await client.delete('New', '1.0.0', { apiKey: 'key' })).toBe(true);
    expect(await listed()).toBe(false);
    const init = { method: 'POST', headers: { Authorization: BASIC, 'X-NuGet-ApiKey': 'key', 'Content-Length': '0' } };
    expect((await proxied.server.ask('/nuget/v3/package/New/1.0.0', init)).status).toBe(200);
    expect(await listed()).toBe(true);
    expect(await client.delete('None', '1.0.0', { apiKey: 'key' })).toBe(false);
  });

  it('without the right credentials gets nothing, and nothing is asked for it', async () => {
    await using other = new SourceRepository({
      name: 'proxy',
      sourceUrl: client.sourceUrl,
      auth: { type: 'basic', username: 'me', password: 'x' },
    });
    await expect(other.listVersions('My.Package')).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    expect(proxied.asked()).toEqual([]);
  });

  it('restores what was seen when the upstream is gone', async () => {
    await client.listMetadata('My.Package');
    await buffer((await client.downloadPackage('My.Package', '1.1.0'))!);
    await proxied.upstream.close();
    await using another = new SourceRepository({
      name: 'proxy',
      httpClient: http,
      sourceUrl: client.sourceUrl,
      auth: { type: 'basic', username: 'me', password: 'secret' },
    });
    expect((await another.listMetadata('My.Package')).length).toBe(3);
    expect((await another.listVersions('My.Package')).length).toBe(3);
    const content = await buffer((await another.downloadPackage('My.Package', '1.1.0'))!);
    expect(content.equals(proxied.upstream.packages.find('My.Package', '1.1.0')!.content)).toBe(true);
    await expect(another.downloadPackage('Other', '1.0.0')).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });
});
