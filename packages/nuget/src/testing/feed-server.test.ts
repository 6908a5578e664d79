import { once } from 'node:events';
import { get } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { buildPackage } from './build-package.js';
import type { FeedServerOptions } from './feed-server/settings.js';
import { type FeedServer, startFeedServer } from './feed-server.js';

let server: FeedServer;
afterEach(() => server?.close());

const A1 = { id: 'Package.A', version: '1.0.0' };

async function start(options: FeedServerOptions = {}): Promise<FeedServer> {
  server = await startFeedServer({ packages: [A1], ...options });
  return server;
}

const NUPKG = '/v3/flat/package.a/1.0.0/package.a.1.0.0.nupkg';
const LIST = '/v3/flat/package.a/index.json';
const ask = (path: string, init?: RequestInit) => fetch(server.url + path, init);
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error: Error) => (error.cause as { code?: string })?.code ?? error.name,
  );

/** The answer as it came, not decompressed. */
async function raw(path: string, headers: Record<string, string> = {}) {
  const request = get(server.url + path, { headers, agent: false });
  const [response] = await once(request, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { headers: response.headers, body: Buffer.concat(chunks), status: response.statusCode };
}

describe('a feed server', () => {
  it('has URLs for both protocols, and nothing elsewhere', async () => {
    await start();
    expect(server.v3Url).toBe(`${server.url}/v3/index.json`);
    expect((await fetch(server.v3Url)).status).toBe(200);
    expect((await fetch(`${server.v2Url}/$metadata`)).status).toBe(200);
    for (const path of ['/', '/v3', '/v3x/index.json', '/api/v2x', '/api/v2/Nope()', '/v3/nope', '/%zz']) {
      expect((await ask(path)).status).toBe(404);
    }
  });

  it('says URLs as each client wrote its own', async () => {
    await start();
    const host = server.url.replace('127.0.0.1', 'localhost');
    const index = (await (await fetch(`${host}/v3/index.json`)).json()) as { resources: { '@id': string }[] };
    for (const { '@id': id } of index.resources) expect(id.startsWith(host)).toBe(true);
  });

  it('answers HEAD as GET without a body', async () => {
    await start();
    const { status, headers } = await ask(NUPKG, { method: 'HEAD' });
    expect(status).toBe(200);
    expect(Number(headers.get('content-length'))).toBe(server.packages.find('package.a', '1.0')?.content.length);
    expect((await ask(LIST, { method: 'POST' })).status).toBe(405);
  });

  it('remembers what was asked, and tells who waits for it', async () => {
    await start();
    const second = server.waitForRequest(/nupkg$/, 2);
    await ask(`${LIST}?x=a%20b`, { headers: { 'x-test': '1' } });
    await ask(NUPKG);
    await ask(NUPKG);
    expect((await second).target).toBe(NUPKG);
    expect(await server.waitForRequest((request) => request.headers['x-test'] === '1')).toMatchObject({
      method: 'GET',
      target: `${LIST}?x=a%20b`,
      path: LIST,
      status: 200,
    });
    expect(server.requests.targets('/v3/flat')).toEqual([`${LIST}?x=a%20b`, NUPKG, NUPKG]);
    expect([...server.requests].length).toBe(server.requests.length);
    server.requests.clear();
    expect(server.requests.length).toBe(0);
    const never = server.waitForRequest('/never');
    void server.close();
    await expect(never).rejects.toThrow('closed');
  });

  it('closes with requests under way, more than once', async () => {
    await start();
    server.fault('/', { kind: 'hang' });
    const hanging = code(ask(LIST));
    await server.waitForRequest(LIST);
    await Promise.all([server.close(), server.close()]);
    expect(await hanging).toBe('UND_ERR_SOCKET');
  });

  it('refuses packages that are none, or are there already', async () => {
    await start();
    await expect(server.packages.add(A1)).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(server.packages.add(Buffer.from('PK'))).rejects.toMatchObject({ code: 'INVALID_PACKAGE' });
    const replaced = await server.packages.add({ ...A1, description: 'other' }, { replace: true });
    expect(server.packages.versions('PACKAGE.A')).toEqual([replaced]);
  });
});

describe('conditional requests', () => {
  const withEtag = async () => ({ 'if-none-match': (await ask(LIST)).headers.get('etag') ?? '' });
  const withDate = async () => ({ 'if-modified-since': (await ask(LIST)).headers.get('last-modified') ?? '' });

  it('get 304 until something changes, even within the same second', async () => {
    await start({ now: () => 0 });
    const [etag, date] = [await withEtag(), await withDate()];
    for (const headers of [etag, date]) {
      const unchanged = await ask(LIST, { headers });
      expect([unchanged.status, await unchanged.text()]).toEqual([304, '']);
    }
    await server.packages.add({ id: 'Package.A', version: '2.0.0' });
    for (const headers of [etag, date]) expect((await ask(LIST, { headers })).status).toBe(200);
    expect((await ask(NUPKG, { headers: { 'if-none-match': '*' } })).status).toBe(304);
  });

  it('get what the settings offer', async () => {
    await start({ validators: 'none' });
    const shown = async () => {
      const { headers } = await ask(LIST);
      return [headers.has('etag'), headers.has('last-modified')];
    };
    expect(await shown()).toEqual([false, false]);
    expect((await ask(LIST, { headers: { 'if-none-match': '*' } })).status).toBe(200);
    server.settings.validators = 'etag';
    expect(await shown()).toEqual([true, false]);
    server.settings.validators = 'date';
    expect(await shown()).toEqual([false, true]);
  });
});

describe('compression', () => {
  it('is for documents, when it is switched on and asked for', async () => {
    await start();
    const accepting = { 'accept-encoding': 'gzip, deflate' };
    expect((await raw(LIST, accepting)).headers['content-encoding']).toBeUndefined();
    server.settings.gzip = true;
    const { headers, body } = await raw(LIST, accepting);
    expect(headers['content-encoding']).toBe('gzip');
    expect(JSON.parse(String(gunzipSync(body)))).toEqual({ versions: ['1.0.0'] });
    expect((await raw(LIST)).headers['content-encoding']).toBeUndefined();
    expect((await raw(NUPKG, accepting)).headers['content-encoding']).toBeUndefined();
  });

  it('is what two hives of registrations always have', async () => {
    await start();
    expect((await raw('/v3/registration5-gz/package.a/index.json')).headers['content-encoding']).toBe('gzip');
    expect((await raw('/v3/registration5-gz-semver2/package.a/1.0.0.json')).headers['content-encoding']).toBe('gzip');
    expect((await raw('/v3/registration5/package.a/index.json')).headers['content-encoding']).toBeUndefined();
  });
});

describe('ranges of packages', () => {
  it('are answered, one at a time', async () => {
    await start();
    const whole = server.packages.find('Package.A', '1.0.0')?.content ?? Buffer.alloc(0);
    const part = await raw(NUPKG, { range: 'bytes=10-19' });
    expect([part.status, part.headers['content-range']]).toEqual([206, `bytes 10-19/${whole.length}`]);
    expect(part.body).toEqual(whole.subarray(10, 20));
    expect((await raw(NUPKG, { range: `bytes=${whole.length - 4}-` })).body).toEqual(whole.subarray(-4));
    expect((await raw(NUPKG, { range: `bytes=${whole.length}-` })).status).toBe(416);
    expect((await raw(NUPKG, { range: 'bytes=0-1,4-5' })).status).toBe(200);
    expect((await raw(NUPKG, { range: 'bytes=0-1', 'if-range': '"other"' })).status).toBe(200);
    expect((await raw(NUPKG, { range: 'bytes=0-1', 'if-range': String(part.headers.etag) })).status).toBe(206);
  });
});

describe('credentials', () => {
  it('are asked for, and must be right', async () => {
    await start({ credentials: { username: 'ann', password: 'pass' } });
    const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    const refused = await ask(LIST);
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="feed"']);
    expect((await ask(LIST, { headers: basic('ann:pasS') })).status).toBe(401);
    expect((await ask(LIST, { headers: basic('ann:pass') })).status).toBe(200);
    server.settings.credentials = { bearer: 'token' };
    expect((await ask(LIST)).headers.get('www-authenticate')).toBe('Bearer realm="feed"');
    expect((await ask(LIST, { headers: { authorization: 'Bearer token' } })).status).toBe(200);
    server.settings.credentials = undefined;
    expect((await ask(LIST)).status).toBe(200);
  });
});

describe('publishing', () => {
  const A2 = buildPackage({ id: 'Package.A', version: '2.0.0' });
  const push = (path: string, body: Buffer, headers: Record<string, string> = {}) => {
    const form = new FormData();
    form.set('package', new Blob([Uint8Array.from(body)]), 'package.nupkg');
    return ask(path, { method: 'PUT', body: form, headers });
  };

  it.each(['/v3/package', '/v3/package/', '/api/v2/package', '/api/v2/package/', '/api/v2/', '/api/v2'])(
    'takes packages at %s',
    async (path) => {
      await start();
      expect((await push(path, A2)).status).toBe(201);
      expect(await (await ask(LIST)).json()).toEqual({ versions: ['1.0.0', '2.0.0'] });
      expect((await push(path, A2)).status).toBe(409);
      expect((await push(path, Buffer.from('nothing'))).status).toBe(400);
      expect((await ask(path, { method: 'PUT' })).status).toBe(400);
    },
  );

  it.each(['/v3/package', '/api/v2/package', '/api/v2'])('unlists and lists again at %s', async (path) => {
    await start();
    const change = async (method: string, target = `${path}/package.a/1.0`) => (await ask(target, { method })).status;
    expect(await change('DELETE')).toBe(204);
    expect(server.packages.find('Package.A', '1.0.0')?.listed).toBe(false);
    expect(await change('POST')).toBe(200);
    expect(server.packages.find('Package.A', '1.0.0')?.listed).toBe(true);
    expect(await change('DELETE', `${path}/package.a/9.0`)).toBe(404);
    expect(await change('POST', `${path}/package.b/1.0`)).toBe(404);
    expect(await change('PATCH')).toBe(405);
    server.settings.deletes = 'remove';
    expect(await change('DELETE')).toBe(204);
    expect((await ask(LIST)).status).toBe(404);
    expect(await change('DELETE')).toBe(404);
  });

  it('wants an API key where it is set', async () => {
    await start({ apiKey: 'key' });
    expect((await push('/v3/package', A2)).status).toBe(401);
    expect((await push('/v3/package', A2, { 'x-nuget-apikey': 'kez' })).status).toBe(403);
    expect((await push('/v3/package', A2, { 'x-nuget-apikey': 'key' })).status).toBe(201);
    expect((await ask('/v3/package/package.a/1.0.0', { method: 'DELETE' })).status).toBe(401);
    expect((await ask(LIST)).status).toBe(200);
  });
});

describe('what goes wrong', () => {
  it('is another status, a few times', async () => {
    await start();
    server.fault('/v3/flat', { kind: 'status', status: 429, headers: { 'retry-after': '7' } }, { times: 2 });
    const limited = await ask(LIST);
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '7']);
    expect((await fetch(server.v3Url)).status).toBe(200);
    expect((await ask(LIST)).status).toBe(429);
    expect((await ask(LIST)).status).toBe(200);
  });

  it('ends when it is taken back', async () => {
    await start();
    const end = server.fault(/flat/, { kind: 'status', status: 503, body: 'down' });
    expect(await (await ask(LIST)).text()).toBe('down');
    end();
    expect((await ask(LIST)).status).toBe(200);
    server.fault('/', { kind: 'status', status: 500 });
    server.clearFaults();
    expect((await ask(LIST)).status).toBe(200);
  });

  it('is a delay, for as long as the test wants', async () => {
    const waits: number[] = [];
    let resolve = () => {};
    const promise = new Promise<void>((done) => {
      resolve = done;
    });
    await start({
      wait: (ms) => {
        waits.push(ms);
        return promise;
      },
    });
    server.fault(LIST, { kind: 'delay', ms: 5000 });
    server.fault(LIST, { kind: 'status', status: 502 });
    let answered = false;
    const answer = ask(LIST).finally(() => (answered = true));
    await server.waitForRequest(LIST);
    expect([waits, answered]).toEqual([[5000], false]);
    resolve();
    expect((await answer).status).toBe(502);
  });

  it('is a real delay otherwise, and the server does not wait for it', async () => {
    await start();
    server.fault(LIST, { kind: 'delay', ms: 60_000 });
    const slow = code(ask(LIST));
    await server.waitForRequest(LIST);
    await server.close();
    expect(await slow).toBe('UND_ERR_SOCKET');
    await start();
    server.fault(LIST, { kind: 'delay', ms: 1 });
    expect((await ask(LIST)).status).toBe(200);
  });

  it('is nothing at all, or nothing more', async () => {
    await start();
    server.fault(NUPKG, { kind: 'hang', afterBytes: 100 });
    const abort = new AbortController();
    const response = await ask(NUPKG, { signal: abort.signal });
    const reader = response.body?.getReader();
    expect((await reader?.read())?.value?.length).toBe(100);
    const next = code(reader?.read() ?? Promise.resolve());
    abort.abort();
    expect(await next).toBe('AbortError');
  });

  it('is half of a package, as what it is or as a whole', async () => {
    await start();
    const length = server.packages.find('Package.A', '1.0.0')?.content.length ?? 0;
    server.fault(NUPKG, { kind: 'truncate' }, { times: 1 });
    const cut = await ask(NUPKG);
    expect(Number(cut.headers.get('content-length'))).toBe(length);
    expect(await code(cut.arrayBuffer())).toBe('UND_ERR_SOCKET');
    server.fault(NUPKG, { kind: 'truncate', afterBytes: 33, silent: true });
    expect((await (await ask(NUPKG)).arrayBuffer()).byteLength).toBe(33);
  });

  it('is a broken connection, at once or later', async () => {
    await start();
    server.fault(LIST, { kind: 'reset' });
    expect(await code(ask(LIST))).toMatch(/ECONNRESET|UND_ERR_SOCKET/);
    server.fault(NUPKG, { kind: 'reset', afterBytes: 10 });
    const broken = ask(NUPKG).then((response) => response.arrayBuffer());
    expect(await code(broken)).toMatch(/ECONNRESET|UND_ERR_SOCKET/);
  });

  it('is something else with status 200', async () => {
    await start();
    server.fault(LIST, { kind: 'html' }, { times: 1 });
    const page = await ask(LIST);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(await page.text()).toMatch(/^<!DOCTYPE html>/);
    server.fault(LIST, { kind: 'content-type', contentType: 'text/plain' });
    expect((await ask(LIST)).headers.get('content-type')).toBe('text/plain');
    const other = buildPackage({ id: 'Other', version: '1.0.0' });
    server.fault(NUPKG, { kind: 'replace', body: other });
    expect(Buffer.from(await (await ask(NUPKG)).arrayBuffer())).toEqual(other);
    server.fault('/v3/index.json', { kind: 'replace', body: '[]', contentType: 'application/x' });
    const index = await fetch(server.v3Url);
    expect([index.headers.get('content-type'), await index.json()]).toEqual(['application/x', []]);
  });

  it('is a document that is very long, and still one', async () => {
    await start();
    server.fault(LIST, { kind: 'huge', bytes: 300_000 });
    const text = await (await ask(LIST)).text();
    expect(text.length).toBe(300_000);
    expect(JSON.parse(text)).toEqual({ versions: ['1.0.0'] });
    const abort = new AbortController();
    server.fault('/v3/index.json', { kind: 'huge', bytes: 10 ** 12 });
    const endless = await fetch(server.v3Url, { signal: abort.signal });
    await endless.body?.getReader().read();
    abort.abort();
    await server.close();
  });
});
