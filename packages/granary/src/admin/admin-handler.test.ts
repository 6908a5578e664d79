import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { hostname } from 'node:os';
import { PassThrough, Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { AccessDeniedError } from '@granary/reapi';
import { nullLogger } from '@granary/telemetry';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type AdminSources, createAdminHandler } from './admin-handler.js';
import { AnswerError, json, type Route, text } from './route.js';

let server: Server;
let port: number;
const lines: string[] = [];
let denied: AccessDeniedError | undefined;

const healthy = { status: 'healthy', checks: [], draining: false } as const;

async function serve(routes: Readonly<Record<string, Route>> = {}, more: Partial<AdminSources> = {}): Promise<void> {
  const handle = createAdminHandler({
    health: { report: async () => healthy, last: () => healthy },
    metrics: async (accept) => ({ contentType: 'text/plain', body: `asked for ${accept}` }),
    version: () => ({ version: 1 }),
    authorize() {
      if (denied) throw denied;
    },
    isAdmin: ({ authorization }) => authorization === 'Bearer token',
    logger: { ...nullLogger, error: (...values) => void lines.push(inspect(values)) },
    routes,
    ...more,
  });
  server = createServer(handle).on('checkContinue', handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
}

beforeEach(() => {
  lines.length = 0;
  denied = undefined;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
});

const ask = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${port}${path}`, init);

/** A request with any headers, which fetch would not send. */
async function raw(path: string, headers: Readonly<Record<string, string>>, method = 'GET', body?: string) {
  const sent = request({ port, host: '127.0.0.1', path, method, headers });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode, text: await textOf(response) };
}

describe('a route', () => {
  it('is answered by method; HEAD wherever GET is, without the body', async () => {
    await serve({
      '/level': {
        summary: 'a level',
        get: () => text(200, 'information'),
        put: async (request) => text(200, `put ${await request.body()}`),
        post: async (request) => json({ posted: `${await request.body()}`, for: request.query.get('for') }, 202),
      },
    });
    expect(await (await ask('/level')).text()).toBe('information\n');
    const head = await ask('/level', { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '12', '']);
    expect(await (await ask('/level', { method: 'PUT', body: 'debug' })).text()).toBe('put debug\n');
    const posted = await ask('/level?for=10m&x', { method: 'POST', body: 'debug' });
    expect([posted.status, await posted.json()]).toEqual([202, { posted: 'debug', for: '10m' }]);
    for (const method of ['DELETE', 'OPTIONS', 'PATCH']) {
      const other = await ask('/level', { method });
      expect([other.status, other.headers.get('allow')]).toEqual([405, 'GET, HEAD, PUT, POST']);
    }
  });

  it('is never kept or guessed at by browsers', async () => {
    await serve();
    for (const path of ['/healthz', '/metrics', '/nothing', '/']) {
      const { headers } = await ask(path);
      expect([headers.get('cache-control'), headers.get('x-content-type-options')]).toEqual(['no-store', 'nosniff']);
    }
  });

  it('gets what the client accepts', async () => {
    await serve();
    expect(await (await ask('/metrics', { headers: { accept: 'application/openmetrics-text' } })).text()).toBe(
      'asked for application/openmetrics-text',
    );
  });

  it('says with its own error what is wrong, and hides all other errors in the log', async () => {
    await serve({
      '/wrong': {
        summary: '',
        get: () => {
          throw new AnswerError(409, 'not now', { 'Retry-After': '7' });
        },
      },
      '/broken': { summary: '', get: () => Promise.reject(new Error('the inner reason')) },
    });
    const wrong = await ask('/wrong');
    expect([wrong.status, await wrong.text(), wrong.headers.get('retry-after')]).toEqual([409, 'not now\n', '7']);
    expect(lines).toEqual([]);
    const broken = await ask('/broken');
    expect([broken.status, await broken.text()]).toEqual([500, 'failed; see the log\n']);
    expect(lines.join()).toContain('the inner reason');
  });

  it('that is a folder is found without its slash', async () => {
    await serve({ '/debug/things/': { summary: '', get: () => text(200, 'things') } });
    const answer = await ask('/debug/things', { redirect: 'manual' });
    expect([answer.status, answer.headers.get('location')]).toEqual([301, '/debug/things/']);
  });

  it.each(['//healthz', '/healthz/', '/%68ealthz', '/healthz%00', '/__proto__', '/constructor', '*'])(
    'is no other than the one that is written: %s',
    async (path) => {
      await serve();
      expect((await raw(path, {})).status).toBe(404);
    },
  );
});

describe('who may not administer', () => {
  it.each([
    ['UNAUTHENTICATED', 401],
    ['PERMISSION_DENIED', 403],
    ['RATE_LIMITED', 429],
  ] as const)('learns nothing of what there is: %s is %i', async (code, status) => {
    await serve({ '/debug/pprof/': { summary: '', get: () => text(200, 'here') } });
    denied = new AccessDeniedError(code, 'no');
    const answers = await Promise.all(
      ['/', '/metrics', '/debug/pprof/', '/debug/pprof', '/nothing'].flatMap((path) =>
        ['GET', 'HEAD', 'POST', 'DELETE'].map((method) => ask(path, { method })),
      ),
    );
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([status]));
    expect(new Set(answers.map((answer) => answer.headers.get('allow')))).toEqual(new Set([null]));
    expect((await ask('/healthz')).status).toBe(200);
    expect((await ask('/healthz', { method: 'POST' })).status).toBe(405);
  });
});

describe('a body', () => {
  const echo = { summary: '', put: async (request) => text(200, `${(await request.body(10)).length}`) } satisfies Route;

  it('is bounded, announced or not', async () => {
    await serve({ '/echo': echo });
    expect(await (await ask('/echo', { method: 'PUT', body: 'x'.repeat(10) })).text()).toBe('10\n');
    const announced = await ask('/echo', { method: 'PUT', body: 'x'.repeat(11) });
    expect([announced.status, await announced.text()]).toEqual([413, 'the body is longer than 10 bytes\n']);
    const chunks = new PassThrough();
    const sent = request({ port, host: '127.0.0.1', path: '/echo', method: 'PUT' });
    sent.on('error', () => {});
    chunks.pipe(sent);
    for (let i = 0; i < 100; i++) chunks.write('x'.repeat(1000));
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(413);
    response.resume();
    sent.destroy();
  });

  it('is asked for only where it is wanted', async () => {
    await serve({ '/echo': echo });
    const converse = async (path: string) => {
      const socket = connect(port, '127.0.0.1');
      socket.write(
        `PUT ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`,
      );
      let received = '';
      socket.on('data', (chunk: Buffer) => {
        received += chunk.toString();
        if (received.endsWith('100 Continue\r\n\r\n')) socket.write('abc');
      });
      await once(socket, 'close');
      return received.split('\r\n')[0];
    };
    expect(await converse('/echo')).toBe('HTTP/1.1 100 Continue');
    expect(await converse('/nothing')).toBe('HTTP/1.1 404 Not Found');
  });

  it('that nobody wants blocks nothing', async () => {
    await serve();
    const body = 'x'.repeat(5_000_000);
    expect((await ask('/version', { method: 'PUT', body })).status).toBe(405);
    expect((await ask('/version')).status).toBe(200);
  });
});

describe('a stream', () => {
  it('is sent as it comes; a client that goes away ends it and the route', async () => {
    const stream = new PassThrough();
    let signal: AbortSignal | undefined;
    await serve({
      '/stream': {
        summary: '',
        onDemand: 'application/octet-stream',
        get: (request) => {
          signal = request.signal;
          return { status: 200, contentType: 'application/octet-stream', body: stream };
        },
      },
    });
    const controller = new AbortController();
    stream.write('first');
    const answer = await ask('/stream', { signal: controller.signal });
    const { value } = (await answer.body?.getReader().read()) ?? {};
    expect(Buffer.from(value as Uint8Array).toString()).toBe('first');
    expect(signal?.aborted).toBe(false);
    const closed = new Promise((resolve) => stream.once('close', resolve));
    controller.abort();
    await closed;
    expect(signal?.aborted).toBe(true);
    expect(lines).toEqual([]);
  });

  it('that breaks breaks the answer off, so that nobody takes it as whole', async () => {
    const body = Readable.from(
      (async function* () {
        yield Buffer.alloc(100_000);
        throw new Error('it broke');
      })(),
    );
    await serve({
      '/stream': { summary: '', get: () => ({ status: 200, contentType: 'application/octet-stream', body }) },
    });
    await expect(ask('/stream').then((answer) => answer.arrayBuffer())).rejects.toThrow();
    await vi.waitFor(() => expect(lines.join()).toContain('it broke'));
  });

  it('is not made for HEAD, nor for a client that is gone', async () => {
    const made = vi.fn(() => text(200, 'made'));
    const late = new PassThrough();
    let signal: AbortSignal | undefined;
    await serve({
      '/costly': { summary: '', onDemand: 'application/x-thing', get: made },
      '/late': {
        summary: '',
        get: async (request) => {
          signal = request.signal;
          await once(signal, 'abort');
          return { status: 200, contentType: 'application/octet-stream', body: late };
        },
      },
    });
    const head = await ask('/costly', { method: 'HEAD' });
    expect([head.status, head.headers.get('content-type'), head.headers.get('content-length')]).toEqual([
      200,
      'application/x-thing',
      null,
    ]);
    expect(made).not.toHaveBeenCalled();
    const controller = new AbortController();
    const asked = ask('/late', { signal: controller.signal });
    await vi.waitFor(() => expect(signal).toBeDefined());
    controller.abort();
    await expect(asked).rejects.toThrow();
    await once(late, 'close');
  });
});

describe("a page of another site in a browser on the server's machine", () => {
  const changed = vi.fn(() => text(200, 'done'));
  const routes: Record<string, Route> = {
    '/change': { summary: '', get: () => text(200, 'shown'), put: changed, post: changed },
    '/costly': { summary: '', onDemand: 'application/x-thing', get: changed },
  };
  beforeEach(async () => {
    changed.mockClear();
    await serve(routes, { logger: nullLogger });
  });

  it.each<Readonly<Record<string, string>>>([
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://elsewhere.example' },
    { origin: 'null' },
    { host: 'rebound.example:9090' },
    { host: 'localhost.example' },
    { host: 'rebound.example:9090', authorization: 'Bearer anything' },
  ])('has nothing changed and nothing costly made: %j', async (headers) => {
    expect((await raw('/change', headers, 'POST', 'debug')).status).toBe(403);
    expect((await raw('/change', headers, 'PUT', 'debug')).status).toBe(403);
    expect((await raw('/costly', headers)).status).toBe(403);
    expect((await raw('/costly', headers, 'HEAD')).status).toBe(403);
    expect((await raw('/change', headers)).status).toBe(200);
    expect(changed).not.toHaveBeenCalled();
  });

  it.each<Readonly<Record<string, string>>>([
    {},
    { host: '127.0.0.1:9090' },
    { host: '[::1]:9090' },
    { host: 'localhost:9090' },
    { host: 'LOCALHOST' },
    { host: `${hostname()}:9090` },
    { host: 'localhost:9090', origin: 'http://localhost:9090', 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none' },
    { host: 'granary.example', authorization: 'Bearer token' },
  ])('is told from its own pages, tools and people: %j', async (headers) => {
    expect((await raw('/change', headers, 'POST', 'debug')).status).toBe(200);
    expect((await raw('/costly', headers)).status).toBe(200);
  });

  it('under a foreign name waits for what becomes of its credentials, as passwords take their time', async () => {
    server.close();
    const isAdmin = async ({ authorization }: { authorization?: string | undefined }) =>
      authorization === 'Basic right';
    await serve({ '/change': { summary: 'c', post: () => text(200, 'changed') } }, { isAdmin });
    const host = 'granary.example';
    expect((await raw('/change', { host, authorization: 'Basic wrong' }, 'POST', '')).status).toBe(403);
    expect((await raw('/change', { host, authorization: 'Basic right' }, 'POST', '')).status).toBe(200);
  });
});

describe('the page at /', () => {
  it('lists what there is, for people, without running a script', async () => {
    await serve({
      '/debug/things/': { summary: 'things & <more>', get: () => text(200, '') },
      '/debug/things/one': { summary: 'one', get: () => text(200, '') },
      '/sink': { summary: 'takes', post: () => text(200, '') },
    });
    const page = await ask('/');
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    const html = await page.text();
    for (const part of ['<a href="/metrics">', '<a href="/debug/things/">', 'things &#38; &#60;more&#62;', '>/sink<'])
      expect(html).toContain(part);
    expect(html).not.toContain('/debug/things/one');
    expect(html).not.toContain('href="/sink"');
    expect(html).not.toContain('/stats');
  });
});
