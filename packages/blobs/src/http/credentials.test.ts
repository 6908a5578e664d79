import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { noopSpan, type Span } from '@granary/telemetry';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { actionKey } from '../blob-store.js';
import { blobOf } from '../testing/content.js';
import type { HttpTierOptions } from './options.js';
import { PlainCache } from './testing/plain-cache.js';
import { testTier } from './testing/test-tier.js';

const { bytes, digest } = blobOf(100);

let cache: PlainCache;
beforeEach(async () => {
  cache = await PlainCache.start();
});
afterEach(() => cache[Symbol.asyncDispose]());

/** The headers of a request of a tier with these options. */
async function sent(options: Partial<HttpTierOptions> = {}, url = cache.url) {
  await using tier = testTier(url, options);
  await tier.blobs.get(digest);
  return cache.requests.at(-1)?.headers ?? {};
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

describe('credentials of an HTTP tier', () => {
  it('come from the URL or the options', async () => {
    const { host } = cache;
    expect((await sent({}, `http://me:p%40ss@${host}/base`)).authorization).toBe(basic('me:p@ss'));
    expect(cache.requests.at(-1)?.path).toBe(`/base/cas/${digest.hash}`);
    expect((await sent({ username: 'me', password: 'ü' })).authorization).toBe(basic('me:ü'));
    expect((await sent({ token: 'abc' })).authorization).toBe('Bearer abc');
    expect((await sent({ headers: { authorization: 'Custom x', 'x-team': 'a' } }))['x-team']).toBe('a');
    expect((await sent()).authorization).toBeUndefined();
  });

  it('may change: a token is asked for with each request', async () => {
    let number = 0;
    await using tier = testTier(cache.url, { token: async () => `token-${++number}` });
    await tier.blobs.get(digest);
    await tier.actionResults.get(actionKey('', { function: 'sha256', hash: digest.hash }));
    expect(cache.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer token-1', 'Bearer token-2']);
  });

  it.each([() => 'two words', () => Promise.reject(new Error('no such file'))])(
    'that can not be had are a refusal',
    async (token) => {
      await using tier = testTier(cache.url, { token });
      await expect(tier.blobs.get(digest)).rejects.toMatchObject({ kind: 'refused', retryable: false });
      expect(cache.requests).toEqual([]);
    },
  );

  it('are in no message, even if the server repeats them', async () => {
    const secret = 'secret-secret';
    cache.answer = (request, response) => {
      const shown = `${request.headers.authorization} ${secret} ${request.headers['x-key']}`;
      response.writeHead(401, { 'content-type': 'text/plain' }).end(shown);
      return true;
    };
    for (const options of [{ username: 'me', password: secret }, { token: secret }, { headers: { 'x-key': secret } }]) {
      await using tier = testTier(cache.url, options);
      const error = await tier.blobs.read(digest).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ kind: 'refused' });
      expect(String(error)).not.toContain(secret);
      expect(String(error)).not.toContain(basic(`me:${secret}`).slice(6));
      expect(tier.target).toBe(cache.url);
    }
  });
});

describe('options of an HTTP tier that are wrong', () => {
  it.each<[string, Partial<HttpTierOptions>]>([
    ['url is none', { url: 'secret' }],
    ['url must be http:// or https://', { url: 'ftp://secret' }],
    ['no query', { url: 'http://a/?token=secret' }],
    ['malformed percent escape', { url: 'http://secret%zz:x@a' }],
    ['or in username and password', { url: 'http://me:secret@a', username: 'you', password: 'secret' }],
    ['belong together', { username: 'me' }],
    ['no colon', { username: 'm:e', password: 'secret' }],
    ['or a token, not both', { url: 'http://me:secret@a', token: 'secret' }],
    ['token is empty', { token: 'sec ret secret' }],
    ['headers.authorization or other credentials', { token: 'secret', headers: { authorization: 'secret' } }],
    ['no name of a header', { headers: { 'X-Upper': 'secret' } }],
    ["can't be set", { headers: { host: 'secret' } }],
    ['characters that no header takes', { headers: { 'x-a': 'secret\r\n' } }],
    ['tls is given', { url: 'http://a', tls: {} }],
    ['tls.cert and tls.key', { url: 'https://a', tls: { cert: 'secret' } }],
    ['digestFunctions', { digestFunctions: ['md4' as never] }],
    ['connections', { connections: 0 }],
    ['parallelChecks', { parallelChecks: 1.5 }],
  ])('are refused: %s', (message, options) => {
    expect(() => testTier(options.url as string, { url: 'http://a', ...options })).toThrow(message);
    expect(() => testTier('', { url: 'http://a', ...options })).not.toThrow('secret');
  });
});

describe('what a request carries', () => {
  it('is the way that it has come, and its trace', async () => {
    const span: Span = {
      ...noopSpan,
      inject: (write) => {
        write('traceparent', '00-11111111111111111111111111111111-2222222222222222-01');
        write('Host', 'elsewhere');
        write('bad name', 'x');
      },
    };
    await using tier = testTier(cache.url);
    await tier.blobs.findMissing([digest], { via: ['a', 'b', 'not an id'], span });
    expect(cache.requests[0]?.headers).toMatchObject({
      'granary-via': 'a,b',
      traceparent: '00-11111111111111111111111111111111-2222222222222222-01',
      'user-agent': 'granary',
    });
    await tier.blobs.write(digest, bytes, { via: [], span: noopSpan });
    expect(cache.requests[1]?.headers['granary-via']).toBeUndefined();
  });
});

describe('an encrypted cache server', () => {
  const certificate = (name: string) =>
    readFileSync(new URL(`../../../http/src/testing/certificates/${name}`, import.meta.url));

  it('is trusted by its authority, and is shown a certificate', async () => {
    const [ca, cert, key] = [certificate('ca.pem'), certificate('server.pem'), certificate('server.key')];
    let shown = false;
    const server = createServer(
      { ca, cert, key, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        shown = (request.socket as TLSSocket).getPeerCertificate().raw !== undefined;
        response.end(bytes);
      },
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      await using tier = testTier(url, { tls: { ca, cert, key } });
      expect(await tier.blobs.get(digest)).toEqual(bytes);
      expect(shown).toBe(true);
      await using stranger = testTier(url);
      await expect(stranger.blobs.get(digest)).rejects.toMatchObject({ kind: 'refused', retryable: false });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
