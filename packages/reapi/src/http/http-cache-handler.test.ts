import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { create, toBinary } from '@bufbuild/protobuf';
import { Digest, MemoryActionResultStore, MemoryBlobStore } from '@granary/blobs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AccessDeniedError, type EdgeHooks, type RequestRecord } from '../edge/hooks.js';
import { ActionResultSchema } from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import type { HttpCacheOptions } from './http-cache-handler.js';
import { LoopbackHttp } from './testing/loopback-http.js';

const ACTION = 'ab'.repeat(32);
const MAX_BLOB = 3 * 1024 * 1024;

let blobs: MemoryBlobStore;
let cache: LoopbackHttp;
let records: RequestRecord[];

async function start(hooks: EdgeHooks = {}, options: Partial<HttpCacheOptions> = {}): Promise<void> {
  const results = new MemoryActionResultStore();
  const limits = { maxBlobBytes: MAX_BLOB, maxActionResultBytes: 1000 };
  cache = await LoopbackHttp.start({ blobs, sizes: blobs, results, hooks, ...limits, ...options }, records);
}

const ask: LoopbackHttp['ask'] = (...request) => cache.ask(...request);

const put = (path: string, body: Buffer, headers: Record<string, string> = {}) =>
  ask('PUT', path, { headers: { 'Content-Length': String(body.length), ...headers } }, [body]);

async function stored(bytes: Buffer): Promise<Digest> {
  const digest = Digest.of('sha256', bytes);
  await blobs.write(digest, bytes);
  return digest;
}

function actionResult(...outputs: Digest[]): Buffer {
  const message = create(ActionResultSchema, {
    outputFiles: outputs.map(({ hash, size }, i) => ({ path: `out${i}`, digest: { hash, sizeBytes: BigInt(size) } })),
  });
  return Buffer.from(toBinary(ActionResultSchema, message));
}

beforeEach(() => {
  blobs = new MemoryBlobStore();
  records = [];
});

afterEach(() => cache.close());

describe('GET /cas/', () => {
  beforeEach(() => start());

  it.each([1, 4096, 1024 * 1024])('answers a blob of %i bytes', async (size) => {
    const bytes = Buffer.alloc(size, 'granary');
    const { hash } = await stored(bytes);
    const { status, headers, body } = await ask('GET', `/cas/${hash}`);
    expect(status).toBe(200);
    expect(headers['content-length']).toBe(String(size));
    expect(body.equals(bytes)).toBe(true);
  });

  it('finds it under any prefix', async () => {
    const { hash } = await stored(Buffer.from('content'));
    expect((await ask('GET', `/some/where/cas/${hash}`)).status).toBe(200);
  });

  it('has the empty blob', async () => {
    const { status, body } = await ask('GET', `/cas/${Digest.of('sha256', Buffer.alloc(0)).hash}`);
    expect([status, body.length]).toEqual([200, 0]);
  });

  it('takes no blobs of functions that are off, and has none', async () => {
    cache.close();
    await start({}, { digestFunctions: ['sha256'] });
    const content = Buffer.from('content');
    const { hash } = Digest.of('sha1', content);
    await blobs.write(Digest.of('sha1', content), content);
    expect((await put(`/cas/${hash}`, content)).status).toBe(400);
    expect((await ask('GET', `/cas/${hash}`)).status).toBe(404);
    expect((await ask('HEAD', `/cas/${hash}`)).status).toBe(404);
  });

  it('finds a blob under BLAKE3 too', async () => {
    const digest = Digest.of('blake3', Buffer.from('content'));
    await blobs.write(digest, Buffer.from('content'));
    expect((await ask('GET', `/cas/${digest.hash}`)).body.toString()).toBe('content');
  });

  it.each([
    ['bytes=2-4', 206, 'nte', 'bytes 2-4/7'],
    ['Bytes=5-', 206, 'nt', 'bytes 5-6/7'],
    ['bytes=-3', 206, 'ent', 'bytes 4-6/7'],
    ['bytes=-99', 206, 'content', 'bytes 0-6/7'],
    ['bytes=4-2', 200, 'content', undefined],
    ['bytes=0-1,3-4', 200, 'content', undefined],
    ['lines=1-2', 200, 'content', undefined],
  ])('answers the range %s with %i', async (range, status, text, contentRange) => {
    const { hash } = await stored(Buffer.from('content'));
    const answer = await ask('GET', `/cas/${hash}`, { headers: { Range: range } });
    expect([answer.status, answer.body.toString(), answer.headers['content-range']]).toEqual([
      status,
      text,
      contentRange,
    ]);
  });

  it.each(['bytes=7-', 'bytes=-0'])('refuses the range %s, in which no byte lies', async (range) => {
    const { hash } = await stored(Buffer.from('content'));
    const answer = await ask('GET', `/cas/${hash}`, { headers: { Range: range } });
    expect([answer.status, answer.headers['content-range']]).toEqual([416, 'bytes */7']);
  });

  it('answers 404 for what is not there', async () => {
    expect((await ask('GET', `/cas/${ACTION}`)).status).toBe(404);
  });

  it.each([
    [`/cas/${ACTION.toUpperCase()}`, 400],
    ['/cas/abc', 400],
    [`/blobs/cas/${ACTION}`, 400],
    [`/%zz/cas/${ACTION}`, 400],
    [`/cas/${ACTION}/x`, 404],
    ['/', 404],
    ['/nothing', 404],
  ])('answers %s with %i', async (path, status) => {
    expect((await ask('GET', path)).status).toBe(status);
  });

  it('breaks the connection when the blob turns out damaged on the way', async () => {
    const digest = await stored(Buffer.alloc(600_000, 1));
    const read = blobs.read.bind(blobs);
    blobs.read = async (...args) => {
      const reader = await read(...args);
      if (!reader) return undefined;
      let chunks = 0;
      const next = reader.next.bind(reader);
      const failing = async () => {
        if (chunks++ === 1) throw new Error('damaged');
        return next();
      };
      return {
        length: reader.length,
        next: failing,
        close: () => reader.close(),
        async *[Symbol.asyncIterator]() {
          for (let chunk = await failing(); chunk; chunk = await failing()) yield chunk;
        },
      };
    };
    await expect(ask('GET', `/cas/${digest.hash}`)).rejects.toThrow(/aborted|reset|hang up/);
  });
});

