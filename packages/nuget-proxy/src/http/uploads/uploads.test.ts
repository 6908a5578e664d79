import { once } from 'node:events';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { NoSpaceError } from '@granary/blobs';
import { NuGetError } from '@granary/nuget';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FeedAccessError } from '../hooks.js';
import { record } from '../testing/memory-feed.js';
import { type AskInit, TestServer } from '../testing/test-server.js';

const PACKAGE = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7) % 256));
const PATH = '/nuget/v3/package';
const BOUNDARY = '-----------------------------8d3b7e5f';

let server: TestServer;

const start = async (options: Parameters<typeof TestServer.start>[0] = {}) => {
  server = await TestServer.start(options);
};

beforeEach(() => start());

afterEach(async () => {
  expect(await server.left()).toEqual([]);
  await server[Symbol.asyncDispose]();
});

const form = (content: Buffer | string, { eol = '\r\n', end = '\r\n' } = {}) =>
  Buffer.concat([
    Buffer.from(`--${BOUNDARY}${eol}Content-Disposition: form-data; name="package"; filename="package.nupkg"${eol}`),
    Buffer.from(`Content-Type: application/octet-stream${eol}${eol}`),
    Buffer.from(content as string),
    Buffer.from(`${eol}--${BOUNDARY}--${end}`),
  ]);

const push = (body: AskInit['body'], headers: Record<string, string> = {}) =>
  server.ask(PATH, {
    method: 'PUT',
    headers: { 'Content-Type': `multipart/form-data; boundary="${BOUNDARY}"`, 'X-NuGet-ApiKey': 'key', ...headers },
    ...(body !== undefined && { body }),
  });

