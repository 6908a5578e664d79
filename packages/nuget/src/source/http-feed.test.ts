import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { MemoryLayer } from '@granary/cache';
import type { HttpClient } from '@granary/http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Authenticator } from '../auth/authenticator.js';
import { bearerCredentials, type CredentialProvider, type Credentials } from '../auth/credentials.js';
import { NuGetError, SourceError } from '../errors.js';
import type { DocumentRequest } from '../protocol/feed.js';
import type { HttpFeed } from './http-feed.js';
import { SourceCacheContext } from './source-cache-context.js';
import { type Answer, TestSource } from './testing/test-source.js';

const MINUTE = 60_000;

let source: TestSource;
let feed: HttpFeed;

beforeEach(async () => {
  source = await TestSource.start();
  feed = source.feed();
});
afterEach(() => source[Symbol.asyncDispose]());

/** Reads a JSON document; anything else is no document. */
const parse = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new NuGetError('PROTOCOL', 'no JSON');
  }
};
const get = (options: Partial<DocumentRequest<unknown>> = {}, of = feed, path = '/doc') =>
  of.document(`${source.url}${path}`, { cacheKey: 'doc', parse, ...options });
const context = (options: ConstructorParameters<typeof SourceCacheContext>[0]) => ({
  cacheContext: new SourceCacheContext(options),
});
/** Answers with how many times it was asked. */
const counting = (headers: Record<string, string> = {}): Answer => {
  let count = 0;
  return (_, res) => res.writeHead(200, headers).end(JSON.stringify(++count));
};
/** Answers 304 to whoever has the newest. */
const conditional = (headers: () => Record<string, string>): Answer => {
  return (req, res) => {
    const { etag, 'last-modified': modified } = headers();
    const matches =
      (etag !== undefined && req.headers['if-none-match'] === etag) ||
      (modified !== undefined && req.headers['if-modified-since'] === modified);
    res.writeHead(matches ? 304 : 200, headers()).end(matches ? undefined : '"body"');
  };
};
const statusAnswer =
  (status: number): Answer =>
  (_, res) =>
    res.writeHead(status).end('no');
const rejection = (promise: Promise<unknown>): Promise<SourceError> =>
  promise.then(
    () => Promise.reject(new Error('it succeeded')),
    (error) => error,
  );
const onDisk = () => ({ disk: { folder: source.folder } });

