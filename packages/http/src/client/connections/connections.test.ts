import { once } from 'node:events';
import { createServer } from 'node:http';
import { constants, type Http2ServerResponse } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HttpError } from '../../http-error.js';
import {
  CA,
  read,
  rejection,
  serveHttp,
  serveHttp2,
  serveHttps,
  serveRaw,
  TestServer,
} from '../../testing/test-server.js';
import { HttpClient } from '../http-client.js';
import type { HttpClientOptions } from '../options.js';

let client: HttpClient;

const clientWith = (options: HttpClientOptions) => {
  client = new HttpClient({ proxy: false, retry: false, ...options });
  return client;
};

afterEach(async () => {
  await client.close({ graceMs: 0 });
});

describe('connections', () => {
  it('are kept alive and used again', async () => {
    await using server = await serveHttp((_, res) => res.end('hello'));
    clientWith({});
    for (let i = 0; i < 20; i++) await client.buffer(server.url);
    // A connection rests for a turn of the event loop after each answer; who calls at once takes another.
    expect(server.connections).toBeLessThanOrEqual(2);
  });

  it('are no more than allowed to a host, and all close with the client', async () => {
    await using server = await serveHttp((_, res) => setImmediate(() => res.end('hello')));
    clientWith({ maxConnectionsPerHost: 3 });
    await Promise.all(Array.from({ length: 50 }, () => client.buffer(server.url)));
    expect(server.connections).toBeLessThanOrEqual(3);
    await client.close();
    await server.idle();
  });

  it('that can not be made in time are given up', async () => {
    // Accepts, and never says a word of TLS.
    await using mute = await serveRaw(() => {});
    const error = await rejection<HttpError>(
      clientWith({ connectTimeoutMs: 50 }).buffer(mute.url.replace('http:', 'https:')),
    );
    expect(error).toMatchObject({ code: 'TIMEOUT', cause: { code: 'UND_ERR_CONNECT_TIMEOUT' } });
  });

  it('leave nothing listening after thousands of calls', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => void warnings.push(warning);
    process.on('warning', onWarning);
    await using server = await serveHttp((_, res) => res.end('hello'));
    clientWith({ maxConnectionsPerHost: 4, throttle: { max: 8 } });
    const { signal } = new AbortController();
    for (let i = 0; i < 20; i++) {
      await Promise.all(Array.from({ length: 100 }, () => client.buffer(server.url, { signal })));
    }
    process.off('warning', onWarning);
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([]);
  });
});

describe('TLS', () => {
  it('trusts the authorities that it is given, and no other', async () => {
    await using server = await serveHttps((_, res) => res.end('secret'));
    expect((await clientWith({ tls: { ca: CA } }).buffer(server.url)).toString()).toBe('secret');
    await client.close();
    const error = await rejection<HttpError>(clientWith({ retry: { initialDelayMs: 0 } }).buffer(server.url));
    expect(error).toMatchObject({ code: 'CERTIFICATE', attempts: 1 });
  });
});

describe('other certificates', () => {
  it('are used for new connections, while what runs keeps its own', async () => {
    let arrived = (_: () => void) => {};
    const finishing = new Promise<() => void>((resolve) => {
      arrived = resolve;
    });
    await using server = await serveHttps((req, res) => {
      if (req.url !== '/slow') return void res.end('secret');
      res.write('se');
      arrived(() => res.end('cret'));
    });
    clientWith({ tls: { ca: CA } });
    const slow = client.buffer(`${server.url}/slow`);
    const finish = await finishing;
    client.useTls({});
    expect(await rejection<HttpError>(client.buffer(server.url))).toMatchObject({ code: 'CERTIFICATE' });
    client.useTls({ ca: CA });
    expect((await client.buffer(server.url)).toString()).toBe('secret');
    finish();
    expect((await slow).toString()).toBe('secret');
    await client.close();
    await server.idle();
    client.useTls({ ca: CA });
    expect(await rejection<HttpError>(client.buffer(server.url))).toMatchObject({ code: 'CLOSED' });
  });

  it('leave no connection of before when the client is closed', async () => {
    await using server = await serveHttps((_, res) => void res.write('se'));
    clientWith({ tls: { ca: CA } });
    const endless = rejection<HttpError>(client.buffer(server.url));
    await vi.waitFor(() => expect(server.connections).toBe(1));
    client.useTls({});
    await client.close({ graceMs: 0 });
    expect(await endless).toMatchObject({ code: 'CLOSED' });
    await server.idle();
  });
});

