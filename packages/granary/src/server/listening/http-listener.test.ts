import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { type HttpListenerOptions, listenHttp } from './http-listener.js';
import type { Listener } from './listener.js';

let refused: [string | undefined, number][] = [];
let listener: Listener;
afterEach(() => listener.destroy());

async function serve(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  stallTimeoutMs = 10_000,
  requestTimeoutMs = 0,
  changes: Partial<HttpListenerOptions> = {},
): Promise<void> {
  refused = [];
  listener = await listenHttp({
    key: 'listen.http',
    address: { host: '127.0.0.1', port: 0 },
    tls: undefined,
    clientAuth: 'none',
    maxConnections: 10,
    handshakeTimeoutMs: 10_000,
    maxHeaderBytes: 16_384,
    headersTimeoutMs: 10_000,
    requestTimeoutMs,
    idleTimeoutMs: stallTimeoutMs,
    stallTimeoutMs,
    handle,
    onRefused: ({ method, status }) => void refused.push([method, status]),
    ...changes,
  });
}

/** Sends requests one behind the other, without waiting, and answers with what comes back until the last one's end. */
async function send(...requests: string[]): Promise<string> {
  const socket = connect(listener.address.port, '127.0.0.1');
  const last = requests.pop()?.replace('\r\n', '\r\nConnection: close\r\n');
  socket.write([...requests, last].join(''));
  return text(socket);
}

