import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createNetServer, type Server, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Timers } from '@granary/resilience';

const certificate = (name: string) => readFileSync(new URL(`certificates/${name}`, import.meta.url));

export const CA = certificate('ca.pem');
const TLS = { cert: certificate('server.pem'), key: certificate('server.key') };

/** A server on a free port of loopback, with its connections, for a test that closes it. */
export class TestServer implements AsyncDisposable {
  readonly server: Server;
  readonly sockets = new Set<Socket>();
  readonly #scheme: string;
  /** Connections that were ever made. */
  connections = 0;

  constructor(server: Server, scheme: string) {
    this.server = server;
    this.#scheme = scheme;
    server.on('connection', (socket: Socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  async listen(): Promise<this> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }

  get host(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `${this.#scheme}://${this.host}`;
  }

  /** Resolves when no connection is left. */
  async idle(): Promise<void> {
    for (const socket of this.sockets) await closed(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

/** Resolves when a stream is closed, with an error or without. */
export function closed(stream: Readable | Socket): Promise<void> {
  return stream.closed ? Promise.resolve() : new Promise((resolve) => void stream.once('close', () => resolve()));
}

export type Answer = (req: IncomingMessage, res: ServerResponse) => void;

export const serveHttp = (answer: Answer): Promise<TestServer> => new TestServer(createServer(answer), 'http').listen();

export const serveHttps = (answer: Answer): Promise<TestServer> =>
  new TestServer(createHttpsServer(TLS, answer), 'https').listen();

export const serveHttp2 = (answer: RequestListener): Promise<TestServer> =>
  new TestServer(createSecureServer({ ...TLS, allowHTTP1: true }, answer as never), 'https').listen();

/** Speaks whatever bytes the test says. */
export const serveRaw = (onRequest: (socket: Socket, head: string) => void): Promise<TestServer> =>
  new TestServer(
    createNetServer((socket) => socket.on('data', (data) => onRequest(socket, data.toString('latin1')))),
    'http',
  ).listen();

/** Timers that ring at once and remember for how long they were set. */
export class InstantTimers implements Timers {
  readonly delays: number[] = [];

  setTimeout(callback: () => void, ms: number): unknown {
    this.delays.push(ms);
    return setImmediate(callback);
  }

  clearTimeout(handle: unknown): void {
    clearImmediate(handle as NodeJS.Immediate);
  }
}

/** What a promise rejects with; a test fails when it doesn't. */
export async function rejection<E = Error>(promise: Promise<unknown>): Promise<E> {
  const value = await promise.then(
    (result) => ({ result }),
    (error) => ({ error }),
  );
  if ('error' in value) return value.error as E;
  throw new Error(`resolved with ${JSON.stringify(value.result)}`);
}

export async function read(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}