describe('HTTP/2', () => {
  it('has headers of limited size, too', async () => {
    await using server = await serveHttp2((_, res) =>
      res.writeHead(200, { 'x-long': 'x'.repeat(20_000) }).end('hello'),
    );
    const error = await rejection<HttpError>(clientWith({ tls: { ca: CA } }).request(server.url));
    expect(error).toMatchObject({ code: 'HEADERS_TOO_LARGE', host: server.host });
    await client.close();
    expect((await clientWith({ tls: { ca: CA }, maxHeaderBytes: 25_000 }).buffer(server.url)).toString()).toBe('hello');
  });

  const echo = (req: { httpVersion: string }, res: { end(text: string): void }) => res.end(req.httpVersion);

  it('is spoken where it is offered', async () => {
    await using server = await serveHttp2(echo);
    clientWith({ tls: { ca: CA }, maxConnectionsPerHost: 1 });
    const versions = await Promise.all(Array.from({ length: 10 }, () => client.buffer(server.url)));
    expect(versions.map(String)).toEqual(Array(10).fill('2.0'));
    expect(server.connections).toBe(1);
    await client.close();
    await server.idle();
  });

  it('is not spoken where it is unwanted or not offered', async () => {
    await using server = await serveHttp2(echo);
    expect((await clientWith({ tls: { ca: CA }, http2: false }).buffer(server.url)).toString()).toBe('1.1');
    await client.close();
    await using old = await serveHttps(echo);
    expect((await clientWith({ tls: { ca: CA } }).buffer(old.url)).toString()).toBe('1.1');
  });

  it('repeats streams that were reset, and streams bodies both ways', async () => {
    let calls = 0;
    const size = 1024 * 1024;
    await using server = await serveHttp2((req, res) => {
      if (calls++ === 0) (res as unknown as { stream: { close(code: number): void } }).stream.close(2);
      else req.pipe(res as never);
    });
    clientWith({ tls: { ca: CA }, retry: { initialDelayMs: 0 } });
    const response = await client.request(server.url, { method: 'PUT', body: Buffer.alloc(size, 'x') });
    expect((await read(response.body)).length).toBe(size);
    expect(calls).toBe(2);
  });

  it('takes no response for complete that is cancelled before it is as long as it says', async () => {
    let started: Http2ServerResponse | undefined;
    await using server = await serveHttp2((_, answer) => {
      const res = answer as unknown as Http2ServerResponse;
      res.writeHead(200, { 'content-length': 8 });
      if (started !== undefined) res.end('complete');
      else {
        res.write('half');
        started = res;
      }
    });
    clientWith({ tls: { ca: CA }, retry: { initialDelayMs: 0 } });
    const { body } = await client.request(server.url);
    body.once('data', () => started?.stream.close(constants.NGHTTP2_CANCEL));
    expect(await rejection(once(body, 'end'))).toMatchObject({ code: 'NETWORK', statusCode: 200 });
    expect((await client.buffer(server.url)).toString()).toBe('complete');
  });

  it.each([
    ['GET', 304],
    ['HEAD', 200],
  ])('expects nothing of the length that the answer %s %i says, which has no body', async (method, status) => {
    await using server = await serveHttp2((_, res) => {
      (res as unknown as Http2ServerResponse).stream.respond(
        { ':status': status, 'content-length': 5 },
        { endStream: true },
      );
    });
    clientWith({ tls: { ca: CA } });
    const { statusCode, body } = await client.request(server.url, { method });
    expect([statusCode, (await read(body)).length]).toEqual([status, 0]);
  });

  it('repeats a stream whose connection broke while it was sent', async () => {
    let calls = 0;
    await using server = await serveHttp2((req, res) => {
      if (calls++ === 0) req.once('data', () => server.sockets.forEach((socket) => void socket.resetAndDestroy()));
      else req.pipe(res as never);
    });
    clientWith({ tls: { ca: CA }, retry: { initialDelayMs: 0 } });
    const body = () => {
      const stream = new Readable({ read() {} });
      stream.push('data');
      if (calls > 0) stream.push(null);
      return stream;
    };
    expect((await client.buffer(server.url, { method: 'PUT', body })).toString()).toBe('data');
    expect(calls).toBe(2);
  });
});

