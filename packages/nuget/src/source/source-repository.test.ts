import { createHash } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { MetricRegistry } from '@granary/telemetry';
import { parseExposition, RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Authenticator } from '../auth/authenticator.js';
import { HttpCache } from '../http-cache/http-cache.js';
import { SmallFiles } from '../http-cache/small-files.js';
import { registryNuGetMetrics } from '../metrics-registry.js';
import { buildPackage, type FeedServer, startFeedServer } from '../testing/index.js';
import type { PackageDownload } from './packages/package-download.js';
import { SourceCacheContext } from './source-cache-context.js';
import { SourceRepository, type SourceRepositoryOptions } from './source-repository.js';
import { TestSource } from './testing/test-source.js';

const DAY = 24 * 60 * 60_000;
const CONTENT = buildPackage({
  id: 'Test.Package',
  version: '1.0.0',
  files: { 'lib/net8.0/a.dll': Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * i) % 251)) },
});
/** Too long to be kept in memory as a whole. */
const NOISE = Buffer.concat(Array.from({ length: 20_000 }, (_, i) => createHash('sha256').update(`${i}`).digest()));
const LONG = buildPackage({ id: 'Test.Package', version: '1.0.0', files: { 'lib/net8.0/a.dll': NOISE } });
const LONG_OTHER = buildPackage({ id: 'Test.Package', version: '1.0.1', files: { 'lib/net8.0/a.dll': NOISE } });
const BETA = buildPackage({ id: 'Test.Package', version: '2.0.0-beta' });
const INSTANT = { setTimeout: (callback: () => void) => setImmediate(callback), clearTimeout: () => {} };

let local: TestSource;
let server: FeedServer;

beforeEach(async () => {
  local = await TestSource.start();
  server = await startFeedServer({ packages: [CONTENT, BETA] });
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await local[Symbol.asyncDispose]();
  await server.close();
});

const repository = (options: Partial<SourceRepositoryOptions> = {}): SourceRepository =>
  local.own(
    new SourceRepository({
      name: 'feed',
      sourceUrl: server.v3Url,
      httpClient: options.httpClient ?? local.client(),
      cache: options.cache ?? local.cache({ disk: { folder: local.folder } }),
      logger: local.logger,
      metrics: local.metrics,
      clock: local.time.clock,
      timers: INSTANT,
      ...options,
    }),
  );
