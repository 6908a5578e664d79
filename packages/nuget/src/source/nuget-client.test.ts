import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isNuGetError } from '../errors.js';
import { buildPackage, type FeedServer, startFeedServer } from '../testing/index.js';
import { NuGetClient, type NuGetClientOptions } from './nuget-client.js';
import { PackageSourceMapping } from './package-source-mapping.js';
import { SourceCacheContext } from './source-cache-context.js';
import { SourceRepository } from './source-repository.js';
import { SourcesError } from './sources-error.js';
import { TestSource } from './testing/test-source.js';

let local: TestSource;
let one: FeedServer;
let two: FeedServer;

beforeEach(async () => {
  local = await TestSource.start();
  one = await startFeedServer({
    packages: [
      { id: 'Common', version: '1.0.0', description: 'of one' },
      { id: 'Only.One', version: '1.0.0' },
    ],
    vulnerabilities: [{ id: 'Common', severity: 3, url: 'https://advisory.test/1', versions: '[1.0.0]' }],
  });
  two = await startFeedServer({
    packages: [
      { id: 'Common', version: '1.0.0', description: 'of two' },
      { id: 'Common', version: '2.0.0', description: 'of two' },
      { id: 'Only.Two', version: '1.0.0' },
    ],
  });
});
afterEach(async () => {
  await local[Symbol.asyncDispose]();
  await one.close();
  await two.close();
});

const client = (options: Partial<NuGetClientOptions> = {}): NuGetClient =>
  local.own(
    new NuGetClient({
      sources: [
        { name: 'one', sourceUrl: one.v3Url },
        { name: 'two', sourceUrl: two.v2Url },
      ],
      cacheDir: local.folder,
      http: { proxy: false, retry: false, circuitBreaker: false },
      logger: local.logger,
      metrics: local.metrics,
      clock: local.time.clock,
      timers: { setTimeout: (callback) => setImmediate(callback), clearTimeout: () => {} },
      ...options,
    }),
  );
const rejection = (promise: Promise<unknown>): Promise<SourcesError> =>
  promise.then(
    () => Promise.reject(new Error('it succeeded')),
    (error) => error,
  );
const down = (server: FeedServer) => server.fault(/./, { kind: 'status', status: 503 });
const hanging = (server: FeedServer) => server.fault(/./, { kind: 'hang' });

