import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HttpError } from '../http-error.js';
import {
  type Answer,
  closed,
  InstantTimers,
  read,
  rejection,
  serveHttp,
  type TestServer,
} from '../testing/test-server.js';
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
  answer = async (req, res) => void res.end(await read(req));
  server = await serveHttp((req, res) => answer(req, res));
});

afterEach(async () => {
  await client?.close({ graceMs: 0 });
  await server[Symbol.asyncDispose]();
});

/** A stream that never says anything. */
const silent = () => new Readable({ read() {} });
const missing = () => createReadStream(new URL('no-such-file', import.meta.url));

describe('a body that is a function', () => {
  it('makes a stream for every attempt of a client that follows redirects, too', async () => {
    const bodies: string[] = [];
    answer = async (req, res) => {
      bodies.push((await read(req)).toString());
      if (bodies.length === 2) res.writeHead(307, { location: '/there' }).end();
      else res.writeHead(bodies.length < 4 ? 503 : 200).end();
    };
    clientWith({ retry: { timers: new InstantTimers() } });
    const body = () => Readable.from([Buffer.from(`part ${bodies.length} `), Buffer.from('end')]);
    await client.buffer(server.url, { method: 'PUT', body });
    expect(bodies).toEqual(['part 0 end', 'part 1 end', 'part 2 end', 'part 3 end']);
  });

  it('makes none for a request that is refused', async () => {
    clientWith({ rateLimiter: { capacity: 1, refillRate: 0 } });
    await client.buffer(server.url);
    let made = 0;
    const body = () => {
      made++;
      return missing();
    };
    const error = await rejection(client.buffer(server.url, { method: 'PUT', body }));
    expect(error).toMatchObject({ code: 'RATE_LIMITED' });
    expect(made).toBe(0);
  });

  it('has its streams closed when there is no connection', async () => {
    const made: Readable[] = [];
    const body = () => {
      made.push(silent());
      return made[made.length - 1]!;
    };
    clientWith({ retry: { maxRetries: 1, timers: new InstantTimers() } });
    const error = await rejection(client.buffer('http://127.0.0.1:1/', { method: 'PUT', body }));
    expect(error).toMatchObject({ code: 'NETWORK', attempts: 2 });
    expect(made.map(({ destroyed }) => destroyed)).toEqual([true, true]);
  });
});

describe('a body that is a stream', () => {
  it('is not sent as nothing when it was read before', async () => {
    const read = Readable.from([Buffer.from('data')]);
    for await (const _ of read);
    const error = await rejection(clientWith({}).buffer(server.url, { method: 'PUT', body: read }));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', attempts: 0 });
    answer = (req, res) => void req.resume().on('end', () => res.writeHead(503).end());
    const same = Readable.from([Buffer.from('data')]);
    clientWith({ retry: { timers: new InstantTimers() } });
    const again = await rejection(client.buffer(server.url, { method: 'PUT', body: () => same }));
    expect(again).toMatchObject({ code: 'INVALID_REQUEST', host: server.host, method: 'PUT' });
  });

  it('is closed when it is not sent', async () => {
    clientWith({ rateLimiter: { capacity: 1, refillRate: 0 } });
    await client.buffer(server.url);
    for (const [url, options, reason] of [
      [server.url, {}, { code: 'RATE_LIMITED' }],
      ['http://127.0.0.1:1/', {}, { code: 'NETWORK' }],
      ['ftp://example.org', {}, { code: 'INVALID_URL' }],
      [server.url, { signal: AbortSignal.abort({ code: 'GONE' }) }, { code: 'GONE' }],
    ] as const) {
      const body = silent();
      expect(await rejection(client.buffer(url, { method: 'PUT', body, ...options }))).toMatchObject(reason);
      expect(body.destroyed).toBe(true);
    }
    await client.close();
    const body = silent();
    await rejection(client.buffer(server.url, { method: 'PUT', body }));
    expect(body.destroyed).toBe(true);
  });

  it('is closed when the answer comes before its end', async () => {
    answer = (_, res) => void res.writeHead(413).end();
    const body = silent();
    body.push('the beginning');
    const error = await rejection(clientWith({}).buffer(server.url, { method: 'PUT', body }));
    expect(error).toMatchObject({ code: 'HTTP_STATUS' });
    await closed(body);
  });

  it('that fails while the call waits is no uncaught exception, but what the call fails with', async () => {
    clientWith({ throttle: { max: 1 } });
    const first = await client.request(server.url, { method: 'PUT', body: 'data' });
    const body = missing();
    const second = rejection(client.buffer(server.url, { method: 'PUT', body }));
    await closed(body);
    await read(first.body);
    expect(await second).toMatchObject({ code: 'FAILED', cause: { code: 'ENOENT' } });
  });

  it.each<[string, Error | undefined, Partial<HttpError>]>([
    [
      'as connections do',
      Object.assign(new Error('aborted'), { code: 'ECONNRESET' }),
      { cause: { message: 'aborted' } },
    ],
    ['as the answer of another host does', new HttpError('NETWORK', 'it broke'), { cause: { code: 'NETWORK' } }],
    ['without a word', undefined, {}],
  ])('is not held against the host when it breaks off %s, nor sent again', async (_, error, details) => {
    let failures = 0;
    let made = 0;
    const metrics = { hostFailed: () => void failures++ };
    clientWith({ retry: { timers: new InstantTimers() }, metrics });
    const breaksOff = () => {
      made++;
      const body = silent();
      body.push('the beginning');
      answer = (req) => void req.once('data', () => body.destroy(error));
      return body;
    };
    for (const body of [breaksOff(), breaksOff]) {
      const failed = await rejection(client.buffer(server.url, { method: 'PUT', body }));
      expect(failed).toMatchObject({ code: 'FAILED', host: server.host, attempts: 1, ...details });
    }
    expect([made, failures]).toEqual([2, 0]);
  });

  it('does not hide that the connection broke', async () => {
    let failures = 0;
    const metrics = { hostFailed: () => void failures++ };
    answer = (req) => void req.once('data', () => req.socket.resetAndDestroy());
    const body = silent();
    body.push('the beginning');
    const failed = await rejection(clientWith({ metrics }).buffer(server.url, { method: 'PUT', body }));
    expect(failed).toMatchObject({ code: 'NETWORK' });
    expect(failures).toBe(1);
  });

  it('that a server has received is left to that server', async () => {
    clientWith({});
    await using proxy = await serveHttp(async (req, res) => {
      const error = await rejection<{ code: string }>(
        client.buffer('http://127.0.0.1:1/', { method: 'PUT', body: req }),
      );
      res.writeHead(502).end(error.code);
    });
    const response = await fetch(proxy.url, { method: 'PUT', body: 'data' });
    expect([response.status, await response.text()]).toEqual([502, 'NETWORK']);
  });
});
