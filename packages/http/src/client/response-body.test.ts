import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Answer, closed, read, serveHttp, type TestServer } from '../testing/test-server.js';
import { HttpClient } from './http-client.js';
import { type BodyConsumer, consumeBody } from './response-body.js';

const MIB = 1024 * 1024;

/** Takes all of a body, and pauses it after each piece where it should. */
class Taking implements BodyConsumer {
  readonly #chunks: Buffer[] = [];
  readonly #body: Readable;
  readonly #pausing: boolean;
  #resolve: (text: Buffer) => void = () => {};
  #reject: (error: Error) => void = () => {};
  /** How often something came after its end. */
  late = 0;
  #isOver = false;
  readonly all: Promise<Buffer>;

  constructor(body: Readable, { pausing = false } = {}) {
    this.#body = body;
    this.#pausing = pausing;
    this.all = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.all.catch(() => {});
    consumeBody(body, this);
  }

  get length(): number {
    return Buffer.concat(this.#chunks).length;
  }

  onChunk(chunk: Buffer): void {
    if (this.#isOver) this.late++;
    this.#chunks.push(chunk);
    if (!this.#pausing) return;
    this.#body.pause();
    setImmediate(() => this.#body.resume());
  }

  onEnd(): void {
    this.#over();
    this.#resolve(Buffer.concat(this.#chunks));
  }

  onError(error: Error): void {
    this.#over();
    this.#reject(error);
  }

  #over(): void {
    if (this.#isOver) this.late++;
    this.#isOver = true;
  }
}

let server: TestServer;
let answer: Answer;
let client: HttpClient;

beforeEach(async () => {
  server = await serveHttp((req, res) => answer(req, res));
  client = new HttpClient({ proxy: false, retry: false });
});
afterEach(async () => {
  await client.close({ graceMs: 0 });
  await server[Symbol.asyncDispose]();
});

const body = async () => (await client.request(server.url)).body;
const noise = Buffer.from(Uint8Array.from({ length: 3 * MIB }, (_, i) => (i * 7) ^ (i >> 8)));

describe('a body that is consumed', () => {
  it.each([false, true])(
    'comes whole (%s: held back again and again), and its connection is used again',
    async (pausing) => {
      answer = (_, res) => res.end(noise);
      for (let i = 0; i < 3; i++) {
        const taking = new Taking(await body(), { pausing });
        expect((await taking.all).equals(noise)).toBe(true);
        expect(taking.late).toBe(0);
      }
      expect(server.connections).toBeLessThanOrEqual(2);
    },
  );

  it('may have come before, all of it or nothing', async () => {
    answer = (_, res) => res.end('hello');
    const response = await body();
    await new Promise((resolve) => setImmediate(resolve));
    expect(String(await new Taking(response).all)).toBe('hello');
    answer = (_, res) => res.end();
    expect(String(await new Taking(await body()).all)).toBe('');
  });

  it('holds the server back while it is paused', async () => {
    let sent = 0;
    answer = (_, res) => {
      const more = () => {
        while (sent < 64 * MIB && res.write(Buffer.alloc(64 * 1024))) sent += 64 * 1024;
      };
      res.on('drain', more);
      more();
    };
    const response = await body();
    response.pause();
    const taking = new Taking(response);
    response.pause();
    for (let last = -1; last < sent; await new Promise((resolve) => setTimeout(resolve, 50))) last = sent;
    expect(sent).toBeLessThan(32 * MIB);
    expect(taking.length).toBeLessThan(MIB);
    response.destroy();
  });

  it('says what it broke off with, once', async () => {
    answer = (req, res) => {
      res.writeHead(200, { 'content-length': 10 });
      res.write('hello', () => req.socket.destroy());
    };
    const taking = new Taking(await body());
    await expect(taking.all).rejects.toMatchObject({ name: 'HttpError', code: 'NETWORK' });
    expect([taking.length, taking.late]).toEqual([5, 0]);
  });

  it('ends with its connection when it is destroyed', async () => {
    answer = (_, res) => void res.write('hello');
    const response = await body();
    const taking = new Taking(response);
    response.destroy();
    await expect(taking.all).rejects.toThrow('destroyed before its end');
    await Promise.all([...server.sockets].map(closed));
    const late = new Taking(response);
    await expect(late.all).rejects.toThrow('destroyed before its end');
  });

  it('may be any stream, and one that somebody has begun to read', async () => {
    expect(String(await new Taking(Readable.from([Buffer.from('he'), Buffer.from('llo')])).all)).toBe('hello');
    const reason = new Error('no');
    await expect(new Taking(new Readable({ read: (): void => {} }).destroy(reason)).all).rejects.toBe(reason);
    answer = (_, res) => res.end('hello');
    const response = await body();
    response.read(0);
    expect(String(await new Taking(response, { pausing: true }).all)).toBe('hello');
  });
});

it('a body that came before anybody read it is a stream like any other', async () => {
  answer = (_, res) => res.end(noise);
  const response = await body();
  await new Promise((resolve) => setImmediate(resolve));
  expect((await read(response)).equals(noise)).toBe(true);
});
