import { EventEmitter, once } from 'node:events';
import { NuGetError } from '@granary/nuget';
import { loggerFor } from '@granary/telemetry';
import { RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FeedUnavailableError } from '../errors.js';
import { FeedAccessError, type FeedCredentials, type FeedRight } from './hooks.js';
import { createNuGetHandler, type NuGetHandlerOptions } from './nuget-handler.js';
import { MemoryFeed, record } from './testing/memory-feed.js';
import { TestServer, type TestServerInit } from './testing/test-server.js';

const servers: TestServer[] = [];

async function start(init: TestServerInit = {}): Promise<TestServer> {
  const server = await TestServer.start(init);
  servers.push(server);
  server.feed.add(record('My.Package', '1.0.0'), Buffer.from('package'));
  return server;
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
});

const VERSIONS = '/nuget/v3/flatcontainer/my.package/index.json';

describe('a handler', () => {
  it('serves all sources as one, and each of them', async () => {
    const one = new MemoryFeed('one', [record('One', '1.0.0')]);
    const server = await start({ bySource: { one, 'my feed': new MemoryFeed('my feed', [record('Two', '2.0.0')]) } });
    expect(await server.json('/v3/flatcontainer/my.package/index.json')).toEqual({ versions: ['1.0.0'] });
    expect(await server.json('/one/v3/flatcontainer/one/index.json')).toEqual({ versions: ['1.0.0'] });
    expect(await server.json('/my%20feed/v3/flatcontainer/two/index.json')).toEqual({ versions: ['2.0.0'] });
    const { status, reason } = await server.ask('/nuget/two/v3/index.json');
    expect([status, reason]).toEqual([404, 'there is no source of this name']);
    expect((await server.ask('/nuget/one/v3/flatcontainer/my.package/index.json')).status).toBe(404);
  });

  it('lies where it is told to', async () => {
    const server = await start({ prefix: '/a/feeds' });
    expect((await server.ask('/a/feeds/v3/index.json')).body.toString()).toContain(`http://${server.host}/a/feeds/v3/`);
    expect((await server.ask('/nuget/v3/index.json')).status).toBe(404);
    const atRoot = await start({ prefix: '' });
    expect((await atRoot.ask('/v3/index.json')).body.toString()).toContain(`"http://${atRoot.host}/v3/search"`);
  });

  it.each<[string, Partial<NuGetHandlerOptions>]>([
    ['a prefix without a slash', { prefix: 'nuget' }],
    ['a prefix with one at its end', { prefix: '/nuget/' }],
    ['a public URL with a query', { publicUrl: 'https://feed.test/?x' }],
    ['a source called v3', { feeds: { all: new MemoryFeed(), bySource: new Map([['v3', new MemoryFeed()]]) } }],
  ])('is not made with %s', (_, options) => {
    const feeds = { all: new MemoryFeed(), bySource: new Map() };
    expect(() => createNuGetHandler({ feeds, incomingDirectory: '/nowhere', ...options })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
  });

  it.each([['"><script>alert(1)</script>'], ['evil.test/path?'], ['user:pw@evil.test'], ['evil test']])(
    'has nothing to do with who says that it is %j',
    async (host) => {
      const server = await start();
      const { status, reason, headers, body } = await server.ask('/nuget/v3/index.json', { headers: { Host: host } });
      expect(status).toBe(400);
      expect(reason).toBe('the Host header is missing or names no host');
      expect(`${JSON.stringify(headers)}${body}`).not.toMatch(/evil|script/);
    },
  );

  it('says URLs as each client sees it, unless it is told how all see it', async () => {
    const server = await start();
    const seen = await server.ask('/nuget/v3/index.json', { headers: { Host: 'Cache.Example:99' } });
    expect(seen.body.toString()).toContain('"http://cache.example:99/nuget/v3/flatcontainer/"');
    const proxied = await start({ publicUrl: 'https://packages.example/x/' });
    const { body } = await proxied.ask('/nuget/v3/index.json');
    expect(body.toString()).toContain('"https://packages.example/x/nuget/v3/flatcontainer/"');
    expect(body.toString()).not.toContain(proxied.host);
  });

  it.each([
    ['/nuget/v3/..%2f..%2fetc/passwd', 400],
    ['/nuget/v3/flatcontainer/..%5c/index.json', 400],
    ['/nuget/v3/flatcontainer/%2e%2e/index.json', 400],
    ['/nuget/v3/flatcontainer/a%00b/index.json', 400],
    ['/nuget/v3/flatcontainer/a%0d%0aX-Evil:%201/index.json', 400],
    ['/nuget/v3/flatcontainer/a%20b/index.json', 400],
    [`/nuget/v3/flatcontainer/${'a'.repeat(200)}/index.json`, 400],
    [`/nuget/v3/${'a/'.repeat(2000)}`, 414],
    ['/nuget/v3/flatcontainer/a/x.y.z/a.x.y.z.nupkg', 400],
    ['/nuget/v3/registration/a%2f..%2fb/index.json', 400],
    ['/nuget/v3/nothing', 404],
    ['/nuget/v3', 404],
    ['/elsewhere', 404],
  ])('answers %j with %i in plain text', async (path, status) => {
    const server = await start();
    const answer = await server.ask(path);
    expect(answer).toMatchObject({
      status,
      headers: {
        'content-type': 'text/plain; charset=utf-8',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      },
    });
    expect(answer.headers).not.toHaveProperty('x-evil');
    expect(answer.body.toString().replace('…', '?')).toBe(`${answer.reason}\n`);
    expect(server.feed.calls).toEqual([]);
  });

  it.each([
    ['/nuget/v3/index.json', 'POST', 'GET, HEAD'],
    ['/nuget/v3/flatcontainer/a/index.json', 'PUT', 'GET, HEAD'],
    ['/nuget/v3/search', 'DELETE', 'GET, HEAD'],
    ['/nuget/v3/search', 'OPTIONS', 'GET, HEAD'],
    ['/nuget/v3/registration/a/index.json', 'PATCH', 'GET, HEAD'],
    ['/nuget/v3/package', 'GET', 'PUT'],
    ['/nuget/v3/package', 'POST', 'PUT'],
    ['/nuget/v3/package/a/1.0.0', 'GET', 'DELETE, POST'],
    ['/nuget/v3/package/a/1.0.0', 'PUT', 'DELETE, POST'],
  ])('says of %s what is allowed there instead of %s', async (path, method, allow) => {
    const server = await start();
    const reason = `allowed here: ${allow}`;
    expect(await server.ask(path, { method })).toMatchObject({ status: 405, reason, headers: { allow } });
  });

  it.each([
    ['/nuget/v3/index.json', 200],
    [VERSIONS, 200],
    ['/nuget/v3/flatcontainer/my.package/1.0.0/my.package.1.0.0.nupkg', 200],
    ['/nuget/v3/flatcontainer/my.package/1.0.0/my.package.nuspec', 200],
    ['/nuget/v3/registration/my.package/index.json', 200],
    ['/nuget/v3/registration-gz-semver2/my.package/1.0.0.json', 200],
    ['/nuget/v3/search?q=my', 200],
    ['/nuget/v3/autocomplete?q=my', 200],
    ['/nuget/v3/details/my.package/1.0.0', 200],
    ['/nuget/v3/flatcontainer/none/index.json', 404],
    ['/nuget/v3/%00', 400],
  ])('answers HEAD of %s as GET, without the body', async (path, status) => {
    const server = await start();
    const init = { headers: { 'Accept-Encoding': 'gzip' } };
    const get = await server.ask(path, init);
    const head = await server.ask(path, { ...init, method: 'HEAD' });
    expect(head.status).toBe(status);
    expect({ ...head.headers, date: '' }).toEqual({ ...get.headers, date: '' });
    expect(Number(head.headers['content-length'])).toBe(get.body.length);
    expect(head.body.length).toBe(0);
    expect(server.feed.open).toBe(0);
  });
});

describe('access to feeds', () => {
  const refuse = (code: 'UNAUTHENTICATED' | 'PERMISSION_DENIED' | 'RATE_LIMITED') => () => {
    throw new FeedAccessError(code, 'you may nöt\r\nSet-Cookie: a=b');
  };

  it('is asked for with what the client shows of itself', async () => {
    const asked: unknown[] = [];
    const authorize = async ({ authorization, apiKey, authority, socket }: FeedCredentials, right: FeedRight) => {
      asked.push([authorization, apiKey, authority, socket?.remoteAddress, right]);
      return 'me';
    };
    const server = await start({ hooks: { authorize } });
    const headers = { Authorization: 'Basic eDp5', 'X-NuGet-ApiKey': 'key' };
    await server.ask(VERSIONS, { headers });
    await server.ask('/nuget/v3/package/my.package/1.0.0', { method: 'DELETE' });
    expect(asked).toEqual([
      ['Basic eDp5', 'key', server.host, '127.0.0.1', 'read'],
      [undefined, undefined, server.host, '127.0.0.1', 'push'],
    ]);
  });

  it('that is refused comes before everything else', async () => {
    const server = await start({ hooks: { authorize: refuse('UNAUTHENTICATED') } });
    const answer = await server.ask('/nuget/none/v3/index.json');
    expect(answer).toMatchObject({
      status: 401,
      reason: 'you may n?t??Set-Cookie: a=b',
      headers: { 'www-authenticate': 'Basic realm="granary", charset="UTF-8", Bearer realm="granary"' },
    });
    expect(answer.headers).not.toHaveProperty('set-cookie');
    expect(server.feed.calls).toEqual([]);
  });

  it('is refused with the status that says why', async () => {
    const denied = await start({ hooks: { authorize: refuse('PERMISSION_DENIED') } });
    expect(await denied.ask(VERSIONS)).toMatchObject({ status: 403 });
    const limited = await start({
      hooks: { authorize: () => Promise.reject(new FeedAccessError('RATE_LIMITED', 'slowly')) },
    });
    expect(await limited.ask(VERSIONS)).toMatchObject({
      status: 429,
      reason: 'slowly',
      headers: { 'retry-after': '60' },
    });
  });

  it('makes answers private, and leaves those of everybody to everybody', async () => {
    const server = await start();
    const control = async (headers: Record<string, string>) =>
      (await server.ask(VERSIONS, { headers })).headers['cache-control'];
    expect(await control({})).toBe('max-age=10, must-revalidate');
    expect(await control({ Authorization: 'Bearer x' })).toBe('private, max-age=10, must-revalidate');
    expect(await control({ 'X-NuGet-ApiKey': 'x' })).toBe('private, max-age=10, must-revalidate');
  });
});

describe('a feed that fails', () => {
  it.each([
    [
      new FeedUnavailableError('feed', 'https://upstream.test: ECONNREFUSED', { retryAfterMs: 5000 }),
      503,
      /^feed can not/,
    ],
    [new NuGetError('UNSUPPORTED', 'no'), 501, /no source offers/],
    [new Error('/var/lib/secret upstream.test'), 500, /^the server failed/],
  ])('with %s', async (failure, status, reason) => {
    const server = await start();
    server.feed.failure = failure;
    const answer = await server.ask(VERSIONS);
    expect(answer.status).toBe(status);
    expect(answer.reason).toMatch(reason);
    expect(answer.headers['retry-after']).toBe(status === 503 ? '5' : undefined);
    expect(answer.headers['x-cache']).toBe(status === 500 ? undefined : 'miss');
    expect(`${JSON.stringify(answer.headers)}${answer.body}`).not.toMatch(/upstream\.test|secret/);
  });

  it('in a way that is ours is in the log, and nothing else is', async () => {
    const lines: object[] = [];
    const logger = loggerFor({ write: (line) => void lines.push(line) }, { level: 'verbose' });
    const server = await start({ logger });
    server.feed.failure = new FeedUnavailableError('feed', 'down');
    await server.ask(VERSIONS);
    server.feed.failure = new NuGetError('INVALID_VERSION', 'no');
    await server.ask(VERSIONS);
    expect(lines).toEqual([]);
    server.feed.failure = new Error('broken');
    await server.ask(`${VERSIONS}?secret=1`);
    expect(lines).toMatchObject([{ level: 'error', message: `GET ${VERSIONS} failed`, error: { message: 'broken' } }]);
  });
});

describe('a client that goes away', () => {
  it('ends what was done for it, which is no failure', async () => {
    const lines: unknown[] = [];
    const server = await start({ logger: loggerFor({ write: (line) => void lines.push(line) }, { level: 'verbose' }) });
    const asked = new EventEmitter();
    vi.spyOn(server.feed, 'versions').mockImplementation((_, call) => {
      const { signal } = call as { signal: AbortSignal };
      asked.emit('asked', signal);
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    });
    const asking = once(asked, 'asked');
    const socket = server.connect();
    socket.write(`GET ${VERSIONS} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const [signal] = await asking;
    socket.destroy();
    await once(signal, 'abort');
    expect(signal.reason).toMatchObject({ message: 'the client went away' });
    expect(await server.recorded(1)).toMatchObject([{ code: '499', service: 'versions' }]);
    expect(lines).toEqual([]);
  });
});

describe('the records of requests', () => {
  it('say what was asked of whom, and what came of it', async () => {
    const one = new MemoryFeed('one', [record('A', '1.0.0')]);
    const server = await start({ bySource: { one } });
    one.state = 'stale';
    await server.ask('/nuget/one/v3/flatcontainer/a/index.json');
    await server.ask('/nuget/v3/index.json', { method: 'HEAD' });
    await server.ask('/nuget/v3/nothing');
    const [first, second, third] = await server.recorded(3);
    expect(first).toMatchObject({
      protocol: 'nuget',
      service: 'versions',
      method: 'GET',
      code: '200',
      feed: 'one',
      state: 'stale',
    });
    expect(first).toMatchObject({ bytesIn: 0, bytesOut: 22 });
    expect(first!.durationMs).toBeGreaterThan(0);
    expect(first).not.toHaveProperty('subject');
    expect(first).not.toHaveProperty('peer');
    expect(first).not.toHaveProperty('traceId');
    expect(second).toMatchObject({
      service: 'index',
      method: 'HEAD',
      code: '200',
      feed: 'all',
      state: 'hit',
      bytesOut: 0,
    });
    expect(third).toMatchObject({ service: 'other', code: '404' });
  });

  it('have path and peer where they are wanted, and the error where it is ours', async () => {
    const server = await start({ hooks: { wantsDetails: () => true } });
    server.feed.failure = new Error('broken');
    await server.ask(`${VERSIONS}?key=secret`);
    expect(await server.recorded(1)).toMatchObject([
      {
        code: '500',
        subject: VERSIONS,
        peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        error: { message: 'broken' },
      },
    ]);
  });

  it('break nothing when who gets them fails', async () => {
    const onRequest = () => {
      throw new Error('broken');
    };
    const server = await start({ hooks: { onRequest } });
    expect((await server.ask(VERSIONS)).status).toBe(200);
    expect((await server.ask(VERSIONS)).status).toBe(200);
  });
});

describe('the spans of requests', () => {
  it('continue the trace of the client, and lead from the log to it', async () => {
    const tracer = new RecordingTracer();
    const lines: object[] = [];
    const logger = loggerFor({ write: (line) => void lines.push(line) }, { level: 'verbose' });
    const server = await start({ tracer, logger, hooks: { wantsDetails: () => true } });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    server.feed.failure = new Error('broken');
    await server.ask(VERSIONS, { headers: { traceparent, 'User-Agent': 'NuGet/6' } });
    const [seen] = await server.recorded(1);
    const [span] = tracer.spans;
    expect(span).toMatchObject({
      name: 'GET nuget',
      attributes: {
        'http.request.method': 'GET',
        'http.response.status_code': 500,
        'url.path': VERSIONS,
        'user_agent.original': 'NuGet/6',
        'error.type': '500',
      },
      ended: true,
    });
    expect(seen).toMatchObject({ traceId: span!.traceId, spanId: span!.spanId });
    expect(lines[0]).toMatchObject({ properties: { trace_id: span!.traceId } });
    expect(server.feed.calls[0]!.span).toBe(span);
  });

  it('say of a method that nobody knows only that, and bound what clients choose', async () => {
    const tracer = new RecordingTracer();
    const server = await start({ tracer });
    await server.ask('/nuget/v3/index.json', { method: 'PROPFIND', headers: { 'User-Agent': 'x'.repeat(1000) } });
    await server.recorded(1);
    expect(tracer.spans[0]).toMatchObject({
      name: 'HTTP nuget',
      attributes: { 'http.request.method': '_OTHER', 'http.request.method_original': 'PROPFIND' },
    });
    expect(String(tracer.spans[0]!.attributes['user_agent.original'])).toHaveLength(256);
  });
});

describe('a connection', () => {
  it('is used again after errors', async () => {
    const server = await start();
    const socket = server.connect();
    const answers: string[] = [];
    socket.on('data', (bytes) => answers.push(bytes.toString()));
    for (const path of ['/nuget/v3/nothing', '/nuget/v3/%00', VERSIONS]) {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      const before = server.records.length;
      await server.recorded(before + 1);
    }
    while (!answers.join('').includes('{"versions"')) await once(socket, 'data');
    expect(answers.join('').match(/HTTP\/1\.1 (\d+)/g)).toEqual(['HTTP/1.1 404', 'HTTP/1.1 400', 'HTTP/1.1 200']);
    socket.destroy();
  });
});
