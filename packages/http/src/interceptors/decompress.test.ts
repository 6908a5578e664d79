import { once } from 'node:events';
import * as zlib from 'node:zlib';
import { Agent, type Dispatcher, request } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HttpClient } from '../client/http-client.js';
import { ACCEPTED_ENCODINGS } from '../decoders.js';
import { type Answer, read, rejection, serveHttp, type TestServer } from '../testing/test-server.js';
import { decompress } from './decompress.js';

const { zstdCompressSync } = zlib as { zstdCompressSync?: (data: Buffer) => Buffer };
const TEXT = Buffer.from('All work and no play makes Jack a dull boy. '.repeat(5000));

const ENCODINGS: readonly (readonly [name: string, encoding: string, data: Buffer])[] = [
  ['gzip', 'gzip', zlib.gzipSync(TEXT)],
  ['gzip by its old name', 'X-GZip', zlib.gzipSync(TEXT)],
  [
    'gzip in two members',
    'gzip',
    Buffer.concat([zlib.gzipSync(TEXT.subarray(0, 99)), zlib.gzipSync(TEXT.subarray(99))]),
  ],
  ['deflate', 'deflate', zlib.deflateSync(TEXT)],
  ['deflate without its header', 'deflate', zlib.deflateRawSync(TEXT)],
  ['brotli', 'br', zlib.brotliCompressSync(TEXT)],
  ['one over another', 'gzip, br', zlib.brotliCompressSync(zlib.gzipSync(TEXT))],
  ['one over nothing', 'identity, gzip', zlib.gzipSync(TEXT)],
  ...(zstdCompressSync ? ([['zstd', 'zstd', zstdCompressSync(TEXT)]] as const) : []),
];

let server: TestServer;
let answer: Answer;
let dispatcher: Dispatcher;

beforeEach(async () => {
  server = await serveHttp((req, res) => answer(req, res));
  dispatcher = new Agent().compose(decompress());
});

afterEach(async () => {
  await dispatcher.close();
  await server[Symbol.asyncDispose]();
});

const get = (options = {}) => request(server.url, { dispatcher, ...options });
const sends = (encoding: string, data: Buffer, length = true): Answer => {
  const headers = { 'content-encoding': encoding, 'x-kept': '1', ...(length && { 'content-length': data.length }) };
  return (_, res) => res.writeHead(200, headers).end(data);
};

