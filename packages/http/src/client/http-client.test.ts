import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { InvalidOptionError } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type HttpError, isHttpError } from '../http-error.js';
import { type Answer, closed, read, rejection, serveHttp, serveRaw, type TestServer } from '../testing/test-server.js';
import { HttpClient } from './http-client.js';
import type { HttpClientOptions } from './options.js';

let server: TestServer;
let answer: Answer;
let client: HttpClient;

const clientWith = (options: HttpClientOptions) => {
  client = new HttpClient({ proxy: false, retry: false, ...options });
  return client;
};

beforeEach(async () => {
  answer = (_, res) => res.end('hello');
  server = await serveHttp((req, res) => answer(req, res));
});

afterEach(async () => {
  await client?.close({ graceMs: 0 });
  await server[Symbol.asyncDispose]();
});

describe('a client', () => {
  it('answers with status, headers and a body that streams', async () => {
    answer = (_, res) => res.writeHead(404, 'Not here', { 'x-a': ['1', '2'] }).end('not here');
    const response = await clientWith({}).request(server.url);
    expect(response.statusCode).toBe(404);
    expect(response.statusText).toBe('Not here');
    expect(response.headers['x-a']).toEqual(['1', '2']);
    expect((await read(response.body)).toString()).toBe('not here');
  });

  it('sends method, path, query, headers and body, and says who it is', async () => {
    let seen: Partial<IncomingMessage> = {};
    let body: Buffer = Buffer.alloc(0);
    answer = async (req, res) => {
      seen = req;
      body = await read(req);
      res.end();
    };
    const url = new URL('/a/b?c=d', server.url);
    await clientWith({ userAgent: 'tool/1' }).buffer(url, {
      method: 'post',
      headers: { 'X-Custom': ['1', '2'], Accept: 'text/plain', skipped: undefined },
      body: new TextEncoder().encode('data'),
    });
    expect(seen.method).toBe('POST');
    expect(seen.url).toBe('/a/b?c=d');
    expect(body.toString()).toBe('data');
    expect(seen.headers).toMatchObject({
      'user-agent': 'tool/1',
      'x-custom': '1, 2',
      accept: 'text/plain',
      'content-length': '4',
    });
    expect(seen.headers?.['accept-encoding']).toContain('gzip');
  });

  it('asks for no compression when the body is wanted as it came', async () => {
    answer = (req, res) => res.end(String(req.headers['accept-encoding']));
    const plain = await clientWith({}).buffer(server.url, { decompress: false });
    expect(plain.toString()).toBe('undefined');
    const asked = { decompress: false, headers: { 'accept-encoding': 'zstd' } };
    expect((await client.buffer(server.url, asked)).toString()).toBe('zstd');
  });

  it('asks for a part of a body as it is, not of what it is when compressed', async () => {
    answer = (req, res) => res.end(String(req.headers['accept-encoding']));
    const headers = { Range: 'bytes=2-5' };
    clientWith({});
    expect((await client.buffer(server.url, { headers })).toString()).toBe('identity');
    expect((await client.buffer(server.url, { headers, decompress: false })).toString()).toBe('identity');
    const asked = { headers: { ...headers, 'accept-encoding': 'br' } };
    expect((await client.buffer(server.url, asked)).toString()).toBe('br');
  });

  it.each([
    ['a string', 'data'],
    ['bytes', Buffer.from('data')],
    ['a stream', Readable.from([Buffer.from('da'), Buffer.from('ta')])],
    ['a function that makes a stream', () => Readable.from([Buffer.from('data')])],
  ])('sends %s', async (_, body) => {
    answer = async (req, res) => res.end(await read(req));
    expect((await clientWith({}).buffer(server.url, { method: 'PUT', body })).toString()).toBe('data');
  });

  it('collects a body of several pieces', async () => {
    const size = 3 * 1024 * 1024;
    answer = (_, res) => res.end(Buffer.alloc(size, 'x'));
    const body = await clientWith({}).buffer(server.url);
    expect(body.length).toBe(size);
    expect(body.every((byte) => byte === 120)).toBe(true);
  });

  it('reads JSON, with a byte order mark or without, and asks for it', async () => {
    answer = (req, res) => res.end(`${req.url === '/bom' ? '\ufeff' : ''}{"accept":"${req.headers.accept}"}`);
    expect(await clientWith({}).json<{ accept: string }>(server.url)).toEqual({ accept: 'application/json' });
    expect(await client.json(`${server.url}/bom`)).toEqual({ accept: 'application/json' });
  });

  it('says what is no JSON', async () => {
    answer = (_, res) => res.end('<html>');
    const error = await rejection<HttpError>(clientWith({}).json(server.url));
    expect(error).toMatchObject({ code: 'DECODE_FAILED', statusCode: 200, attempts: 1, host: server.host });
    expect(error.cause).toBeInstanceOf(SyntaxError);
  });

  it.each([300, 304, 404, 410, 501])('refuses status %i of what is wanted whole', async (status) => {
    answer = (_, res) => res.writeHead(status).end();
    const error = await rejection<HttpError>(clientWith({}).buffer(server.url));
    expect(isHttpError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'HTTP_STATUS', status, statusCode: status, method: 'GET', host: server.host });
  });

  it('keeps its connection past a short refusal, and cuts a long one off', async () => {
    answer = (req, res) => {
      if (req.url === '/long') res.writeHead(404).write(Buffer.alloc(1024 * 1024));
      else res.writeHead(404).end('no');
    };
    clientWith({ maxConnectionsPerHost: 1 });
    for (let i = 0; i < 3; i++) await rejection(client.buffer(server.url));
    expect(server.connections).toBe(1);
    const [socket] = server.sockets;
    await rejection(client.buffer(`${server.url}/long`));
    await closed(socket as Socket);
  });

  it('skips informational responses', async () => {
    await using raw = await serveRaw((socket) =>
      socket.write('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
    );
    expect((await clientWith({}).buffer(raw.url)).toString()).toBe('ok');
    const streamed = await client.request(raw.url);
    expect(streamed.statusCode).toBe(200);
    expect((await read(streamed.body)).toString()).toBe('ok');
  });

  it('answers HEAD without waiting for a body', async () => {
    answer = (_, res) => res.writeHead(200, { 'content-length': 999_999_999, 'content-encoding': 'gzip' }).end();
    const response = await clientWith({ maxStreamBytes: 10 }).request(server.url, { method: 'HEAD' });
    expect(response.headers['content-length']).toBe('999999999');
    expect((await read(response.body)).length).toBe(0);
  });

  it('holds the server back while nobody reads', async () => {
    let held = () => {};
    const full = new Promise<void>((resolve) => {
      held = resolve;
    });
    // Endless, unless somebody holds it back.
    answer = (_, res) => {
      const more = () => {
        while (res.write(Buffer.alloc(64 * 1024)));
        if ((res.socket?.writableLength ?? 0) > 4 * 64 * 1024) held();
        else setImmediate(more);
      };
      more();
    };
    const response = await clientWith({}).request(server.url);
    await full;
    expect(response.body.readableLength).toBeLessThan(256 * 1024);
    response.body.destroy();
    await server.idle();
  });
});