describe('HEAD /cas/', () => {
  beforeEach(() => start());

  it('answers with the size and no body', async () => {
    const { hash } = await stored(Buffer.from('content'));
    const { status, headers, body } = await ask('HEAD', `/cas/${hash}`);
    expect([status, headers['content-length'], body.length]).toEqual([200, '7', 0]);
    expect((await ask('HEAD', `/cas/${ACTION}`)).status).toBe(404);
  });
});

describe('PUT /cas/', () => {
  beforeEach(() => start());

  it.each([10, 2 * 1024 * 1024])('stores %i bytes', async (size) => {
    const bytes = Buffer.alloc(size, 'x');
    const digest = Digest.of('sha256', bytes);
    expect((await put(`/cas/${digest.hash}`, bytes)).status).toBe(200);
    expect(await blobs.findMissing([digest])).toEqual([]);
  });

  it.each([10, 2 * 1024 * 1024])('stores %i bytes that come in chunks', async (size) => {
    const bytes = Buffer.alloc(size, 'x');
    const digest = Digest.of('sha256', bytes);
    const half = size / 2;
    const { status } = await ask('PUT', `/cas/${digest.hash}`, {}, [bytes.subarray(0, half), bytes.subarray(half)]);
    expect(status).toBe(200);
    expect((await blobs.get(digest))?.equals(bytes)).toBe(true);
  });

  it('takes the empty blob without a length', async () => {
    const socket = connect(cache.port, '127.0.0.1');
    socket.write(`PUT /moon/cas/${Digest.of('sha256', Buffer.alloc(0)).hash} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1\.1 200 /);
    socket.destroy();
  });

  it('refuses bytes that have another hash, and stores nothing', async () => {
    const { status, body } = await put(`/cas/${ACTION}`, Buffer.from('content'));
    expect(status).toBe(400);
    expect(body.toString()).toMatch(/hash|digest/);
    expect((await ask('GET', `/cas/${ACTION}`)).status).toBe(404);
  });

  it('refuses what is over the limit before it is sent', async () => {
    const sent = request({
      host: '127.0.0.1',
      port: cache.port,
      method: 'PUT',
      path: `/cas/${ACTION}`,
      headers: { 'Content-Length': String(MAX_BLOB + 1), Expect: '100-continue' },
    });
    let asked = false;
    sent.on('continue', () => {
      asked = true;
    });
    sent.flushHeaders();
    const [response] = await once(sent, 'response');
    expect([response.statusCode, asked]).toEqual([413, false]);
    sent.destroy();
  });

  it('refuses chunks that add up to more than the limit', async () => {
    const chunk = Buffer.alloc(1024 * 1024);
    const answer = ask('PUT', `/cas/${ACTION}`, {}, [chunk, chunk, chunk, chunk]);
    const status = await answer.then(
      (each) => each.status,
      () => 413, // The connection may be gone before the answer is read.
    );
    expect(status).toBe(413);
  });

  it('tells a client that asks first to go on', async () => {
    const bytes = Buffer.from('content');
    const { hash } = Digest.of('sha256', bytes);
    const sent = request({
      host: '127.0.0.1',
      port: cache.port,
      method: 'PUT',
      path: `/cas/${hash}`,
      headers: { 'Content-Length': '7', Expect: '100-continue' },
    });
    sent.flushHeaders();
    await once(sent, 'continue');
    sent.end(bytes);
    const [response] = await once(sent, 'response');
    expect(response.statusCode).toBe(200);
    response.resume();
  });

  it('refuses a coding that it does not understand', async () => {
    expect((await put(`/cas/${ACTION}`, Buffer.from('x'), { 'Content-Encoding': 'br' })).status).toBe(415);
  });

  it('takes a coding without a name for none', async () => {
    const { hash } = Digest.of('sha256', Buffer.from('x'));
    expect((await put(`/cas/${hash}`, Buffer.from('x'), { 'Content-Encoding': '' })).status).toBe(200);
  });

  it('refuses a transfer coding that nobody takes off', async () => {
    const { hash } = Digest.of('sha256', Buffer.from('x'));
    for (const path of [`/cas/${hash}`, `/ac/${ACTION}`]) {
      const head = `PUT ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
      const socket = connect(cache.port, '127.0.0.1');
      socket.end(`${head}Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`);
      let answer = '';
      for await (const chunk of socket) answer += String(chunk);
      expect(answer).toMatch(/^HTTP\/1\.1 501 /);
      expect((await ask('GET', path)).status).toBe(404);
    }
  });

  it('refuses a part of a value, which it would keep as the whole', async () => {
    const { hash } = Digest.of('sha256', Buffer.from('part'));
    for (const path of [`/cas/${hash}`, `/ac/${ACTION}`]) {
      const answer = await put(path, Buffer.from('part'), { 'Content-Range': 'bytes 0-3/8' });
      expect([path, answer.status]).toEqual([path, 400]);
      expect(String(answer.body)).toContain('Content-Range');
      expect((await ask('GET', path)).status).toBe(404);
    }
  });

  it('takes a path with needless escapes for the same without', async () => {
    const digest = await stored(Buffer.from('escaped'));
    const escaped = [...digest.hash].map((digit) => `%${digit.charCodeAt(0).toString(16)}`).join('');
    for (const path of [`/cas/${escaped}`, `/%63a%73/${digest.hash}`, `/an%2Dinstance/c%61s/${digest.hash}`])
      expect([path, (await ask('GET', path)).status]).toEqual([path, 200]);
    await put(`/a%7eb/%61c/${ACTION}`, Buffer.from([0xff, 1]));
    expect((await ask('GET', `/a~b/ac/${ACTION}`)).status).toBe(200);
    // What is escaped twice is another name, and an escaped slash parts no segments of the protocol's own.
    expect((await ask('GET', `/a%257eb/ac/${ACTION}`)).status).toBe(404);
    expect((await ask('GET', `/cas%2f${digest.hash}`)).status).toBe(404);
  });

  it('stores nothing when the client goes away', async () => {
    const bytes = Buffer.alloc(1000, 'x');
    const digest = Digest.of('sha256', bytes);
    const closed = new Promise((resolve) => cache.server.once('connection', (socket) => socket.once('close', resolve)));
    const socket = connect(cache.port, '127.0.0.1');
    socket.write(`PUT /cas/${digest.hash} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n`);
    socket.end(bytes.subarray(0, 500));
    await closed;
    expect(await blobs.findMissing([digest])).toEqual([digest]);
  });
});

