import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FeedUnavailableError } from '../../errors.js';
import { record } from '../testing/memory-feed.js';
import { TestServer } from '../testing/test-server.js';

const PATH = '/nuget/v3/flatcontainer/a/1.0.0/a.1.0.0.nupkg';
const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
const MODIFIED = 'Fri, 02 Jan 2026 03:04:05 GMT';

let server: TestServer;

async function start(options: Parameters<typeof TestServer.start>[0] = {}): Promise<void> {
  server = await TestServer.start(options);
  server.feed.add(record('A', '1.0.0'), BYTES);
}

beforeEach(() => start());

afterEach(async () => {
  expect(server.feed.open).toBe(0);
  await server[Symbol.asyncDispose]();
});

const ask = (headers: Record<string, string> = {}, method = 'GET') => server.ask(PATH, { headers, method });

describe('a package', () => {
  it('comes as it is, for good, and never compressed', async () => {
    const { status, headers, body } = await ask({ 'Accept-Encoding': 'gzip, br' });
    expect(status).toBe(200);
    expect(body.equals(BYTES)).toBe(true);
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': `${BYTES.length}`,
      'cache-control': 'max-age=31536000, immutable',
      'accept-ranges': 'bytes',
      'last-modified': MODIFIED,
      'x-cache': 'hit',
      etag: '"abc"',
    });
    expect(headers).not.toHaveProperty('vary');
    expect((await server.recorded(1))[0]).toMatchObject({ service: 'package', state: 'hit', bytesOut: BYTES.length });
  });

  it.each([
    ['A/1.0.0/A.1.0.0.nupkg'],
    ['a/1.0/a.1.0.nupkg'],
    ['a/1.0/a.1.0.0.nupkg'],
    ['a/1.0.0.0/a.1.0.0.nupkg'],
    ['a/1.0.0+x/a.1.0.0.nupkg'],
  ])('is found as %s, too', async (path) => {
    expect((await server.ask(`/nuget/v3/flatcontainer/${path}`)).status).toBe(200);
  });

  it.each([
    ['a/1.0.1/a.1.0.1.nupkg'],
    ['a/1.0.0/b.1.0.0.nupkg'],
    ['a/1.0.0/a.1.0.1.nupkg'],
    ['a/1.0.0'],
    ['a'],
    ['a/1.0.0/a.1.0.0.nupkg/x'],
    ['b/1.0.0/b.1.0.0.nupkg'],
  ])('is not found as %s', async (path) => {
    expect((await server.ask(`/nuget/v3/flatcontainer/${path}`)).status).toBe(404);
  });

  it('is described to HEAD, and not opened', async () => {
    server.feed.stream = () => {
      throw new Error('opened');
    };
    const { status, headers, body } = await ask({ Range: 'bytes=0-1' }, 'HEAD');
    expect([status, body.length]).toEqual([200, 0]);
    expect(headers).toMatchObject({ 'content-length': `${BYTES.length}`, 'accept-ranges': 'bytes', etag: '"abc"' });
  });

  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=100-199', 100, 100],
    ['bytes=299990-', 299_990, 10],
    ['bytes=-5', 299_995, 5],
    ['bytes=-999999', 0, 300_000],
    ['bytes=0-999999', 0, 300_000],
  ])('gives the part %s of it', async (range, offset, length) => {
    const { status, headers, body } = await ask({ Range: range });
    expect(status).toBe(206);
    expect(headers).toMatchObject({
      'content-range': `bytes ${offset}-${offset + length - 1}/${BYTES.length}`,
      'content-length': `${length}`,
      etag: '"abc"',
    });
    expect(body.equals(BYTES.subarray(offset, offset + length))).toBe(true);
  });

  it.each([['bytes=0-1,5-6'], ['bytes=5-1'], ['lines=1-2'], ['nonsense']])(
    'is given as a whole for the range %s',
    async (range) => {
      const { status, body } = await ask({ Range: range });
      expect([status, body.length]).toEqual([200, BYTES.length]);
    },
  );

  it.each([['bytes=300000-'], ['bytes=999999-1000000'], ['bytes=-0']])(
    'has nothing for the range %s',
    async (range) => {
      expect(await ask({ Range: range })).toMatchObject({
        status: 416,
        headers: { 'content-range': `bytes */${BYTES.length}`, 'cache-control': 'no-store' },
      });
    },
  );

  it.each([
    ['"abc"', 206],
    ['"x"', 200],
    ['W/"abc"', 200],
    [MODIFIED, 206],
    ['Thu, 01 Jan 2026 03:04:05 GMT', 200],
  ])('is resumed with If-Range %s: %i', async (condition, status) => {
    expect((await ask({ Range: 'bytes=1-2', 'If-Range': condition })).status).toBe(status);
  });

  it.each<Record<string, string>>([
    { 'If-None-Match': '"abc"' },
    { 'If-None-Match': '*' },
    { 'If-Modified-Since': MODIFIED },
  ])('is confirmed to who has it: %j', async (headers) => {
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask({ ...headers, Range: 'bytes=0-1' }, method);
      expect(answer).toMatchObject({
        status: 304,
        headers: {
          etag: '"abc"',
          'last-modified': MODIFIED,
          'cache-control': 'max-age=31536000, immutable',
          'x-cache': 'hit',
        },
      });
      expect(answer.body.length).toBe(0);
    }
  });

  it.each<Record<string, string>>([{ 'If-Match': '"x"' }, { 'If-Unmodified-Since': 'Thu, 01 Jan 2026 03:04:05 GMT' }])(
    'is refused to who wants another one: %j',
    async (headers) => {
      expect((await ask({ ...headers, Range: 'bytes=1-2' })).status).toBe(412);
      expect((await ask({ 'If-Match': '"abc"', Range: 'bytes=1-2' })).status).toBe(206);
    },
  );

  it('that is asked for with credentials is private', async () => {
    expect((await ask({ Authorization: 'Basic eDp5' })).headers['cache-control']).toBe(
      'private, max-age=31536000, immutable',
    );
  });
});

