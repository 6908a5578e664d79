import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HttpError } from '../../http-error.js';
import {
  CA,
  rejection,
  serveHttp,
  serveHttp2,
  serveHttps,
  serveRaw,
  type TestServer,
} from '../../testing/test-server.js';
import { HttpClient } from '../http-client.js';
import type { HttpClientOptions } from '../options.js';

let client: HttpClient;

const clientOf = (httpProxy: string, options: HttpClientOptions = {}) => {
  client = new HttpClient({ proxy: { httpProxy, noProxy: '' }, retry: false, tls: { ca: CA }, ...options });
  return client;
};

afterEach(async () => {
  await client.close({ graceMs: 0 });
});

describe('a tunnel', () => {
  it.each([
    ['at once', ''],
    ['in the middle of its answer', 'HTTP/1.1 200 '],
    ['and is never done with it', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ])('that the proxy ends %s is tried once', async (_, answer) => {
    await using proxy = await serveRaw((socket) => void socket.end(answer));
    const error = await rejection<HttpError>(clientOf(proxy.url).buffer('https://feed.test/'));
    expect(error).toMatchObject({ code: 'NETWORK', message: 'GET feed.test: the proxy closed the connection' });
    expect(proxy.connections).toBe(1);
  });

  it.each([
    ['the proxy refuses the tunnel with status 407', 'HTTP/1.1 407 No\r\ncontent-length: 5\r\n\r\nno no'],
    ['the proxy refuses the tunnel with status 502', 'HTTP/1.0 502 Bad Gateway\r\n\r\n'],
    ['the proxy refuses the tunnel with status 302', 'HTTP/1.1 302 Found\r\nlocation: http://evil.test/\r\n\r\n'],
    ['the proxy speaks no HTTP', 'SSH-2.0-server\r\n\r\n'],
    ['the proxy says more than it was asked', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello'],
    ['the answer of the proxy is too long', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(20_000)}`],
  ])('is none when %s', async (what, answer) => {
    await using proxy = await serveRaw((socket) => void socket.write(answer));
    const withSecret = proxy.url.replace('//', '//ann:secret@');
    const error = await rejection<HttpError>(clientOf(withSecret).buffer('https://feed.test/'));
    expect(error).toMatchObject({ code: 'NETWORK', message: `GET feed.test: ${what}` });
    expect(JSON.stringify([error.message, String(error.cause)])).not.toContain('secret');
    await proxy.idle();
  });

  it.each(['HTTP/1.1 204 Fine\r\n\r\n', 'HTTP/1.0 200\r\n\r\n', 'HTTP/1.1 103 Soon\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'])(
    'is there when the proxy says %j, in pieces or not',
    async (answer) => {
      await using origin = await serveHttp2((req, res) => res.end(req.httpVersion));
      await using proxy = await serveTunnels((socket) => {
        socket.write(answer.slice(0, 9));
        setImmediate(() => socket.write(answer.slice(9)));
      });
      expect((await clientOf(proxy.url).buffer(origin.url)).toString()).toBe('2.0');
    },
  );

  it.each([
    ['to CONNECT', ''],
    ['completely', 'HTTP/1.1 200 '],
    ['behind the proxy', 'HTTP/1.1 200 OK\r\n\r\n'],
  ])('is given up in time when nobody answers %s', async (_, answer) => {
    await using proxy = await serveRaw((socket, request) => {
      if (request.startsWith('CONNECT')) socket.write(answer);
    });
    const error = await rejection<HttpError>(
      clientOf(proxy.url, { connectTimeoutMs: 50, timeoutMs: 0 }).buffer('https://feed.test/'),
    );
    expect(error).toMatchObject({ code: 'TIMEOUT', cause: { code: 'UND_ERR_CONNECT_TIMEOUT' } });
    await proxy.idle();
  });

  it('that is being made ends with the client', async () => {
    await using proxy = await serveRaw(() => {});
    const error = rejection<HttpError>(clientOf(proxy.url).buffer('https://feed.test/'));
    await vi.waitFor(() => expect(proxy.connections).toBe(1));
    await client.close({ graceMs: 0 });
    expect(await error).toMatchObject({ code: 'CLOSED' });
    await proxy.idle();
  });

  it('shows the server no credentials of the proxy', async () => {
    await using origin = await serveHttps((req, res) => res.end(String(req.headers['proxy-authorization'])));
    let head = '';
    await using proxy = await serveTunnels((socket, request) => {
      head = request;
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
    });
    clientOf(proxy.url.replace('//', '//token:@'));
    expect((await client.buffer(origin.url)).toString()).toBe('undefined');
    expect(head).toBe(
      `CONNECT ${origin.host} HTTP/1.1\r\nhost: ${origin.host}\r\n` +
        `proxy-authorization: Basic ${Buffer.from('token:').toString('base64')}\r\n\r\n`,
    );
    const headers = { 'Proxy-Authorization': 'Basic c2VjcmV0' };
    const error = await rejection<HttpError>(client.buffer(origin.url, { headers }));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', host: origin.host });
  });

  it('is none through a proxy whose certificate is not trusted, which is not called that of the server', async () => {
    await using proxy = await serveHttps(() => {});
    const error = await rejection<HttpError>(clientOf(proxy.url, { tls: {} }).buffer('https://feed.test/'));
    expect(error).toMatchObject({
      code: 'CERTIFICATE',
      message: "GET feed.test: the proxy's certificate is not trusted",
    });
  });
});

describe('plain requests to a proxy', () => {
  it('keep the limits of the client', async () => {
    await using proxy = await serveHttp((req, res) => {
      if (req.url === 'http://feed.test/slow') return;
      if (req.url === 'http://feed.test/stalled') return void res.write('a');
      setImmediate(() => res.end(req.headers.host));
    });
    clientOf(proxy.url, { maxConnectionsPerHost: 2, headersTimeoutMs: 100, bodyTimeoutMs: 100, timeoutMs: 0 });
    const bodies = await Promise.all(Array.from({ length: 20 }, () => client.buffer('http://feed.test/')));
    expect(bodies.map(String)).toEqual(Array(20).fill('feed.test'));
    expect(proxy.connections).toBeLessThanOrEqual(2);
    expect(await rejection<HttpError>(client.buffer('http://feed.test/slow'))).toMatchObject({
      code: 'TIMEOUT',
      cause: { code: 'UND_ERR_HEADERS_TIMEOUT' },
    });
    expect(await rejection<HttpError>(client.buffer('http://feed.test/stalled'))).toMatchObject({
      code: 'TIMEOUT',
      cause: { code: 'UND_ERR_BODY_TIMEOUT' },
    });
  });

  it('that want credentials are answered with that', async () => {
    await using proxy = await serveHttp((_, res) => res.writeHead(407).end('no'));
    const error = await rejection<HttpError>(clientOf(proxy.url).buffer('http://feed.test/'));
    expect(error).toMatchObject({ code: 'HTTP_STATUS', statusCode: 407 });
  });
});

describe('a proxy of SOCKS', () => {
  let origin: TestServer;
  let said: string[];

  beforeEach(async () => {
    said = [];
    origin = await serveHttps((_, res) => res.end('from the origin'));
  });

  afterEach(async () => {
    await origin[Symbol.asyncDispose]();
  });

  /** Answers with these, one after the other, and passes on what comes then. */
  const serveSocks = (...answers: string[]) =>
    serveRaw((socket, data) => {
      said.push(Buffer.from(data, 'latin1').toString('hex'));
      const answer = Buffer.from(answers[said.length - 1] ?? '', 'hex');
      if (said.length < answers.length) return void socket.write(answer);
      tunnel(socket, origin);
      socket.write(answer);
    });
  const OPEN = '05000001000000000000';
  const port = () => new URL(origin.url).port;
  const portHex = () => Number(port()).toString(16).padStart(4, '0');

  it('leads to servers by their addresses and names, over TLS or not', async () => {
    await using proxy = await serveSocks('0500', OPEN);
    clientOf(`socks5://${proxy.host}`);
    expect((await client.buffer(origin.url)).toString()).toBe('from the origin');
    expect(said).toEqual(['050100', `050100017f000001${portHex()}`]);
    await client.close();
    said = [];
    clientOf(`socks5h://${proxy.host}`);
    const named = origin.url.replace('127.0.0.1', 'localhost');
    expect((await client.buffer(named)).toString()).toBe('from the origin');
    expect(said[1]).toBe(`0501000309${Buffer.from('localhost').toString('hex')}${portHex()}`);
    await client.close();
    said = [];
    await using plain = await serveHttp((req, res) => res.end(req.url));
    await origin[Symbol.asyncDispose]();
    origin = plain;
    expect((await clientOf(`socks://${proxy.host}`).buffer(`${plain.url}/path`)).toString()).toBe('/path');
  });

  it('takes addresses of IPv6', async () => {
    await using proxy = await serveSocks('0500', `05000004${'00'.repeat(18)}`);
    clientOf(`socks5://${proxy.host}`, { tls: { ca: CA, servername: 'localhost' } });
    expect((await client.buffer(`https://[2001:db8::a1]:${port()}/`)).toString()).toBe('from the origin');
    expect(said[1]).toBe(`0501000420010db80000000000000000000000a1${portHex()}`);
  });

  it.each([
    ['an address', OPEN],
    ['an address of IPv6', `05000004${'00'.repeat(18)}`],
    ['a name', `0500000305${text('proxy')}0000`],
  ])('may answer byte by byte, and call its end by %s', async (_, answer) => {
    await using proxy = await serveRaw(async (socket, data) => {
      said.push(data);
      const bytes = Buffer.from(['0502', '0100', answer][said.length - 1] ?? '', 'hex');
      if (said.length === 3) tunnel(socket, origin);
      socket.setNoDelay();
      for (const byte of bytes) {
        socket.write(Buffer.of(byte));
        // Once for those that wait already, once for what arrives then.
        for (let turns = 0; turns < 2; turns++) await new Promise((resolve) => setImmediate(resolve));
      }
    });
    clientOf(`socks5://ann:pass@${proxy.host}`);
    expect((await client.buffer(origin.url)).toString()).toBe('from the origin');
  });

  it('cannot take a name or password of more than 255 bytes', async () => {
    await using proxy = await serveSocks('0502', '');
    clientOf(`socks5://ann:${'x'.repeat(256)}@${proxy.host}`);
    const error = await rejection<HttpError>(client.buffer(origin.url));
    expect(error.message).toContain('at most 255 bytes');
    await proxy.idle();
  });

  it('gets the credentials of its URL where it asks for them', async () => {
    await using proxy = await serveSocks('0502', '0100', OPEN);
    clientOf(`socks5://ann:p%40ss@${proxy.host}`);
    expect((await client.buffer(origin.url)).toString()).toBe('from the origin');
    expect(said.slice(0, 2)).toEqual(['05020002', `0103${text('ann')}04${text('p@ss')}`]);
  });

  it.each([
    ['the proxy speaks no SOCKS 5', ['485454502f312e']],
    ['the proxy wants other credentials', ['05ff']],
    ['the proxy refuses the credentials', ['0502', '0101']],
    ['the proxy refuses the tunnel: it is not allowed', ['0500', '05020001000000000000']],
    ['the proxy refuses the tunnel: reply 153', ['0500', '0599']],
    ['the proxy says more than it was asked', ['0500', `${OPEN}00`]],
  ])('is no help when %s', async (what, answers) => {
    await using proxy = await serveSocks(...answers, '');
    const error = await rejection<HttpError>(clientOf(`socks5://ann:pass@${proxy.host}`).buffer(origin.url));
    expect(error).toMatchObject({ code: 'NETWORK', message: `GET ${origin.host}: ${what}` });
    await proxy.idle();
  });
});

const text = (value: string) => Buffer.from(value).toString('hex');

/** Passes on what comes from now on. */
function tunnel(socket: Socket, to: Pick<TestServer, 'host'>) {
  const [host, port] = to.host.split(':');
  const upstream = connect(Number(port), host);
  upstream.on('error', () => socket.destroy());
  socket.removeAllListeners('data').on('error', () => upstream.destroy());
  socket.on('close', () => upstream.destroy());
  socket.pipe(upstream).pipe(socket);
}

/** A proxy of HTTP whose answers the test gives. */
function serveTunnels(answer: (socket: Socket, request: string) => void): Promise<TestServer> {
  return serveRaw((socket, request) => {
    tunnel(socket, { host: /^CONNECT (\S+)/.exec(request)?.[1] ?? '' });
    answer(socket, request);
  });
}
