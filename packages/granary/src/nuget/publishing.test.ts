import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { buildPackage, type FeedServer, startFeedServer } from '@granary/nuget/testing';
import { hashSync } from '@node-rs/bcrypt';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { askFeed, outcomeOf, packagePath, pushTo } from '../testing/feed-clients.js';
import { startTestServer, type TestServer, temporaryFolder } from '../testing/test-server.js';

const PACKAGE = buildPackage({ id: 'Contoso.New', version: '1.0.0' });
const PATH = packagePath('Contoso.New', '1.0.0');
const WRITER = 'writer-token-0123456789';
const READER = 'reader-token-0123456789';
const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});

let folder: string;
let upstream: FeedServer;

beforeEach(async () => {
  folder = await temporaryFolder();
  upstream = await startFeedServer();
  await writeFile(join(folder, 'tokens'), `ci:${WRITER}:write\nviewer:${READER}:read\n`);
  await writeFile(join(folder, 'htpasswd'), `ann:${hashSync('secret', { cost: 4 })}\n`);
});
afterEach(async () => {
  await upstream.close();
  await rm(folder, { recursive: true, force: true });
});

const source = (more: object = {}) => ({ name: 'up', url: upstream.v3Url, ...more });
const withAuth = () => ({
  'auth.tokens_file': join(folder, 'tokens'),
  'auth.htpasswd_file': join(folder, 'htpasswd'),
  'nuget.sources': [source()],
  'nuget.hosted': true,
});
const statusOf = async (answer: Promise<Response>) => (await outcomeOf(answer))[0];
const get = (running: TestServer, headers: Record<string, string> = {}) =>
  statusOf(askFeed(running, '/v3/index.json', { headers }));

describe('the hosted feed', () => {
  const values = () => ({ 'storage.dir': join(folder, 'store'), 'nuget.sources': [source()], 'nuget.hosted': true });

  it('takes packages, gives them to everybody, and still has them after a start', async () => {
    const running = await startTestServer(values());
    try {
      expect(await statusOf(askFeed(running, PATH))).toBe(404);
      expect(await statusOf(pushTo(running, PACKAGE))).toBe(201);
      expect(await statusOf(pushTo(running, PACKAGE))).toBe(409);
      expect(await outcomeOf(askFeed(running, PATH))).toEqual([200, 'hit']);
      expect(await outcomeOf(askFeed(running, packagePath('Contoso.New', '1.0.0', '/hosted')))).toEqual([200, 'hit']);
      expect(await statusOf(askFeed(running, packagePath('Contoso.New', '1.0.0', '/up')))).toBe(404);
    } finally {
      await running.server.stop();
    }
    await using again = await startTestServer({ ...values(), 'nuget.hosted_name': 'ours' });
    const got = await askFeed(again, packagePath('Contoso.New', '1.0.0', '/ours'));
    expect(Buffer.from(await got.arrayBuffer()).equals(PACKAGE)).toBe(true);
    expect(again.server.stats().nuget).toMatchObject({
      hosted: { name: 'ours', packages: 1, versions: 1 },
      kept: { packages: 1, bytes: PACKAGE.length },
    });
  });

  it('unlists what is deleted, and refuses what is no package', async () => {
    await using running = await startTestServer(values());
    await pushTo(running, PACKAGE, {}, '/hosted');
    const path = '/v3/package/Contoso.New/1.0.0';
    expect(await statusOf(askFeed(running, path, { method: 'DELETE' }))).toBe(204);
    expect(await (await askFeed(running, '/v3/search?q=contoso')).json()).toMatchObject({ totalHits: 0 });
    expect(await statusOf(askFeed(running, path, { method: 'POST' }))).toBe(200);
    expect(await (await askFeed(running, '/v3/search?q=contoso')).json()).toMatchObject({ totalHits: 1 });
    expect(await statusOf(pushTo(running, Buffer.from('no package')))).toBe(400);
  });

  it('keeps its packages however full the store is', async () => {
    const content = randomBytes(300_000);
    const big = (id: string) => buildPackage({ id, version: '1.0.0', files: { 'lib/a.dll': content } });
    const others = Array.from({ length: 40 }, (_, i) => `Other${i}`);
    for (const id of others) await upstream.packages.add(big(id));
    const small = { ...values(), 'storage.max_size': '4MiB', 'storage.min_age': '0' };
    await using running = await startTestServer(small);
    expect(await statusOf(pushTo(running, big('Contoso.New')))).toBe(201);
    for (const id of others) expect(await statusOf(askFeed(running, packagePath(id, '1.0.0')))).toBe(200);
    await vi.waitFor(() => expect(running.server.stats().storage.evictions).toBeGreaterThan(0), 10_000);
    expect(await outcomeOf(askFeed(running, PATH))).toEqual([200, 'hit']);
    await running.server.stop();
    await using again = await startTestServer(small);
    expect(await outcomeOf(askFeed(again, PATH))).toEqual([200, 'hit']);
  });

  it('serves its packages though no source can be asked', async () => {
    await using running = await startTestServer({ ...values(), 'nuget.offline': true });
    await pushTo(running, PACKAGE);
    const versions = await askFeed(running, '/v3/flatcontainer/contoso.new/index.json');
    expect([versions.headers.get('x-cache'), await versions.json()]).toEqual(['stale', { versions: ['1.0.0'] }]);
    const registration = '/v3/registration-gz-semver2/contoso.new/index.json';
    for (const path of [registration, PATH, "/v2/FindPackagesById()?id='Contoso.New'"])
      expect([path, await statusOf(askFeed(running, path))]).toEqual([path, 200]);
    expect(await statusOf(askFeed(running, '/v3/flatcontainer/other/index.json'))).toBe(503);
  });

  it('alone has the packages that are its own', async () => {
    await upstream.packages.add(buildPackage({ id: 'Contoso.New', version: '9.0.0' }));
    await upstream.packages.add(buildPackage({ id: 'Other', version: '1.0.0' }));
    await using running = await startTestServer({ ...values(), 'nuget.hosted_patterns': ['Contoso.*'] });
    await pushTo(running, PACKAGE);
    const versions = await askFeed(running, '/v3/flatcontainer/contoso.new/index.json');
    expect(await versions.json()).toEqual({ versions: ['1.0.0'] });
    expect(await statusOf(askFeed(running, packagePath('Other', '1.0.0')))).toBe(200);
    expect(upstream.requests.targets(/contoso/i)).toEqual([]);
  });
});

