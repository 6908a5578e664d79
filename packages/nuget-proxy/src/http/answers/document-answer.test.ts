import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { record } from '../testing/memory-feed.js';
import { TestServer } from '../testing/test-server.js';

const VERSIONS = '/nuget/v3/flatcontainer/a/index.json';
const TEXT = '{"versions":["1.0.0","1.1.0"]}';

let server: TestServer;

beforeEach(async () => {
  server = await TestServer.start();
  for (const version of ['1.0.0', '1.1.0']) server.feed.add(record('A', version), Buffer.from('a'));
});

afterEach(() => server[Symbol.asyncDispose]());

describe('a document', () => {
  it('is JSON with everything that says how long it is good for', async () => {
    const { status, headers, body } = await server.ask(VERSIONS);
    expect(status).toBe(200);
    expect(body.toString()).toBe(TEXT);
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'content-length': `${TEXT.length}`,
      'cache-control': 'max-age=10, must-revalidate',
      'x-content-type-options': 'nosniff',
      'x-cache': 'hit',
      vary: 'Accept-Encoding',
      etag: expect.stringMatching(/^"[\w-]{20,}"$/),
    });
    expect(headers).not.toHaveProperty('content-encoding');
    expect(headers).not.toHaveProperty('age');
  });

  it.each([
    ['gzip, deflate', 'gzip', gunzipSync],
    ['br', 'br', brotliDecompressSync],
  ])('comes compressed to who accepts %s', async (accepted, coding, decompress) => {
    const plain = await server.ask(VERSIONS);
    for (let i = 0; i < 2; i++) {
      const { headers, body } = await server.ask(VERSIONS, { headers: { 'Accept-Encoding': accepted } });
      expect(headers).toMatchObject({
        'content-encoding': coding,
        'content-length': `${body.length}`,
        vary: 'Accept-Encoding',
      });
      expect(headers.etag).not.toBe(plain.headers.etag);
      expect(decompress(body).toString()).toBe(TEXT);
    }
  });

  it('is confirmed to who has it in the same coding', async () => {
    for (const coding of ['identity', 'gzip', 'br']) {
      const { headers } = await server.ask(VERSIONS, { headers: { 'Accept-Encoding': coding } });
      const again = await server.ask(VERSIONS, {
        headers: { 'Accept-Encoding': coding, 'If-None-Match': `"x", W/${headers.etag}` },
      });
      expect(again).toMatchObject({
        status: 304,
        headers: {
          etag: headers.etag,
          vary: 'Accept-Encoding',
          'cache-control': headers['cache-control'],
          'x-cache': 'hit',
        },
      });
      expect(again.headers).not.toHaveProperty('content-length');
      expect(again.body.length).toBe(0);
      const other = await server.ask(VERSIONS, { headers: { 'Accept-Encoding': 'deflate', 'If-None-Match': '"x"' } });
      expect(other.status).toBe(200);
    }
  });

  it('is given to who wants just this one while it is this one', async () => {
    const { headers } = await server.ask(VERSIONS);
    const ask = (tag: string) => server.ask(VERSIONS, { headers: { 'If-Match': tag } });
    expect((await ask(`${headers.etag}`)).status).toBe(200);
    server.feed.add(record('A', '2.0.0'));
    expect((await ask(`${headers.etag}`)).status).toBe(412);
    expect((await ask('*')).status).toBe(200);
  });

  it('has another tag when it changes', async () => {
    const before = await server.ask(VERSIONS);
    server.feed.add(record('A', '2.0.0'));
    const after = await server.ask(VERSIONS, { headers: { 'If-None-Match': `${before.headers.etag}` } });
    expect(after.status).toBe(200);
    expect(after.body.toString()).toContain('2.0.0');
  });

  it.each(['hit', 'miss', 'revalidated'] as const)('says %s when it comes from there', async (state) => {
    server.feed.state = state;
    expect((await server.ask(VERSIONS)).headers).toMatchObject({ 'x-cache': state });
  });

  it.each(['/nuget/v3/index.json', '/nuget/v2/', '/nuget/v2/$metadata'])(
    'of the server itself is at hand: %s',
    async (path) => {
      expect((await server.ask(path)).headers).toMatchObject({ 'x-cache': 'hit' });
    },
  );

  it('says how old it is when it is stale', async () => {
    server.feed.state = 'stale';
    server.feed.asOf = Date.now() - 90_500;
    const { headers } = await server.ask(VERSIONS);
    expect(headers).toMatchObject({ 'x-cache': 'stale', warning: '110 - "Response is Stale"' });
    expect(Number(headers.age)).toBeGreaterThanOrEqual(90);
    server.feed.asOf = Date.now() + 60_000;
    expect((await server.ask(VERSIONS)).headers.age).toBe('0');
    // Put together of what was seen at some time.
    server.feed.asOf = 0;
    expect((await server.ask(VERSIONS)).headers).not.toHaveProperty('age');
  });

  it('is a manifest where one is asked for, which never changes', async () => {
    server.feed.nuspecBytes = Buffer.from('<package>你</package>');
    expect(await server.ask('/nuget/v3/flatcontainer/A/1.0/A.nuspec')).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/xml', 'cache-control': 'max-age=31536000, immutable' },
      body: server.feed.nuspecBytes,
    });
    expect((await server.ask('/nuget/v3/flatcontainer/a/3.0.0/a.nuspec')).status).toBe(404);
    expect((await server.ask('/nuget/v3/flatcontainer/a/1.0.0/b.nuspec')).status).toBe(404);
  });

  it("isn't there: the reason is what clients show of that", async () => {
    expect(await server.ask('/nuget/v3/flatcontainer/b/index.json')).toMatchObject({
      status: 404,
      reason: 'there is no such package or version',
      headers: { 'cache-control': 'no-store' },
    });
  });
});