describe('an error', () => {
  it('is known across copies of the package', () => {
    const foreign = { [Symbol.for('granary.error')]: true, name: 'HttpError', code: 'TIMEOUT' };
    expect(isHttpError(foreign)).toBe(true);
    expect([undefined, new Error('TIMEOUT'), { ...foreign, name: 'TimeoutError' }].some(isHttpError)).toBe(false);
  });

  it('has neither credentials nor path nor query in it', async () => {
    answer = (req) => req.socket.destroy();
    const headers = { authorization: 'Bearer hunter2' };
    const url = `${server.url}/private?token=hunter2`;
    const error = await rejection<HttpError>(clientWith({}).buffer(url, { headers }));
    expect(error.message).toBe(`GET ${server.host}: the server closed the connection`);
    expect(JSON.stringify({ ...error, message: error.message })).not.toContain('hunter2');
    expect(error.cause).toMatchObject({ code: 'UND_ERR_SOCKET' });
  });

  it.each([
    ['no URL', 'http://[', 'INVALID_URL'],
    ['another scheme', 'ftp://example.test/', 'INVALID_URL'],
    ['credentials', 'http://ann:hunter2@example.test/', 'INVALID_URL'],
  ])('says that the URL is %s', async (_, url, code) => {
    const error = await rejection<HttpError>(clientWith({}).request(url));
    expect(error.code).toBe(code);
    expect(String(error)).not.toContain('hunter2');
  });

  it.each([
    ['a header with a line break', { headers: { a: 'b\r\nc: d' } }],
    ['a method that is none', { method: 'GE T' }],
    ['a time below 0', { timeoutMs: -1 }],
    ['a time that is a text', { timeoutMs: '5000' as never }],
    ['a limit of nothing', { maxBodyBytes: 0 }],
    ['half a redirect', { maxRedirects: 0.5 }],
    ['a tunnel', { method: 'connect' }],
  ])('says that %s is not valid', async (_, options) => {
    expect(await rejection(clientWith({}).request(server.url, options))).toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('tells an error of the own body from one of the server', async () => {
    const body = () => {
      throw new Error('no such file');
    };
    const error = await rejection<HttpError>(clientWith({}).request(server.url, { method: 'PUT', body }));
    expect(error).toMatchObject({ code: 'FAILED', cause: { message: 'no such file' } });
  });

  it.each([
    ['nobody listens', 'http://127.0.0.1:1/', 'NETWORK'],
    ['the name is unknown', 'http://host.invalid/', 'NETWORK'],
  ])('is one of the network when %s', async (_, url, code) => {
    expect(await rejection(clientWith({}).request(url))).toMatchObject({ code, attempts: 1 });
  });

  it.each([
    ['what comes is no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['the body is cut off', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'],
    ['a chunk is cut off', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nhalf'],
  ])('is one of the network when %s', async (_, bytes) => {
    await using raw = await serveRaw((socket) => socket.end(bytes));
    expect(await rejection(clientWith({}).buffer(raw.url))).toMatchObject({ code: 'NETWORK' });
  });

  it('breaks a body off that has begun', async () => {
    await using raw = await serveRaw((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'));
    const { body } = await clientWith({}).request(raw.url);
    expect(await rejection(read(body))).toMatchObject({ code: 'NETWORK', statusCode: 200 });
  });
});

describe('limits', () => {
  it('turn away calls that are too many', async () => {
    clientWith({ maxCalls: 1 });
    const first = client.request(server.url);
    expect(await rejection(client.request(server.url))).toMatchObject({ code: 'QUEUE_FULL', host: server.host });
    await read((await first).body);
    expect((await client.buffer(server.url)).toString()).toBe('hello');
  });

  it.each(['buffer', 'json'] as const)('end what %s gets too much of, announced or not', async (how) => {
    answer = (req, res) => {
      if (req.url === '/announced') res.writeHead(200, { 'content-length': 101 });
      res.end(Buffer.alloc(101, '1'));
    };
    clientWith({ maxBodyBytes: 100 });
    for (const path of ['/announced', '/']) {
      const error = await rejection(client[how](server.url + path));
      expect(error).toMatchObject({ code: 'BODY_TOO_LARGE', statusCode: 200, attempts: 1, host: server.host });
    }
    expect((await client.buffer(server.url, { maxBodyBytes: 101 })).length).toBe(101);
  });

  it('leave streams alone unless asked', async () => {
    answer = (_, res) => res.end(Buffer.alloc(1000));
    clientWith({ maxBodyBytes: 100 });
    expect((await read((await client.request(server.url)).body)).length).toBe(1000);
    const { body } = await clientWith({ maxStreamBytes: 500 }).request(server.url, { maxBodyBytes: 1000 });
    expect((await read(body)).length).toBe(1000);
    expect(await rejection(client.request(server.url).then(({ body }) => read(body)))).toMatchObject({
      code: 'BODY_TOO_LARGE',
    });
  });

  it('end headers that are too long', async () => {
    answer = (_, res) => res.writeHead(200, { 'x-long': 'x'.repeat(5000) }).end();
    const error = await rejection(clientWith({ maxHeaderBytes: 4096 }).buffer(server.url));
    expect(error).toMatchObject({ code: 'HEADERS_TOO_LARGE' });
  });
});

describe('time', () => {
  it('is limited for the headers of an attempt', async () => {
    answer = () => {};
    const error = await rejection(clientWith({ headersTimeoutMs: 20 }).buffer(server.url));
    expect(error).toMatchObject({ code: 'TIMEOUT', cause: { code: 'UND_ERR_HEADERS_TIMEOUT' } });
  });

  it('is limited for headers as a request says itself', async () => {
    const waiting = new Promise<ServerResponse>((resolve) => {
      answer = (_, res) => resolve(res);
    });
    const client = clientWith({ headersTimeoutMs: 20 });
    const patient = client.buffer(server.url, { headersTimeoutMs: 0 });
    const response = await waiting;
    // When time is over for one that came later, it would have been for the first one.
    expect(await rejection(client.buffer(server.url))).toMatchObject({ code: 'TIMEOUT' });
    response.end('at last');
    expect((await patient).toString()).toBe('at last');
    const error = await rejection(client.buffer(server.url, { headersTimeoutMs: -1 }));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('is limited between two pieces of a body', async () => {
    answer = (_, res) => res.write('a piece');
    const error = await rejection(clientWith({ bodyTimeoutMs: 20 }).buffer(server.url));
    expect(error).toMatchObject({ code: 'TIMEOUT', statusCode: 200 });
  });

  it('is limited for a call as a whole, however bravely a body trickles', async () => {
    const time = new ManualTime();
    answer = (_, res) => {
      res.write('.');
      time.setTimeout(function more() {
        res.write('.');
        time.setTimeout(more, 100);
      }, 100);
    };
    const { body } = await clientWith({ timeoutMs: 1000, timers: time, clock: time.clock }).request(server.url);
    const broken = rejection(read(body));
    await time.advance(999);
    expect(body.destroyed).toBe(false);
    await time.advance(1);
    expect(await broken).toMatchObject({ code: 'TIMEOUT', cause: { code: 'TIMEOUT', timeoutMs: 1000 } });
    await server.idle();
  });

  it('is limited while a call waits for a connection', async () => {
    const time = new ManualTime();
    const arrived = new Promise<void>((resolve) => {
      answer = () => resolve();
    });
    clientWith({ maxConnectionsPerHost: 1, timeoutMs: 0, timers: time });
    const holder = rejection(client.buffer(server.url));
    await arrived;
    const waiting = rejection(client.buffer(server.url, { timeoutMs: 50 }));
    await time.advance(50);
    expect(await waiting).toMatchObject({ code: 'TIMEOUT' });
    await client.close({ graceMs: 0 });
    expect(await holder).toMatchObject({ code: 'CLOSED' });
  });

  it.each<[string, HttpClientOptions]>([
    ['a token', { rateLimiter: { capacity: 2, refillRate: 50 } }],
    ['a place', { throttle: { max: 2 } }],
  ])('is limited while a call waits for a connection that has waited for %s before', async (_, options) => {
    const time = new ManualTime();
    const answers: (() => void)[] = [];
    let arrived = () => {};
    answer = (_, res) => {
      answers.push(() => res.end('hello'));
      arrived();
    };
    const arrival = () =>
      new Promise<void>((resolve) => {
        arrived = resolve;
      });
    clientWith({ ...options, maxConnectionsPerHost: 1, timeoutMs: 0, clock: time.clock, timers: time });
    const firstArrived = arrival();
    const first = client.buffer(server.url);
    const holder = rejection(client.buffer(server.url));
    const waiting = rejection(client.buffer(server.url, { timeoutMs: 50 }));
    await firstArrived;
    const holderArrived = arrival();
    answers[0]?.();
    await first;
    await holderArrived;
    await time.advance(20);
    await time.advance(30);
    expect(await waiting).toMatchObject({ code: 'TIMEOUT' });
    await client.close({ graceMs: 0 });
    expect(await holder).toMatchObject({ code: 'CLOSED' });
    expect(answers).toHaveLength(2);
  });

  it('is not limited where it is infinite, and may be a fraction', async () => {
    clientWith({ timeoutMs: Infinity, connectTimeoutMs: Infinity, headersTimeoutMs: 1000.5, bodyTimeoutMs: 0 });
    expect((await client.buffer(server.url)).toString()).toBe('hello');
  });

  it('leaves no timer behind', async () => {
    const time = new ManualTime();
    clientWith({ timers: time });
    await client.buffer(server.url);
    await read((await client.request(server.url)).body);
    answer = (req) => req.socket.destroy();
    await rejection(client.buffer(server.url));
    expect(time.pending).toBe(0);
  });
});

describe('an abort', () => {
  it('rejects with its reason before anything is sent', async () => {
    const reason = new Error('not any more');
    expect(await rejection(clientWith({}).buffer(server.url, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(server.connections).toBe(0);
  });

  it('ends a call that waits for its headers, and its connection', async () => {
    const abort = new AbortController();
    const reason = new Error('not any more');
    answer = () => abort.abort(reason);
    expect(await rejection(clientWith({}).buffer(server.url, { signal: abort.signal }))).toBe(reason);
    await server.idle();
  });

  it('breaks a body off', async () => {
    const abort = new AbortController();
    answer = (_, res) => res.write('a piece');
    const { body } = await clientWith({}).request(server.url, { signal: abort.signal });
    const broken = rejection(read(body));
    abort.abort();
    expect(await broken).toMatchObject({ name: 'AbortError' });
    await server.idle();
  });

  it('ends a call that waits for a connection at once, and it is never sent', async () => {
    const paths: (string | undefined)[] = [];
    let finish = () => {};
    const arrived = new Promise<void>((resolve) => {
      answer = (req, res) => {
        paths.push(req.url);
        if (req.url === '/holder') {
          finish = () => res.end();
          resolve();
        } else res.end();
      };
    });
    clientWith({ maxConnectionsPerHost: 1 });
    const holder = client.buffer(new URL('/holder', server.url));
    await arrived;
    const abort = new AbortController();
    const waiting = rejection(client.buffer(new URL('/aborted', server.url), { signal: abort.signal }));
    const next = client.buffer(new URL('/next', server.url));
    abort.abort();
    expect(await waiting).toMatchObject({ name: 'AbortError' });
    finish();
    await Promise.all([holder, next]);
    expect(paths).toEqual(['/holder', '/next']);
  });

  it('leaves no listener on the signal, however the call ended', async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    clientWith({});
    await client.buffer(server.url, { signal });
    await read((await client.request(server.url, { signal })).body);
    (await client.request(server.url, { signal })).body.destroy();
    answer = (req) => req.socket.destroy();
    await rejection(client.buffer(server.url, { signal }));
    expect(listeners).toBe(0);
  });

  it('of a body by its reader closes the connection and breaks nothing else', async () => {
    answer = (_, res) => res.write('a piece');
    const { body } = await clientWith({}).request(server.url);
    body.destroy();
    await closed(body);
    await server.idle();
    answer = (_, res) => res.end('hello');
    expect((await client.buffer(server.url)).toString()).toBe('hello');
  });

  it('is no uncaught exception where nobody reads', async () => {
    const abort = new AbortController();
    answer = (_, res) => res.write('a piece');
    const { body } = await clientWith({}).request(server.url, { signal: abort.signal });
    abort.abort();
    await closed(body);
    expect(await rejection(read(body))).toMatchObject({ name: 'AbortError' });
  });
});

describe('closing', () => {
  it('waits for what runs, takes no more, closes all connections, and can be repeated', async () => {
    let finish = () => {};
    const arrived = new Promise<void>((resolve) => {
      answer = (_, res) => {
        finish = () => res.end('late');
        resolve();
      };
    });
    clientWith({});
    const running = client.buffer(server.url);
    await arrived;
    const closed = client.close();
    expect(client.close()).toBe(closed);
    expect(await rejection(client.buffer(server.url))).toMatchObject({ code: 'CLOSED' });
    finish();
    expect((await running).toString()).toBe('late');
    await closed;
    await client[Symbol.asyncDispose]();
    await server.idle();
  });

  it.each([[Number.POSITIVE_INFINITY], [2 ** 31]])('waits as long as it must when told so: %d', async (graceMs) => {
    answer = (_, res) => void setTimeout(() => res.end('late'), 20);
    const running = clientWith({}).buffer(server.url);
    await client.close({ graceMs });
    expect((await running).toString()).toBe('late');
  });

  it('refuses a time that is none', () => {
    expect(() => clientWith({}).close({ graceMs: Number.NaN })).toThrow('graceMs');
  });

  it('ends what takes longer than it may', async () => {
    const arrived = new Promise<void>((resolve) => {
      answer = (_, res) => {
        res.write('a piece');
        resolve();
      };
    });
    clientWith({});
    const collected = rejection(client.buffer(server.url));
    const { body } = await client.request(server.url);
    const streamed = rejection(read(body));
    await arrived;
    await client.close({ graceMs: 1 });
    expect(await collected).toMatchObject({ code: 'CLOSED' });
    expect(await streamed).toMatchObject({ code: 'CLOSED' });
    await server.idle();
  });
});

describe('options', () => {
  it.each([
    ['timeoutMs', -1],
    ['timeoutMs', '5000'],
    ['maxStreamBytes', '5'],
    ['connectTimeoutMs', Number.NaN],
    ['headersTimeoutMs', -1],
    ['bodyTimeoutMs', -1],
    ['keepAliveMs', 0],
    ['maxConnectionsPerHost', 0],
    ['maxCalls', 0],
    ['maxRedirects', 1.5],
    ['maxBodyBytes', 0],
    ['maxStreamBytes', -1],
    ['maxHeaderBytes', 0],
    ['userAgent', 'a\nb'],
    ['retry', { maxRetries: -1 }],
    ['circuitBreaker', { maxFailures: 0 }],
    ['rateLimiter', { capacity: 0 }],
    ['throttle', { max: 0 }],
  ])('that make no sense are refused by name: %s', (name, value) => {
    const make = () => new HttpClient({ [name]: value });
    expect(make).toThrow(InvalidOptionError);
    expect(make).toThrow(typeof value === 'object' ? (Object.keys(value)[0] as string) : name);
  });
});