describe('/ac/', () => {
  beforeEach(() => start());

  it('keeps results as they are that print what this server marks its own with', async () => {
    const stdoutRaw = Buffer.from('granary: the value is the standard output');
    for (const fields of [{ stdoutRaw }, { stdoutRaw, executionMetadata: { worker: 'w1' } }]) {
      const result = Buffer.from(toBinary(ActionResultSchema, create(ActionResultSchema, fields)));
      expect((await put(`/ac/${ACTION}`, result)).status).toBe(200);
      expect((await ask('GET', `/ac/${ACTION}`)).body.equals(result)).toBe(true);
    }
  });

  it('keeps opaque bytes as they are', async () => {
    const opaque = Buffer.from([0xff, 0, 1, 2, 0xfe]);
    expect((await put(`/ac/${ACTION}`, opaque)).status).toBe(200);
    expect((await ask('GET', `/ac/${ACTION}`)).body.equals(opaque)).toBe(true);
    const head = await ask('HEAD', `/ac/${ACTION}`);
    expect([head.status, head.headers['content-length']]).toEqual([200, '5']);
  });

  it('replaces a value, but not for a client that wants to be the first', async () => {
    const first = { 'If-None-Match': '*' };
    expect((await put(`/ac/${ACTION}`, Buffer.from([0xff, 1]), first)).status).toBe(200);
    expect((await put(`/ac/${ACTION}`, Buffer.from([0xff, 2]), first)).status).toBe(412);
    expect((await ask('GET', `/ac/${ACTION}`)).body).toEqual(Buffer.from([0xff, 1]));
    expect((await put(`/ac/${ACTION}`, Buffer.from([0xff, 3]))).status).toBe(200);
    expect((await ask('GET', `/ac/${ACTION}`)).body).toEqual(Buffer.from([0xff, 3]));
    // A result without its outputs is none.
    await put(`/ac/${ACTION}`, actionResult(Digest.of('sha256', Buffer.from('not here'))));
    expect((await put(`/ac/${ACTION}`, Buffer.from([0xff, 4]), first)).status).toBe(200);
  });

  it('keeps the values of each instance name apart', async () => {
    await put(`/one/ac/${ACTION}`, Buffer.from([0xff, 1]));
    expect((await ask('GET', `/one/ac/${ACTION}`)).status).toBe(200);
    expect((await ask('GET', `/two/ac/${ACTION}`)).status).toBe(404);
    expect((await ask('GET', `/ac/${ACTION}`)).status).toBe(404);
  });

  it('answers a result only when its outputs are there', async () => {
    const output = Digest.of('sha256', Buffer.from('output'));
    await put(`/ac/${ACTION}`, actionResult(output));
    expect((await ask('GET', `/ac/${ACTION}`)).status).toBe(404);
    await stored(Buffer.from('output'));
    expect((await ask('GET', `/ac/${ACTION}`)).body.equals(actionResult(output))).toBe(true);
  });

  it("understands protobuf's JSON, and speaks it where it is asked for", async () => {
    const output = await stored(Buffer.from('output'));
    const json = {
      outputFiles: [
        {
          path: 'out0',
          digest: { hash: output.hash, sizeBytes: '6' },
          nodeProperties: { mtime: '2026-11-21T05:09:28.642043882+00:00', unixMode: 33188 },
        },
      ],
    };
    await put(`/moon/ac/${ACTION}`, Buffer.from(JSON.stringify(json)), { 'Content-Type': 'application/json' });
    const asked = await ask('GET', `/moon/ac/${ACTION}`, { headers: { Accept: 'application/json' } });
    expect(asked.headers['content-type']).toBe('application/json');
    expect(JSON.parse(asked.body.toString())).toMatchObject({
      outputFiles: [
        { path: 'out0', digest: { hash: output.hash, sizeBytes: '6' }, nodeProperties: { unixMode: 33188 } },
      ],
    });
    const binary = await ask('GET', `/moon/ac/${ACTION}`);
    expect(binary.headers['content-type']).toBe('application/octet-stream');
    expect(binary.body.includes('out0')).toBe(true);
  });

  it('takes JSON for a result only where its type says so', async () => {
    const json = Buffer.from('{"exitCode":1}');
    await put(`/ac/${ACTION}`, json, { 'Content-Type': 'application/octet-stream' });
    expect((await ask('GET', `/ac/${ACTION}`)).body.equals(json)).toBe(true);
  });

  it('keeps JSON that is no action result as it is', async () => {
    const json = Buffer.from('{"some":"thing"}');
    await put(`/ac/${ACTION}`, json, { 'Content-Type': 'application/json' });
    const { body } = await ask('GET', `/ac/${ACTION}`, { headers: { Accept: 'application/json' } });
    expect(body.equals(json)).toBe(true);
  });

  it('takes a result that is larger than a blob may be, but not than a result', async () => {
    cache.close();
    await start({}, { maxBlobBytes: 100 });
    const output = await stored(Buffer.from('output'));
    const result = actionResult(output, output);
    expect(result.length).toBeGreaterThan(100);
    expect((await put(`/ac/${ACTION}`, result)).status).toBe(200);
    expect((await ask('GET', `/ac/${ACTION}`)).body.equals(result)).toBe(true);
    expect((await put(`/ac/${ACTION}`, Buffer.alloc(1001, 'x'))).status).toBe(413);
    const content = Buffer.alloc(101);
    expect((await put(`/cas/${Digest.of('sha256', content).hash}`, content)).status).toBe(413);
  });

  it('refuses a result over the limit', async () => {
    const output = await stored(Buffer.from('output'));
    const large = Buffer.concat(Array.from({ length: 20 }, () => actionResult(output)));
    expect((await put(`/ac/${ACTION}`, large)).status).toBe(413);
    const json = Buffer.from(JSON.stringify({ stdoutRaw: 'A'.repeat(1001) }));
    expect((await put(`/ac/${ACTION}`, json, { 'Content-Type': 'application/json' })).status).toBe(413);
    expect((await ask('GET', `/ac/${ACTION}`)).status).toBe(404);
  });
});

