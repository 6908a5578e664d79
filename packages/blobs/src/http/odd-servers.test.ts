import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import * as zlib from 'node:zlib';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { actionKey } from '../blob-store.js';
import { Digest } from '../digest.js';
import { blobOf, inChunks } from '../testing/content.js';
import type { HttpTierOptions } from './options.js';
import { PlainCache } from './testing/plain-cache.js';
import { testTier } from './testing/test-tier.js';

const closing: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

type Respond = (response: ServerResponse, request: IncomingMessage) => void;

/** A server that answers everything of one method in its own way, and a tier in front of it. */
async function start(method: string, respond: Respond, options: Partial<HttpTierOptions> = {}) {
  const cache = await PlainCache.start((request, response) => {
    if (request.method !== method) return false;
    respond(response, request);
    return true;
  });
  closing.push(cache);
  const tier = testTier(cache.url, options);
  closing.push(tier);
  return { cache, tier, blobs: tier.blobs, actionResults: tier.actionResults };
}

const { bytes, digest } = blobOf(100_000);
const path = `/cas/${digest.hash}`;
const key = actionKey('', { function: 'sha256', hash: 'a'.repeat(64) });

describe('a status of a cache server', () => {
  it.each([
    [400, 'invalid', false],
    [401, 'refused', false],
    [403, 'refused', false],
    [405, 'refused', false],
    [407, 'refused', false],
    [408, 'timeout', true],
    [413, 'refused', false],
    [418, 'invalid', false],
    [429, 'exhausted', true],
    [500, 'unavailable', true],
    [502, 'unavailable', true],
    [503, 'unavailable', true],
    [504, 'timeout', true],
    [507, 'exhausted', true],
  ])('%i is %s', async (status, kind, retryable) => {
    const { blobs } = await start('GET', (response) => response.writeHead(status).end());
    await expect(blobs.get(digest)).rejects.toMatchObject({ name: 'RemoteStoreError', kind, retryable, tier: 'web' });
    await expect(blobs.read(digest, { offset: 5 })).rejects.toMatchObject({ kind });
  });

  it.each([
    [400, true],
    [422, true],
    [403, false],
    [500, false],
    [302, false],
  ])('%i to an action result says whether it is only that one which it will not have: %s', async (status, rejected) => {
    const { blobs, actionResults } = await start('PUT', (response) => response.writeHead(status).end());
    // A blob may have come to it damaged, and the next try may be better.
    await expect(blobs.write(digest, bytes)).rejects.toMatchObject({ rejected: false, unfit: false });
    await expect(actionResults.set(key, bytes)).rejects.toMatchObject({ rejected, unfit: rejected });
  });

  it('that makes no sense for a download says nothing of what was asked for', async () => {
    const { blobs } = await start('GET', (response) => response.writeHead(400).end());
    await expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'invalid', rejected: false });
  });

  it('says how long to wait, and why', async () => {
    const { blobs } = await start('PUT', (response) =>
      response.writeHead(429, { 'retry-after': '7', 'content-type': 'text/plain' }).end('too many of you\n'),
    );
    await expect(blobs.write(digest, bytes)).rejects.toMatchObject({
      kind: 'exhausted',
      retryAfterMs: 7000,
      message: `web: PUT ${path}: status 429: too many of you`,
    });
  });

  it.each([404, 410])('%i means that nothing is there, and for an upload that it has no place', async (status) => {
    const { blobs, actionResults } = await start('GET', (response) => response.writeHead(status).end());
    expect(await blobs.get(digest)).toBeUndefined();
    expect(await actionResults.get(key)).toBeUndefined();
    const put = await start('PUT', (response) => response.writeHead(status).end());
    await expect(put.blobs.write(digest, bytes)).rejects.toMatchObject({ kind: 'refused' });
  });

  it('403 means missing where that is asked for, but not for an upload', async () => {
    const respond: Respond = (response) => response.writeHead(403).end();
    const { blobs } = await start('HEAD', respond, { forbiddenIsMissing: true });
    expect(await blobs.findMissing([digest])).toEqual([digest]);
    await expect((await start('HEAD', respond)).blobs.findMissing([digest])).rejects.toMatchObject({ kind: 'refused' });
    const put = await start('PUT', respond, { forbiddenIsMissing: true });
    await expect(put.blobs.write(digest, bytes)).rejects.toMatchObject({ kind: 'refused' });
  });

  it('that has no meaning for a blob is invalid', async () => {
    const { blobs } = await start('GET', (response) => response.writeHead(206).end(bytes));
    await expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('the body of a blob', () => {
  const body = (text: string) => Digest.of('sha256', Buffer.from(text));

  it('may come without a length', async () => {
    const { blobs } = await start('GET', (response) => {
      response.write(bytes.subarray(0, 60_000));
      response.end(bytes.subarray(60_000));
    });
    expect((await blobs.get(digest))?.equals(bytes)).toBe(true);
  });

  it.each([
    ['shorter', bytes.subarray(1), 'ended after 99999 of 100000 bytes'],
    ['longer', Buffer.concat([bytes, Buffer.from('!')]), 'went on after the 100000 bytes that its digest names'],
  ])('that is %s than it should be is an error, and its end is never handed out as one', async (_, sent, message) => {
    const { blobs } = await start('GET', (response) => {
      response.write(sent.subarray(0, 10));
      response.end(sent.subarray(10));
    });
    await expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'invalid' });
    await expect(blobs.get(digest)).rejects.toThrow(message);
  });

  it('of another length is another blob', async () => {
    const { blobs } = await start('GET', (response) => response.end('short'));
    expect(await blobs.get(body('not short'))).toBeUndefined();
    expect(await blobs.get(body('short'))).toEqual(Buffer.from('short'));
  });

  it('that breaks off is an error', async () => {
    const { blobs } = await start('GET', (response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 50_000), () => response.destroy());
    });
    await expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'unavailable', retryable: true });
  });

  it('that stands still is given up', async () => {
    const { blobs } = await start(
      'GET',
      (response) => {
        response.writeHead(200, { 'content-length': bytes.length });
        response.write(bytes.subarray(0, 50_000));
      },
      { idleTimeoutMs: 50 },
    );
    await expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'timeout', retryable: true });
  });

  it('is left at once when its reader is aborted or closed, together with its connection', async () => {
    let open = 0;
    const { blobs } = await start('GET', (response) => {
      open++;
      response.once('close', () => open--);
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 50_000));
    });
    const abort = new AbortController();
    const reader = await blobs.read(digest, { signal: abort.signal });
    await reader?.next();
    const drained = (async () => {
      while (await reader?.next()) {
        // To where the server stops.
      }
    })();
    setImmediate(() => abort.abort(new Error('enough')));
    await expect(drained).rejects.toThrow('enough');
    const other = await blobs.read(digest);
    await other?.next();
    await other?.close();
    await expect.poll(() => open, { timeout: 10_000 }).toBe(0);
  });

  it('is read no faster than it is wanted', async () => {
    const size = 40 * 1024 * 1024;
    let sent = 0;
    const { blobs } = await start('GET', (response) => {
      response.writeHead(200, { 'content-length': size });
      const block = Buffer.alloc(1024 * 1024);
      const more = () => {
        while (sent < size) {
          sent += block.length;
          if (!response.write(block)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    const reader = await blobs.read(Digest.parse('sha256', digest.hash, size));
    await reader?.next();
    // The sockets of both sides fill up, and then nothing moves.
    for (let before = -1; before !== sent; await new Promise((resolve) => setTimeout(resolve, 200))) before = sent;
    expect(sent).toBeLessThan(size / 2);
    await reader?.close();
  });

  it('may come compressed, and is then counted as it is', async () => {
    const { blobs } = await start('GET', (response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(bytes)),
    );
    expect((await blobs.get(digest))?.equals(bytes)).toBe(true);
    const cut = await start('GET', (response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(bytes).subarray(0, -9)),
    );
    await expect(cut.blobs.get(digest)).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('is asked for with zstd where this Node has it, and as it is where it hasn’t, or for parts and checks', async () => {
    const { cache, blobs } = await start('none', () => {});
    cache.files.set(path, bytes);
    await blobs.get(digest);
    await blobs.read(digest, { offset: 1, limit: 10 });
    await blobs.findMissing([digest]);
    const asked = cache.requests.map(({ headers }) => headers['accept-encoding']);
    expect(asked).toEqual(['createZstdDecompress' in zlib ? 'zstd' : 'identity', 'identity', 'identity']);
    const plain = testTier(cache.url, { compression: false });
    closing.push(plain);
    await plain.blobs.get(digest);
    expect(cache.requests.at(-1)?.headers['accept-encoding']).toBe('identity');
  });

  it('that is a web page is no blob and no miss', async () => {
    const page = '<!doctype html><title>Sign in</title>';
    const respond: Respond = (response) => response.writeHead(200, { 'content-type': 'text/html' }).end(page);
    const { blobs, actionResults, tier } = await start('GET', respond);
    await expect(blobs.get(digest)).rejects.toThrow(/ended after 37 of|a web page came/);
    await expect(actionResults.get(key)).rejects.toThrow('a web page came, so this is no cache');
    expect(await blobs.get(body(page))).toEqual(Buffer.from(page));
    // One that is handed out while it comes would begin with the page.
    await expect(blobs.read(body('x'.repeat(300_000)))).rejects.toThrow('a web page came, so this is no cache');
    expect(tier.target).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });
});

describe('parts of a blob', () => {
  const part = async (respond: Respond) => {
    const { blobs } = await start('GET', respond);
    const reader = await blobs.read(digest, { offset: 10, limit: 5 });
    const chunks: Buffer[] = [];
    for await (const chunk of reader ?? []) chunks.push(Buffer.from(chunk));
    return reader && Buffer.concat(chunks);
  };
  const range = (value: string, sent = bytes.subarray(10, 15)) =>
    part((response) => response.writeHead(206, { 'content-range': value }).end(sent));

  it('are taken from what the server says to send', async () => {
    expect(await range('bytes 10-14/100000')).toEqual(bytes.subarray(10, 15));
    expect(await range('bytes 10-14/*')).toEqual(bytes.subarray(10, 15));
  });

  it.each(['bytes 9-14/100000', 'bytes 10-13/100000', 'bytes 14-10/100000', 'bytes 10-14', 'lines 10-14/20', ''])(
    'that are said to be others are refused: %j',
    async (value) => {
      await expect(range(value)).rejects.toMatchObject({ kind: 'invalid' });
    },
  );

  it('of a blob with another size are missing', async () => {
    expect(await range('bytes 10-14/99')).toBeUndefined();
    expect(await part((response) => response.writeHead(416).end())).toBeUndefined();
  });

  it('that are longer than asked for are refused', async () => {
    await expect(range('bytes 10-14/100000', bytes.subarray(10, 16))).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('the connections of many questions', () => {
  const known = blobOf(5000);
  const unknown = Array.from({ length: 300 }, (_, i) => Digest.of('sha256', Buffer.from(`${i}`)));

  it('are used again', async () => {
    const { cache, blobs } = await start('DELETE', () => {}, { connections: 8 });
    await blobs.write(known.digest, known.bytes);
    expect((await blobs.findMissing([known.digest, ...unknown])).length).toBe(300);
    expect(cache.count('HEAD')).toBe(301);
    expect(cache.connections).toBeLessThanOrEqual(8);
  });

  it.each([
    ['text, at once', 'no such file', true],
    ['text, late', 'no such file', false],
    ['much', 'x'.repeat(200_000), true],
    ['what looks like an answer to the next question', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n', true],
  ])('are given up where a server sends a body after HEAD: %s', async (_, body, isAtOnce) => {
    const server = createServer((socket) => {
      let text = '';
      socket
        .on('error', () => {})
        .on('data', (chunk) => {
          text += chunk;
          for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
            const isKnown = text.includes(known.digest.hash);
            const isHead = text.startsWith('HEAD');
            text = text.slice(end + 4);
            const length = isKnown ? known.bytes.length : 0;
            const head = `HTTP/1.1 ${isKnown ? '200 OK' : '404 Not Found'}\r\ncontent-length: ${length}\r\n\r\n`;
            if (!isHead) socket.write(Buffer.concat([Buffer.from(head), isKnown ? known.bytes : Buffer.alloc(0)]));
            else if (isAtOnce) socket.write(head + body);
            else socket.write(head, () => setImmediate(() => socket.write(body)));
          }
        });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const tier = testTier(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { connections: 1 });
    const asked = [known.digest, ...unknown.slice(0, 10)];
    for (let i = 0; i < 3; i++) {
      expect(await tier.blobs.findMissing(asked)).toEqual(asked.slice(1));
      expect((await tier.blobs.get(known.digest))?.equals(known.bytes)).toBe(true);
    }
    await tier.close();
    server.close();
    await once(server, 'close');
  });
});

describe('a server without HEAD', () => {
  it('is asked with GET for as little as it gives, and not with HEAD again', async () => {
    const { cache, blobs, tier } = await start('HEAD', (response) => response.writeHead(501).end());
    const empty = blobOf(0);
    for (const { bytes: content, digest: name } of [{ bytes, digest }, empty])
      cache.files.set(`/cas/${name.hash}`, content);
    const other = blobOf(3).digest;
    for (const ranges of [true, false]) {
      cache.ranges = ranges;
      expect(await blobs.findMissing([digest, empty.digest, other])).toEqual([other]);
      expect(await tier.sizes.sizeOf('sha256', digest.bytes)).toBe(bytes.length);
    }
    expect(cache.count('HEAD')).toBeLessThanOrEqual(3);
    await tier.check(new AbortController().signal);
  });
});

describe('a redirect', () => {
  const redirecting = (location: string, method = 'GET') =>
    start(method, (response, request) => {
      if (request.url?.startsWith('/cas/')) return void response.writeHead(307, { location }).end();
      response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    });

  it('is followed on the same server', async () => {
    const { blobs } = await redirecting('/elsewhere');
    expect((await blobs.get(digest))?.equals(bytes)).toBe(true);
  });

  it('to another server is not followed, so that nothing secret gets there', async () => {
    const other = await PlainCache.start();
    closing.push(other);
    other.files.set('/elsewhere', bytes);
    const { blobs } = await redirecting(`${other.url}/elsewhere`);
    await expect(blobs.get(digest)).rejects.toThrow('redirected to another server, which is not followed');
    expect(other.requests).toEqual([]);
  });

  it('without end, without a target, or of an upload is an error', async () => {
    await expect((await redirecting(path)).blobs.get(digest)).rejects.toThrow('redirected more than 3 times');
    await expect((await redirecting('http://')).blobs.get(digest)).rejects.toMatchObject({ kind: 'invalid' });
    const { blobs } = await redirecting('/elsewhere', 'PUT');
    await expect(blobs.write(digest, bytes)).rejects.toThrow("which an upload can't follow");
  });
});

describe('an upload', () => {
  async function* silent() {
    yield bytes.subarray(0, 50_000);
    await new Promise(() => {});
  }

  it('that is answered early is not sent to its end', async () => {
    const { blobs } = await start('PUT', (response) => response.writeHead(413, { connection: 'close' }).end());
    await expect(blobs.write(digest, silent())).rejects.toMatchObject({ kind: 'refused' });
  });

  it.each([
    [413, true],
    [403, false],
    [500, false],
  ])('that is answered with %i will never be taken: %s', async (status, unfit) => {
    const { blobs, actionResults } = await start('PUT', (response) => response.writeHead(status).end());
    await expect(blobs.write(digest, bytes)).rejects.toMatchObject({ unfit });
    await expect(actionResults.set(key, bytes)).rejects.toMatchObject({ unfit });
  });

  it('whose connection breaks ends at once, even while its source is silent', async () => {
    const { blobs } = await start('PUT', (_, request) => request.once('data', () => request.destroy()));
    await expect(blobs.write(digest, silent())).rejects.toMatchObject({ kind: 'unavailable', retryable: true });
    await expect(blobs.write(digest, bytes)).rejects.toMatchObject({ kind: 'unavailable', retryable: true });
  });

  it('that is answered early with success is one only when the blob is there', async () => {
    const { cache, blobs } = await start('PUT', (response) => response.writeHead(200).end());
    await expect(blobs.write(digest, silent())).rejects.toThrow('was answered before everything had been sent');
    cache.answer = (request, response) => {
      if (request.method !== 'PUT') return false;
      cache.files.set(path, bytes);
      response.writeHead(200).end();
      return true;
    };
    await blobs.write(digest, silent());
  });

  it('announces its length, and breaks off rather than to send all of a wrong blob', async () => {
    let length: string | undefined;
    let received = 0;
    let ended: boolean | undefined;
    const { blobs } = await start('PUT', (_, request) => {
      length = request.headers['content-length'];
      request.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      request.once('close', () => {
        ended = request.complete;
      });
    });
    const wrong = Buffer.from(bytes);
    wrong[99_999] = 1;
    const source = async function* () {
      yield wrong.subarray(0, 50_000);
      await expect.poll(() => received, { timeout: 10_000 }).toBeGreaterThan(0);
      yield* inChunks(wrong.subarray(50_000), 1000);
    };
    await expect(blobs.write(digest, source())).rejects.toThrow('hash is');
    await expect.poll(() => ended, { timeout: 10_000 }).toBe(false);
    expect(length).toBe('100000');
    expect(received).toBeLessThan(bytes.length);
  });

  it('of a digest function that the server is not used for is refused, and such blobs are missing', async () => {
    const { cache, blobs, tier, actionResults } = await start('none', () => {});
    const blake3 = Digest.of('blake3', bytes);
    await expect(blobs.write(blake3, bytes)).rejects.toMatchObject({ kind: 'refused', unfit: true });
    expect(await blobs.findMissing([blake3])).toEqual([blake3]);
    expect(await blobs.get(blake3)).toBeUndefined();
    expect(await tier.sizes.sizeOf('blake3', blake3.bytes)).toBeUndefined();
    const other = actionKey('', { function: 'blake3', hash: 'a'.repeat(64) });
    expect(await actionResults.get(other)).toBeUndefined();
    await expect(actionResults.set(other, bytes)).rejects.toMatchObject({ kind: 'refused', unfit: true });
    expect(cache.requests).toEqual([]);
  });
});

describe('a server that is not there', () => {
  it('is unavailable, and the check says so', async () => {
    const { cache, tier } = await start('none', () => {});
    await tier.check(new AbortController().signal);
    await cache[Symbol.asyncDispose]();
    await expect(tier.blobs.get(digest)).rejects.toMatchObject({ kind: 'unavailable', retryable: true });
    await expect(tier.check(new AbortController().signal)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('that never answers is given up: by its time, by an abort, and by the end of the tier', async () => {
    const { tier, blobs } = await start('HEAD', () => {}, { idleTimeoutMs: 60_000 });
    await expect(blobs.findMissing([digest], { signal: AbortSignal.timeout(20) })).rejects.toThrow('timeout');
    const waiting = blobs.findMissing([digest, blobOf(1).digest]);
    setImmediate(() => void tier.close());
    await expect(waiting).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    const short = await start('HEAD', () => {}, { idleTimeoutMs: 50 });
    await expect(short.blobs.findMissing([digest])).rejects.toMatchObject({ kind: 'timeout' });
  });
});

describe('action results over HTTP', () => {
  it('of an instance are under its name', async () => {
    const { cache, actionResults } = await start('none', () => {});
    const named = actionKey('team/a b', { function: 'sha256', hash: 'a'.repeat(64) });
    await actionResults.set(named, Buffer.from('result'));
    expect([...cache.files.keys()]).toEqual([`/team/a%20b/ac/${'a'.repeat(64)}`]);
  });

  it.each(['..', 'a/../b', '.', 'a//b', '/a', '\ud800', 'x'.repeat(8000)])(
    'of an instance that no path can be made of are missing, and refused: %j',
    async (instance) => {
      const { cache, actionResults } = await start('none', () => {});
      const named = actionKey(instance, { function: 'sha256', hash: 'a'.repeat(64) });
      expect(await actionResults.get(named)).toBeUndefined();
      await expect(actionResults.set(named, Buffer.from('result'))).rejects.toMatchObject({ kind: 'refused' });
      expect(cache.requests).toEqual([]);
    },
  );

  it('are taken up to a size', async () => {
    const { cache, actionResults } = await start('none', () => {}, { maxActionResultBytes: 10 });
    cache.files.set(`/ac/${'a'.repeat(64)}`, Buffer.alloc(11));
    await expect(actionResults.get(key)).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('can be asked for until the store is closed, with keys that are some', async () => {
    const { actionResults } = await start('none', () => {});
    await expect(actionResults.get('nonsense')).rejects.toThrow(RangeError);
    await expect(actionResults.get(`sha256/${'z'.repeat(64)}/`)).rejects.toMatchObject({ code: 'INVALID_DIGEST' });
    expect(await actionResults.delete(key)).toBe(false);
    await actionResults.close();
    await expect(actionResults.get(key)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await expect(actionResults.set(key, bytes)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });
});