describe('packages that are passed on', () => {
  it('go to the source that takes them, with the key of this server or of the client', async () => {
    upstream.settings.apiKey = 'key-of-upstream';
    await using running = await startTestServer({ 'nuget.sources': [source({ push: true })] });
    expect(await statusOf(pushTo(running, PACKAGE, { 'x-nuget-apikey': 'wrong' }))).toBe(403);
    expect(await statusOf(askFeed(running, PATH))).toBe(404);
    expect(await statusOf(pushTo(running, PACKAGE, { 'x-nuget-apikey': 'key-of-upstream' }))).toBe(201);
    // What was not there before the push is forgotten.
    expect(await statusOf(askFeed(running, PATH))).toBe(200);

    await writeFile(join(folder, 'key'), 'key-of-upstream\n');
    const auth = { api_key_file: join(folder, 'key') };
    await using keyed = await startTestServer({ 'nuget.sources': [source({ auth })], 'nuget.push_to': 'up' });
    const other = buildPackage({ id: 'Contoso.Other', version: '1.0.0' });
    expect(await statusOf(pushTo(keyed, other))).toBe(201);
    const path = '/v3/package/Contoso.Other/1.0.0';
    expect(await statusOf(askFeed(keyed, path, { method: 'DELETE' }))).toBe(204);
  });

  it('are refused by sources that nobody said take any', async () => {
    await using running = await startTestServer({ 'nuget.sources': [source()] });
    const index = await (await askFeed(running, '/v3/index.json')).text();
    expect(index).not.toContain('PackagePublish');
    expect(await statusOf(pushTo(running, PACKAGE))).toBe(403);
    expect(await statusOf(pushTo(running, PACKAGE, {}, '/up'))).toBe(403);
    expect(upstream.requests.all(({ method }) => method === 'PUT')).toEqual([]);
  });

  it('do not take a token of this server with them', async () => {
    const values = { ...withAuth(), 'nuget.sources': [source({ push: true })], 'nuget.push_to': 'up' };
    await using running = await startTestServer(values);
    expect(await statusOf(pushTo(running, PACKAGE, { 'x-nuget-apikey': WRITER }))).toBe(201);
    await upstream.waitForRequest(({ method }) => method === 'PUT');
    const sent = upstream.requests.all();
    expect(JSON.stringify(sent.map(({ headers }) => headers))).not.toContain(WRITER);
  });
});