describe('a package that still arrives', () => {
  it('is passed on as it comes, without a length and validators', async () => {
    server.feed.content = { size: undefined, etag: undefined, lastModified: undefined };
    server.feed.state = 'miss';
    const { status, headers, body } = await ask({ Range: 'bytes=0-1', 'If-None-Match': '*', 'If-Range': '"abc"' });
    expect([status, body.equals(BYTES)]).toEqual([200, true]);
    expect(headers).toMatchObject({ 'transfer-encoding': 'chunked', 'x-cache': 'miss' });
    for (const name of ['content-length', 'etag', 'accept-ranges']) expect(headers).not.toHaveProperty(name);
    const head = await ask({}, 'HEAD');
    expect(head.status).toBe(200);
    expect(head.headers).not.toHaveProperty('content-length');
  });

  it('reaches the client before the rest of it is there', async () => {
    const arriving = new Readable({ read() {} });
    server.feed.stream = () => arriving;
    const { socket, text } = open();
    arriving.push(BYTES.subarray(0, 10));
    await text(/\r\n\r\n.{10}/s);
    arriving.push(BYTES.subarray(10));
    arriving.push(null);
    await once(socket, 'end');
    expect((await server.recorded(1))[0]).toMatchObject({ code: '200', bytesOut: BYTES.length });
  });

  it.each([
    ['breaks', () => new FeedUnavailableError('feed', 'it broke'), '503'],
    ['turns out to be another one', () => new Error('wrong hash'), '500'],
  ])("and %s doesn't look complete", async (_, failure, code) => {
    for (const content of [{}, { size: undefined, etag: undefined }]) {
      server.feed.content = content;
      const arriving = new Readable({ read() {} });
      server.feed.stream = () => arriving;
      const { socket, text } = open();
      arriving.push(BYTES.subarray(0, 1000));
      const before = await text(/\r\n\r\n.{100}/s);
      arriving.destroy(failure());
      await once(socket, 'close');
      expect(before()).not.toMatch(/\r\n0\r\n\r\n$/);
      expect(before().length).toBeLessThan(3000);
    }
    expect((await server.recorded(2)).map((each) => each.code)).toEqual([code, code]);
  });

  it('and breaks before anything of it was sent is an error', async () => {
    const broken = async () => {
      throw new FeedUnavailableError('feed', 'it broke');
    };
    server.feed.reader = { next: broken, close: async () => {} };
    const { status, headers } = await ask({ Range: 'bytes=-2' });
    expect([status, headers['cache-control'], headers['content-range']]).toEqual([503, 'no-store', undefined]);
    expect((await server.recorded(1))[0]).toMatchObject({ code: '503', state: 'hit' });
  });

  it.each([
    ['too short', BYTES.subarray(1)],
    ['too long', Buffer.concat([BYTES, BYTES])],
  ])("and is %s doesn't look complete", async (_, bytes) => {
    server.feed.stream = () => Readable.from([bytes], { objectMode: false });
    await expect(ask()).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it("and is destroyed without a word doesn't look complete", async () => {
    const arriving = new Readable({ read() {} });
    server.feed.stream = () => arriving;
    const { socket, text } = open();
    arriving.push(BYTES.subarray(0, 1000));
    await text(/\r\n\r\n.{100}/s);
    arriving.destroy();
    await once(socket, 'close');
  });
});

describe('a package that is read without copies', () => {
  it('is sent before its memory is used again', async () => {
    const memory = Buffer.alloc(200 * 1024);
    let position = 0;
    server.feed.reader = {
      next: async () => {
        const length = BYTES.copy(memory, 0, position, position + memory.length);
        position += length;
        return length > 0 ? memory.subarray(0, length) : undefined;
      },
      close: async () => {
        memory.fill(0);
      },
    };
    const { body } = await ask();
    expect(body.equals(BYTES)).toBe(true);
    expect((await server.recorded(1))[0]).toMatchObject({ code: '200', bytesOut: BYTES.length });
  });

  it('is closed when the client goes away while it waits for more', async () => {
    let end = (_: undefined) => {};
    let isFirst = true;
    const closed: boolean[] = [];
    server.feed.reader = {
      next: () => {
        if (!isFirst)
          return new Promise<undefined>((resolve) => {
            end = resolve;
          });
        isFirst = false;
        return BYTES.subarray(0, 1000);
      },
      close: async () => {
        closed.push(true);
        end(undefined);
      },
    };
    const { socket, text } = open();
    await text(/\r\n\r\n.{100}/s);
    socket.destroy();
    expect((await server.recorded(1))[0]).toMatchObject({ code: '499' });
    expect(closed).toEqual([true]);
  });
});

describe('a client', () => {
  const endless = () => {
    let sent = 0;
    const body = new Readable({
      read() {
        sent += 64 * 1024;
        this.push(Buffer.alloc(64 * 1024));
      },
    });
    return { body, sent: () => sent };
  };

  it('that goes away in the middle ends the package', async () => {
    const { body } = endless();
    server.feed.content = { size: undefined };
    server.feed.stream = () => body;
    const { socket, text } = open();
    await text(/200 OK/);
    socket.destroy();
    if (!body.closed) await once(body, 'close');
    expect((await server.recorded(1))[0]).toMatchObject({ code: '499' });
  });

  it('that resets its connection breaks nothing', async () => {
    const { body } = endless();
    server.feed.content = { size: undefined };
    server.feed.stream = () => body;
    const { socket, text } = open();
    await text(/200 OK/);
    socket.resetAndDestroy();
    if (!body.closed) await once(body, 'close');
    server.feed.stream = undefined;
    expect((await ask()).status).toBe(200);
  });

  it('that reads slowly is read for no faster', async () => {
    const { body, sent } = endless();
    server.feed.content = { size: undefined };
    server.feed.stream = () => body;
    const { socket, text } = open();
    await text(/200 OK/);
    socket.pause();
    // What the kernel takes on both sides, and no more.
    for (let before = -1; before !== sent(); ) {
      before = sent();
      expect(before).toBeLessThan(32 * 1024 * 1024);
      for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    socket.destroy();
    await once(body, 'close');
  });

  it('that takes nothing for too long is given up', async () => {
    await server[Symbol.asyncDispose]();
    await start({ limits: { sendIdleMs: 50 } });
    const { body } = endless();
    server.feed.content = { size: undefined };
    server.feed.stream = () => body;
    const { socket, text } = open();
    await text(/200 OK/);
    socket.pause();
    await once(body, 'close');
    expect((await server.recorded(1))[0]).toMatchObject({ code: '408' });
    socket.destroy();
  });
});

/** Asks on a bare connection, and collects what comes. */
function open(): { readonly socket: Socket; readonly text: (wanted: RegExp) => Promise<() => string> } {
  const socket = server.connect();
  let seen = '';
  socket.on('data', (bytes) => {
    seen += bytes.toString('latin1');
  });
  socket.write(`GET ${PATH} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  return {
    socket,
    text: async (wanted) => {
      while (!wanted.test(seen)) await once(socket, 'data');
      return () => seen;
    },
  };
}
