import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { Server, type ServerReadableStream, type sendUnaryData } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type GrpcListenerOptions, listenGrpc } from './grpc-listener.js';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const SETTINGS = '\0\0\0\x04\0\0\0\0\0';

const TYPES = { DATA: 0, HEADERS: 1, RST_STREAM: 3, GOAWAY: 7 };
const UPLOADS = 1500;

const END_STREAM = 0x1;
const END_HEADERS = 0x4;

/** The headers of an upload, none of them in a table. */
const UPLOAD = Buffer.concat(
  [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', '/test/Upload'],
    [':authority', 'cache'],
    ['content-type', 'application/grpc'],
  ].flatMap(([name = '', value = '']) => [
    Buffer.of(0, name.length),
    Buffer.from(name),
    Buffer.of(value.length),
    Buffer.from(value),
  ]),
);

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

describe('a client with many uploads that are answered before it has sent all', () => {
  it.each([
    [
      'is told to take another connection where it resets them without an error',
      frame('RST_STREAM', 0),
      constants.NGHTTP2_NO_ERROR,
    ],
    ['keeps its connection where it ends them', frame('DATA', END_STREAM), undefined],
  ])('%s', async (_, goodbye, told) => {
    const server = new Server();
    server.register(
      '/test/Upload',
      (call: ServerReadableStream<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
        call.once('data', () => answer(null, Buffer.from('here')));
      },
      asIs,
      asIs,
      'clientStream',
    );
    const listener = await listenGrpc(server, OPTIONS);
    const client = connect(listener.address.port, '127.0.0.1');
    client.write(PREFACE + SETTINGS);
    const upload = (id: number) => {
      client.write(frame('HEADERS', END_HEADERS, UPLOAD)(id));
      client.write(frame('DATA', 0, Buffer.alloc(5))(id));
    };
    for (let at = 0; at < UPLOADS; at++) upload(2 * at + 1);
    const answered: number[] = [];
    let goaway: number | undefined;
    for await (const { type, flags, id, payload } of framesOf(client)) {
      if (type === TYPES.GOAWAY) goaway = payload.readUInt32BE(4);
      if (type === TYPES.HEADERS && (flags & END_STREAM) !== 0) answered.push(id);
      if (goaway !== undefined || answered.length > UPLOADS) break;
      if (answered.length < UPLOADS || answered.at(-1) !== id) continue;
      client.write(Buffer.concat(answered.map(goodbye)));
      upload(2 * UPLOADS + 1);
    }
    expect(goaway).toBe(told);
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

/** A frame for the stream that is named then. */
function frame(type: keyof typeof TYPES, flags: number, payload = Buffer.alloc(type === 'RST_STREAM' ? 4 : 0)) {
  return (id: number): Buffer => {
    const header = Buffer.alloc(9);
    header.writeUIntBE(payload.length, 0, 3);
    header[3] = TYPES[type];
    header[4] = flags;
    header.writeUInt32BE(id, 5);
    return Buffer.concat([header, payload]);
  };
}

async function* framesOf(socket: Socket) {
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk]);
    for (;;) {
      const end = bytes.length < 9 ? Number.POSITIVE_INFINITY : 9 + bytes.readUIntBE(0, 3);
      if (bytes.length < end) break;
      const [type = 0, flags = 0] = bytes.subarray(3);
      yield { type, flags, id: bytes.readUInt32BE(5), payload: bytes.subarray(9, end) };
      bytes = bytes.subarray(end);
    }
  }
}
