import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { buildPackage, type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { askFeed, outcomeOf, packagePath } from '../testing/feed-clients.js';
import { certificate, startTestServer, temporaryFolder } from '../testing/test-server.js';

const A1 = buildPackage({ id: 'Contoso.A', version: '1.0.0' });
const A2 = buildPackage({ id: 'Contoso.A', version: '2.0.0' });
const B1 = buildPackage({ id: 'Fabrikam.B', version: '1.0.0' });
const PATH = packagePath('Contoso.A', '1.0.0');
const VERSIONS = '/v3/flatcontainer/contoso.a/index.json';

interface ServiceIndex {
  readonly resources: readonly { readonly '@id': string }[];
}

let folder: string;
let upstream: FeedServer;
let second: FeedServer;

beforeEach(async () => {
  folder = await temporaryFolder();
  upstream = await startFeedServer({ packages: [A1] });
  second = await startFeedServer({ packages: [A2, B1] });
});
afterEach(async () => {
  await upstream.close();
  await second.close();
  await rm(folder, { recursive: true, force: true });
});

const sourceOf = ({ v3Url }: FeedServer, more: object = {}) => ({ name: 'up', url: v3Url, ...more });
const start = (values: Record<string, unknown> = {}) =>
  startTestServer({ ...(!('nuget.sources' in values) && { 'nuget.sources': [sourceOf(upstream)] }), ...values });

describe('a server with an upstream feed', () => {
  it('gives a package from upstream, then from here, and goes on when upstream is gone', async () => {
    await using running = await start();
    const index = await askFeed(running, '/v3/index.json');
    expect(index.status).toBe(200);
    expect(await index.text()).not.toContain(upstream.url);
    expect(upstream.requests.length).toBe(0);
    const cold = await askFeed(running, PATH);
    expect([cold.status, cold.headers.get('x-cache')]).toEqual([200, 'miss']);
    expect(Buffer.from(await cold.arrayBuffer()).equals(A1)).toBe(true);
    expect(await (await askFeed(running, VERSIONS)).json()).toEqual({ versions: ['1.0.0'] });
    const asked = upstream.requests.length;
    const warm = await askFeed(running, PATH);
    expect(Buffer.from(await warm.arrayBuffer()).equals(A1)).toBe(true);
    expect(upstream.requests.length).toBe(asked);
    await upstream.close();
    expect(await outcomeOf(askFeed(running, PATH))).toEqual([200, 'hit']);
    expect(await outcomeOf(askFeed(running, VERSIONS))).toEqual([200, 'hit']);
    expect(await outcomeOf(askFeed(running, '/v3/flatcontainer/never.seen/index.json'))).toEqual([503, 'miss']);
  });

  it('has what it has seen after a start without upstream, and what is stale rather than nothing', async () => {
    const values = { 'storage.dir': folder, 'nuget.metadata_ttl': '0', 'nuget.sources': [sourceOf(upstream)] };
    await using before = await start(values);
    expect(await outcomeOf(askFeed(before, PATH))).toEqual([200, 'miss']);
    expect(await outcomeOf(askFeed(before, VERSIONS))).toEqual([200, 'miss']);
    await before.server.stop();
    await upstream.close();
    await using after = await start(values);
    expect(await outcomeOf(askFeed(after, PATH))).toEqual([200, 'hit']);
    expect(await outcomeOf(askFeed(after, VERSIONS))).toEqual([200, 'stale']);
  });

  it('says of what is not there, too, where it is known from', async () => {
    await using running = await start({ 'nuget.not_found_ttl': '1h', 'nuget.registrations_ttl': '1h' });
    const none = (id: string) => [packagePath(id, '1.0.0'), `/v3/flatcontainer/${id}/index.json`];
    const registration = '/v3/registration/contoso.a/index.json';
    await askFeed(running, registration);
    for (const path of none('x')) {
      expect(await outcomeOf(askFeed(running, path))).toEqual([404, 'miss']);
      expect(await outcomeOf(askFeed(running, path))).toEqual([404, 'hit']);
    }
    expect(await outcomeOf(askFeed(running, registration.replace('index', '9.0.0')))).toEqual([404, 'hit']);
    for (const list of ["/v2/FindPackagesById()?id='z1'", '/v2/package-versions/z2', '/v3/autocomplete?id=z3']) {
      expect(await outcomeOf(askFeed(running, list))).toEqual([200, 'miss']);
      expect(await outcomeOf(askFeed(running, list))).toEqual([200, 'hit']);
    }
    expect(await outcomeOf(askFeed(running, '/v3/no-such-resource'))).toEqual([404, null]);
    expect(await outcomeOf(askFeed(running, '/v3/flatcontainer/x'))).toEqual([404, null]);
    await upstream.close();
    for (const path of none('x')) expect(await outcomeOf(askFeed(running, path))).toEqual([404, 'hit']);
    expect(await outcomeOf(askFeed(running, packagePath('x', '2.0.0')))).toEqual([404, 'stale']);
    for (const path of none('y')) expect(await outcomeOf(askFeed(running, path))).toEqual([503, 'miss']);
  });

  it('asks upstream once for what many want at the same time', async () => {
    await using running = await start();
    const answers = await Promise.all(Array.from({ length: 25 }, () => askFeed(running, PATH)));
    for (const answer of answers) expect(Buffer.from(await answer.arrayBuffer()).equals(A1)).toBe(true);
    expect(upstream.requests.targets(/\.nupkg/)).toHaveLength(1);
    const states = answers.map(({ headers }) => headers.get('x-cache'));
    expect([states.filter((state) => state === 'miss').length, new Set(states)]).toEqual([1, new Set(['miss', 'hit'])]);
    expect(running.server.stats().nuget?.sources[0]).toMatchObject({
      packages: { hits: 24, misses: 1 },
      savedBytes: 24 * A1.length,
    });
  });

  it('gives up a source that falls silent in the middle of a package, after twice the time set for it', async () => {
    const content = randomBytes(300_000);
    await upstream.packages.add(buildPackage({ id: 'Big', version: '1.0.0', files: { 'lib/net8.0/a.dll': content } }));
    upstream.fault(/\.nupkg/, { kind: 'hang', afterBytes: 100_000 });
    await using running = await start({ 'nuget.sources': [sourceOf(upstream, { idle_timeout: '200ms' })] });
    await expect(outcomeOf(askFeed(running, packagePath('Big', '1.0.0')))).rejects.toThrow();
    expect(upstream.requests.targets(/\.nupkg/)).toHaveLength(2);
    upstream.clearFaults();
    expect(await outcomeOf(askFeed(running, packagePath('Big', '1.0.0')))).toEqual([200, 'miss']);
  });

  it('gets metadata while as many packages arrive as may at once', async () => {
    for (const id of ['P1', 'P2', 'P3', 'P4']) await upstream.packages.add(buildPackage({ id, version: '1.0.0' }));
    upstream.fault(/\.nupkg/, { kind: 'hang' });
    await using running = await start({ 'nuget.sources': [sourceOf(upstream, { connections: 4 })] });
    const gone = new AbortController();
    const ids = ['p1', 'p2', 'p3', 'p4'];
    const asked = ids.map((id) => askFeed(running, packagePath(id, '1.0.0'), { signal: gone.signal }));
    const ended = Promise.allSettled(asked);
    await upstream.waitForRequest(/\.nupkg/, 3);
    expect(await outcomeOf(askFeed(running, VERSIONS))).toEqual([200, 'miss']);
    expect(upstream.requests.targets(/\.nupkg/)).toHaveLength(3);
    gone.abort();
    await ended;
  });

  it('finds, completes and tells of vulnerabilities, and counts all of it', async () => {
    upstream.settings.vulnerabilities = [
      { id: 'Contoso.A', severity: 2, url: 'https://advisories.example/1', versions: '[1.0.0]' },
    ];
    await using running = await start();
    const ask = async (path: string) => (await askFeed(running, path)).json();
    expect(await ask('/v3/search?q=contoso')).toMatchObject({ data: [{ id: 'Contoso.A' }] });
    expect(await ask('/v3/autocomplete?q=Con')).toMatchObject({ data: ['Contoso.A'] });
    expect(await ask('/v3/vulnerabilities/all.json')).toHaveProperty('contoso.a');
    expect(await ask('/v3/registration/contoso.a/index.json')).toMatchObject({ count: 1 });
    expect((await askFeed(running, '/v3/flatcontainer/contoso.a/1.0.0/contoso.a.nuspec')).status).toBe(200);
    expect(running.server.stats().nuget?.sources[0]?.metadata.misses).toBe(5);
  });

  it('speaks protocol 2, too, and leaves the paths of the cache alone', async () => {
    await using running = await start();
    expect((await askFeed(running, '/v2/$metadata')).status).toBe(200);
    const found = await (await askFeed(running, `/v2/FindPackagesById()?id='Contoso.A'`)).text();
    expect(found).toContain(`http://${running.address('listen.http')}/nuget/v2/`);
    expect(found).not.toContain(upstream.url);
    const blob = `/ac/${'0'.repeat(64)}`;
    expect((await askFeed(running, blob, { method: 'PUT', body: '' })).status).toBe(200);
    expect((await askFeed(running, blob)).status).toBe(200);
  });

  it('says URLs as clients see it behind a proxy', async () => {
    await using running = await start({ 'nuget.public_url': 'https://packages.example/mirror/' });
    const index = (await (await askFeed(running, '/up/v3/index.json')).json()) as ServiceIndex;
    const urls = index.resources.map((resource) => resource['@id']);
    expect(urls.every((url) => url.startsWith('https://packages.example/mirror/nuget/up/v3/'))).toBe(true);
  });

  it('never asks upstream when it is offline', async () => {
    const values = { 'storage.dir': folder };
    await using before = await start(values);
    expect(await outcomeOf(askFeed(before, PATH))).toEqual([200, 'miss']);
    await before.server.stop();
    upstream.requests.clear();
    await using offline = await start({ ...values, 'nuget.offline': true });
    expect(await outcomeOf(askFeed(offline, PATH))).toEqual([200, 'hit']);
    expect(await outcomeOf(askFeed(offline, packagePath('Contoso.A', '9.0.0')))).toEqual([503, 'miss']);
    expect(upstream.requests.targets()).toEqual([]);
    expect(offline.server.stats().nuget?.sources[0]?.state).toBe('offline');
  });

  it('says 404 for what was never seen, for those who prefer it', async () => {
    await using running = await start({ 'nuget.dead_upstream': 404 });
    await upstream.close();
    expect(await outcomeOf(askFeed(running, PATH))).toEqual([404, 'miss']);
  });

  it('waits for a dead upstream once, and not for each package', async () => {
    let connections = 0;
    // Takes connections, and never says a word of TLS.
    const silent = createServer(() => connections++).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const dead = { name: 'up', url: `https://127.0.0.1:${port}/v3/index.json`, connect_timeout: '300ms' };
    await using running = await start({ 'nuget.sources': [dead] });
    for (let i = 0; i < 20; i++) {
      expect(await outcomeOf(askFeed(running, `/v3/flatcontainer/package${i}/index.json`))).toEqual([503, 'miss']);
    }
    expect(connections).toBe(1);
    silent.close();
  });
});

describe('several sources', () => {
  const both = () => [sourceOf(upstream), sourceOf(second, { name: 'second' })];

  it('are one feed together, and one each', async () => {
    await using running = await start({ 'nuget.sources': both() });
    const list = async (feed: string) => (await askFeed(running, `${feed}${VERSIONS}`)).json();
    expect(await list('')).toEqual({ versions: ['1.0.0', '2.0.0'] });
    expect(await list('/up')).toEqual({ versions: ['1.0.0'] });
    expect(await list('/second')).toEqual({ versions: ['2.0.0'] });
    expect((await askFeed(running, '/third/v3/index.json')).status).toBe(404);
  });

  it('give only what their patterns let them, and the others have the rest', async () => {
    const sources = [sourceOf(upstream, { patterns: ['Contoso.*'] }), sourceOf(second, { name: 'second' })];
    await using running = await start({ 'nuget.sources': sources });
    expect(await (await askFeed(running, VERSIONS)).json()).toEqual({ versions: ['1.0.0'] });
    expect((await askFeed(running, packagePath('Contoso.A', '2.0.0'))).status).toBe(404);
    expect((await askFeed(running, packagePath('Fabrikam.B', '1.0.0'))).status).toBe(200);
    expect(second.requests.targets(/contoso/i)).toEqual([]);
  });

  it('are asked by one that is dead no longer than it takes to notice', async () => {
    await using running = await start({ 'nuget.sources': both() });
    await second.close();
    expect(await outcomeOf(askFeed(running, PATH))).toEqual([200, 'miss']);
    expect(await outcomeOf(askFeed(running, packagePath('Fabrikam.B', '1.0.0')))).toEqual([503, 'miss']);
  });
});

describe('the credentials of a source', () => {
  it('are sent to it, and read again when it refuses them', async () => {
    upstream.settings.credentials = { username: 'ann', password: 'first' };
    const file = join(folder, 'password');
    await writeFile(file, 'first\n');
    const auth = { username: 'ann', password_file: file };
    await using running = await start({ 'nuget.sources': [sourceOf(upstream, { auth })] });
    expect(await outcomeOf(askFeed(running, PATH))).toEqual([200, 'miss']);
    upstream.settings.credentials = { username: 'ann', password: 'second' };
    await writeFile(file, 'second\n');
    expect(await outcomeOf(askFeed(running, '/v3/flatcontainer/contoso.a/index.json'))).toEqual([200, 'miss']);
  });

  it('may be a bearer token, and are no business of clients', async () => {
    upstream.settings.credentials = { bearer: 'sesame' };
    await writeFile(join(folder, 'token'), 'sesame\n');
    const auth = { token_file: join(folder, 'token') };
    await using running = await start({ 'nuget.sources': [sourceOf(upstream, { auth })] });
    expect(await outcomeOf(askFeed(running, PATH))).toEqual([200, 'miss']);
    upstream.settings.credentials = { bearer: 'another' };
    const refused = await askFeed(running, packagePath('Contoso.A', '5.0.0'));
    expect(refused.headers.get('www-authenticate')).toBeNull();
    expect(refused.status).toBeGreaterThanOrEqual(500);
    expect(await refused.text()).not.toContain('sesame');
  });

  it('must be there at the start', async () => {
    const auth = { token_file: join(folder, 'none') };
    await expect(start({ 'nuget.sources': [sourceOf(upstream, { auth })] })).rejects.toThrow(
      /none: nuget\.sources\[0\]\.auth\.token_file: can't be read/,
    );
    await writeFile(join(folder, 'empty'), '\n');
    const empty = { token_file: join(folder, 'empty') };
    await expect(start({ 'nuget.sources': [sourceOf(upstream, { auth: empty })] })).rejects.toThrow(/is empty/);
    await writeFile(join(folder, 'two'), 'sesame\nopen it\n');
    const two = { token_file: join(folder, 'two') };
    await expect(start({ 'nuget.sources': [sourceOf(upstream, { auth: two })] })).rejects.toThrow(/holds no token/);
    const key = { api_key_file: join(folder, 'two') };
    await expect(start({ 'nuget.sources': [sourceOf(upstream, { auth: key })] })).rejects.toThrow(/holds no key/);
    const ca = join(folder, 'ca.pem');
    await writeFile(ca, 'no certificate');
    await expect(start({ 'nuget.sources': [sourceOf(upstream, { ca_file: ca })] })).rejects.toThrow(/no certificate/);
    const pair = { cert_file: certificate('client.pem'), key_file: certificate('server.key') };
    await expect(start({ 'nuget.sources': [sourceOf(upstream, pair)] })).rejects.toThrow(/can't be used/);
  });
});

describe('a server whose feeds are switched off', () => {
  it('knows none, nor the files of their sources', async () => {
    const auth = { token_file: join(folder, 'none') };
    await using running = await start({ 'nuget.enabled': false, 'nuget.sources': [sourceOf(upstream, { auth })] });
    expect((await askFeed(running, '/v3/index.json')).status).toBe(404);
    expect(running.server.stats().nuget).toBeUndefined();
  });
});

describe('feeds that can not be opened', () => {
  it.each(['nuget', 'nuget/hosted'])('are tried again with the next request: %s', async (inTheWay) => {
    await using running = await start({ 'storage.dir': folder, 'nuget.hosted': true });
    const file = join(folder, inTheWay);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, 'in the way');
    expect((await askFeed(running, '/v3/index.json')).status).toBe(503);
    expect((await askFeed(running, '/v3/index.json')).status).toBe(503);
    await rm(file);
    expect((await askFeed(running, '/v3/index.json')).status).toBe(200);
    expect(await outcomeOf(askFeed(running, PATH))).toEqual([200, 'miss']);
  });
});