describe('a push', () => {
  it('of a form reaches the feed as it is, with its key', async () => {
    expect(await push(form(PACKAGE))).toMatchObject({ status: 201 });
    const [pushed] = server.feed.pushed;
    expect(pushed).toMatchObject({ apiKey: 'key' });
    expect(pushed?.bytes.equals(PACKAGE)).toBe(true);
    expect((await server.recorded(1))[0]).toMatchObject({
      service: 'push',
      code: '201',
      bytesIn: form(PACKAGE).length,
    });
  });

  it('is asked room for, and ends where there is none', async () => {
    const asked = vi.fn(async (_bytes: number) => {});
    await server[Symbol.asyncDispose]();
    await start({ makeRoom: asked });
    expect(await push(form(PACKAGE))).toMatchObject({ status: 201 });
    expect(asked.mock.calls[0]?.[0]).toBeGreaterThanOrEqual(PACKAGE.length);
    asked.mockRejectedValue(new NoSpaceError('the disk is full'));
    expect(await push(form(PACKAGE))).toMatchObject({ status: 507, reason: 'there is no room for the package' });
  });

  it('in chunks, too', async () => {
    const body = form(PACKAGE);
    const pieces = [body.subarray(0, 7), body.subarray(7, 170), body.subarray(170, 150_000), body.subarray(150_000)];
    expect(await push(pieces)).toMatchObject({ status: 201 });
    expect(server.feed.pushed[0]?.bytes.equals(PACKAGE)).toBe(true);
  });

  it.each([
    ['that ends with a bare line feed', { end: '\n' }],
    ['that ends without one', { end: '' }],
    ['whose lines do', { eol: '\n', end: '\n' }],
  ])('of a form %s', async (_, how) => {
    expect(await push(form(PACKAGE, how))).toMatchObject({ status: 201 });
    expect(server.feed.pushed[0]?.bytes.equals(PACKAGE)).toBe(true);
  });

  it.each([['application/octet-stream'], ['application/zip'], ['application/x-www-form-urlencoded'], ['']])(
    'of the package as it is, as %j',
    async (type) => {
      expect(await push(PACKAGE, { 'Content-Type': type })).toMatchObject({ status: 201 });
      expect(server.feed.pushed[0]?.bytes.equals(PACKAGE)).toBe(true);
    },
  );

  it.each([
    ['nothing', Buffer.alloc(0), {}, 400, /no file in it|ended before/],
    ['an empty file', form(''), {}, 400, /no package in the body/],
    ['an empty body', Buffer.alloc(0), { 'Content-Type': 'application/octet-stream' }, 400, /no package/],
    ['a form without a boundary', form(PACKAGE), { 'Content-Type': 'multipart/form-data' }, 400, /no boundary/],
    ['a form that stops', form(PACKAGE).subarray(0, -80), {}, 400, /ended before its end/],
    ['a form with no file', Buffer.from(`--${BOUNDARY}--\r\n`), {}, 400, /no file in it/],
    [
      'another multipart',
      form(PACKAGE),
      { 'Content-Type': 'multipart/mixed; boundary=x' },
      415,
      /multipart\/form-data/,
    ],
    ['JSON', '{}', { 'Content-Type': 'application/json' }, 415, /multipart\/form-data/],
    ['a compressed body', form(PACKAGE), { 'Content-Encoding': 'gzip' }, 415, /without a content coding/],
  ])('of %s is refused, and says why', async (_, body, headers, status, reason) => {
    const answer = await push(body, headers as Record<string, string>);
    expect(answer.status).toBe(status);
    expect(answer.reason).toMatch(reason);
    expect(server.feed.pushed).toEqual([]);
  });

  it.each([
    [new NuGetError('CONFLICT', 'A 1.0.0 is there already'), 409, 'A 1.0.0 is there already'],
    [new NuGetError('INVALID_PACKAGE', '{path} is no ZIP'), 400, 'the package is no ZIP'],
    [new NuGetError('FORBIDDEN', 'the key is not for A'), 403, 'the key is not for A'],
    [new NuGetError('UNSUPPORTED', 'x'), 403, 'nothing can be pushed to this feed, or deleted from it'],
  ])('that the feed refuses with %s', async (failure, status, reason) => {
    server.feed.failure = failure;
    expect(await push(form(PACKAGE))).toMatchObject({ status, reason });
  });

  it('is refused at once where nothing can be pushed', async () => {
    await server[Symbol.asyncDispose]();
    await start({ offers: () => ({ canPublish: false, hasVulnerabilities: false }) });
    expect(await push(form(PACKAGE))).toMatchObject({ status: 403, reason: 'nothing can be pushed to this feed' });
  });
});

