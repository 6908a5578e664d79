import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect } from 'node:net';
import { Server, type sendUnaryData } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type GrpcListenerOptions, listenGrpc } from './grpc-listener.js';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const SETTINGS = '\0\0\0\x04\0\0\0\0\0';

const asIs = (bytes: Buffer) => bytes;

const OPTIONS: GrpcListenerOptions = {
  key: 'listen.grpc',
  address: { host: '127.0.0.1', port: 0 },
  tls: undefined,
  clientAuth: 'none',
  maxConnections: 10,
  handshakeTimeoutMs: 3_600_000,
  lingerMs: 1,
};

describe('a gRPC listener that is drained', () => {
  it.each([
    ['has sent nothing', ''],
    ['has sent half a preface', PREFACE.slice(0, 8)],
    ['makes no call', PREFACE + SETTINGS],
  ])('does not wait for a client that %s and closes nothing', async (_, sent) => {
    const listener = await listenGrpc(new Server(), OPTIONS);
    const client = connect({ port: listener.address.port, host: '127.0.0.1', allowHalfOpen: true });
    client.on('error', () => {});
    client.write(sent);
    // The settings of the server: it has taken the connection.
    await once(client, 'data');
    await listener.drain();
    client.destroy();
    expect(client.bytesRead).toBeGreaterThan(0);
  });
});

describe('a client that cancels a thousand calls', () => {
  it('is led to another connection, and loses none of its others', async () => {
    const answers: sendUnaryData<Buffer>[] = [];
    const server = new Server();
    server.register(
      '/test/Wait',
      (_: unknown, answer: sendUnaryData<Buffer>) => answers.push(answer),
      asIs,
      asIs,
      'unary',
    );
    const listener = await listenGrpc(server, OPTIONS);
    const client = connectHttp2(`http://127.0.0.1:${listener.address.port}`);
    const goaway = once(client, 'goaway');
    const wait = () => {
      const call = client.request({ ':method': 'POST', ':path': '/test/Wait', 'content-type': 'application/grpc' });
      call.on('error', () => {});
      call.resume();
      call.end(Buffer.alloc(5));
      return call;
    };
    const kept = wait();
    const status = once(kept, 'trailers').then(([trailers]) => trailers['grpc-status']);
    while (answers.length === 0) await new Promise(setImmediate);
    // Many at once: those of a slow machine, one after another, would be no more than a client may cancel in that time.
    for (let round = 0; round < 400 && !client.closed; round++) {
      const seen = answers.length;
      const calls = Array.from({ length: 50 }, wait);
      while (answers.length < seen + calls.length && !client.closed) await new Promise(setImmediate);
      for (const call of calls) call.close(constants.NGHTTP2_CANCEL);
    }
    expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
    answers[0]?.(null, Buffer.from('done'));
    expect(await status).toBe('0');
    client.destroy();
    listener.destroy();
  });
});

describe('a call that is under way when its listener is drained', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  it('is answered, also where the next keepalive comes before that', async () => {
    const answers: sendUnaryData<Buffer>[] = [];
    const server = new Server({ 'grpc.keepalive_time_ms': 60_000, 'grpc.keepalive_timeout_ms': 10_000 });
    server.register(
      '/test/Wait',
      (_: unknown, answer: sendUnaryData<Buffer>) => answers.push(answer),
      asIs,
      asIs,
      'unary',
    );
    const listener = await listenGrpc(server, OPTIONS);
    const client = connectHttp2(`http://127.0.0.1:${listener.address.port}`);
    const goaway = once(client, 'goaway');
    const call = client.request({ ':method': 'POST', ':path': '/test/Wait', 'content-type': 'application/grpc' });
    const status = once(call, 'trailers').then(([trailers]) => trailers['grpc-status']);
    call.resume();
    call.end(Buffer.alloc(5));
    while (answers.length === 0) await new Promise(setImmediate);
    const drained = listener.drain();
    await goaway;
    await vi.advanceTimersByTimeAsync(90_000);
    answers[0]?.(null, Buffer.from('done'));
    expect(await status).toBe('0');
    await drained;
  });
});