describe('a hash of 64 digits where only BLAKE3 is on', () => {
  beforeEach(() => start({}, { digestFunctions: ['blake3'] }));

  it('is one of BLAKE3, for blobs and for actions', async () => {
    const content = Buffer.from('content');
    const output = Digest.of('blake3', content);
    expect((await put(`/cas/${Digest.of('sha256', content).hash}`, content)).status).toBe(400);
    const action = `/ac/${Digest.of('blake3', Buffer.from('action')).hash}`;
    expect((await put(action, actionResult(output))).status).toBe(200);
    expect((await ask('GET', action)).status).toBe(404);
    expect((await put(`/cas/${output.hash}`, content)).status).toBe(200);
    expect((await ask('GET', action)).body.equals(actionResult(output))).toBe(true);
    expect((await ask('GET', `/cas/${output.hash}`)).body.equals(content)).toBe(true);
  });
});

describe('a blob that a store has lost the bytes of', () => {
  it('is missing, and not the empty one', async () => {
    await start({}, { sizes: { sizeOf: () => 0 } });
    const path = `/cas/${ACTION}`;
    expect(await ask('GET', path)).toMatchObject({ status: 404 });
    expect(await ask('GET', path, { headers: { Range: 'bytes=0-9' } })).toMatchObject({ status: 404 });
    expect(await ask('HEAD', path)).toMatchObject({ status: 404 });
    const empty = Digest.of('sha256', Buffer.alloc(0));
    expect(await ask('GET', `/cas/${empty.hash}`)).toMatchObject({ status: 200, body: Buffer.alloc(0) });
  });
});