describe('a client of several sources', () => {
  it('refuses what is no id before it asks any of them', async () => {
    const nuget = client();
    for (const ask of [nuget.listVersions('../x'), nuget.listMetadata('../x'), nuget.downloadPackage('../x', '1.0')]) {
      await expect(ask).rejects.toMatchObject({ code: 'INVALID_PACKAGE_ID', message: '"../x" is no package id' });
    }
    expect([...one.requests.all(), ...two.requests.all()]).toEqual([]);
  });

  it('merges what they have', async () => {
    const nuget = client();
    expect((await nuget.listVersions('common')).map(String)).toEqual(['1.0.0', '2.0.0']);
    expect(await nuget.listVersions('nobody.has.it')).toEqual([]);
    const metadata = await nuget.listMetadata('Common');
    expect(metadata.map(({ version, description }) => `${version} ${description}`)).toEqual([
      '1.0.0 of one',
      '2.0.0 of two',
    ]);
    const { results } = await nuget.search('');
    expect(results.map(({ id, version }) => `${id} ${version}`).sort()).toEqual([
      'Common 2.0.0',
      'Only.One 1.0.0',
      'Only.Two 1.0.0',
    ]);
    expect([...(await nuget.autocomplete('Only'))].sort()).toEqual(['Only.One', 'Only.Two']);
    expect((await nuget.vulnerabilities())?.get('common')).toHaveLength(1);
  });

  it('takes the answer of whoever has one', async () => {
    const nuget = client();
    expect((await nuget.getMetadata('Only.Two', '1.0.0'))?.id).toBe('Only.Two');
    expect(String(await nuget.getNuspec('Only.One', '1.0.0'))).toContain('Only.One');
    expect(await nuget.getMetadata('Common', '9.0.0')).toBeUndefined();
    expect(await nuget.getNuspec('Common', '9.0.0')).toBeUndefined();
  });

  it('finds a version that came since its lists were fetched, as soon as it would find a package', async () => {
    const nuget = client();
    const ask = async () => ({
      package: await nuget.downloadPackage('Common', '3.0.0').then(
        (download) => download.destroy() && 'there',
        (error) => error.code,
      ),
      metadata: (await nuget.getMetadata('Common', '3.0.0')) && 'there',
    });
    const missing = { package: 'PACKAGE_NOT_FOUND', metadata: undefined };
    expect(await ask()).toEqual(missing);
    await two.packages.add({ id: 'Common', version: '3.0.0' });
    for (const server of [one, two]) server.requests.clear();
    expect(await ask()).toEqual(missing);
    expect([...one.requests.all(), ...two.requests.all()]).toEqual([]);
    await local.time.advance(30_000);
    expect(await ask()).toEqual({ package: 'there', metadata: 'there' });
    const noCache = new SourceCacheContext({ noCache: true });
    one.requests.clear();
    expect(await nuget.getMetadata('Common', '9.0.0', { cacheContext: noCache })).toBeUndefined();
    expect(one.requests.targets(/registration/)).toHaveLength(1);
  });

  it('does not wait for a source that hangs, when another one has it', async () => {
    hanging(one);
    const nuget = client();
    expect((await nuget.getMetadata('Only.Two', '1.0.0'))?.id).toBe('Only.Two');
    const download = await nuget.downloadPackage('Only.Two', '1.0.0');
    expect(download.source).toBe('two');
    download.destroy();
  });

  it('downloads from a source that has it, and from its cache whoever is asked', async () => {
    const nuget = client();
    const download = await nuget.downloadPackage('Only.Two', '1.0');
    expect(download).toMatchObject({ source: 'two', fromCache: false });
    expect((await buffer(download)).equals(buildPackage({ id: 'Only.Two', version: '1.0.0' }))).toBe(true);
    expect(one.requests.all(/\.nupkg/)).toHaveLength(0);
    one.requests.clear();
    two.requests.clear();
    const again = await nuget.downloadPackage('Only.Two', '1.0');
    expect(again.fromCache).toBe(true);
    again.destroy();
    expect(one.requests.length + two.requests.length).toBe(0);
  });

  it('downloads from the next source when one fails with it', async () => {
    for (const broken of [one, two]) {
      const end = broken.fault(/\.nupkg|\/package\//, { kind: 'html' });
      const nuget = client({ cacheDir: undefined });
      const download = await nuget.downloadPackage('Common', '1.0.0');
      expect(download.source).toBe(broken === one ? 'two' : 'one');
      download.destroy();
      end();
    }
  });

  it('says that nobody has a package, and where it looked', async () => {
    const error = await rejection(client().downloadPackage('Common', '9.0.0'));
    expect(error).toMatchObject({ code: 'PACKAGE_NOT_FOUND', message: 'Common 9.0.0 is not in one, two' });
  });

  it('goes on without a source that fails', async () => {
    down(one);
    const nuget = client();
    expect((await nuget.listVersions('Common')).map(String)).toEqual(['1.0.0', '2.0.0']);
    expect((await nuget.search('Only')).results.map(({ id }) => id)).toEqual(['Only.Two']);
    expect(await nuget.getMetadata('Only.Two', '1.0.0')).toBeDefined();
    expect(local.logs.join('\n')).toContain('warning: A source of several failed');
  });

  it('does not say that a package is nowhere when a source that fails may have it', async () => {
    down(one);
    const nuget = client();
    expect(await rejection(nuget.getMetadata('Only.One', '1.0.0'))).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(await rejection(nuget.downloadPackage('Only.One', '1.0.0'))).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(await rejection(nuget.listVersions('Only.One'))).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(await rejection(nuget.listMetadata('Only.One'))).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });

  it('fails with the causes of all when nobody answers', async () => {
    down(one);
    two.settings.credentials = { bearer: 'token' };
    const error = await rejection(client().listVersions('Common'));
    expect(error).toBeInstanceOf(SourcesError);
    expect(isNuGetError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(error.errors).toMatchObject([
      { source: 'one', code: 'SOURCE_UNAVAILABLE' },
      { source: 'two', code: 'UNAUTHORIZED' },
    ]);
    expect(error.message).toMatch(/one: .*503.*two: /);
    one.clearFaults();
    one.settings.credentials = { bearer: 'token' };
    expect(await rejection(client({ cacheDir: undefined }).search('x'))).toMatchObject({ code: 'UNAUTHORIZED' });
  });

  it('asks only the sources that the mapping names', async () => {
    const mapping = new PackageSourceMapping([
      ['TWO', ['Common', 'Only.*']],
      ['gone', ['Lost']],
    ]);
    const nuget = client({ mapping });
    const download = await nuget.downloadPackage('Common', '1.0.0');
    expect(download.source).toBe('two');
    download.destroy();
    expect(await nuget.getMetadata('Only.One', '1.0.0')).toBeUndefined();
    expect(one.requests.length).toBe(0);
    expect(await nuget.listVersions('Unmapped')).toEqual([]);
    const error = await rejection(nuget.downloadPackage('Lost', '1.0.0'));
    expect(error).toMatchObject({ code: 'PACKAGE_NOT_FOUND', message: expect.stringContaining('mapping') });
  });

  it('ends what it asks when the caller goes away', async () => {
    hanging(one);
    hanging(two);
    const nuget = client();
    const controller = new AbortController();
    const { signal } = controller;
    const calls = [
      nuget.getMetadata('Common', '1.0.0', { signal }),
      nuget.listVersions('Common', { signal }),
      nuget.downloadPackage('Common', '1.0.0', { signal }),
      nuget.search('x', { signal }),
    ].map(rejection);
    await Promise.all([one.waitForRequest(/./), two.waitForRequest(/./)]);
    controller.abort(new Error('gone'));
    for (const error of await Promise.all(calls)) expect(error.message).toBe('gone');
    expect(await rejection(nuget.getMetadata('Common', '1.0.0', { signal }))).toMatchObject({ message: 'gone' });
  });

  it('gives pages of the whole, as far as sources can be asked', async () => {
    const nuget = client();
    const all = await nuget.search('');
    const parts = [await nuget.search('', { take: 2 }), await nuget.search('', { skip: 2, take: 2 })];
    expect(parts.flatMap(({ results }) => results.map(({ id }) => id))).toEqual(all.results.map(({ id }) => id));
    expect(await rejection(nuget.search('', { skip: 990, take: 20 }))).toMatchObject({ code: 'LIMIT' });
    expect(await rejection(nuget.autocomplete('', { skip: 990, take: 20 }))).toMatchObject({ code: 'LIMIT' });
    const wrong = { code: 'INVALID_OPTION', message: 'skip must be a whole number from 0, not -2' };
    expect(await rejection(nuget.search('', { skip: -2, take: 4 }))).toMatchObject(wrong);
    expect(await rejection(nuget.autocomplete('', { skip: -2, take: 4 }))).toMatchObject(wrong);
    const [only] = nuget.sources;
    const one = local.own(new NuGetClient({ sources: [only as SourceRepository] }));
    expect((await one.search('', { skip: 990, take: 20 })).results).toEqual([]);
    expect(await one.autocomplete('', { skip: 990, take: 20 })).toEqual([]);
    expect(await one.autocomplete('Common')).toEqual(['Common']);
  });

  it('pushes to one of them by its name, and deletes there', async () => {
    const nuget = client();
    const pushed = buildPackage({ id: 'New', version: '1.0.0' });
    const pkg = { name: 'new.nupkg', size: pushed.length, open: () => Readable.from([pushed]) };
    await nuget.push('TWO', pkg);
    expect(await nuget.delete('two', 'New', '1.0.0')).toBe(true);
    expect(await rejection(nuget.push('three', pkg))).toMatchObject({ code: 'INVALID_OPTION' });
  });
});

describe('a client of one source', () => {
  it('passes on what it says', async () => {
    const nuget = client({ sources: [{ name: 'one', sourceUrl: one.v3Url }] });
    expect((await nuget.search('only')).results.map(({ id }) => id)).toEqual(['Only.One']);
    down(one);
    expect(await rejection(nuget.listVersions('New'))).toMatchObject({ name: 'SourceError', source: 'one' });
  });
});

describe('what a client owns', () => {
  it('is closed with it, but not what it was given', async () => {
    const given = local.own(new SourceRepository({ name: 'given', sourceUrl: one.v3Url, httpClient: local.client() }));
    const nuget = client({ sources: [given, { name: 'two', sourceUrl: two.v3Url }] });
    expect((await nuget.listVersions('Common')).map(String)).toEqual(['1.0.0', '2.0.0']);
    const repository = nuget.source('two');
    await nuget.close();
    await nuget.close();
    await expect(repository.listVersions('Common')).rejects.toMatchObject({ code: 'CLOSED' });
    expect((await given.listVersions('Common')).map(String)).toEqual(['1.0.0']);
  });

  it('lies in the folder that it was given', async () => {
    const nuget = client({ userAgent: 'mine/1', memoryCacheSize: 0 });
    const download = await nuget.downloadPackage('Only.Two', '1.0.0');
    expect(download.path?.startsWith(local.folder)).toBe(true);
    download.destroy();
    expect(two.requests.all().map(({ headers }) => headers['user-agent'])).toContain('mine/1');
    two.requests.clear();
    await nuget.listVersions('Common');
    await nuget.listVersions('Common');
    expect(two.requests.targets(/FindPackagesById/)).toHaveLength(1);
  });

  it.each([
    [{ sources: [] }],
    [
      {
        sources: [
          { name: 'a', sourceUrl: 'http://x/' },
          { name: 'A', sourceUrl: 'http://y/' },
        ],
      },
    ],
    [{ sources: [{ name: 'a', sourceUrl: 'not a url' }] }],
    [{ memoryCacheSize: -1 }],
    [{ cacheMaxSize: 0 }],
  ])('is refused with %j', (options) => {
    expect(() => client(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});
