import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closed, read, rejection, serveRaw, TestServer } from '../../testing/test-server.js';
import { HttpClient } from '../http-client.js';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

let client: HttpClient;
const uncaught: unknown[] = [];
const note = (error: unknown) => void uncaught.push(error);

beforeEach(() => {
  client = new HttpClient({ proxy: false, retry: false });
  process.on('uncaughtException', note);
});

afterEach(async () => {
  await client.close({ graceMs: 0 });
  process.off('uncaughtException', note);
  expect(uncaught.splice(0)).toEqual([]);
});

describe('a response with which the connection ends', () => {
  const sizes = [17_000, 40_000, 65_536, 100_000, 131_072, 400_000];
  const framings = {
    'a length': (size: number) => `connection: close\r\ncontent-length: ${size}\r\n`,
    'no length': () => 'connection: close\r\n',
    'a length, and no word of the end': (size: number) => `content-length: ${size}\r\n`,
  };
  it.each(Object.entries(framings))('and that has %s is read whole by who reads slowly', async (_, framing) => {
    for (const size of sizes) {
      await using server = await serveRaw((socket) => {
        socket.end(`HTTP/1.1 200 OK\r\n${framing(size)}\r\n${'x'.repeat(size)}`);
      });
      const { body } = await client.request(server.url);
      for (let i = 0; i < 20; i++) await turn();
      let bytes = 0;
      for await (const chunk of body) {
        bytes += (chunk as Buffer).length;
        for (let i = 0; i < 5; i++) await turn();
      }
      expect(bytes).toBe(size);
      await server.idle();
    }
  });

  it('and that nobody reads ends with the client', async () => {
    await using server = await serveRaw((socket) => {
      socket.end(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${'x'.repeat(100_000)}`);
    });
    const { body } = await client.request(server.url);
    for (let i = 0; i < 20; i++) await turn();
    await client.close({ graceMs: 0 });
    expect(await rejection(read(body))).toMatchObject({ code: 'CLOSED' });
    await server.idle();
  });
});

describe('a connection that is reset', () => {
  let server: TestServer;
  let accepted: Promise<[Socket]>;

  beforeEach(async () => {
    server = await new TestServer(createServer(), 'http').listen();
    accepted = once(server.server, 'connection') as Promise<[Socket]>;
  });
  afterEach(() => server[Symbol.asyncDispose]());

  it('is not the end of a response that has no length', async () => {
    const answer = client.request(server.url);
    const [socket] = await accepted;
    socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhalf');
    const { body } = await answer;
    body.once('data', () => socket.resetAndDestroy());
    const error = await rejection(once(body, 'end'));
    expect(error).toMatchObject({ code: 'NETWORK', cause: { cause: { code: 'ECONNRESET' } } });
  });

  it('breaks a response off that waits for its reader', async () => {
    const answer = client.request(server.url);
    const [socket] = await accepted;
    socket.write(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${'x'.repeat(40_000)}`);
    const { body } = await answer;
    for (let i = 0; i < 20; i++) await turn();
    socket.resetAndDestroy();
    await closed(body);
    expect(body.errored).toMatchObject({ code: 'NETWORK' });
  });
});