const bytes = async (download: Promise<PackageDownload | undefined>): Promise<Buffer | undefined> => {
  const stream = await download;
  return stream && buffer(stream);
};
const nupkgs = () => server.requests.all(/\.nupkg|\/package\//);
const context = (options: ConstructorParameters<typeof SourceCacheContext>[0]) => ({
  cacheContext: new SourceCacheContext(options),
});
const cachedPath = () => {
  const [folder] = readdirSync(local.folder);
  return join(local.folder, String(folder), 'nupkg_test.package.1.0.0.dat');
};
/** Replaces bytes of the cached package without anybody noticing by its age. */
const damage = (change: (path: string) => void) => {
  const { atimeMs, mtimeMs } = statSync(cachedPath());
  change(cachedPath());
  utimesSync(cachedPath(), atimeMs / 1000, mtimeMs / 1000);
};

describe.each(['v3', 'v2'] as const)('a source of protocol %s', (protocol) => {
  const open = (options: Partial<SourceRepositoryOptions> = {}) =>
    repository({ sourceUrl: protocol === 'v3' ? server.v3Url : server.v2Url, ...options });

  it('answers what is asked of it', async () => {
    const source = open();
    expect((await source.provider()).protocol).toBe(protocol);
    expect((await source.listVersions('test.package')).map(String)).toEqual(['1.0.0', '2.0.0-beta']);
    expect((await source.getMetadata('Test.Package', '1.0'))?.version.toString()).toBe('1.0.0');
    expect(await source.getMetadata('Test.Package', '9.0')).toBeUndefined();
    expect(await source.listMetadata('Test.Package')).toHaveLength(2);
    const { results } = await source.search('test', { includePrerelease: true });
    expect(results.map(({ id }) => id)).toEqual(['Test.Package']);
    expect(await source.autocomplete('Test')).toEqual(['Test.Package']);
    expect(String(await source.getNuspec('Test.Package', '1.0.0'))).toContain('<id>Test.Package</id>');
    expect(await source.getNuspec('Test.Package', '9.0.0')).toBeUndefined();
    const vulnerabilities = await source.vulnerabilities();
    if (protocol === 'v2') expect(vulnerabilities).toBeUndefined();
    else expect(vulnerabilities).toBeInstanceOf(Map);
  });

  it('gives a package once, and then it is there for ever', async () => {
    const source = open();
    const download = await source.downloadPackage('test.package', '1.0.0');
    expect(download).toMatchObject({ size: CONTENT.length, fromCache: false, source: 'feed', path: cachedPath() });
    expect(download?.sha512).toBe(createHash('sha512').update(CONTENT).digest('base64'));
    expect((await buffer(download as PackageDownload)).equals(CONTENT)).toBe(true);
    expect(readFileSync(cachedPath()).equals(CONTENT)).toBe(true);
    await local.time.advance(1000 * DAY);
    server.requests.clear();
    const again = await source.downloadPackage('Test.Package', '1.0.0.0');
    expect(again).toMatchObject({ fromCache: true, sha512: download?.sha512 });
    expect((await buffer(again as PackageDownload)).equals(CONTENT)).toBe(true);
    expect((await bytes(open().downloadPackage('Test.Package', '1.0.0')))?.equals(CONTENT)).toBe(true);
    expect(server.requests.length).toBe(0);
  });

  it('is not asked at all by a process that wants what another one got before', async () => {
    const work = async (source: SourceRepository) => {
      await source.listVersions('Test.Package');
      await source.getMetadata('Test.Package', '1.0.0');
      await bytes(source.downloadPackage('Test.Package', '1.0.0'));
    };
    await work(open());
    server.requests.clear();
    await work(open());
    expect(server.requests.targets()).toEqual([]);
  });

  it('takes a push of bytes, and refuses what is no package in any form', async () => {
    const source = open();
    await source.push(buildPackage({ id: 'Pushed', version: '1.0.0' }));
    await source.push(new Uint8Array(buildPackage({ id: 'Pushed', version: '1.1.0' })));
    expect((await source.listVersions('Pushed')).map(String)).toEqual(['1.0.0', '1.1.0']);
    for (const given of [undefined, Readable.from([CONTENT])])
      await expect(source.push(given as unknown as string)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('takes pushes and deletes, and shows them', async () => {
    server.settings.apiKey = 'key';
    const source = open();
    expect(await source.downloadPackage('Other', '1.0.0')).toBeUndefined();
    expect(await source.listVersions('Other')).toEqual([]);
    const file = join(local.folder, 'other.nupkg');
    writeFileSync(file, buildPackage({ id: 'Other', version: '1.0.0' }));
    await expect(source.push(file)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await source.push(file, { apiKey: 'key' });
    await local.time.advance(1);
    expect((await source.listVersions('Other')).map(String)).toEqual(['1.0.0']);
    expect(await bytes(source.downloadPackage('Other', '1.0.0'))).toBeDefined();
    await expect(source.push(file, { apiKey: 'key' })).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await source.delete('Other', '1.0.0', { apiKey: 'key' })).toBe(true);
    expect(await source.delete('Other', '9.0.0', { apiKey: 'key' })).toBe(false);
  });
});

it.each(['/api/v2/package', '/api/v2/package/'])(
  'a source may be nothing but where packages are pushed to: %s',
  async (path) => {
    const source = repository({ sourceUrl: server.url + path });
    const file = join(local.folder, 'other.nupkg');
    writeFileSync(file, buildPackage({ id: 'Other', version: '1.0.0' }));
    await source.push(file);
    await expect(source.push(file)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await source.delete('Other', '1.0.0')).toBe(true);
    await expect(source.listVersions('Other')).rejects.toMatchObject({ code: 'PROTOCOL' });
  },
);

it('of protocol 2 is where its URL leads to, and takes packages at its URL', async () => {
  const service = '<service xmlns="http://www.w3.org/2007/app"></service>';
  const entry = '<entry><title>a</title><m:properties><d:Version>1.0</d:Version></m:properties></entry>';
  const space = 'http://schemas.microsoft.com/ado/2007/08/dataservices';
  const list = `<feed xmlns="http://www.w3.org/2005/Atom" xmlns:d="${space}" xmlns:m="${space}/metadata">${entry}</feed>`;
  const pushed: string[] = [];
  local.answer = ({ method, url = '' }, res) => {
    if (method === 'PUT') {
      pushed.push(url);
      res.writeHead(201).end();
    } else if (url === '/link?id=7') res.writeHead(302, { location: '/feed/' }).end();
    else if (url === '/feed/') res.end(service);
    else if (url.startsWith('/feed/FindPackagesById()')) res.end(list);
    else res.writeHead(404).end();
  };
  const source = repository({ sourceUrl: `${local.url}/link?id=7` });
  expect((await source.listVersions('a')).map(String)).toEqual(['1.0']);
  await source.push({ name: 'a.1.0.0.nupkg', size: 1, open: () => Readable.from([Buffer.from('a')]) });
  expect(pushed).toEqual(['/link/']);
});

it('shares an authenticator with others on its host, and nothing else', async () => {
  const seen: string[] = [];
  local.answer = ({ url = '', headers }, res) => {
    seen.push(`${url} ${headers.authorization}`);
    const [, name] = url.split('/');
    const resources = [{ '@id': `${local.url}/${name}/flat/`, '@type': 'PackageBaseAddress/3.0.0' }];
    const versions = [name === 'one' ? '1.0.0' : '2.0.0'];
    res.end(JSON.stringify(url.includes('/flat/') ? { versions } : { version: '3.0.0', resources }));
  };
  const urlOf = (name: string) => `${local.url}/${name}/index.json`;
  const credentials = { type: 'bearer', token: 't' } as const;
  const auth = new Authenticator({ source: 'both', url: urlOf('one'), credentials });
  for (const [name, version] of [
    ['one', '1.0.0'],
    ['two', '2.0.0'],
  ] as const) {
    const source = repository({ name, sourceUrl: urlOf(name), auth });
    expect(source.sourceUrl).toBe(urlOf(name));
    expect((await source.listVersions('a')).map(String)).toEqual([version]);
  }
  expect(seen.every((request) => request.endsWith(' Bearer t'))).toBe(true);
});

it('is asked once for what it offers, however much is pushed to it', async () => {
  const source = repository();
  for (const version of ['1.0.0', '2.0.0']) {
    const file = join(local.folder, 'other.nupkg');
    writeFileSync(file, buildPackage({ id: 'Other', version }));
    await source.push(file);
    await local.time.advance(1);
  }
  expect(await source.delete('Other', '1.0.0')).toBe(true);
  expect(server.requests.targets(/index\.json$/)).toHaveLength(1);
});

it('has others who share its cache on disk see what it pushes, and what it deletes, at once', async () => {
  const cache = () => local.own(new HttpCache({ folder: join(local.folder, 'shared'), clock: local.time.clock }));
  const versions = async (id: string) => (await repository({ cache: cache() }).listVersions(id)).map(String);
  const titles = async () =>
    (await repository({ cache: cache() }).listMetadata('Test.Package')).map(({ version }) => `${version}`);
  const all = async () => ({ versions: await versions('Test.Package'), metadata: await titles() });
  const two = ['1.0.0', '2.0.0-beta'];
  expect(await all()).toEqual({ versions: two, metadata: two });
  const one = repository({ cache: cache() });
  await one.push(buildPackage({ id: 'Test.Package', version: '1.1.0' }));
  const three = ['1.0.0', '1.1.0', '2.0.0-beta'];
  expect(await all()).toEqual({ versions: three, metadata: three });
  server.settings.deletes = 'remove';
  await one.delete('Test.Package', '1.1.0');
  expect(await all()).toEqual({ versions: two, metadata: two });
  expect(server.requests.targets(/v3\/index\.json$/)).toHaveLength(1);
});

it('pushes where nothing can be removed from the cache', async () => {
  const disk = local.own(new HttpCache({ folder: join(local.folder, 'shared') }));
  vi.spyOn(disk, 'deleteBeginning').mockRejectedValue(new Error('EACCES'));
  const source = repository({ cache: disk });
  await source.push(buildPackage({ id: 'Other', version: '1.0.0' }));
  expect((await source.listVersions('Other')).map(String)).toEqual(['1.0.0']);
});

it.each([undefined, null, 1])('refuses %s as a version by what it is', async (version) => {
  await expect(repository().getMetadata('Other', version as never)).rejects.toMatchObject({ code: 'INVALID_VERSION' });
});

describe('a package', () => {
  it('that was missing while it was pushed is asked for again', async () => {
    const waiting: ServerResponse[] = [];
    let isThere = false;
    const resources = ['PackageBaseAddress/3.0.0', 'PackagePublish/2.0.0'];
    local.answer = (req, res) => {
      if (req.method === 'PUT') res.writeHead(201).end();
      else if (req.url === '/index.json') {
        const listed = resources.map((type) => ({ '@id': `${local.url}/${type}/`, '@type': type }));
        res.end(JSON.stringify({ version: '3.0.0', resources: listed }));
      } else if (isThere) res.end(CONTENT);
      else waiting.push(res);
    };
    const source = repository({ sourceUrl: `${local.url}/index.json` });
    const before = source.downloadPackage('Test.Package', '1.0.0');
    await expect.poll(() => waiting.length).toBe(1);
    await source.push({ name: 'a.nupkg', size: CONTENT.length, open: () => Readable.from([CONTENT]) });
    isThere = true;
    const meanwhile = source.downloadPackage('Test.Package', '1.0.0');
    await expect.poll(() => local.requests.filter(({ url }) => url?.endsWith('.nupkg')).length).toBe(2);
    waiting[0]?.writeHead(404).end();
    expect(await before).toBeUndefined();
    expect((await bytes(meanwhile))?.equals(CONTENT)).toBe(true);
    expect((await bytes(source.downloadPackage('Test.Package', '1.0.0')))?.equals(CONTENT)).toBe(true);
  });

  it('that is not there is undefined, which is remembered for 30 s', async () => {
    const source = repository();
    expect(await source.downloadPackage('Test.Package', '9.0.0')).toBeUndefined();
    server.requests.clear();
    expect(await source.downloadPackage('Test.Package', '9.0.0')).toBeUndefined();
    expect(server.requests.length).toBe(0);
    await local.time.advance(30_000);
    expect(await source.downloadPackage('Test.Package', '9.0.0')).toBeUndefined();
    expect(nupkgs()).toHaveLength(1);
  });

  it('is asked for in the same session as what is said of it', async () => {
    const source = repository();
    await source.getMetadata('Test.Package', '1.0.0');
    await bytes(source.downloadPackage('Test.Package', '1.0.0'));
    const sessions = server.requests.all().map(({ headers }) => headers['x-nuget-session-id']);
    expect(sessions.length).toBeGreaterThan(2);
    expect(new Set(sessions).size).toBe(1);
  });

  it('is downloaded once for all who want it at the same time, and read by each at his own pace', async () => {
    const source = repository();
    const controller = new AbortController();
    const gone = source.downloadPackage('Test.Package', '1.0.0', { signal: controller.signal });
    const downloads = Array.from({ length: 5 }, () => source.downloadPackage('Test.Package', '1.0.0'));
    controller.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    const [first, ...others] = (await Promise.all(downloads)) as PackageDownload[];
    first?.destroy();
    await bytes(repository().downloadPackage('Test.Package', '1.0.0', context({ noCache: true })));
    rmSync(cachedPath());
    for (const other of others) expect((await buffer(other)).equals(CONTENT)).toBe(true);
    expect(nupkgs()).toHaveLength(2);
  });

  it('is no longer downloaded when nobody wants it any more', async () => {
    server.fault(/\.nupkg/, { kind: 'hang', afterBytes: 10 });
    const source = repository();
    const controller = new AbortController();
    const gone = source.downloadPackage('Test.Package', '1.0.0', { signal: controller.signal });
    await server.waitForRequest(/\.nupkg/);
    controller.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    server.clearFaults();
    expect(await bytes(source.downloadPackage('Test.Package', '1.0.0'))).toBeDefined();
    expect(readdirSync(dirname(cachedPath())).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it.each([
    ['broken off', { kind: 'truncate' }],
    ['cut off without a word', { kind: 'truncate', silent: true }],
    ['reset', { kind: 'reset', afterBytes: 100 }],
    ['a page to log in', { kind: 'html' }],
    ['another package', { kind: 'replace', body: BETA }],
  ] as const)('that is %s is asked for again, three times in all, and never kept', async (_, fault) => {
    const source = repository();
    const end = server.fault(/\.nupkg/, fault);
    const code = expect.stringMatching(/^(INVALID_PACKAGE|SOURCE_UNAVAILABLE|LIMIT)$/);
    await expect(source.downloadPackage('Test.Package', '1.0.0')).rejects.toMatchObject({ code, source: 'feed' });
    expect(nupkgs()).toHaveLength(3);
    expect(readdirSync(dirname(cachedPath())).filter((name) => /nupkg|tmp/.test(name))).toEqual([]);
    end();
    server.fault(/\.nupkg/, fault, { times: 2 });
    expect((await bytes(source.downloadPackage('Test.Package', '1.0.0')))?.equals(CONTENT)).toBe(true);
    expect(local.counted.filter((what) => what.startsWith('download'))).toEqual([
      'download failure',
      'download success',
    ]);
  });

  it('is said to be a page for people where it is one', async () => {
    server.fault(/\.nupkg/, { kind: 'html' });
    await expect(repository().downloadPackage('Test.Package', '1.0.0')).rejects.toThrow(
      /^feed: .*\.nupkg answered with a web page or other markup instead of a package$/,
    );
  });

  it('must have the hash that the caller knows', async () => {
    const source = repository();
    const value = createHash('sha512').update(CONTENT).digest('base64');
    const sha256 = createHash('sha256').update(CONTENT).digest('base64');
    const wrong = { hash: { algorithm: 'SHA512', value: 'AAAA' } };
    await expect(source.downloadPackage('Test.Package', '1.0.0', wrong)).rejects.toMatchObject({
      code: 'INVALID_PACKAGE',
    });
    for (const hash of [
      { algorithm: 'SHA512', value },
      { algorithm: 'SHA256', value: sha256 },
    ]) {
      for (let i = 0; i < 2; i++) {
        expect(await bytes(source.downloadPackage('Test.Package', '1.0.0', { hash }))).toBeDefined();
      }
    }
    await expect(source.downloadPackage('Test.Package', '1.0.0', wrong)).rejects.toMatchObject({
      code: 'INVALID_PACKAGE',
    });
  });

  it('stays in the cache when a caller wants another hash, or one that nobody knows', async () => {
    const source = repository();
    await bytes(source.downloadPackage('Test.Package', '1.0.0'));
    const asked = nupkgs().length;
    const download = (algorithm: string) =>
      source.downloadPackage('Test.Package', '1.0.0', { hash: { algorithm, value: 'AAAA' } });
    await expect(download('none')).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    expect(nupkgs()).toHaveLength(asked);
    for (const algorithm of ['SHA512', 'SHA256']) {
      await expect(download(algorithm)).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    }
    expect(local.logs.join('\n')).not.toContain('damaged');
    expect((await source.downloadPackage('Test.Package', '1.0.0'))?.fromCache).toBe(true);
  });

  it.each(['sha512', 'md5'])('must have the %s hash that the source sends with it', async (algorithm) => {
    const header = algorithm === 'md5' ? 'content-md5' : 'x-ms-meta-sha512';
    const hash = createHash(algorithm).update(CONTENT).digest('base64');
    const other = buildPackage({ id: 'Test.Package', version: '1.0.0', description: 'changed on the way' });
    const bodies = [other, CONTENT];
    local.answer = ({ url = '' }, res) => {
      const body = url.endsWith('.nupkg') ? bodies.shift() : undefined;
      const resources = [{ '@id': `${local.url}/flat/`, '@type': 'PackageBaseAddress/3.0.0' }];
      if (body !== undefined) res.writeHead(200, { 'content-length': body.length, [header]: hash }).end(body);
      else res.end(JSON.stringify({ version: '3.0.0', resources }));
    };
    const source = repository({ sourceUrl: `${local.url}/index.json` });
    expect((await bytes(source.downloadPackage('Test.Package', '1.0.0')))?.equals(CONTENT)).toBe(true);
    expect(bodies).toEqual([]);
  });

  it('must have the hash that a source of protocol 2 tells', async () => {
    const source = repository({ sourceUrl: server.v2Url });
    const other = buildPackage({ id: 'Test.Package', version: '1.0.0', description: 'changed on the way' });
    server.fault(/\/package\//, { kind: 'replace', body: other });
    await expect(source.downloadPackage('Test.Package', '1.0.0')).rejects.toThrow(/hash/);
    server.clearFaults();
    expect(await bytes(source.downloadPackage('Test.Package', '1.0.0'))).toBeDefined();
  });

  it('that was replaced at a source of protocol 2 is asked for again with the hash that it has now', async () => {
    const source = repository({ sourceUrl: server.v2Url });
    const replaced = buildPackage({ id: 'Test.Package', version: '1.0.0', description: 'built again' });
    await using other = await startFeedServer({ packages: [replaced, BETA] });
    await source.listVersions('Test.Package');
    const told = await fetch(`${other.v2Url}/Packages(Id='Test.Package',Version='1.0.0')`);
    const listing = await told.text();
    server.fault(/Packages\(Id/, {
      kind: 'replace',
      body: listing.replaceAll(other.url, server.url),
      contentType: 'application/atom+xml',
    });
    server.fault(/\/package\//, { kind: 'replace', body: replaced, contentType: 'application/octet-stream' });
    expect((await bytes(source.downloadPackage('Test.Package', '1.0.0')))?.equals(replaced)).toBe(true);
    expect(nupkgs()).toHaveLength(2);
  });

  it('is whole without the hash of a source that fails when it is asked for it', async () => {
    const source = repository({ sourceUrl: server.v2Url, cache: local.cache({ memoryEntries: 0 }) });
    await source.provider();
    let listed = 0;
    server.fault((request) => request.path.includes('FindPackagesById') && ++listed > 1, { kind: 'html' });
    expect((await bytes(source.downloadPackage('Test.Package', '1.0.0')))?.equals(CONTENT)).toBe(true);
    expect(listed).toBe(2);
  });

  it('is refused when it is longer than allowed', async () => {
    const source = repository({ maxPackageBytes: CONTENT.length - 1 });
    await expect(source.downloadPackage('Test.Package', '1.0.0')).rejects.toMatchObject({ code: 'LIMIT' });
    server.fault(/\.nupkg/, { kind: 'huge', bytes: 10 * CONTENT.length });
    await expect(source.downloadPackage('Test.Package', '1.0.0')).rejects.toMatchObject({ code: 'LIMIT' });
    // What says so itself is not waited for.
    server.fault(/\.nupkg/, { kind: 'hang', afterBytes: 1 });
    await expect(source.downloadPackage('Test.Package', '1.0.0')).rejects.toMatchObject({ code: 'LIMIT' });
  });

  it('is checked by a process that has not seen it, and fetched again when it is damaged', async () => {
    await bytes(repository().downloadPackage('Test.Package', '1.0.0'));
    const flip = (path: string) => {
      const content = readFileSync(path);
      content[1000] = (content[1000] ?? 0) ^ 1;
      writeFileSync(path, content);
    };
    const changes = [flip, (path: string) => truncateSync(path, 1000), (path: string) => writeFileSync(path, BETA)];
    for (const change of changes) {
      for (const quietly of [true, false]) {
        if (quietly) damage(change);
        else change(cachedPath());
        const download = await repository().downloadPackage('Test.Package', '1.0.0');
        expect(download?.fromCache).toBe(false);
        expect((await buffer(download as PackageDownload)).equals(CONTENT)).toBe(true);
      }
    }
    expect(local.logs.join('\n')).toContain('from the cache: it is damaged');
  });

  it('is checked again after a day, or when the caller asks for it', async () => {
    const source = repository();
    await bytes(source.downloadPackage('Test.Package', '1.0.0'));
    const flip = () => damage((path) => writeFileSync(path, Buffer.alloc(CONTENT.length)));
    await bytes(source.downloadPackage('Test.Package', '1.0.0'));
    flip();
    const refreshed = await source.downloadPackage('Test.Package', '1.0.0', context({ refreshMemoryCache: true }));
    expect(refreshed?.fromCache).toBe(false);
    refreshed?.destroy();
    await bytes(source.downloadPackage('Test.Package', '1.0.0'));
    flip();
    await local.time.advance(DAY);
    expect((await bytes(source.downloadPackage('Test.Package', '1.0.0')))?.equals(CONTENT)).toBe(true);
  });

  it('that another program cached is good as it is', async () => {
    await bytes(repository().downloadPackage('Test.Package', '1.0.0'));
    writeFileSync(cachedPath(), CONTENT);
    rmSync(cachedPath().replace('.dat', '.etag'));
    server.requests.clear();
    const source = repository();
    expect((await bytes(source.downloadPackage('Test.Package', '1.0.0')))?.equals(CONTENT)).toBe(true);
    expect(String(await source.getNuspec('Test.Package', '1.0.0'))).toContain('<id>');
    expect(nupkgs()).toHaveLength(0);
  });

  it('is fetched anew with noCache, and kept', async () => {
    const source = repository();
    await bytes(source.downloadPackage('Test.Package', '1.0.0'));
    const download = await source.downloadPackage('Test.Package', '1.0.0', context({ noCache: true }));
    expect(download?.fromCache).toBe(false);
    download?.destroy();
    expect(nupkgs()).toHaveLength(2);
    expect(await source.isCached('Test.Package', '1.0.0')).toBe(true);
  });
});

describe.each([
  ['short', CONTENT],
  ['long', LONG],
])('a %s package', (_, content) => {
  beforeEach(async () => {
    await server.close();
    server = await startFeedServer({ packages: [content] });
  });
  const left = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('.granary-'));

  it('is kept, handed out as it is and told as what it is', async () => {
    const download = await repository().downloadPackage('Test.Package', '1.0.0');
    const sha512 = createHash('sha512').update(content).digest('base64');
    expect(download).toMatchObject({ size: content.length, sha512, path: cachedPath(), fromCache: false });
    expect((await download?.nuspec())?.id).toBe('Test.Package');
    expect((await buffer(download as PackageDownload)).equals(content)).toBe(true);
    expect(readFileSync(cachedPath()).equals(content)).toBe(true);
    expect(statSync(cachedPath()).mtimeMs).toBe(local.time.clock());
    expect(left(dirname(cachedPath()))).toEqual([]);
    server.requests.clear();
    const again = await repository().downloadPackage('Test.Package', '1.0.0');
    expect(again).toMatchObject({ sha512, fromCache: true });
    expect((await buffer(again as PackageDownload)).equals(content)).toBe(true);
    expect(nupkgs()).toHaveLength(0);
  });

  it('goes to the caller only with directDownload, verified all the same', async () => {
    // Others write such files to the one of all processes meanwhile.
    const temporary = join(local.folder, 'tmp');
    mkdirSync(temporary);
    vi.stubEnv('TMPDIR', temporary);
    const source = repository();
    const direct = context({ directDownload: true });
    const download = await source.downloadPackage('Test.Package', '1.0.0', direct);
    expect(download?.path).toBeUndefined();
    expect((await buffer(download as PackageDownload)).equals(content)).toBe(true);
    expect(await source.isCached('Test.Package', '1.0.0')).toBe(false);
    expect(readdirSync(local.folder)).toEqual(['tmp']);
    server.fault(/\.nupkg/, { kind: 'replace', body: content === LONG ? LONG_OTHER : BETA });
    await expect(source.downloadPackage('Test.Package', '1.0.0', direct)).rejects.toMatchObject({
      code: 'INVALID_PACKAGE',
    });
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('leaves nothing in the cache when it is another one', async () => {
    server.fault(/\.nupkg/, { kind: 'replace', body: content === LONG ? LONG_OTHER : BETA });
    const source = repository();
    await expect(source.downloadPackage('Test.Package', '1.0.0')).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    expect(await source.isCached('Test.Package', '1.0.0')).toBe(false);
    expect(left(dirname(cachedPath()))).toEqual([]);
  });

  it('comes all the same when the disk of the cache becomes full on the way', async () => {
    class FullDisk extends HttpCache {
      override async createTemporary(source: string) {
        const file = await super.createTemporary(source);
        const append = file.append.bind(file);
        const full = Object.assign(new Error('no space left'), { code: 'ENOSPC', syscall: 'write' });
        let room = 1;
        file.append = (chunks) => (room-- > 0 ? append(chunks) : Promise.reject(full));
        return file;
      }
    }
    await using longer = await startFeedServer({ packages: [LONG] });
    await using disk = new FullDisk({ folder: local.folder });
    const source = repository({ sourceUrl: longer.v3Url, cache: local.cache({ disk }) });
    const download = await source.downloadPackage('Test.Package', '1.0.0');
    expect(download?.path).toBeUndefined();
    expect((await buffer(download as PackageDownload)).equals(LONG)).toBe(true);
    expect(local.logs.join('\n')).toMatch(/warning: .*the cache cannot be written to/);
    expect(readdirSync(local.folder, { recursive: true }).filter((name) => /nupkg|tmp/.test(`${name}`))).toEqual([]);
  });

  it('comes without a cache on disk too, and where the disk cannot be written to', async () => {
    const memoryOnly = repository({ cache: local.cache() });
    const [a, b] = await Promise.all([1, 2].map(() => bytes(memoryOnly.downloadPackage('Test.Package', '1.0.0'))));
    expect(a?.equals(content) && b?.equals(content)).toBe(true);
    expect(nupkgs()).toHaveLength(1);
    const file = join(local.folder, 'file');
    writeFileSync(file, '');
    const blocked = repository({ cache: local.cache({ disk: { folder: file } }) });
    expect((await bytes(blocked.downloadPackage('Test.Package', '1.0.0')))?.equals(content)).toBe(true);
    expect(local.logs.join('\n')).toMatch(/warning: .*(the cache cannot be written to|Could not cache "?nupkg_test)/);
  });

  it('is kept in an HttpCache that several sources have for their cache, which they leave open', async () => {
    const disk = local.own(new HttpCache({ folder: local.folder, clock: local.time.clock }));
    for (let i = 0; i < 2; i++) {
      const source = repository({ cache: disk });
      expect((await bytes(source.downloadPackage('Test.Package', '1.0.0')))?.equals(content)).toBe(true);
      expect(await source.listVersions('Test.Package')).toHaveLength(1);
      await source.close();
    }
    expect(server.requests.targets(/\.nupkg|index\.json/)).toHaveLength(3);
    expect(await disk.delete(server.v3Url, 'nupkg_test.package.1.0.0')).toBe(true);
  });

  it('goes to the caller although the disk does not take it, and leaves nothing behind', async () => {
    for (const method of ['keep', 'set'] as const) {
      const original = HttpCache.prototype[method] as (...args: unknown[]) => Promise<number>;
      vi.spyOn(HttpCache.prototype, method).mockImplementation(async function (this: HttpCache, ...args: unknown[]) {
        if (args.some((arg) => String(arg).startsWith('nupkg_'))) throw new Error('no space left');
        return original.apply(this, args);
      });
    }
    const download = await repository().downloadPackage('Test.Package', '1.0.0');
    expect(download?.path).toBeUndefined();
    expect((await buffer(download as PackageDownload)).equals(content)).toBe(true);
    expect(local.logs.join('\n')).toMatch(/warning: Could not cache "?nupkg_test\.package\.1\.0\.0/);
    expect(left(dirname(cachedPath()))).toEqual([]);
  });
});

it('writes a long package to its end, however slow the disk is and however little it takes at once', async () => {
  using _slow = vi.spyOn(SmallFiles.prototype, 'areFast', 'get').mockReturnValue(false);
  await server.close();
  server = await startFeedServer({ packages: [LONG] });
  const handle = await open(join(local.folder, 'probe'), 'w');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const short = vi.spyOn(prototype, 'writev').mockImplementationOnce(async function (this: FileHandle, buffers) {
    const [first] = buffers as Buffer[];
    const { bytesWritten } = await this.write(first!, 0, 7);
    return { bytesWritten, buffers };
  });
  const download = await repository().downloadPackage('Test.Package', '1.0.0');
  expect(short).toHaveBeenCalled();
  expect((await buffer(download as PackageDownload)).equals(LONG)).toBe(true);
  expect(readFileSync(cachedPath()).equals(LONG)).toBe(true);
});

describe('what is told of a source', () => {
  const tracer = () => new RecordingTracer();

  it('is a span for each package and each question about one', async () => {
    const traces = tracer();
    const sourceUrl = server.v3Url.replace('//', '//me:secret@');
    const source = repository({ tracer: traces, sourceUrl: `${sourceUrl}?key=secret` });
    await bytes(source.downloadPackage('Test.Package', '1.0'));
    await source.getMetadata('Test.Package', '1.0');
    await source.listVersions('Test.Package');
    const common = { 'package.id': 'Test.Package', 'source.url': server.v3Url };
    expect(traces.only('DownloadPackage')).toMatchObject({
      attributes: { ...common, 'package.version': '1.0.0', 'cache.hit': false },
      status: 'unset',
      ended: true,
    });
    expect(traces.named('FetchMetadata').map(({ attributes }) => attributes)).toEqual([
      { ...common, 'package.version': '1.0.0' },
      common,
    ]);
    expect(JSON.stringify([traces.spans, local.logs])).not.toContain('secret');
  });

  it('is a part of the span of the caller, and has the error that it ends with', async () => {
    const traces = tracer();
    server.fault(/./, { kind: 'status', status: 503 });
    const parent = traces.startSpan('caller');
    const call = repository({ tracer: traces }).getMetadata('Test.Package', '1.0.0', { span: parent });
    const error = await call.catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'SOURCE_UNAVAILABLE', statusCode: 503 });
    expect(traces.paths()).toEqual(['caller', 'caller > FetchMetadata']);
    expect(traces.only('FetchMetadata')).toMatchObject({ errors: [error], status: 'error', ended: true });
    await repository({ tracer: traces })
      .downloadPackage('Test.Package', '1.0.0')
      .catch(() => {});
    expect(traces.only('DownloadPackage').status).toBe('error');
  });

  it('is logged with templates', async () => {
    await bytes(repository().downloadPackage('Test.Package', '1.0.0'));
    const log = local.logs.join('\n').replaceAll('"', '');
    expect(log).toContain('information: Downloading Test.Package 1.0.0 from feed');
    expect(log).toMatch(/information: Downloaded Test\.Package 1\.0\.0 from feed: \d+ bytes in \d+ ms/);
    expect(log).toContain('debug: feed speaks protocol v3');
  });

  it('is counted', async () => {
    const registry = new MetricRegistry();
    const metrics = registryNuGetMetrics(registry);
    const cache = local.cache({ disk: { folder: local.folder }, metrics });
    const source = repository({ metrics, cache, tracer: tracer() });
    await bytes(source.downloadPackage('Test.Package', '1.0.0'));
    await bytes(source.downloadPackage('Test.Package', '1.0.0'));
    await source.listVersions('Test.Package');
    await source.listVersions('Test.Package');
    server.fault(/\.nupkg/, { kind: 'html' });
    await source.downloadPackage('Test.Package', '2.0.0-beta').catch(() => {});
    await cache.disk?.trim();
    const families = new Map(
      parseExposition(await registry.expose('openmetrics'), 'openmetrics').map((f) => [f.name, f]),
    );
    const values = (name: string) =>
      Object.fromEntries(
        (families.get(`granary_${name}`)?.samples ?? [])
          .filter((sample) => !sample.name.endsWith('_bucket'))
          .map((sample) => [Object.values(sample.labels).join() || sample.name.replace(/.*_/, ''), sample.value]),
      );
    expect(values('cache_hits')).toEqual({ metadata: expect.any(Number), package: 1 });
    expect(values('cache_hits')['metadata']).toBeGreaterThan(0);
    expect(values('cache_misses')).toEqual({ metadata: expect.any(Number), package: 1 });
    expect(values('package_downloads')).toEqual({ success: 2, failure: 1 });
    expect(values('package_download_duration_seconds')).toMatchObject({ count: 3 });
    expect(values('cache_size_bytes')).toEqual({ memory: expect.any(Number), disk: cache.disk?.bytes });
    expect(cache.disk?.bytes).toBeGreaterThan(CONTENT.length);
    await cache.close();
    expect(
      parseExposition(await registry.expose('openmetrics'), 'openmetrics').find(
        (f) => f.name === 'granary_cache_size_bytes',
      )?.samples ?? [],
    ).toEqual([]);
    expect(() => registryNuGetMetrics(registry)).toThrow(/exists already/);
  });

  it('counts and logs as failures what a source fails, and not that a caller has left', async () => {
    const source = repository();
    const failures = () => [
      ...local.counted.filter((what) => what === 'download failure'),
      ...local.logs.filter((line) => line.startsWith('error')),
    ];
    server.fault(/1\.0\.0\.nupkg/, { kind: 'hang', afterBytes: 10 });
    const controller = new AbortController();
    const download = source.downloadPackage('Test.Package', '1.0.0', { signal: controller.signal });
    await server.waitForRequest(/1\.0\.0\.nupkg/);
    controller.abort(new Error('the caller has left'));
    await expect(download).rejects.toThrow('the caller has left');
    expect(failures()).toEqual([]);
    server.fault(/2\.0\.0-beta\.nupkg/, { kind: 'html' });
    await expect(source.downloadPackage('Test.Package', '2.0.0-beta')).rejects.toMatchObject({ name: 'SourceError' });
    expect(failures()).toEqual([
      'download failure',
      expect.stringMatching(/^error: Could not download "?Test\.Package"? "?2\.0\.0-beta"? from "?feed"?/),
    ]);
  });

  it('never breaks what it watches', async () => {
    const fail = () => {
      throw new Error('listener');
    };
    const metrics = { cacheHit: fail, cacheMiss: fail, packageDownloaded: fail, cacheStarted: fail };
    const source = repository({ metrics, cache: local.cache({ metrics }) });
    expect(await bytes(source.downloadPackage('Test.Package', '1.0.0'))).toBeDefined();
  });
});

describe('a repository', () => {
  it('without any cache asks once for a version that is not there', async () => {
    const source = repository({ cache: local.cache({ memoryEntries: 0 }) });
    expect(await source.hasVersion('Test.Package', '9.0.0')).toBe(false);
    expect(await source.getMetadata('Test.Package', '9.0.0')).toBeUndefined();
    expect(server.requests.targets(/flat/)).toHaveLength(1);
    expect(server.requests.targets(/registration/)).toHaveLength(1);
  });

  it('makes and closes what it is not given', async () => {
    const source = new SourceRepository({ name: 'own', sourceUrl: server.v3Url, httpClient: undefined });
    expect(await source.listVersions('Test.Package')).toHaveLength(2);
    await source.close();
    await source.close();
    await expect(source.listVersions('Test.Package')).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(source.downloadPackage('Test.Package', '1.0.0')).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('ends downloads when it is closed, and lets go on who reads one', async () => {
    const source = repository();
    const reading = (await source.downloadPackage('Test.Package', '1.0.0')) as PackageDownload;
    server.fault(/\.nupkg/, { kind: 'hang', afterBytes: 10 });
    const waiting = source.downloadPackage('Test.Package', '2.0.0-beta').catch((error) => error);
    await server.waitForRequest(/2\.0\.0-beta\.nupkg/);
    await source.close();
    expect(await waiting).toMatchObject({ code: 'CLOSED' });
    expect((await buffer(reading)).equals(CONTENT)).toBe(true);
  });

  it('has credentials, or asks for them', async () => {
    server.settings.credentials = { username: 'me', password: 'pass' };
    const credentials = { type: 'basic', username: 'me', password: 'pass' } as const;
    for (const auth of [credentials, async () => credentials]) {
      expect(await repository({ auth, cache: local.cache() }).listVersions('Test.Package')).toHaveLength(2);
    }
    await expect(repository({ cache: local.cache() }).listVersions('Test.Package')).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    });
  });

  it('refuses ids and versions that are none, by a rejection', async () => {
    const source = repository();
    for (const call of [
      () => source.getMetadata('../x', '1.0'),
      () => source.downloadPackage('../x', '1.0'),
      () => source.listVersions('a b'),
      () => source.getNuspec('../x', '1.0'),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'INVALID_PACKAGE_ID' });
    }
    await expect(source.downloadPackage('x', 'latest')).rejects.toMatchObject({ code: 'INVALID_VERSION' });
    const none = [].at(-1) as unknown as string;
    await expect(source.downloadPackage('x', none)).rejects.toMatchObject({ code: 'INVALID_VERSION' });
    expect(() => repository({ name: '' })).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    for (const sourceUrl of [undefined, new URL(server.v3Url), 'ftp://x/'] as unknown as string[]) {
      for (const auth of [undefined, new Authenticator({ source: 'feed', url: server.v3Url })]) {
        const make = () => repository({ sourceUrl, auth });
        expect(make).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
      }
    }
    expect(server.requests.length).toBe(0);
  });
});