describe('a document', () => {
  it('is asked for once, and then comes from memory until it is too old', async () => {
    source.answer = counting();
    expect(await get()).toBe(1);
    await source.time.advance(30 * MINUTE - 1);
    expect(await get()).toBe(1);
    await source.time.advance(1);
    expect(await get()).toBe(2);
    expect(source.counted).toEqual(['miss metadata', 'hit metadata', 'miss metadata']);
  });

  it('is parsed once', async () => {
    source.answer = counting();
    let parsed = 0;
    const counted = (body: Buffer) => {
      parsed++;
      return parse(body);
    };
    await get({ parse: counted });
    await get({ parse: counted });
    expect(parsed).toBe(1);
  });

  it('is as old as the caller lets it be', async () => {
    source.answer = counting();
    await get();
    await source.time.advance(MINUTE);
    expect(await get(context({ maxAgeMs: 2 * MINUTE }))).toBe(1);
    expect(await get(context({ maxAgeMs: MINUTE }))).toBe(2);
    await source.time.advance(60 * MINUTE);
    expect(await get(context({ maxAgeMs: 120 * MINUTE }))).toBe(2);
  });

  it('is never taken from a cache with noCache, but kept for others', async () => {
    feed = source.feed({ cache: source.cache(onDisk()) });
    source.answer = counting({ etag: '"1"' });
    await get();
    expect(await get(context({ noCache: true }))).toBe(2);
    expect(source.requests[1]?.headers['if-none-match']).toBeUndefined();
    expect(await get()).toBe(2);
  });

  it('leaves no trace with directDownload', async () => {
    feed = source.feed({ cache: source.cache(onDisk()) });
    source.answer = counting();
    expect(await get(context({ directDownload: true }))).toBe(1);
    expect(readdirSync(source.folder)).toEqual([]);
    expect(await get()).toBe(2);
    expect(await get(context({ directDownload: true }))).toBe(3);
    expect(await get()).toBe(2);
  });

  it('is never kept without a key', async () => {
    source.answer = counting();
    await get({ cacheKey: undefined });
    expect(await get({ cacheKey: undefined })).toBe(2);
  });

  it('is one for each source, and for each URL of a key', async () => {
    const cache = source.cache(onDisk());
    source.answer = counting({ etag: '"1"' });
    const a = source.feed({ cache, url: `${source.url}/a` });
    const b = source.feed({ cache, url: `${source.url}/b` });
    expect(await get({}, a)).toBe(1);
    expect(await get({}, b)).toBe(2);
    expect(await get({}, a, '/other')).toBe(3);
    expect(source.requests[2]?.headers['if-none-match']).toBeUndefined();
  });

  it('is undefined when the source has none, which is remembered for 30 s', async () => {
    expect(await get()).toBeUndefined();
    source.answer = counting();
    await source.time.advance(29_999);
    expect(await get()).toBeUndefined();
    expect(await get(context({ maxAgeMs: 0 }))).toBe(1);
    expect(source.counted).toEqual(['miss metadata', 'hit metadata', 'miss metadata']);
    expect(await get()).toBe(1);
  });

  it('is what came with 203, too, as from a proxy that changes what goes through it', async () => {
    source.answer = (_, res) => res.writeHead(203).end('7');
    expect(await get()).toBe(7);
  });

  it('is undefined for an answer without content', async () => {
    source.answer = (_, res) => res.writeHead(204).end();
    expect(await get()).toBeUndefined();
  });

  it('is gone when the source says so', async () => {
    feed = source.feed({ cache: source.cache(onDisk()) });
    source.answer = counting();
    await get();
    await source.time.advance(30 * MINUTE);
    source.answer = statusAnswer(404);
    expect(await get()).toBeUndefined();
    await source.time.advance(31_000);
    source.answer = statusAnswer(503);
    expect(await rejection(get())).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });

  it('is fetched once for all who want it at the same time, each of whom may go', async () => {
    let release = () => {};
    source.answer = (_, res) => {
      release = () => res.end('1');
    };
    const controller = new AbortController();
    const gone = get({ signal: controller.signal });
    const others = Promise.all([get(), get(context({ noCache: true }))]);
    await expect.poll(() => source.requests.length).toBe(1);
    controller.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    release();
    expect(await others).toEqual([1, 1]);
    expect(source.requests).toHaveLength(1);
  });

  it('is no longer fetched when nobody wants it any more', async () => {
    const closed = new Promise((resolve) => {
      source.answer = (req) => req.once('close', resolve);
    });
    const controller = new AbortController();
    const gone = get({ signal: controller.signal });
    await expect.poll(() => source.requests.length).toBe(1);
    controller.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    await closed;
    await expect(get({ signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
  });
});

describe('a document that is too old', () => {
  it.each([
    ['ETag', { etag: '"1"' }],
    ['Last-Modified', { 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT' }],
  ])('is asked about by %s, and as good as new when the source confirms it', async (_, headers) => {
    for (const cache of [source.cache(), source.cache(onDisk())]) {
      feed = source.feed({ cache });
      source.requests.length = 0;
      source.answer = conditional(() => headers as Record<string, string>);
      expect(await get()).toBe('body');
      for (let i = 0; i < 2; i++) {
        await source.time.advance(30 * MINUTE);
        expect(await get()).toBe('body');
        expect(await get()).toBe('body');
      }
      expect(source.requests).toHaveLength(3);
    }
  });

  it('is asked about by what it came with, whatever a source says that confirms it', async () => {
    source.answer = (req, res) => {
      const current = req.headers['if-none-match'] === '"2"' || req.headers['if-none-match'] === '"1"';
      res.writeHead(current ? 304 : 200, { etag: current ? '"2"' : '"1"' }).end(current ? undefined : '"body"');
    };
    for (let i = 0; i < 3; i++) {
      expect(await get()).toBe('body');
      await source.time.advance(30 * MINUTE);
    }
    expect(source.requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"1"', '"1"']);
  });

  it('is not confirmed by a source that was not asked whether it is good', async () => {
    feed = source.feed({ staleIfErrorMs: 0 });
    source.answer = counting();
    await get();
    await source.time.advance(30 * MINUTE);
    source.answer = statusAnswer(304);
    expect(await rejection(get())).toMatchObject({ code: 'PROTOCOL', statusCode: 304 });
  });

  it('is young for other processes too, when it was confirmed', async () => {
    source.answer = conditional(() => ({ etag: '"1"' }));
    const first = source.feed({ cache: source.cache(onDisk()) });
    await get({}, first);
    await source.time.advance(30 * MINUTE);
    await get({}, first);
    const second = source.feed({ cache: source.cache(onDisk()) });
    await source.time.advance(29 * MINUTE);
    expect(await get({}, second)).toBe('body');
    expect(source.requests).toHaveLength(2);
    // Memory has what it says, and no bytes that could be written again.
    expect(await get(context({ maxAgeMs: MINUTE }), second)).toBe('body');
    await source.time.advance(29 * MINUTE);
    expect(await get({}, source.feed({ cache: source.cache(onDisk()) }))).toBe('body');
    expect(source.requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"1"', '"1"']);
  });

  it('is replaced by what the source has now', async () => {
    let etag = '"1"';
    source.answer = (req, res) => conditional(() => ({ etag }))(req, res);
    feed = source.feed({ cache: source.cache(onDisk()) });
    await get();
    await source.time.advance(30 * MINUTE);
    etag = '"2"';
    await get();
    await source.time.advance(30 * MINUTE);
    await get();
    expect(source.requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"1"', '"2"']);
  });

  it('is not asked about with the validators of a file that another program replaced', async () => {
    source.answer = conditional(() => ({ etag: '"1"' }));
    await get({}, source.feed({ cache: source.cache(onDisk()) }));
    const [folder] = readdirSync(source.folder);
    const foreign = '"other"';
    expect(foreign).not.toBe(readFileSync(join(source.folder, String(folder), 'doc.dat'), 'utf8'));
    writeFileSync(join(source.folder, String(folder), 'doc.dat'), foreign);
    utimesSync(join(source.folder, String(folder), 'doc.dat'), 1, 1);
    expect(await get({}, source.feed({ cache: source.cache(onDisk()) }))).toBe('body');
    expect(source.requests[1]?.headers['if-none-match']).toBeUndefined();
  });

  it.each([503, 500, 429, 408])(
    'is good enough when the source answers %i, and then rests for 30 s',
    async (status) => {
      source.answer = counting();
      await get();
      await source.time.advance(60 * MINUTE);
      source.answer = statusAnswer(status);
      expect(await get()).toBe(1);
      expect(await get()).toBe(1);
      expect(source.requests).toHaveLength(2);
      expect(source.logs.join('\n')).toMatch(/warning: "?test"? fails; .*\/doc"? is answered as it was 3600000 ms ago/);
      source.answer = counting();
      await source.time.advance(30_000);
      source.answer = (_, res) => res.end('"new"');
      expect(await get()).toBe('new');
    },
  );

  it('is as old as its file says, to the millisecond', async () => {
    source.answer = counting();
    await get({}, source.feed({ cache: source.cache(onDisk()) }));
    const [folder] = readdirSync(source.folder);
    const hourAgo = source.time.clock() - 60 * MINUTE;
    utimesSync(join(source.folder, String(folder), 'doc.dat'), 0, (hourAgo + 0.4) / 1000);
    source.answer = statusAnswer(503);
    expect(await get({}, source.feed({ cache: source.cache(onDisk()) }))).toBe(1);
    expect(source.logs.join('\n')).toMatch(/is answered as it was 3600000 ms ago/);
  });

  it('is good enough when the connection breaks, nothing comes or the breaker is open', async () => {
    const client = source.client({ circuitBreaker: { maxFailures: 2 }, headersTimeoutMs: 50 });
    feed = source.feed({ client, cache: source.cache(onDisk()), restAfterErrorMs: 0 });
    source.answer = counting();
    await get();
    await source.time.advance(60 * MINUTE);
    source.answer = (req) => req.socket.destroy();
    expect(await get()).toBe(1);
    source.answer = () => {};
    expect(await get()).toBe(1);
    const { length } = source.requests;
    expect(await get()).toBe(1);
    expect(source.requests).toHaveLength(length);
  });

  it('is not good enough when it is very old, the caller wants none, or the source refuses the caller', async () => {
    feed = source.feed({ staleIfErrorMs: 60 * MINUTE });
    source.answer = counting();
    await get();
    await source.time.advance(31 * MINUTE);
    source.answer = statusAnswer(403);
    expect(await rejection(get())).toMatchObject({ code: 'FORBIDDEN' });
    source.answer = statusAnswer(503);
    expect(await rejection(get(context({ noCache: true })))).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(await get()).toBe(1);
    await source.time.advance(31 * MINUTE);
    expect(await rejection(get())).toMatchObject({ code: 'SOURCE_UNAVAILABLE', statusCode: 503 });
  });
});

describe('a document that one caller wants anew, and another one while it is asked for', () => {
  it('is stale for the other one only when the source fails', async () => {
    source.answer = counting();
    await get();
    await source.time.advance(31 * MINUTE);
    const waiting: (() => void)[] = [];
    source.answer = (_, res) => void waiting.push(() => res.writeHead(503).end());
    const old = get();
    await expect.poll(() => waiting.length).toBe(1);
    const anew = rejection(get(context({ noCache: true })));
    await expect.poll(() => waiting.length).toBe(2);
    for (const fail of waiting) fail();
    expect(await old).toBe(1);
    expect(await anew).toMatchObject({ code: 'SOURCE_UNAVAILABLE', statusCode: 503 });
  });
});

describe('what comes from disk', () => {
  const dat = () => {
    const folder = readdirSync(source.folder).find((name) => name.includes('$')) as string;
    return join(source.folder, folder, 'doc.dat');
  };

  it('is what another client of this folder got', async () => {
    source.answer = counting();
    await get({}, source.feed({ cache: source.cache(onDisk()) }));
    expect(readFileSync(dat(), 'utf8')).toBe('1');
    expect(await get({}, source.feed({ cache: source.cache(onDisk()) }))).toBe(1);
  });

  it('is thrown away when it makes no sense, and fetched again', async () => {
    source.answer = counting({ etag: '"1"' });
    await get({}, source.feed({ cache: source.cache(onDisk()) }));
    writeFileSync(dat(), '<html>');
    const now = source.time.clock() / 1000;
    utimesSync(dat(), now, now);
    expect(await get({}, source.feed({ cache: source.cache(onDisk()) }))).toBe(2);
    expect(source.requests[1]?.headers['if-none-match']).toBeUndefined();
  });

  it('is seen by refreshMemoryCache, once for each context', async () => {
    const [a, b] = [source.feed({ cache: source.cache(onDisk()) }), source.feed({ cache: source.cache(onDisk()) })];
    source.answer = counting();
    expect(await get({}, a)).toBe(1);
    await get(context({ noCache: true }), b);
    expect(await get({}, a)).toBe(1);
    const refreshing = context({ refreshMemoryCache: true });
    expect(await get(refreshing, a)).toBe(2);
    writeFileSync(dat(), '3');
    const now = source.time.clock() / 1000;
    utimesSync(dat(), now, now);
    expect(await get(refreshing, a)).toBe(2);
    expect(source.requests).toHaveLength(2);
  });

  it('does without the disk when it cannot be written to', async () => {
    const file = join(source.folder, 'file');
    writeFileSync(file, '');
    feed = source.feed({ cache: source.cache({ disk: { folder: file } }) });
    source.answer = counting();
    expect(await get()).toBe(1);
    expect(await get()).toBe(1);
  });
});

describe('a layer that machines share', () => {
  it('has what one of them got, for all others', async () => {
    const shared = new MemoryLayer<Uint8Array>();
    source.answer = counting({ etag: '"1"' });
    await get({}, source.feed({ cache: source.cache({ shared }) }));
    const other = source.feed({ cache: source.cache({ shared, ...onDisk() }) });
    expect(await get({}, other)).toBe(1);
    await source.time.advance(30 * MINUTE);
    await get({}, other);
    expect(source.requests[1]?.headers['if-none-match']).toBe('"1"');
  });

  it('is not believed when it makes no sense', async () => {
    const shared = new MemoryLayer<Uint8Array>();
    const lying = { name: 'lying', get: () => Buffer.from('nonsense'), set: () => {}, delete: () => false, close() {} };
    source.answer = counting();
    expect(await get({}, source.feed({ cache: source.cache({ shared: lying }) }))).toBe(1);
    expect(shared.stats().entries).toBe(0);
  });
});

describe('a document that redirects lead to', () => {
  const link: DocumentRequest<string>['parse'] = (body, url) => new URL(JSON.parse(body.toString()), url).href;
  const getLink = (of: HttpFeed) => get({ parse: link }, of);

  beforeEach(() => {
    source.answer = (req, res) => {
      if (req.url === '/doc') res.writeHead(302, { location: '/moved/here/doc' }).end();
      else res.end('"page"');
    };
  });

  it('has links that are seen from where it is', async () => {
    expect(await getLink(feed)).toBe(`${source.url}/moved/here/page`);
  });

  it('has the same ones from every cache', async () => {
    const shared = new MemoryLayer<Uint8Array>();
    await getLink(source.feed({ cache: source.cache({ shared, ...onDisk() }) }));
    const ofDisk = source.feed({ cache: source.cache(onDisk()) });
    const ofShared = source.feed({ cache: source.cache({ shared }) });
    for (const other of [ofDisk, ofShared]) expect(await getLink(other)).toBe(`${source.url}/moved/here/page`);
    expect(source.requests).toHaveLength(2);
  });

  it('has the same ones when it was confirmed', async () => {
    source.answer = (req, res) => {
      if (req.url === '/doc') res.writeHead(302, { location: '/moved/here/doc' }).end();
      else if (req.headers['if-none-match'] === '"1"') res.writeHead(304, { etag: '"1"' }).end();
      else res.writeHead(200, { etag: '"1"' }).end('"page"');
    };
    const of = () => source.feed({ cache: source.cache(onDisk()) });
    await getLink(of());
    for (let i = 0; i < 2; i++) {
      await source.time.advance(30 * MINUTE);
      expect(await getLink(of())).toBe(`${source.url}/moved/here/page`);
    }
    expect(source.requests.filter(({ headers }) => headers['if-none-match'] === '"1"')).not.toHaveLength(0);
  });

  it('has those of where it is now when it is confirmed from there', async () => {
    let place = '/moved/here/doc?signature=1';
    source.answer = (req, res) => {
      if (req.url === '/doc') res.writeHead(302, { location: place }).end();
      else if (req.headers['if-none-match'] === '"1"') res.writeHead(304, { etag: '"1"' }).end();
      else res.writeHead(200, { etag: '"1"' }).end('"page"');
    };
    const of = () => source.feed({ cache: source.cache(onDisk()) });
    const askLater = async () => {
      const before = source.requests.length;
      await source.time.advance(30 * MINUTE);
      return { link: await getLink(of()), requests: source.requests.length - before };
    };
    await getLink(of());
    place = '/moved/here/doc?signature=2';
    expect(await askLater()).toEqual({ link: `${source.url}/moved/here/page`, requests: 2 });
    place = '/moved/there/doc';
    expect(await askLater()).toEqual({ link: `${source.url}/moved/there/page`, requests: 4 });
    expect(await askLater()).toEqual({ link: `${source.url}/moved/there/page`, requests: 2 });
  });
});

describe('an answer that is no document', () => {
  it('is never kept', async () => {
    feed = source.feed({ cache: source.cache(onDisk()) });
    source.answer = (_, res) => res.writeHead(200, { 'content-type': 'text/html' }).end('<html>log in</html>');
    expect(await rejection(get())).toMatchObject({ code: 'PROTOCOL' });
    expect(source.requests).toHaveLength(1);
    source.answer = counting();
    expect(await get()).toBe(1);
  });

  it('is a PROTOCOL error of the source, whatever its parser throws', async () => {
    source.answer = (_, res) => res.end('{');
    const error = await rejection(get({ parse: (body) => JSON.parse(body.toString()) }));
    expect(error).toBeInstanceOf(SourceError);
    expect(error).toMatchObject({ code: 'PROTOCOL', source: 'test' });
  });

  it.each([
    [400, 'PROTOCOL'],
    [403, 'FORBIDDEN'],
    [405, 'UNSUPPORTED'],
    [501, 'UNSUPPORTED'],
    [409, 'CONFLICT'],
    [413, 'LIMIT'],
    [429, 'SOURCE_UNAVAILABLE'],
    [500, 'SOURCE_UNAVAILABLE'],
    [304, 'PROTOCOL'],
    [206, 'PROTOCOL'],
  ])('with status %i is %s', async (statusCode, code) => {
    source.answer = statusAnswer(statusCode);
    const error = await rejection(get({}, feed, '/doc?key=secret'));
    expect(error).toMatchObject({ code, statusCode, source: 'test' });
    expect(error.message).not.toContain('secret');
  });

  it('is too long at the limit of the request', async () => {
    source.answer = (_, res) => res.end(JSON.stringify('x'.repeat(1000)));
    expect(await rejection(get({ maxBytes: 999 }))).toMatchObject({ code: 'LIMIT' });
  });

  it('is asked for again when its body breaks off, three times in all', async () => {
    feed = source.feed({ timers: { setTimeout: (callback) => setImmediate(callback), clearTimeout: () => {} } });
    let broken = 2;
    source.answer = (req, res) => {
      if (broken-- === 0) return res.end('"whole"');
      res.writeHead(200, { 'content-length': '100' });
      return res.write('"part', () => req.socket.destroy());
    };
    expect(await get()).toBe('whole');
    broken = 3;
    expect(await rejection(get(context({ noCache: true })))).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(source.requests).toHaveLength(6);
  });
});

describe('the requests of a feed', () => {
  it('say who asks', async () => {
    source.answer = counting();
    const client = source.client({ userAgent: 'client/1' });
    await get({ ...context({ sessionId: 'session' }), accept: 'application/json' }, source.feed({ client }));
    await get({ cacheKey: 'x' }, source.feed({ client, userAgent: 'mine/2' }));
    const [first, second] = source.requests.map(({ headers }) => headers);
    expect(first).toMatchObject({
      accept: 'application/json',
      'user-agent': 'client/1',
      'x-nuget-session-id': 'session',
      'x-nuget-client-version': expect.stringMatching(/^\d+\.\d+\.\d+$/),
      'accept-encoding': expect.stringContaining('gzip'),
    });
    expect(second?.['user-agent']).toBe('mine/2');
    expect(second?.['x-nuget-session-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('have credentials from the URL, which nobody else sees', async () => {
    const url = source.url.replace('http://', 'http://me:pass@');
    feed = source.feed({ url: `${url}/index.json` });
    expect(feed.url).toBe(`${source.url}/index.json`);
    source.answer = counting();
    await get();
    expect(source.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('me:pass').toString('base64')}`);
    const elsewhere = source.url.replace('127.0.0.1', 'localhost');
    await feed.document(`${elsewhere}/doc`, { cacheKey: undefined, parse }).catch(() => {});
    expect(source.requests.slice(1).every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  it('have all schemes of a 401 known, each of which may come in a header of its own', async () => {
    const schemes = ['Bearer authorization_uri=https://login.test/1', 'Basic realm="feed"', 'TFS-Federated'];
    source.answer = (_, res) => res.writeHead(401, { 'www-authenticate': schemes }).end();
    const challenges: (string | undefined)[] = [];
    const provider: CredentialProvider = async ({ challenge }) => {
      challenges.push(challenge);
      return undefined;
    };
    feed = source.feed({ authenticator: new Authenticator({ source: 'test', url: source.url, provider }) });
    expect((await rejection(get())).message).toContain('it takes bearer, basic');
    expect(challenges).toEqual([schemes.join(', ')]);
  });

  it('ask for credentials once after a 401, and fail with UNAUTHORIZED', async () => {
    source.answer = (req, res) => {
      if (req.headers.authorization === 'Bearer good') res.end('1');
      else res.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    };
    let asked = 0;
    const withToken = (token: string) =>
      source.feed({
        authenticator: new Authenticator({
          source: 'test',
          url: source.url,
          provider: async () => {
            asked++;
            return { type: 'bearer', token };
          },
        }),
      });
    const good = withToken('good');
    expect(await get({}, good)).toBe(1);
    expect(await get({ cacheKey: 'x' }, good)).toBe(1);
    expect(asked).toBe(1);
    asked = 0;
    expect(await rejection(get({}, withToken('bad')))).toMatchObject({ code: 'UNAUTHORIZED', statusCode: 401 });
    expect(asked).toBeLessThanOrEqual(2);
  });

  it('ask for credentials after a 403, too, but not for a push with an API key', async () => {
    source.answer = (req, res) => {
      if (req.method === 'GET' && req.headers.authorization === 'Bearer good') res.end('1');
      else res.writeHead(403).end('not you');
    };
    let asked = 0;
    const withAnswer = (answer: () => Credentials | undefined) => {
      const provider: CredentialProvider = async () => {
        asked++;
        return answer();
      };
      return source.feed({ authenticator: new Authenticator({ source: 'test', url: source.url, provider }) });
    };
    expect(
      await get(
        {},
        withAnswer(() => bearerCredentials('good')),
      ),
    ).toBe(1);
    expect(asked).toBe(1);
    for (const answer of [
      () => undefined,
      () => bearerCredentials('bad'),
      () => {
        throw new Error('no answer');
      },
    ]) {
      const failure = await rejection(get({}, withAnswer(answer)));
      expect(failure).toMatchObject({ code: 'FORBIDDEN', statusCode: 403, reason: 'not you' });
    }
    expect(asked).toBe(4);
    const push = { method: 'PUT', headers: { 'x-nuget-apikey': 'key' } } as const;
    const pushed = withAnswer(() => bearerCredentials('good')).send(source.url, push);
    expect(await rejection(pushed)).toMatchObject({ code: 'FORBIDDEN' });
    expect(asked).toBe(4);
  });

  it('follow redirects with what the next host may know', async () => {
    await using other = await TestSource.start();
    other.answer = (_, res) => res.end('"there"');
    source.answer = (req, res) => {
      if (req.url === '/doc') res.writeHead(302, { location: '/moved' }).end();
      else res.writeHead(307, { location: `${other.url}/far` }).end();
    };
    feed = source.feed({ url: source.url.replace('//', '//me:pass@') });
    expect(await get()).toBe('there');
    expect(source.requests.map(({ headers }) => headers.authorization !== undefined)).toEqual([true, true]);
    expect(other.requests[0]?.headers.authorization).toBeUndefined();
  });

  it('do not follow redirects for ever, or to what is no http URL', async () => {
    source.answer = (_, res) => res.writeHead(302, { location: '/again' }).end();
    expect(await rejection(get())).toMatchObject({ code: 'PROTOCOL' });
    expect(source.requests).toHaveLength(6);
    source.answer = (_, res) => res.writeHead(302, { location: 'file:///etc/passwd' }).end();
    expect(await rejection(get())).toMatchObject({ code: 'PROTOCOL' });
  });
});

describe('what is sent', () => {
  const send = (of = feed) =>
    of.send(`${source.url}/push`, {
      method: 'PUT',
      headers: { 'X-NuGet-ApiKey': 'key' },
      body: () => Readable.from([Buffer.from('package')]),
    });

  it('answers with the status, and 404 for what is not there', async () => {
    source.answer = statusAnswer(201);
    expect(await send()).toBe(201);
    expect(source.requests[0]?.headers['x-nuget-apikey']).toBe('key');
    source.answer = statusAnswer(404);
    expect(await send()).toBe(404);
    source.answer = statusAnswer(409);
    expect(await rejection(send())).toMatchObject({ code: 'CONFLICT' });
  });

  it('is waited for as long as its own time allows, and not sent again while the source looks at it', async () => {
    const pushed = new Promise<ServerResponse>((resolve) => {
      source.answer = (req, res) => void (req.method === 'PUT' && resolve(res));
    });
    const slow = source.feed({ client: source.client({ headersTimeoutMs: 20, retry: { maxRetries: 1 } }) });
    const sent = slow.send(`${source.url}/push`, { method: 'PUT', timeoutMs: 0 });
    const response = await pushed;
    // When time is over for a question that came later, it would have been for the push.
    expect(await rejection(get({}, slow))).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    response.writeHead(201).end();
    expect(await sent).toBe(201);
    expect(source.requests.filter(({ method }) => method === 'PUT')).toHaveLength(1);
  });

  it('is sent again with credentials after a 401, body and all', async () => {
    const bodies: string[] = [];
    source.answer = async (req, res) => {
      bodies.push(await text(req));
      res.writeHead(req.headers.authorization ? 202 : 401).end();
    };
    const provider = async () => ({ type: 'bearer', token: 't' }) as const;
    const authenticator = new Authenticator({ source: 'test', url: source.url, provider });
    expect(await send(source.feed({ authenticator }))).toBe(202);
    expect(bodies).toEqual(['package', 'package']);
  });

  it.each(['made', 'read'])('fails with what its body fails with when it is %s', async (when) => {
    const gone = Object.assign(new Error('the disk is gone'), { code: 'EIO' });
    source.answer = (req, res) => void req.on('end', () => res.writeHead(201).end());
    const body = () => {
      if (when === 'made') throw gone;
      return new Readable({
        read() {
          this.destroy(gone);
        },
      });
    };
    expect(await rejection(feed.send(`${source.url}/push`, { method: 'PUT', body }))).toBe(gone);
  });

  it('keeps its API key from other hosts, and is not turned into a GET', async () => {
    await using other = await TestSource.start();
    other.answer = statusAnswer(201);
    source.answer = (_, res) => res.writeHead(307, { location: `${other.url}/push` }).end();
    expect(await send()).toBe(201);
    expect(other.requests[0]?.headers['x-nuget-apikey']).toBeUndefined();
    expect(other.requests[0]?.method).toBe('PUT');
    source.answer = (_, res) => res.writeHead(303, { location: '/push' }).end();
    expect(await rejection(send())).toMatchObject({ code: 'PROTOCOL' });
  });

  it('is not taken where a page for people is all the answer, as one to log in', async () => {
    const page = (body: string, type = 'text/html', status = 200) => {
      source.answer = (_, res) => res.writeHead(status, { 'content-type': type }).end(body);
    };
    page('\ufeff\n<!DOCTYPE html><html><form>');
    expect(await rejection(send())).toMatchObject({ code: 'PROTOCOL', statusCode: 200 });
    page('<!DOCTYPE html><html><form>', 'text/html', 203);
    expect(await rejection(send())).toMatchObject({ code: 'PROTOCOL', statusCode: 203 });
    page(`<html lang="en">${'x'.repeat(100_000)}`, 'text/html; charset=utf-8');
    expect(await rejection(send())).toMatchObject({ code: 'PROTOCOL' });
    // What many servers call HTML where they don't say what it is.
    page('');
    expect(await send()).toBe(200);
    page('Created');
    expect(await send()).toBe(200);
  });

  it('says of a conflict that it may be one with itself, where an answer was lost', async () => {
    const retrying = source.client({ retry: { maxRetries: 1, initialDelayMs: 0 } });
    const of = source.feed({ client: retrying });
    source.answer = (req, res) => {
      if (source.requests.length === 1) req.on('end', () => req.socket.destroy());
      else res.writeHead(409).end('It exists.');
    };
    const error = await rejection(send(of));
    expect(error).toMatchObject({ code: 'CONFLICT', reason: 'It exists.' });
    expect(error.message).toMatch(/It exists\.; it was sent 2 times, and may be there from an earlier one$/);
    expect((await rejection(send(of))).message).toMatch(/It exists\.$/);
  });

  it('has its API key where a redirect only makes it encrypted', async () => {
    const keys: string[] = [];
    const answers = (to?: string) => ({
      statusCode: to === undefined ? 201 : 308,
      statusText: '',
      headers: { location: to },
      body: Readable.from([]),
    });
    const request = async (url: string, { headers }: { headers: Record<string, string> }) => {
      keys.push(`${url} ${headers['x-nuget-apikey']}`);
      if (url === 'http://feed.test/push') return answers('https://feed.test/push');
      return answers(url === 'https://feed.test/push' ? 'https://feed.test:8443/push' : undefined);
    };
    const of = source.feed({ url: 'http://feed.test/', client: { request } as unknown as HttpClient });
    await of.send('http://feed.test/push', { method: 'PUT', headers: { 'X-NuGet-ApiKey': 'key' } });
    expect(keys).toEqual([
      'http://feed.test/push key',
      'https://feed.test/push key',
      'https://feed.test:8443/push undefined',
    ]);
  });

  it('is not followed from https to http, where anybody on the way could read or change it', async () => {
    const asked: string[] = [];
    const request = async (url: string) => {
      asked.push(url);
      const location = 'http://feed.test/moved';
      return { statusCode: 307, statusText: '', headers: { location }, body: Readable.from([]) };
    };
    const of = source.feed({ url: 'https://feed.test/', client: { request } as unknown as HttpClient });
    expect(await rejection(of.send('https://feed.test/push', { method: 'PUT' }))).toMatchObject({
      code: 'PROTOCOL',
      cause: { code: 'INSECURE_REDIRECT' },
    });
    expect(await rejection(of.document('https://feed.test/doc', { cacheKey: 'doc', parse }))).toMatchObject({
      code: 'PROTOCOL',
    });
    expect(asked).toEqual(['https://feed.test/push', 'https://feed.test/doc']);
  });

  it('is known to nobody who was asked before', async () => {
    const waiting: ServerResponse[] = [];
    source.answer = (_, res) => void waiting.push(res);
    const before = get();
    await expect.poll(() => waiting.length).toBe(1);
    source.answer = statusAnswer(201);
    await send();
    source.answer = (_, res) => res.end('"new"');
    const after = get({ cacheKey: 'doc' });
    waiting[0]?.writeHead(404).end();
    expect(await before).toBeUndefined();
    expect(await after).toBe('new');
    expect(await get()).toBe('new');
  });

  it('leaves what was missing meanwhile to be asked for again', async () => {
    const waiting: ServerResponse[] = [];
    source.answer = (_, res) => void waiting.push(res);
    const before = get();
    await expect.poll(() => waiting.length).toBe(1);
    source.answer = statusAnswer(201);
    await send();
    waiting[0]?.writeHead(404).end();
    expect(await before).toBeUndefined();
    source.answer = (_, res) => res.end('"new"');
    expect(await get()).toBe('new');
  });

  it('makes what was cached or missing before be asked for again', async () => {
    source.answer = counting();
    await get();
    source.answer = statusAnswer(404);
    await get({ cacheKey: 'missing' }, feed, '/missing');
    source.answer = statusAnswer(201);
    await source.time.advance(1);
    await send();
    source.answer = (_, res) => res.end('"new"');
    expect(await get()).toBe('new');
    expect(await get({ cacheKey: 'missing' }, feed, '/missing')).toBe('new');
  });
});

describe('a stream', () => {
  it('is what the source gives, with its length where that is known', async () => {
    source.answer = (_, res) => res.writeHead(200, { 'content-length': '5' }).end('bytes');
    const stream = await feed.stream(`${source.url}/p.nupkg`);
    expect(stream).toMatchObject({ length: 5, url: `${source.url}/p.nupkg` });
    expect(await text(stream?.body as Readable)).toBe('bytes');
    source.answer = (_, res) => res.end('bytes');
    const unknown = await feed.stream(`${source.url}/p.nupkg`);
    expect(unknown?.length).toBe(5);
    unknown?.body.destroy();
  });

  it('is what the source gives with 203, too', async () => {
    source.answer = (_, res) => res.writeHead(203, { 'content-length': '5' }).end('bytes');
    const stream = await feed.stream(`${source.url}/p.nupkg`);
    expect(stream?.length).toBe(5);
    stream?.body.destroy();
  });

  it('is undefined or an error by its status', async () => {
    expect(await feed.stream(`${source.url}/p.nupkg`)).toBeUndefined();
    source.answer = statusAnswer(204);
    expect(await feed.stream(`${source.url}/p.nupkg`)).toBeUndefined();
    source.answer = statusAnswer(500);
    expect(await rejection(feed.stream(`${source.url}/p.nupkg`))).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });

  it.each([
    ['"tag"', '"tag"'],
    ['W/"tag"', undefined],
    ['tag', undefined],
  ])('has a tag where that is a strong one: %s', async (etag, told) => {
    source.answer = (_, res) => res.writeHead(200, { 'content-length': '5', etag }).end('bytes');
    const stream = await feed.stream(`${source.url}/p.nupkg`);
    expect(stream?.etag).toBe(told);
    stream?.body.destroy();
  });

  const digest = (algorithm: string, encoding: 'base64' | 'hex') =>
    createHash(algorithm).update('bytes').digest(encoding);
  it.each([
    ['SHA512', { 'x-ms-meta-sha512': digest('sha512', 'base64'), 'content-md5': digest('md5', 'base64') }],
    ['SHA512', { 'repr-digest': `sha-256=:AAAA:, sha-512=:${digest('sha512', 'base64')}:` }],
    ['SHA512', { 'x-checksum-sha512': digest('sha512', 'hex'), 'x-checksum-sha1': digest('sha1', 'hex') }],
    ['SHA256', { 'repr-digest': `sha-256=:${digest('sha256', 'base64')}:` }],
    ['SHA256', { 'x-checksum-sha256': digest('sha256', 'hex').toUpperCase() }],
    ['SHA1', { 'x-checksum-sha256': 'soon', 'x-checksum-sha1': digest('sha1', 'hex') }],
    ['MD5', { 'content-md5': digest('md5', 'base64') }],
  ] as const)('has the best hash that came with it: %s', async (algorithm, headers) => {
    source.answer = (_, res) => res.writeHead(200, { 'content-length': '5', ...headers }).end('bytes');
    const stream = await feed.stream(`${source.url}/p.nupkg`);
    expect(stream?.hash).toEqual({ algorithm, value: digest(algorithm.toLowerCase(), 'base64') });
    stream?.body.destroy();
  });

  it.each(['x-ms-meta-sha512', 'x-checksum-sha512'])(
    'has the hash of the package in %s however it came',
    async (name) => {
      const headers = { [name]: digest('sha512', name.startsWith('x-ms') ? 'base64' : 'hex') };
      source.answer = (_, res) => {
        res.writeHead(200, headers).write('by');
        res.end('tes');
      };
      const chunked = await feed.stream(`${source.url}/p.nupkg`);
      expect(chunked?.length).toBeUndefined();
      chunked?.body.destroy();
      source.answer = (_, res) => res.writeHead(200, { ...headers, 'content-encoding': 'gzip' }).end(gzipSync('bytes'));
      const compressed = await feed.stream(`${source.url}/p.nupkg`);
      compressed?.body.destroy();
      const hash = { algorithm: 'SHA512', value: digest('sha512', 'base64') };
      expect([chunked?.hash, compressed?.hash]).toEqual([hash, hash]);
    },
  );

  it('has neither where it came compressed, or where it makes no sense', async () => {
    const headers = { etag: '"tag"', 'content-md5': digest('md5', 'base64') };
    source.answer = (_, res) => res.writeHead(200, { ...headers, 'content-encoding': 'gzip' }).end(gzipSync('bytes'));
    const stream = await feed.stream(`${source.url}/p.nupkg`);
    expect([stream?.length, stream?.etag, stream?.hash]).toEqual([undefined, undefined, undefined]);
    expect(await text(stream?.body as Readable)).toBe('bytes');
    source.answer = (_, res) => res.writeHead(200, { 'content-length': '5', 'content-md5': 'none' }).end('bytes');
    const other = await feed.stream(`${source.url}/p.nupkg`);
    expect(other?.hash).toBeUndefined();
    other?.body.destroy();
  });

  it('can be its rest', async () => {
    source.answer = (_, res) => {
      res.writeHead(206, { 'content-length': '3', 'content-range': 'bytes 2-4/5', etag: '"tag"' }).end('tes');
    };
    const stream = await feed.stream(`${source.url}/p.nupkg`, { rest: { offset: 2, etag: '"tag"' } });
    expect(stream).toMatchObject({ offset: 2, length: 5, etag: '"tag"' });
    expect(await text(stream?.body as Readable)).toBe('tes');
    expect(source.requests.at(-1)?.headers).toMatchObject({
      range: 'bytes=2-',
      'if-range': '"tag"',
      'accept-encoding': 'identity',
    });
    source.answer = (_, res) => res.writeHead(200, { 'content-length': '5', etag: '"new"' }).end('whole');
    const whole = await feed.stream(`${source.url}/p.nupkg`, { rest: { offset: 2, etag: '"tag"' } });
    expect(whole).toMatchObject({ length: 5, etag: '"new"' });
    expect(whole?.offset).toBeUndefined();
    whole?.body.destroy();
  });

  it.each([
    ['of another part', { 'content-range': 'bytes 1-4/5', etag: '"tag"' }],
    ['of less than all of it', { 'content-range': 'bytes 2-3/5', etag: '"tag"' }],
    ['of what has no known length', { 'content-range': 'bytes 2-4/*', etag: '"tag"' }],
    ['that does not say which part', { etag: '"tag"' }],
    ['that does not say of what', { 'content-range': 'bytes 2-4/5' }],
    ['of another package', { 'content-range': 'bytes 2-4/5', etag: '"other"' }],
  ])('is no rest that it was not asked for: one %s', async (_, headers) => {
    source.answer = (_, res) => res.writeHead(206, { 'content-length': '3', ...headers }).end('tes');
    const rest = { offset: 2, etag: '"tag"' };
    expect(await rejection(feed.stream(`${source.url}/p.nupkg`, { rest }))).toMatchObject({ code: 'PROTOCOL' });
    expect(await rejection(feed.stream(`${source.url}/p.nupkg`))).toMatchObject({ code: 'PROTOCOL' });
  });
});

describe('a feed that is closed', () => {
  it('refuses calls, and ends those that wait', async () => {
    source.answer = () => {};
    const waiting = rejection(get());
    await expect.poll(() => source.requests.length).toBe(1);
    await feed.close();
    await feed.close();
    expect(await waiting).toMatchObject({ code: 'CLOSED' });
    expect(await rejection(get())).toMatchObject({ code: 'CLOSED' });
    expect(await rejection(feed.stream(source.url))).toMatchObject({ code: 'CLOSED' });
  });

  it('was refused with a URL that is none', () => {
    expect(() => source.feed({ url: 'ftp://x/' })).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    expect(() => source.feed({ url: 'http://x/\n' })).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});