describe('every request', () => {
  it('has a method that is allowed there', async () => {
    await start();
    const answer = await ask('POST', `/cas/${ACTION}`);
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, HEAD, PUT']);
    expect((await ask('DELETE', `/ac/${ACTION}`)).status).toBe(405);
  });

  it('can ask whether the server runs', async () => {
    await start();
    const { status, body } = await ask('GET', '/status');
    expect([status, JSON.parse(body.toString())]).toEqual([200, { status: 'running' }]);
  });

  it.each([
    ['UNAUTHENTICATED', 401],
    ['PERMISSION_DENIED', 403],
    ['RATE_LIMITED', 429],
  ] as const)('is refused by who sends it: %s', async (code, status) => {
    const rights: string[] = [];
    await start({
      authorize: (_, right) => {
        rights.push(right);
        throw new AccessDeniedError(code, 'no');
      },
    });
    expect((await ask('GET', `/cas/${ACTION}`)).status).toBe(status);
    const refused = await put(`/cas/${ACTION}`, Buffer.from('content'));
    expect(refused.status).toBe(status);
    expect(refused.headers['www-authenticate'] !== undefined).toBe(status === 401);
    expect(rights).toEqual(['read', 'write']);
  });

  it('leaves a record', async () => {
    await start({ wantsDetails: () => true });
    const { hash } = await stored(Buffer.from('content'));
    await ask('GET', `/team/cas/${hash}`, { agent: false });
    await ask('GET', `/ac/${hash}`, { agent: false });
    await expect.poll(() => records).toHaveLength(2);
    expect(records[0]).toMatchObject({
      protocol: 'http',
      service: 'cas',
      method: 'GET',
      code: '200',
      bytesOut: 7,
      peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      subject: `team/cas/${hash}`,
    });
    expect(records[1]).toMatchObject({ service: 'ac', code: '404' });
  });
});