describe('the limits of pushes', () => {
  const limited = async (limits: object) => {
    await server[Symbol.asyncDispose]();
    await start({ limits });
  };

  it('are those of one package, as it says its length', async () => {
    await limited({ maxPackageBytes: 1000 });
    expect(await push(form(Buffer.alloc(1000, 1)))).toMatchObject({ status: 201 });
    expect(await push(form(Buffer.alloc(1001, 1)))).toMatchObject({
      status: 413,
      reason: 'a package has at most 1000 bytes here',
    });
    expect(await push(Buffer.alloc(2_000_000), { 'Content-Type': 'application/octet-stream' })).toMatchObject({
      status: 413,
    });
  });

  it("are those of one package that doesn't, and of what is around it", async () => {
    await limited({ maxPackageBytes: 1000 });
    const chunks = Array.from({ length: 40 }, () => Buffer.alloc(64 * 1024, 1));
    expect(await push(chunks, { 'Content-Type': 'application/octet-stream' })).toMatchObject({ status: 413 });
    const start = form('a');
    expect(await push([start, ...chunks])).toMatchObject({ status: 413 });
    expect(await push([Buffer.from('preamble'), ...chunks])).toMatchObject({ status: 413 });
  });

  it('are those of all packages together', async () => {
    await limited({ maxPackageBytes: 300_000, maxIncomingBytes: 300_000 });
    let second: Promise<unknown> | undefined;
    vi.spyOn(server.feed, 'push').mockImplementation(async () => {
      second ??= push(form(PACKAGE));
      await second;
    });
    expect(await push(form(PACKAGE))).toMatchObject({ status: 201 });
    expect(await second).toMatchObject({ status: 507, reason: 'too much is being pushed at the same time' });
    expect(await push(form(PACKAGE))).toMatchObject({ status: 201 });
  });

  it('are those of a client that sends nothing', async () => {
    await limited({ bodyIdleMs: 20 });
    const { socket, text } = raw('Content-Length: 100\r\nContent-Type: application/octet-stream\r\n\r\nabc');
    expect(await text(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 408 the client sends nothing\r\n/);
    socket.destroy();
  });
});

describe('a client that pushes', () => {
  it('and asks first is told to go on', async () => {
    const sent = request({
      port: Number(server.host.split(':')[1]),
      host: '127.0.0.1',
      path: PATH,
      method: 'PUT',
      headers: { Expect: '100-continue', 'Content-Type': 'application/octet-stream', 'Content-Length': PACKAGE.length },
      agent: false,
    });
    let told = 0;
    sent.on('continue', () => told++);
    sent.flushHeaders();
    await once(sent, 'continue');
    expect(server.feed.pushed).toEqual([]);
    sent.end(PACKAGE);
    const [response] = await once(sent, 'response');
    expect([response.statusCode, told]).toEqual([201, 1]);
    response.resume();
  });

  it.each([
    ['is not let in', 401, {}],
    ['has too much', 413, { 'Content-Length': '99999999999' }],
    ['has something else', 415, { 'Content-Type': 'text/html' }],
  ])('and asks first, and %s, need not send it', async (_, status, headers) => {
    if (status === 401) {
      await server[Symbol.asyncDispose]();
      await start({
        hooks: {
          authorize: () => {
            throw new FeedAccessError('UNAUTHENTICATED', 'who?');
          },
        },
      });
    }
    const all = { 'Content-Type': 'application/octet-stream', 'Content-Length': '100', ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    const { socket, text } = raw(`Expect: 100-continue\r\n${lines.join('')}\r\n`);
    const answer = await text(/\r\n\r\n/);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/Connection: close/i);
    if (status === 401) expect(answer).toMatch(/WWW-Authenticate: Basic/i);
    socket.end();
    if (!socket.closed) await once(socket, 'close');
  });

  it('and asks first but does not wait reads why it is refused', async () => {
    const { socket, text } = raw('Expect: 100-continue\r\nContent-Type: text/html\r\nContent-Length: 500000\r\n\r\n');
    expect(await text(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 415 /);
    const failures: Error[] = [];
    socket.on('error', (error) => failures.push(error));
    socket.write(Buffer.alloc(500_000));
    await once(socket, 'end');
    socket.end();
    expect(await server.recorded(1)).toMatchObject([{ code: '415', bytesIn: 500_000 }]);
    expect(failures).toEqual([]);
  });

  it('and was told to go on reads why it is refused after all', async () => {
    await server[Symbol.asyncDispose]();
    await start({ limits: { maxPackageBytes: 100_000 } });
    const { socket, text } = raw('Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n');
    await text(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536), Buffer.from('\r\n')]);
    const sending = setInterval(() => socket.write(chunk), 1);
    try {
      expect(await text(/413[\s\S]*\r\n\r\n[\s\S]*\n/)).toMatch(/a package has at most 100000 bytes here\n$/);
    } finally {
      clearInterval(sending);
      socket.destroy();
    }
    expect(await server.recorded(1)).toMatchObject([{ code: '413' }]);
  });

  it('more than is drained reads why it is refused', async () => {
    await server[Symbol.asyncDispose]();
    const authorize = () => {
      throw new FeedAccessError('UNAUTHENTICATED', 'who?');
    };
    await start({ hooks: { authorize } });
    const answer = await push(Buffer.alloc(16 * 1024 * 1024));
    expect(answer).toMatchObject({ status: 401, reason: 'who?', headers: { connection: 'close' } });
  });

  it.each([100, 500_000])('is counted as received: %i bytes', async (size) => {
    await server[Symbol.asyncDispose]();
    const authorize = () => {
      throw new FeedAccessError('UNAUTHENTICATED', 'who?');
    };
    await start({ hooks: { authorize } });
    expect(await push(Buffer.alloc(size))).toMatchObject({ status: 401 });
    expect(await server.recorded(1)).toMatchObject([{ code: '401', bytesIn: size }]);
  });

  it('is counted as received once, though it turns out only later to be more than is drained', async () => {
    await server[Symbol.asyncDispose]();
    const authorize = () => {
      throw new FeedAccessError('UNAUTHENTICATED', 'who?');
    };
    await start({ hooks: { authorize } });
    const pieces = Array.from({ length: 32 }, () => Buffer.alloc(65_536));
    expect(await server.ask(PATH, { method: 'PUT', body: pieces })).toMatchObject({ status: 401 });
    expect(await server.recorded(1)).toMatchObject([{ code: '401', bytesIn: 32 * 65_536 }]);
  });

  it('little can go on with the same connection after it was refused', async () => {
    const body = 'x'.repeat(1000);
    const head = `PUT ${PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n`;
    const { socket, text } = raw(undefined, `${head}${body}${head}${body}GET ${PATH} HTTP/1.1\r\nHost: a\r\n\r\n`);
    expect((await text(/405[\s\S]*\r\n\r\n/)).match(/HTTP\/1\.1 \d+/g)).toEqual([
      'HTTP/1.1 415',
      'HTTP/1.1 415',
      'HTTP/1.1 405',
    ]);
    socket.destroy();
  });

  it('and goes away leaves nothing', async () => {
    const { socket } = raw('Content-Length: 100000\r\nContent-Type: application/octet-stream\r\n\r\nabc');
    while ((await server.left()).length === 0) await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    expect(await server.recorded(1)).toMatchObject([{ code: '499', bytesIn: 3 }]);
    while ((await server.left()).length > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(server.feed.pushed).toEqual([]);
  });
});

describe('a version', () => {
  beforeEach(() => server.feed.add(record('My.Package', '1.0.0-Beta')));

  it.each([
    ['DELETE', 204, 'delete'],
    ['POST', 200, 'relist'],
  ])('is changed by %s, however it is written', async (method, status, what) => {
    const init = { method, headers: { 'X-NuGet-ApiKey': 'key', 'Content-Length': '0' } };
    const answer = await server.ask(`${PATH}/My.Package/1.0-beta`, init);
    expect([answer.status, answer.body.length]).toEqual([status, 0]);
    expect(server.feed.changes).toEqual([`${what} my.package/1.0.0-beta key`]);
    expect(await server.ask(`${PATH}/none/1.0.0`, init)).toMatchObject({ status: 404 });
    expect(await server.ask(`${PATH}/My.Package/x`, init)).toMatchObject({ status: 400 });
    expect(await server.ask(`${PATH}/My.Package`, init)).toMatchObject({ status: 404 });
    expect((await server.recorded(4)).map(({ service }) => service)).toEqual([what, what, 'other', 'other']);
  });
});

/** Pushes on a bare connection: the rest of the head and what follows, or all of it. */
function raw(
  rest: string | undefined,
  whole = `PUT ${PATH} HTTP/1.1\r\nHost: a\r\n${rest}`,
): {
  readonly socket: Socket;
  readonly text: (wanted: RegExp) => Promise<string>;
} {
  const socket = server.connect();
  let seen = '';
  socket.on('data', (bytes) => {
    seen += bytes.toString('latin1');
  });
  socket.write(whole);
  return {
    socket,
    text: async (wanted) => {
      while (!wanted.test(seen)) await once(socket, 'data');
      return seen;
    },
  };
}
