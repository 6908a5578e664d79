import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { actionKey, Digest, DiskBlobStore, NoSpaceError } from '@granary/blobs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RequestRecord } from '../edge/hooks.js';
import { scanActionResult } from '../wire/index.js';
import { compress, decompress } from '../zstd/index.js';
import { LoopbackHttp } from './testing/loopback-http.js';

// How bytes travel: with the disk store, over real sockets, through fetch and through clients that misbehave.

const MIB = 1024 * 1024;
const MAX_BLOB = 24 * MIB;

let directory: string;
let blobs: DiskBlobStore;
let cache: LoopbackHttp;
let records: RequestRecord[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'granary-http-'));
  blobs = await DiskBlobStore.open({ directory: join(directory, 'store'), maxBytes: 256 * MIB, durability: 'none' });
  records = [];
  const limits = { maxBlobBytes: MAX_BLOB, maxActionResultBytes: 100_000 };
  const stores = { blobs, sizes: blobs, results: blobs.actionResults, spoolDirectory: directory };
  cache = await LoopbackHttp.start({ ...stores, ...limits }, records);
});

afterEach(async () => {
  cache.close();
  await blobs.close();
  await rm(directory, { recursive: true });
});

const url = (path: string) => cache.url(path);

/** About as compressible as object files are. */
function content(bytes: number): Buffer {
  const out = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 64)
    out.write(
      createHash('sha256')
        .update(`${Math.floor(at / 64) % 999}`)
        .digest('hex'),
      at,
    );
  return out;
}

async function stored(bytes: Buffer): Promise<Digest> {
  const digest = Digest.of('sha256', bytes);
  await blobs.write(digest, bytes);
  return digest;
}

const get = (path: string, headers: Record<string, string> = {}) => cache.ask('GET', path, { headers });