describe('a proxy', () => {
  let proxy: TestServer;
  let origin: TestServer;
  let asked: string[];

  beforeEach(async () => {
    asked = [];
    const tunnels = createServer((req, res) => {
      asked.push(`${req.method} ${req.url} ${req.headers['proxy-authorization'] ?? ''}`.trim());
      res.end('from the proxy');
    });
    tunnels.on('connect', (req, socket: Socket) => {
      asked.push(`CONNECT ${req.url}`);
      const [host, port] = (req.url as string).split(':');
      if (req.url?.startsWith('refused')) return void socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      const upstream = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
      socket.on('error', () => upstream.destroy());
      upstream.on('error', () => socket.destroy());
    });
    proxy = await new TestServer(tunnels, 'http').listen();
    origin = await serveHttps((_, res) => res.end('from the origin'));
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    await client.close({ graceMs: 0 });
    await proxy[Symbol.asyncDispose]();
    await origin[Symbol.asyncDispose]();
  });

  it('is taken from the environment: a tunnel for https, requests for http', async () => {
    for (const name of ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'no_proxy', 'NO_PROXY']) {
      vi.stubEnv(name, undefined);
    }
    vi.stubEnv('HTTPS_PROXY', proxy.url);
    vi.stubEnv('HTTP_PROXY', proxy.url);
    vi.stubEnv('NO_PROXY', 'localhost');
    clientWith({ proxy: true, tls: { ca: CA } });
    expect((await client.buffer(origin.url)).toString()).toBe('from the origin');
    expect((await client.buffer('http://feed.test/index.json')).toString()).toBe('from the proxy');
    expect(asked).toEqual([`CONNECT ${origin.host}`, 'GET http://feed.test/index.json']);
    const direct = origin.url.replace('127.0.0.1', 'localhost');
    expect((await client.buffer(direct)).toString()).toBe('from the origin');
    expect(asked).toHaveLength(2);
  });

  it('gets the credentials of its URL, and each host its own name', async () => {
    const httpProxy = proxy.url.replace('http://', 'http://ann:secret@');
    clientWith({ proxy: { httpProxy, noProxy: '' } });
    await client.buffer('http://one.test/');
    await client.buffer('http://two.test/');
    const basic = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
    expect(asked).toEqual([`GET http://one.test/ ${basic}`, `GET http://two.test/ ${basic}`]);
  });

  it('that refuses a tunnel is an error of the network', async () => {
    clientWith({ proxy: { httpsProxy: proxy.url, noProxy: '' } });
    const error = await rejection<HttpError>(client.buffer('https://refused.test/'));
    expect(error).toMatchObject({ code: 'NETWORK', host: 'refused.test' });
    expect(asked).toEqual(['CONNECT refused.test:443']);
  });

  it('may be given as host and port, as other programs take it', async () => {
    vi.stubEnv('http_proxy', proxy.host);
    clientWith({ proxy: { noProxy: '' } });
    await client.buffer('http://one.test/');
    expect(asked).toEqual(['GET http://one.test/']);
  });

  it.each(['http://', 'ftp://ann:secret@proxy.test'])('is refused by name when it is none: %s', (httpsProxy) => {
    const make = () => clientWith({ proxy: { httpsProxy } });
    expect(make).toThrow(/^httpsProxy \(HTTPS_PROXY\) must be a URL/);
    expect(make).not.toThrow('secret');
  });

  it.each(['*', 'a.test, *', '127.0.0.1', '127.0.0.0/8', 'b.test,127.0.0.1/32', '0.0.0.0/0,::/0'])(
    'is not asked for what is excepted by %s',
    async (noProxy) => {
      clientWith({ proxy: { httpsProxy: proxy.url, noProxy }, tls: { ca: CA } });
      expect((await client.buffer(origin.url)).toString()).toBe('from the origin');
      expect(asked).toEqual([]);
      client.useTls({ ca: CA });
      expect((await client.buffer(origin.url)).toString()).toBe('from the origin');
      await client.close();
      await origin.idle();
    },
  );

  it.each(['', '10.0.0.0/8', '127.0.0.1/33', '127.0.0.0/', '128.0.0.0/1', '::1', 'fd00::/8', '127.0.0.1:1'])(
    'is asked for what is not excepted by %o',
    async (noProxy) => {
      clientWith({ proxy: { httpsProxy: proxy.url, noProxy }, tls: { ca: CA } });
      await client.buffer(origin.url);
      expect(asked).toEqual([`CONNECT ${origin.host}`]);
    },
  );

  it('is left out when it is switched off', async () => {
    vi.stubEnv('HTTPS_PROXY', proxy.url);
    clientWith({ proxy: false, tls: { ca: CA } });
    await client.buffer(origin.url);
    expect(asked).toEqual([]);
  });
});

describe('an address that the client may not talk to', () => {
  it('gets no request, whether a URL or a redirect leads to it', async () => {
    let requests = 0;
    await using inner = await serveHttp((_, res) => {
      requests++;
      res.end('secret');
    });
    await using outer = await serveHttp((_, res) => res.writeHead(302, { location: `${inner.url}/stats` }).end());
    const asked: string[] = [];
    clientWith({
      allowsAddress: (address, hostname) => {
        asked.push(`${hostname} ${address}`);
        return asked.length === 1;
      },
    });
    expect(await rejection(client.buffer(outer.url))).toMatchObject({ code: 'ADDRESS_REFUSED', host: inner.host });
    expect(await rejection(client.buffer(inner.url))).toMatchObject({ code: 'ADDRESS_REFUSED', attempts: 1 });
    expect(asked).toEqual(Array.from({ length: 3 }, () => '127.0.0.1 127.0.0.1'));
    expect(requests).toBe(0);
  });

  it('is none of a proxy', async () => {
    await using proxy = await serveHttp((_, res) => res.end('from the proxy'));
    clientWith({ proxy: { httpProxy: proxy.url, noProxy: '' }, allowsAddress: () => false });
    expect((await client.buffer('http://feed.invalid/')).toString()).toBe('from the proxy');
  });
});
