import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { ManualTime } from '@granary/resilience/testing';
import { Agent, type Dispatcher, request } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HttpClient } from '../client/http-client.js';
import { CA, read, rejection, serveHttp, serveHttps, type TestServer } from '../testing/test-server.js';
import { redirect } from './redirect.js';

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

let server: TestServer;
let other: TestServer;
let seen: Seen[];
let dispatcher: Dispatcher;
/** Where the first server sends everybody: status and location by path. */
let routes: Record<string, readonly [number, string]>;

const record = async (req: IncomingMessage) => {
  seen.push({ method: req.method, url: req.url, headers: req.headers, body: (await read(req)).toString() });
};

beforeEach(async () => {
  seen = [];
  routes = {};
  server = await serveHttp(async (req, res) => {
    await record(req);
    const [status, location] = routes[req.url ?? ''] ?? [200, undefined];
    res.writeHead(status, location === undefined ? {} : { location }).end(`at ${req.url}`);
  });
  other = await serveHttp(async (req, res) => {
    await record(req);
    res.end('elsewhere');
  });
  dispatcher = new Agent().compose(redirect({ maxRedirects: 3 }));
});

afterEach(async () => {
  await dispatcher.close();
  await server[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

const get = (path: string, options = {}) => request(server.url + path, { dispatcher, ...options });

describe('redirects', () => {
  it.each([301, 302, 303, 307, 308])('of status %i are followed', async (status) => {
    routes['/a'] = [status, '/b?c'];
    const response = await get('/a');
    expect(response.statusCode).toBe(200);
    expect(await response.body.text()).toBe('at /b?c');
  });

  it.each([200, 201, 300, 304, 305])('are not what a location with status %i is', async (status) => {
    routes['/a'] = [status, '/b'];
    const response = await get('/a');
    expect(response.statusCode).toBe(status);
    await response.body.dump();
  });

  it('are followed although the rest of their bodies never comes', async () => {
    const time = new ManualTime();
    await using slow = await serveHttp((req, res) => {
      if (req.url === '/b') res.end('there');
      else res.writeHead(302, { location: '/b', 'content-length': 10 }).write('half');
    });
    const patient = new Agent().compose(redirect({ timers: time }));
    const answer = request(slow.url, { dispatcher: patient });
    await expect.poll(() => time.pending).toBe(1);
    await time.advance(1000);
    expect(await (await answer).body.text()).toBe('there');
    expect(time.pending).toBe(0);

    const abort = new AbortController();
    const gone = rejection(request(slow.url, { dispatcher: patient, signal: abort.signal }));
    await expect.poll(() => time.pending).toBe(1);
    abort.abort();
    expect(await gone).toMatchObject({ name: 'AbortError' });
    expect(time.pending).toBe(0);
    await patient.close();
  });

  it('without a location are handed out', async () => {
    await using raw = await serveHttp((_, res) => res.writeHead(302).end());
    const response = await request(raw.url, { dispatcher });
    expect(response.statusCode).toBe(302);
    await response.body.dump();
  });

  it('are followed as often as allowed, and no more', async () => {
    routes = { '/1': [302, '/2'], '/2': [302, '/3'], '/3': [302, '/4'] };
    expect(await (await get('/1')).body.text()).toBe('at /4');
    routes['/4'] = [302, '/5'];
    expect(await rejection(get('/1'))).toMatchObject({ code: 'TOO_MANY_REDIRECTS', statusCode: 302 });
    routes['/loop'] = [307, '/loop'];
    expect(await rejection(get('/loop'))).toMatchObject({ code: 'TOO_MANY_REDIRECTS' });
  });

  it('are handed out where none is wanted', async () => {
    routes['/a'] = [302, '/b'];
    const none = new Agent().compose(redirect({ maxRedirects: 0 }));
    const response = await get('/a', { dispatcher: none });
    expect(response.statusCode).toBe(302);
    expect(await response.body.text()).toBe('at /a');
    await none.close();
  });

  it('are relative to what was asked, also where its path begins with two slashes', async () => {
    routes['//other.invalid/a'] = [302, 'b'];
    const response = await get('//other.invalid/a', { headers: { authorization: 'secret' } });
    expect(await response.body.text()).toBe('at //other.invalid/b');
    expect(seen[1]?.headers).toMatchObject({ authorization: 'secret', host: server.host });
  });

  it('may name their target in UTF-8', async () => {
    routes['/a'] = [302, Buffer.from('/caf\u00e9').toString('latin1')];
    expect(await (await get('/a')).body.text()).toBe('at /caf%C3%A9');
  });

  it('within an origin keep credentials', async () => {
    routes['/a'] = [302, `${server.url}/b`];
    await (await get('/a', { headers: { authorization: 'secret', Cookie: 'c=1' } })).body.dump();
    expect(seen[1]?.headers).toMatchObject({ authorization: 'secret', cookie: 'c=1' });
  });

  it.each([
    ['a record', { Authorization: 'secret', cookie: 'c=1', 'Proxy-Authorization': 'secret', 'x-a': '1', host: 'x' }],
    ['a list', ['Authorization', 'secret', 'cookie', 'c=1', 'Proxy-Authorization', 'secret', 'x-a', '1']],
    [
      'pairs',
      new Map([
        ['Authorization', 'secret'],
        ['cookie', 'c=1'],
        ['x-a', '1'],
      ]),
    ],
  ])('to another origin drop credentials, given as %s', async (_, headers) => {
    routes['/a'] = [307, `${other.url}/b`];
    await (await get('/a', { headers })).body.dump();
    expect(seen[1]?.headers).toMatchObject({ 'x-a': '1', host: other.host });
    for (const name of ['authorization', 'cookie', 'proxy-authorization']) {
      expect(seen[1]?.headers).not.toHaveProperty(name);
    }
  });

  it('to another origin drop keys and tokens too, whatever their header is called', async () => {
    const secrets = ['X-API-Key', 'x-nuget-apikey', 'Private-Token', 'x-amz-security-token', 'X-Client-Secret'];
    secrets.push('X-JFrog-Art-Api', 'X-Auth', 'X-Passwd');
    const others = { 'idempotency-key': '1', 'x-request-id': '2', 'if-match': '3' };
    routes['/a'] = [307, '/b'];
    routes['/b'] = [308, `${other.url}/c`];
    const headers = { ...Object.fromEntries(secrets.map((name) => [name, 'secret'])), ...others };
    await (await get('/a', { headers })).body.dump();
    expect(seen[1]?.headers).toMatchObject({ 'x-api-key': 'secret', ...others });
    expect(seen[2]?.headers).toMatchObject(others);
    expect(Object.values(seen[2]?.headers ?? {})).not.toContain('secret');
  });

  it.each([
    [301, 'POST', 'GET'],
    [302, 'POST', 'GET'],
    [303, 'POST', 'GET'],
    [303, 'PUT', 'GET'],
    [303, 'HEAD', 'HEAD'],
    [301, 'PUT', 'PUT'],
    [302, 'DELETE', 'DELETE'],
    [307, 'POST', 'POST'],
    [308, 'PUT', 'PUT'],
  ])('of status %i make of %s a %s', async (status, method, becomes) => {
    routes['/a'] = [status, '/b'];
    const body = method === 'HEAD' || method === 'DELETE' ? null : 'data';
    await (await get('/a', { method, body, headers: { 'content-type': 'text/plain' } })).body.dump();
    expect(seen[1]?.method).toBe(becomes);
    expect(seen[1]?.body).toBe(becomes === method ? (body ?? '') : '');
    if (becomes !== method) expect(seen[1]?.headers['content-type']).toBeUndefined();
  });

  it('make a new stream of a body that is a function', async () => {
    routes['/a'] = [307, '/b'];
    await using client = new HttpClient({ proxy: false });
    const body = () => Readable.from([Buffer.from('data')]);
    expect((await client.buffer(`${server.url}/a`, { method: 'PUT', body })).toString()).toBe('at /b');
    expect(seen.map(({ body }) => body)).toEqual(['data', 'data']);
  });

  it('are handed out when the body can not be sent again', async () => {
    routes = { '/a': [307, '/b'], '/c': [303, '/d'] };
    const body = () => Readable.from([Buffer.from('data')]);
    const response = await get('/a', { method: 'PUT', body: body() });
    expect(response.statusCode).toBe(307);
    await response.body.dump();
    expect((await get('/c', { method: 'PUT', body: body() })).statusCode).toBe(200);
  });

  it.each([['file:///etc/passwd'], ['javascript:alert(1)'], ['http://[']])('to %s are refused', async (location) => {
    routes['/a'] = [302, location];
    expect(await rejection(get('/a'))).toMatchObject({ code: 'INVALID_REDIRECT', host: server.host });
  });

  it('to another scheme of the same host drop credentials, too: they lead to another port', async () => {
    const toServer: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) =>
      dispatch({ ...options, origin: server.url }, handler);
    routes['/a'] = [302, 'https://feed.test/b'];
    const agent = new Agent().compose(toServer, redirect());
    const response = await request('http://feed.test/a', { dispatcher: agent, headers: { authorization: 'secret' } });
    expect(await response.body.text()).toBe('at /b');
    expect(seen.map(({ headers }) => headers.authorization)).toEqual(['secret', undefined]);
    await agent.close();
  });

  it('leave the query behind that the first path was given', async () => {
    routes['/a?key=1'] = [302, '/b'];
    expect(await (await get('/a', { query: { key: 1 } })).body.text()).toBe('at /b');
  });

  it('from https to http are refused, from http to https they are not', async () => {
    await using secure = await serveHttps((req, res) => {
      if (req.url === '/') res.end('secure');
      else res.writeHead(302, { location: other.url }).end();
    });
    routes['/a'] = [302, secure.url];
    const trusting = new Agent({ connect: { ca: CA } }).compose(redirect());
    const error = await rejection(request(`${secure.url}/down`, { dispatcher: trusting }));
    expect(error).toMatchObject({ code: 'INSECURE_REDIRECT', host: secure.host });
    expect(await (await get('/a', { dispatcher: trusting })).body.text()).toBe('secure');
    expect(seen.some(({ url }) => url === '/')).toBe(false);
    await trusting.close();
  });

  it('cut a body off that nobody wants and that has no end', async () => {
    await using endless = await serveHttp((_, res) => {
      res.writeHead(302, { location: other.url });
      const more = () => {
        if (!res.destroyed && res.write(Buffer.alloc(16 * 1024))) setImmediate(more);
        else res.once('drain', more);
      };
      more();
    });
    // Long before the time is over that the rest of a body has.
    const time = new ManualTime();
    const patient = new Agent().compose(redirect({ timers: time }));
    expect(await (await request(endless.url, { dispatcher: patient })).body.text()).toBe('elsewhere');
    expect(time.pending).toBe(0);
    await endless.idle();
    await patient.close();
  });

  it('name the last host in what fails after them, without its path', async () => {
    await using broken = await serveHttp((req) => req.socket.destroy());
    routes['/a'] = [302, `http://ann:hunter2@${broken.host}/secret?q`];
    await using client = new HttpClient({ proxy: false, retry: false });
    const error = await rejection(client.buffer(`${server.url}/a`));
    expect(error).toMatchObject({ code: 'NETWORK', host: broken.host, attempts: 2 });
    expect(error.message).not.toMatch(/secret|hunter2/);
  });
});