describe('a blob on the disk', () => {
  it.each([1, 16 * 1024, 256 * 1024, 256 * 1024 + 1, 5 * MIB])('of %i bytes goes both ways', async (size) => {
    const bytes = randomBytes(size);
    const { hash } = Digest.of('sha256', bytes);
    expect((await fetch(url(`/cas/${hash}`), { method: 'PUT', body: bytes })).status).toBe(200);
    const answer = await fetch(url(`/cas/${hash}`));
    expect(answer.headers.get('accept-ranges')).toBe('bytes');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    const part = await fetch(url(`/cas/${hash}`), { headers: { Range: `bytes=${size - 1}-` } });
    expect([part.status, Buffer.from(await part.arrayBuffer())]).toEqual([206, bytes.subarray(size - 1)]);
    expect((await fetch(url(`/cas/${hash}`), { method: 'HEAD' })).headers.get('content-length')).toBe(`${size}`);
  });

  it('is sent no faster than its reader reads', async () => {
    const { hash } = await stored(randomBytes(20 * MIB));
    let sent = 0;
    const read = blobs.read.bind(blobs);
    blobs.read = async (...args) => {
      const reader = await read(...args);
      if (!reader) return undefined;
      const counted = async function* () {
        for await (const chunk of reader) {
          sent += chunk.length;
          yield chunk;
        }
      };
      return Object.assign(counted(), { length: reader.length, close: () => reader.close() }) as never;
    };
    const socket = connect(cache.port, '127.0.0.1');
    socket.pause();
    socket.write(`GET /cas/${hash} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await expect.poll(() => sent).toBeGreaterThan(0);
    // Time enough for all of it, if nothing held it up.
    for (let i = 0; i < 100; i++) await fetch(url('/status'));
    expect(sent).toBeLessThan(15 * MIB);

    let received = 0;
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    socket.resume();
    await expect.poll(() => received, { timeout: 20_000 }).toBeGreaterThan(20 * MIB);
    socket.destroy();
  });

  it('is put again without harm, even when its body is not wanted', async () => {
    const bytes = randomBytes(3 * MIB);
    const { hash } = await stored(bytes);
    for (let i = 0; i < 3; i++)
      expect((await fetch(url(`/cas/${hash}`), { method: 'PUT', body: bytes })).status).toBe(200);
  });

  it.each([100, 3 * MIB])('is counted as received although nobody reads it: %i bytes', async (size) => {
    const bytes = randomBytes(size);
    const { hash } = await stored(bytes);
    expect((await fetch(url(`/cas/${hash}`), { method: 'PUT', body: bytes })).status).toBe(200);
    await expect.poll(() => records).toMatchObject([{ code: '200', bytesIn: size }]);
  });

  it('is counted as far as it came when the client goes away after its answer', async () => {
    const bytes = randomBytes(MIB);
    const { hash } = await stored(bytes);
    const socket = connect(cache.port, '127.0.0.1');
    socket.write(`PUT /cas/${hash} HTTP/1.1\r\nHost: x\r\nContent-Length: ${MIB}\r\n\r\n`);
    socket.write(bytes.subarray(0, 1000));
    expect(`${(await once(socket, 'data'))[0]}`).toMatch(/^HTTP\/1\.1 200 /);
    socket.end();
    await expect.poll(() => records).toMatchObject([{ code: '200', bytesIn: 1000 }]);
  });

  it('is not waited for from a client that asks first, is answered and ends', async () => {
    const { hash } = await stored(randomBytes(1000));
    const socket = connect(cache.port, '127.0.0.1');
    socket.write(`PUT /cas/${hash} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n`);
    expect(`${(await once(socket, 'data'))[0]}`).toMatch(/^HTTP\/1\.1 200 /);
    socket.end();
    await expect.poll(() => records).toMatchObject([{ code: '200', bytesIn: 0 }]);
  });

  it.each([
    ['is here', 200, 'identity'],
    ['is in a coding that nobody knows', 415, 'br'],
  ])('that %s passes by when it comes from one who asks first and does not wait', async (_, status, coding) => {
    const size = 500_000;
    const bytes = randomBytes(size);
    const { hash } = await stored(bytes);
    const socket = connect(cache.port, '127.0.0.1');
    const failures: Error[] = [];
    socket.on('error', (error) => failures.push(error));
    const head = `PUT /cas/${hash} HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\nContent-Encoding: ${coding}\r\n`;
    socket.write(`${head}Expect: 100-continue\r\n\r\n`);
    expect(`${(await once(socket, 'data'))[0]}`).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    socket.write(bytes);
    await once(socket, 'end');
    socket.end();
    await expect.poll(() => records).toMatchObject([{ code: `${status}`, bytesIn: size }]);
    expect(failures).toEqual([]);
  });
});

describe('zstd', () => {
  it.each([100, 200_000, 5 * MIB])('goes to a client that takes it: %i bytes', async (size) => {
    const bytes = content(size);
    const { hash } = await stored(bytes);
    const answer = await get(`/cas/${hash}`, { 'Accept-Encoding': 'gzip, zstd;q=0.8' });
    expect([answer.status, answer.headers['content-encoding'], answer.headers.vary]).toEqual([
      200,
      'zstd',
      'Accept-Encoding',
    ]);
    expect((await decompress(answer.body, size)).equals(bytes)).toBe(true);
    if (size > 1000) expect(answer.body.length).toBeLessThan(size / 2);
  });

  it('does not go to one that refuses it, or that wants a part', async () => {
    const bytes = content(1000);
    const { hash } = await stored(bytes);
    const plain = await get(`/cas/${hash}`, { 'Accept-Encoding': 'zstd;q=0, *' });
    expect([plain.headers['content-encoding'], plain.body.equals(bytes)]).toEqual([undefined, true]);
    const part = await get(`/cas/${hash}`, { 'Accept-Encoding': 'zstd', Range: 'bytes=0-9' });
    expect([part.status, part.headers['content-encoding'], part.body.length]).toEqual([206, undefined, 10]);
  });

  const put = async (hash: string, body: Buffer) =>
    fetch(url(`/cas/${hash}`), { method: 'PUT', body, headers: { 'Content-Encoding': 'zstd' } });

  it.each([0, 100, 5 * MIB])('is taken from a client: %i bytes', async (size) => {
    const bytes = content(size);
    const digest = Digest.of('sha256', bytes);
    expect((await put(digest.hash, await compress(bytes))).status).toBe(200);
    const answer = await fetch(url(`/cas/${digest.hash}`), { headers: { 'Accept-Encoding': 'identity' } });
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    expect((await readdir(directory)).sort()).toEqual(['store']);
  });

  it('is refused when it is damaged, cut, of another blob, or grows over the limit', async () => {
    const bytes = content(300_000);
    const { hash } = Digest.of('sha256', bytes);
    const packed = await compress(bytes);
    expect((await put(hash, packed.subarray(0, -5))).status).toBe(400);
    expect((await put(hash, Buffer.from('not compressed'))).status).toBe(400);
    expect((await put(hash, await compress(bytes.subarray(1)))).status).toBe(400);
    expect((await put(hash, await compress(Buffer.alloc(MAX_BLOB + 1)))).status).toBe(413);
    expect((await fetch(url(`/cas/${hash}`))).status).toBe(404);
    expect((await readdir(directory)).sort()).toEqual(['store']);
  });

  it('is taken for action results too', async () => {
    const opaque = Buffer.concat([Buffer.from([0xff]), content(5000)]);
    const { hash } = Digest.of('sha256', opaque);
    const headers = { 'Content-Encoding': 'zstd' };
    expect((await fetch(url(`/ac/${hash}`), { method: 'PUT', body: await compress(opaque), headers })).status).toBe(
      200,
    );
    expect((await get(`/ac/${hash}`)).body.equals(opaque)).toBe(true);
    const bomb = await compress(Buffer.alloc(MAX_BLOB + 1));
    expect((await fetch(url(`/ac/${hash}`), { method: 'PUT', body: bomb, headers })).status).toBe(413);
  });
});

describe('a value under /ac/ that is larger than an action result may be', () => {
  const NAME = 'ab'.repeat(32);
  const large = Buffer.concat([Buffer.from([0xcc]), content(2 * MIB)]);
  const keep = (body: Buffer | ReadableStream, headers: Record<string, string> = {}) =>
    fetch(url(`/team/ac/${NAME}`), { method: 'PUT', body, headers, ...(body === large ? {} : { duplex: 'half' }) });

  it('is kept as it is', async () => {
    expect((await keep(large)).status).toBe(200);
    expect((await get(`/team/ac/${NAME}`)).body.equals(large)).toBe(true);
    const head = await fetch(url(`/team/ac/${NAME}`), { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, `${large.length}`]);
    expect((await fetch(url(`/other/ac/${NAME}`))).status).toBe(404);
    expect((await readdir(directory)).sort()).toEqual(['store']);
  });

  it('may come in chunks or compressed, and leave in part', async () => {
    const chunked = new ReadableStream({
      start(controller) {
        for (let at = 0; at < large.length; at += 70_000) controller.enqueue(large.subarray(at, at + 70_000));
        controller.close();
      },
    });
    expect((await keep(chunked)).status).toBe(200);
    expect((await get(`/team/ac/${NAME}`)).body.equals(large)).toBe(true);
    const other = Buffer.concat([Buffer.from([0xcc]), content(MIB)]);
    expect((await keep(await compress(other), { 'Content-Encoding': 'zstd' })).status).toBe(200);
    const part = await fetch(url(`/team/ac/${NAME}`), { headers: { Range: 'bytes=5-9' } });
    expect(part.status).toBe(206);
    expect(Buffer.from(await part.arrayBuffer()).equals(other.subarray(5, 10))).toBe(true);
  });

  it.each([32, 40, 96, 128])('is kept under a name of %i digits too, though no blob may have one', async (digits) => {
    const [name, own] = ['ab'.repeat(digits / 2), 'cd'.repeat(digits / 2)];
    const answer = await fetch(url(`/ac/${name}`), { method: 'PUT', body: large });
    expect(answer.status).toBe(200);
    expect((await get(`/ac/${name}`)).body.equals(large)).toBe(true);
    expect((await fetch(url(`/cas/${own}`), { method: 'PUT', body: 'a blob' })).status).toBe(400);
  });

  it('is a result with the value as its output to those who ask for one', async () => {
    await keep(large);
    const digest = Digest.of('sha256', large);
    expect(await blobs.findMissing([digest])).toEqual([]);
    const action = Digest.fromBytes('sha256', Buffer.from(NAME, 'hex'), 0);
    const value = await blobs.actionResults.get(actionKey('team', action));
    expect(`${scanActionResult(value!, 'sha256').stdout}`).toBe(`${digest}`);
  });

  it('is gone when its content is', async () => {
    await keep(large);
    await blobs.delete(Digest.of('sha256', large));
    expect((await fetch(url(`/team/ac/${NAME}`))).status).toBe(404);
  });

  it('makes room for a small one', async () => {
    await keep(large);
    await keep(Buffer.from([0xff, 1]));
    expect((await get(`/team/ac/${NAME}`)).body).toEqual(Buffer.from([0xff, 1]));
  });

  it('is refused when it is larger than a blob may be, and leaves nothing', async () => {
    const sent = Buffer.concat([Buffer.from([0xcc]), Buffer.alloc(MAX_BLOB)]);
    const status = await keep(sent).then(
      (answer) => answer.status,
      () => 413, // The connection may be gone before the answer is read.
    );
    expect(status).toBe(413);
    expect((await fetch(url(`/team/ac/${NAME}`))).status).toBe(404);
    expect((await readdir(directory)).sort()).toEqual(['store']);
  });
});

describe('an upload that is refused', () => {
  it.each([100, 500_000])('is counted as received: %i bytes', async (size) => {
    expect((await fetch(url('/cas/none'), { method: 'PUT', body: randomBytes(size) })).status).toBe(400);
    await expect.poll(() => records).toMatchObject([{ code: '400', bytesIn: size }]);
  });

  it('is told why, although it goes on sending', async () => {
    const sent = request(url(`/cas/${'ab'.repeat(32)}`), {
      method: 'PUT',
      headers: { 'Content-Length': `${MAX_BLOB + 1}` },
    });
    const answered = once(sent, 'response');
    const chunk = Buffer.alloc(MIB);
    let done = false;
    sent.on('error', () => {});
    const pump = () => {
      while (!done && sent.write(chunk));
      if (!done) sent.once('drain', pump);
    };
    pump();
    const [response] = await answered;
    done = true;
    expect([response.statusCode, response.headers.connection]).toEqual([413, 'close']);
    await once(response.resume(), 'end');
    sent.destroy();
    await expect.poll(() => records).toMatchObject([{ code: '413' }]);
  });

  it('leaves the connection usable when it was small', async () => {
    const socket = connect(cache.port, '127.0.0.1');
    const answers: Buffer[] = [];
    socket.on('data', (chunk) => answers.push(chunk));
    const refused = `PUT /cas/${'ab'.repeat(32)} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello`;
    socket.write(`${refused}GET /status HTTP/1.1\r\nHost: x\r\n\r\n`);
    await expect.poll(() => Buffer.concat(answers).toString()).toMatch(/^HTTP\/1\.1 400 .*HTTP\/1\.1 200 .*running/s);
    socket.destroy();
  });

  it('gets 507 when there is no room', async () => {
    blobs.write = async () => {
      throw new NoSpaceError('full');
    };
    const body = randomBytes(1000);
    const answer = await fetch(url(`/cas/${Digest.of('sha256', body).hash}`), { method: 'PUT', body });
    expect(answer.status).toBe(507);
  });

  it('passes by to its end after it was asked for, and leaves the connection usable', async () => {
    blobs.write = async (_digest, source) => {
      for await (const _start of source as AsyncIterable<Buffer>) throw new NoSpaceError('full');
    };
    const body = randomBytes(500_000);
    const sent = request(url(`/cas/${Digest.of('sha256', body).hash}`), {
      method: 'PUT',
      headers: { 'Content-Length': `${body.length}`, Expect: '100-continue' },
    });
    sent.flushHeaders();
    const asked = once(sent, 'continue').then(() => sent.end(body));
    const [response] = await once(sent, 'response');
    await asked;
    expect([response.statusCode, response.headers.connection]).toEqual([507, 'keep-alive']);
    response.resume();
    await expect.poll(() => records).toMatchObject([{ code: '507', bytesIn: body.length }]);
  });

  it('with a failure of the server gets 500 without its inside, which goes to the record', async () => {
    const failure = new Error('secret path /x');
    blobs.write = async () => {
      throw failure;
    };
    const body = randomBytes(1000);
    const answer = await fetch(url(`/cas/${Digest.of('sha256', body).hash}`), { method: 'PUT', body });
    expect([answer.status, await answer.text()]).toEqual([500, expect.not.stringContaining('secret')]);
    await expect.poll(() => records).toMatchObject([{ code: '500', error: failure }]);
  });

  it('leaves nothing behind when its client goes away in the middle of chunks', async () => {
    const socket = connect(cache.port, '127.0.0.1');
    const chunk = randomBytes(MIB);
    const digest = Digest.of('sha256', Buffer.concat([chunk, chunk, chunk]));
    socket.write(`PUT /cas/${digest.hash} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for (let i = 0; i < 2; i++) socket.write(Buffer.concat([Buffer.from('100000\r\n'), chunk, Buffer.from('\r\n')]));
    await new Promise<void>((resolve) => socket.write('100000\r\n', () => resolve()));
    socket.destroy();
    await expect.poll(() => records).toMatchObject([{ code: '499' }]);
    expect(blobs.findMissing([digest])).toEqual([digest]);
    expect((await readdir(directory)).sort()).toEqual(['store']);
  });
});