describe('clients of feeds', () => {
  it('are asked for credentials, and may show them as NuGet does', async () => {
    await using running = await startTestServer(withAuth());
    const refused = await askFeed(running, '/v3/index.json');
    expect(refused.status).toBe(401);
    expect(refused.headers.get('www-authenticate')).toMatch(/^Basic realm="granary"/);
    expect(await get(running, basic('ann', 'secret'))).toBe(200);
    expect(await get(running, basic('ann', 'wrong'))).toBe(401);
    expect(await get(running, { authorization: `Bearer ${READER}` })).toBe(200);
    expect(await get(running, basic('anything', READER))).toBe(200);
    expect(await get(running, basic('', READER))).toBe(200);
    expect(await get(running, basic('', 'secret'))).toBe(401);
    expect(await get(running, basic('anything', 'no-such-token-0123456789'))).toBe(401);
    expect(await get(running, { 'x-nuget-apikey': READER })).toBe(200);
  });

  it('push with the right to write only, however they say who they are', async () => {
    await using running = await startTestServer(withAuth());
    const pushed = (n: number, headers: Record<string, string>) =>
      statusOf(pushTo(running, buildPackage({ id: 'A', version: `1.0.${n}` }), headers));
    expect(await pushed(1, {})).toBe(401);
    expect(await pushed(1, basic('x', READER))).toBe(403);
    expect(await pushed(1, { 'x-nuget-apikey': READER })).toBe(403);
    expect(await pushed(1, { 'x-nuget-apikey': WRITER })).toBe(201);
    expect(await pushed(2, basic('ann', 'secret'))).toBe(201);
    expect(await pushed(3, { ...basic('x', READER), 'x-nuget-apikey': WRITER })).toBe(201);
    expect(await pushed(4, { ...basic('ann', 'secret'), 'x-nuget-apikey': 'of-another-feed' })).toBe(201);
    expect(await pushed(5, { ...basic('ann', 'wrong'), 'x-nuget-apikey': 'of-another-feed' })).toBe(401);
  });

  it('guess API keys a few times a minute, and not at all', async () => {
    await using running = await startTestServer({ ...withAuth(), 'auth.max_failures': 3 });
    const guess = () => get(running, { 'x-nuget-apikey': 'guess' });
    expect([await guess(), await guess(), await guess(), await guess()]).toEqual([401, 401, 401, 429]);
    expect(await get(running, { 'x-nuget-apikey': READER })).toBe(200);
  });

  it('that show credentials after they were asked for them have guessed nothing', async () => {
    await using running = await startTestServer({ ...withAuth(), 'auth.max_failures': 3 });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (headers: Record<string, string>) =>
      new Promise<number | undefined>((resolve, reject) => {
        const url = `http://${running.address('listen.http')}/nuget/v3/index.json`;
        request(url, { agent, headers }, (response) =>
          response.resume().once('end', () => resolve(response.statusCode)),
        )
          .once('error', reject)
          .end();
      });
    const key = { 'x-nuget-apikey': 'of-another-feed' };
    for (let i = 0; i < 8; i++) {
      expect(await ask(key)).toBe(401);
      expect(await ask({ ...key, ...basic('ann', 'secret') })).toBe(200);
    }
    agent.destroy();
  });

  it('need no credentials where nobody has any', async () => {
    await using running = await startTestServer({ 'nuget.sources': [source()], 'nuget.hosted': true });
    expect(await statusOf(pushTo(running, PACKAGE))).toBe(201);
    expect(await get(running, basic('who', 'ever'))).toBe(200);
  });
});