describe('decompression', () => {
  it.each(ENCODINGS)('takes off %s', async (_, encoding, data) => {
    answer = sends(encoding, data);
    const { headers, body } = await get();
    expect(Buffer.from(await body.arrayBuffer()).equals(TEXT)).toBe(true);
    expect(headers).toMatchObject({ 'x-kept': '1' });
    expect(headers).not.toHaveProperty('content-encoding');
    expect(headers).not.toHaveProperty('content-length');
  });

  it.each(ENCODINGS)('takes off %s that comes byte by byte', async (_, encoding, data) => {
    const small = data.length < 3000 ? data : data.subarray(0, 0);
    answer = (_, res) => {
      res.writeHead(200, { 'content-encoding': encoding });
      for (const byte of small) res.write(Buffer.of(byte));
      res.end(small.length === 0 ? data : undefined);
    };
    expect((await read((await get()).body)).equals(TEXT)).toBe(true);
  });

  it.each([
    ['gzip', zlib.gzipSync(TEXT)],
    ['deflate', zlib.deflateSync(TEXT)],
    ['br', zlib.brotliCompressSync(TEXT)],
  ])('ends where %s does, however much padding follows however late', async (encoding, data) => {
    let tail: (() => void) | undefined;
    answer = (_, res) => {
      res.writeHead(200, { 'content-encoding': encoding }).write(Buffer.concat([data, Buffer.alloc(5)]));
      tail = () => res.write(Buffer.alloc(200_000), () => res.end(Buffer.alloc(5)));
    };
    const body = (await get()).body;
    const chunks: Buffer[] = [];
    body.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      // All of it has been decoded now, and the server goes on.
      if (Buffer.concat(chunks).length === TEXT.length) setImmediate(() => tail?.());
    });
    await once(body, 'end');
    expect(Buffer.concat(chunks).equals(TEXT)).toBe(true);
  });

  it.each(ENCODINGS)('reports %s that is cut off', async (_, encoding, data) => {
    answer = sends(encoding, data.subarray(0, data.length - 12));
    const error = await rejection(get().then(({ body }) => body.arrayBuffer()));
    expect(error).toMatchObject({ code: 'DECODE_FAILED', statusCode: 200, host: server.host });
  });

  it.each(ENCODINGS)('reports what claims to be %s', async (_, encoding) => {
    answer = sends(encoding, Buffer.from('this is plain text and nothing else'));
    const error = await rejection(get().then(({ body }) => body.arrayBuffer()));
    expect(error).toMatchObject({ code: 'DECODE_FAILED' });
  });

  it('asks for what it can take off, unless the caller says what to ask for', async () => {
    answer = (req, res) => res.end(req.headers['accept-encoding']);
    expect(await (await get()).body.text()).toBe(ACCEPTED_ENCODINGS);
    expect(await (await get({ headers: { 'Accept-Encoding': 'gzip;q=0' } })).body.text()).toBe('gzip;q=0');
    expect(await (await get({ headers: { 'accept-encoding': 'br' } })).body.text()).toBe('br');
    expect(await (await get({ headers: { range: 'bytes=2-5' } })).body.text()).toBe('identity');
  });

  it('leaves alone what it does not know, and what nobody wants decompressed', async () => {
    answer = sends('compress', Buffer.from('data'));
    const { headers, body } = await get();
    expect(headers).toMatchObject({ 'content-encoding': 'compress', 'content-length': '4' });
    expect(await body.text()).toBe('data');
    answer = sends('gzip', zlib.gzipSync('data'));
    await using client = new HttpClient({ proxy: false });
    expect(zlib.gunzipSync(await client.buffer(server.url, { decompress: false })).toString()).toBe('data');
  });

  it.each([
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ])('expects no body of %s with status %i', async (method, status) => {
    answer = (_, res) => res.writeHead(status, { 'content-encoding': 'gzip' }).end();
    const response = await get({ method });
    expect(response.statusCode).toBe(status);
    expect(await response.body.text()).toBe('');
  });

  it('takes an empty body for one', async () => {
    answer = sends('gzip', Buffer.alloc(0));
    expect(await (await get()).body.text()).toBe('');
  });

  it('refuses encodings piled up', async () => {
    answer = sends('gzip, gzip, gzip, gzip', Buffer.from('whatever'));
    expect(await rejection(get())).toMatchObject({ code: 'DECODE_FAILED' });
  });

  it.each([
    ['gzip', zlib.gzipSync(Buffer.alloc(64 * 1024 * 1024))],
    ['gzip, gzip', zlib.gzipSync(zlib.gzipSync(Buffer.alloc(64 * 1024 * 1024)))],
  ])('stops a bomb of %s early', async (encoding, bomb) => {
    const limited = new Agent().compose(decompress({ maxBodyBytes: 1024 * 1024 }));
    answer = sends(encoding, bomb);
    let bytes = 0;
    const { body } = await get({ dispatcher: limited });
    body.on('data', (chunk) => {
      bytes += chunk.length;
    });
    const error = await rejection(new Promise((_, reject) => body.once('error', reject)));
    expect(error).toMatchObject({ code: 'BODY_TOO_LARGE' });
    expect(bytes).toBeLessThanOrEqual(1024 * 1024);
    await limited.close();
  });

  it('counts what comes out of a stream of the client, too', async () => {
    answer = sends('gzip', zlib.gzipSync(Buffer.alloc(2000)));
    await using client = new HttpClient({ proxy: false, maxBodyBytes: 1999 });
    expect(await rejection(client.buffer(server.url))).toMatchObject({
      code: 'BODY_TOO_LARGE',
      statusCode: 200,
      attempts: 1,
    });
    expect((await client.buffer(server.url, { maxBodyBytes: 2000 })).length).toBe(2000);
  });

  it('holds back a server whose reader is slow', async () => {
    const size = 32 * 1024 * 1024;
    answer = sends('gzip', zlib.gzipSync(Buffer.alloc(size)));
    await using client = new HttpClient({ proxy: false });
    const { body } = await client.request(server.url);
    let bytes = 0;
    for await (const chunk of body) {
      expect(body.readableLength).toBeLessThan(1024 * 1024);
      bytes += chunk.length;
    }
    expect(bytes).toBe(size);
  });

  it('ends with its reader, also when all that is compressed has come', async () => {
    answer = sends('gzip', zlib.gzipSync(Buffer.alloc(8 * 1024 * 1024)));
    await using client = new HttpClient({ proxy: false });
    const { body } = await client.request(server.url);
    for await (const _ of body) break;
    expect(body.destroyed).toBe(true);
    const abort = new AbortController();
    const second = await client.request(server.url, { signal: abort.signal });
    abort.abort();
    expect(await rejection(read(second.body))).toMatchObject({ name: 'AbortError' });
  });
});
