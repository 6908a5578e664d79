import { Client, credentials, Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FRAME_HEADER_BYTES, FramedMessages, sendAsItLies } from './framed-response.js';

const asIs = (bytes: Buffer) => bytes;
const method = {
  path: '/test/Answer',
  requestStream: false,
  responseStream: false,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
} as const;

describe('a response that is sent as it lies', () => {
  let server: Server;
  let client: Client | undefined;
  beforeEach(() => {
    server = new Server();
  });
  afterEach(() => {
    client?.close();
    server.forceShutdown();
  });

  it('reaches the client of the installed grpc-js without being copied, and gives its memory back', async () => {
    const bytes = Buffer.alloc(FRAME_HEADER_BYTES + 300_000, 'response');
    const message = bytes.subarray(FRAME_HEADER_BYTES);
    const release = vi.fn();
    const prepared: boolean[] = [];
    const copy = vi.spyOn(message, 'copy');
    server.addService({ answer: method } as never, {
      answer: (call: object, callback: (error: null, response: Buffer) => void) => {
        prepared.push(sendAsItLies(call, { bytes, release }));
        callback(null, message);
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const answer = await new Promise<Buffer>((resolve, reject) => {
      client?.makeUnaryRequest(method.path, asIs, asIs, Buffer.from('?'), (error, response) =>
        error ? reject(error) : resolve(response as Buffer),
      );
    });
    expect(prepared).toEqual([true]);
    expect(answer.equals(message)).toBe(true);
    expect(copy).not.toHaveBeenCalled();
    expect(release).toHaveBeenCalledTimes(1);
  });

  it('is left to grpc-js where that has other layers', () => {
    const release = vi.fn();
    expect(sendAsItLies({ call: { nextCall: {} } }, { bytes: Buffer.alloc(10), release })).toBe(false);
    expect(release).not.toHaveBeenCalled();
  });
});

describe('messages of a stream that are sent as they lie', () => {
  let server: Server;
  let client: Client | undefined;
  beforeEach(() => {
    server = new Server();
  });
  afterEach(() => {
    client?.close();
    server.forceShutdown();
  });

  it('reach the client of the installed grpc-js without being copied, among others that are', async () => {
    const stream = { ...method, path: '/test/Stream', responseStream: true } as const;
    const frames = [1, 2].map((n) => Buffer.alloc(FRAME_HEADER_BYTES + 300_000, n));
    const copied = Buffer.alloc(1000, 3);
    const copies: unknown[] = [];
    server.addService({ stream } as never, {
      stream: (call: ServerWritableStream<Buffer, Buffer>) => {
        const framed = FramedMessages.of(call);
        for (const frame of frames) {
          const message = framed!.next(frame);
          copies.push(vi.spyOn(message, 'copy'));
          call.write(message);
          call.write(copied);
        }
        call.end();
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const received: Buffer[] = [];
    for await (const message of client.makeServerStreamRequest(stream.path, asIs, asIs, Buffer.from('?')))
      received.push(message as Buffer);
    const [first, second] = frames.map((frame) => frame.subarray(FRAME_HEADER_BYTES));
    expect(Buffer.concat(received).equals(Buffer.concat([first!, copied, second!, copied]))).toBe(true);
    for (const copy of copies) expect(copy).not.toHaveBeenCalled();
  });

  it('are left to grpc-js where that has other layers', () => {
    expect(FramedMessages.of({ call: { nextCall: {} } })).toBeUndefined();
  });
});