const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: header.example\r\n\r\n`;

describe('an HTTP listener', () => {
  it.each([
    ['http://cache.example:8080/cas/00?a=http://b/', 'cache.example:8080', '/cas/00?a=http://b/'],
    ['HTTPS://user:secret@cache.example/status', 'user:secret@cache.example', '/status'],
    ['http://cache.example', 'cache.example', '/'],
    ['http://cache.example?a', 'cache.example', '/?a'],
    ['/http://cache.example/', 'header.example', '/http://cache.example/'],
    ['*', 'header.example', '*'],
  ])('takes a request for %s as one of %s for %s', async (target, host, url) => {
    await serve(({ headers, url: seen }, response) => response.end(`${headers.host} ${seen}`));
    const method = target === '*' ? 'OPTIONS' : 'GET';
    expect(await send(get(target).replace('GET', method))).toContain(`\r\n\r\n${host} ${url}`);
  });

  it.each([
    ['two hosts', 'Host: a\r\nHost: b'],
    ['one host twice', 'Host: a\r\nX: y\r\nhost: a'],
    ['two hosts, the other behind many headers', `Host: a\r\n${'a:\r\n'.repeat(2500)}Host: b`],
  ])('refuses a request for %s, and what comes behind it', async (_, hosts) => {
    const seen: (string | undefined)[] = [];
    await serve(({ url }, response) => {
      seen.push(url);
      response.end('here');
    });
    const answers = await send(`GET /1 HTTP/1.1\r\n${hosts}\r\n\r\n`, get('/2'));
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400']);
    expect(seen).toEqual([]);
    expect(refused).toEqual([['GET', 400]]);
  });

  it('refuses a request of HTTP/1.0 in chunks, which others may see the end of elsewhere, and what comes behind it', async () => {
    const seen: (string | undefined)[] = [];
    await serve(({ url }, response) => {
      seen.push(url);
      response.end('here');
    });
    const put = 'PUT /1 HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
    expect((await send(put, get('/2'))).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400']);
    expect(seen).toEqual([]);
    expect(refused).toEqual([['PUT', 400]]);
  });

  it.each([
    ['is none', 'what?\r\n\r\n', undefined, 400],
    ['is for TLS', Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), undefined, 400],
    ['has too long a header', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, undefined, 431],
    ['is for no host', 'GET / HTTP/1.1\r\n\r\n', 'GET', 400],
    ['expects what is not here', 'PUT / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n', 'PUT', 417],
  ])('answers and tells of a request that %s', async (_, sent, method, status) => {
    await serve((_request, response) => response.end('here'));
    const socket = connect(listener.address.port, '127.0.0.1');
    socket.write(sent);
    const answer = await text(socket);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*\r\nConnection: close\r\n`));
    expect(refused).toEqual([[method, status]]);
  });

  it('lets pass by what else comes of a request that it cannot read, for those who read no answer before', async () => {
    await serve((_request, response) => response.end('here'));
    const socket = connect({ port: listener.address.port, host: '127.0.0.1', allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.end(Buffer.concat([Buffer.from('what?\r\n\r\n'), Buffer.alloc(20_000_000)]), resolve);
    });
    expect(await text(socket)).toMatch(/^HTTP\/1.1 400 /);
    expect(refused).toEqual([[undefined, 400]]);
  });

  it.each([
    ['half a header', 'GET /sta', [[undefined, 408]]],
    ['nothing', '', []],
  ])(
    'ends a connection over which %s came in time, and tells of it where that was a request',
    async (_, sent, told) => {
      await serve((_request, response) => response.end('here'), 3_600_000, 0, { headersTimeoutMs: 50 });
      const socket = connect(listener.address.port, '127.0.0.1');
      socket.write(sent);
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 /);
      expect(refused).toEqual(told);
    },
  );

  it.each([
    ['says nothing', ''],
    ['falls silent in its handshake', Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])],
    ['knows nothing of TLS', get('/')],
  ])('ends a connection over TLS whose client %s, and takes it for no request', async (_, sent) => {
    const certificates = new URL('../../testing/certificates/', import.meta.url);
    const key = await readFile(new URL('server.key', certificates));
    const cert = await readFile(new URL('server.pem', certificates));
    await serve((_request, response) => response.end('here'), 3_600_000, 0, {
      tls: { key, cert, ca: undefined, minVersion: 'TLSv1.2' },
      handshakeTimeoutMs: 50,
    });
    const socket = connect(listener.address.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.write(sent);
    await once(socket, 'close');
    expect(refused).toEqual([]);
  });

  it('leaves a request that is at work to its handler when its body goes wrong', async () => {
    const ended: string[] = [];
    await serve((request) => {
      request.resume();
      request.on('error', () => ended.push('error'));
    });
    const socket = connect(listener.address.port, '127.0.0.1');
    socket.write('PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n');
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 /);
    expect([ended, refused]).toEqual([['error'], []]);
  });

  it('adds nothing to an answer that has begun', async () => {
    await serve((request, response) => {
      request.resume().on('error', () => {});
      response.write('begun');
    });
    const socket = connect(listener.address.port, '127.0.0.1');
    socket.write('PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    const [begun] = await once(socket, 'data');
    socket.write('no number\r\n');
    expect(`${begun}${await text(socket)}`.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(refused).toEqual([]);
  });

  it('may wait less for a whole request than for a header', async () => {
    await serve((_, response) => response.end('here'), 10_000, 5_000);
    expect(await send(get('/status'))).toContain('here');
  });

  it('lets a pipelined request wait for the answer to the one before', async () => {
    const log: string[] = [];
    await serve(async (request, response) => {
      log.push(`${request.url} begins`);
      const body = await text(request);
      if (request.url === '/1') await new Promise(setImmediate);
      log.push(`${request.url} ends`);
      response.end(`<${request.url} ${body}>`);
    });
    const put = 'PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody';
    const answers = await send(put, get('/2'), get('/3'));
    expect(answers.match(/<.*?>/g)).toEqual(['</1 body>', '</2 >', '</3 >']);
    expect(log).toEqual(['1', '2', '3'].flatMap((n) => [`/${n} begins`, `/${n} ends`]));
  });

  it.each([
    ['nothing', ''],
    ['half a header', 'GET /sta'],
  ])('does not wait for a connection that has sent %s when it is drained', async (_, sent) => {
    const waiting: ServerResponse[] = [];
    await serve((_, response) => waiting.push(response), 3_600_000);
    const unused = connect(listener.address.port, '127.0.0.1');
    unused.on('error', () => {});
    await once(unused, 'connect');
    unused.write(sent);
    const answer = send(get('/status'));
    while (waiting.length === 0) await new Promise(setImmediate);
    const ended = once(unused, 'close');
    const drained = listener.drain();
    await ended;
    waiting[0]?.end('here');
    expect(await answer).toContain('here');
    await drained;
  });

  it('ends a connection that is kept alive with the answer after which it is drained', async () => {
    const waiting: ServerResponse[] = [];
    await serve((_, response) => waiting.push(response), 3_600_000);
    const socket = connect(listener.address.port, '127.0.0.1');
    socket.write(get('/1'));
    await expect.poll(() => waiting).toHaveLength(1);
    const drained = listener.drain();
    waiting[0]?.end('here');
    expect(await text(socket)).toMatch(/here$/);
    await drained;
  });

  it('refuses what comes over an open connection while it is drained, and says when to come again', async () => {
    const waiting: ServerResponse[] = [];
    await serve((_, response) => waiting.push(response), 3_600_000);
    const socket = connect(listener.address.port, '127.0.0.1');
    socket.write(get('/1') + get('/2'));
    await expect.poll(() => waiting).toHaveLength(1);
    const drained = listener.drain();
    waiting[0]?.end('here');
    const [, , refusal] = (await text(socket)).split('HTTP/1.1 ');
    expect(refusal).toMatch(/^503 .*\r\nRetry-After: 5\r\nConnection: close\r\n/);
    await drained;
    expect(refused).toEqual([['GET', 503]]);
  });

  it('lets the body of what it refuses pass by before it ends the connection, so that the answer is read', async () => {
    await serve((_, response) => response.end('here'));
    const socket = connect(listener.address.port, '127.0.0.1');
    socket.write('PUT / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 500000\r\n\r\n');
    expect(`${(await once(socket, 'data'))[0]}`).toMatch(/^HTTP\/1\.1 417 /);
    // What the server has ended before it answers others has come here when their answer has.
    const url = `http://127.0.0.1:${listener.address.port}/`;
    for (let i = 0; i < 3; i++) await (await fetch(url)).text();
    expect(socket.readableEnded).toBe(false);
    socket.write(Buffer.alloc(500_000));
    await once(socket, 'end');
  });

  it('never begins a pipelined request whose client went away before its turn', async () => {
    const begun: (string | undefined)[] = [];
    let first: ServerResponse | undefined;
    await serve((request, response) => {
      begun.push(request.url);
      first = response;
    });
    const socket = connect(listener.address.port, '127.0.0.1');
    socket.write(get('/1') + get('/2'));
    await expect.poll(() => first).toBeDefined();
    socket.destroy();
    await once(first as ServerResponse, 'close');
    expect(begun).toEqual(['/1']);
  });

  describe('whose clients stand still', () => {
    /** Opens a connection, and closes the test's end of it when the server has closed its own. */
    const begin = (request: string) => {
      const socket = connect(listener.address.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(request);
      return socket;
    };

    it('ends a download that is not taken, also where there is more to come', async () => {
      let response: ServerResponse | undefined;
      await serve((_, answer) => {
        response = answer;
        answer.write(Buffer.alloc(64 * 1024 * 1024));
      }, 50);
      const socket = begin(get('/')).pause();
      await expect.poll(() => response?.destroyed).toBe(true);
      socket.destroy();
    });

    it('ends a download that is not taken', async () => {
      let response: ServerResponse | undefined;
      await serve((_, answer) => {
        response = answer;
        answer.end(Buffer.alloc(64 * 1024 * 1024));
      }, 50);
      const socket = begin(get('/')).pause();
      await expect.poll(() => response?.destroyed).toBe(true);
      socket.resume();
      await once(socket, 'close');
      expect(socket.bytesRead).toBeLessThan(64 * 1024 * 1024);
    });

    it('ends an upload that does not go on', async () => {
      let aborted: Promise<unknown> | undefined;
      await serve((request) => {
        aborted = text(request).catch((error: NodeJS.ErrnoException) => error.code);
      }, 50);
      const socket = begin('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome');
      await once(socket, 'close');
      expect(await aborted).toBe('ECONNRESET');
    });

    it('goes on when it is the server that takes its time', async () => {
      let idle: Promise<unknown> | undefined;
      await serve(async (request, response) => {
        await text(request);
        // Twice: the time begins anew.
        idle = once(request.socket, 'timeout').then(() => once(request.socket, 'timeout'));
        await idle;
        response.setHeader('Connection', 'close').end('late');
      }, 50);
      expect(await text(begin('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody'))).toMatch(/late$/);
    });

    it('closes a connection without a request when its time is over', async () => {
      await serve((_, response) => response.end('here'), 50);
      await once(begin(get('/')).resume(), 'close');
    });
  });
});
