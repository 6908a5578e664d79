import { once } from 'node:events';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Fault } from './fault.js';
import { FaultProxy } from './fault-proxy.js';

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

/** An echo behind a proxy. */
let proxy: FaultProxy;
beforeEach(async () => {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await FaultProxy.start(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  ended.push(
    () => server.close(),
    () => proxy.close(),
  );
});

interface End {
  readonly socket: Socket;
  readonly received: () => string;
  readonly error: () => string | undefined;
}

async function client(): Promise<End> {
  const [host, port] = proxy.address.split(':');
  const socket = connect(Number(port), host);
  let received = '';
  let error: string | undefined;
  socket.on('data', (bytes) => {
    received += bytes.toString('latin1');
  });
  socket.on('error', (reason: NodeJS.ErrnoException) => {
    error = reason.code;
  });
  ended.push(() => socket.destroy());
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => {});
  return { socket, received: () => received, error: () => error };
}

async function echoed(end: End, text: string): Promise<void> {
  const before = end.received();
  end.socket.write(text);
  await vi.waitFor(() => expect(end.received()).toBe(before + text));
}

async function closed({ socket }: End): Promise<void> {
  await vi.waitFor(() => expect(socket.closed).toBe(true));
}

const inTheMiddle = (effect: Fault['effect'], more: Partial<Fault> = {}): Fault => ({ effect, ...more });

describe('a proxy with faults', () => {
  it('passes everything on while there is none, and an end as an end', async () => {
    const end = await client();
    await echoed(end, 'x'.repeat(300_000));
    end.socket.end();
    await closed(end);
    expect(end.error()).toBeUndefined();
    await vi.waitFor(() => expect(proxy.connections).toBe(0));
  });

  it.each(['up', 'down'] as const)('delays bytes on their way %s, and no more when it is over', async (direction) => {
    const end = await client();
    await proxy.set(inTheMiddle({ kind: 'latency', ms: 80 }, { direction }));
    const begun = performance.now();
    await echoed(end, 'late');
    expect(performance.now() - begun).toBeGreaterThanOrEqual(75);
    await proxy.heal();
    expect(proxy.befallen).toBe(1);
  });

  it('lets bytes through as slowly as it is told', async () => {
    const end = await client();
    await proxy.set(inTheMiddle({ kind: 'bandwidth', bytesPerSecond: 1_000_000 }));
    const begun = performance.now();
    await echoed(end, 'x'.repeat(100_000));
    expect(performance.now() - begun).toBeGreaterThanOrEqual(95);
  });

  it('resets and refuses, and listens again on the same port', async () => {
    const first = await client();
    await proxy.set(inTheMiddle({ kind: 'reset' }));
    first.socket.write('x');
    await closed(first);
    expect(first.error()).toBe('ECONNRESET');
    await proxy.set(inTheMiddle({ kind: 'refuse' }));
    expect((await client()).error()).toBe('ECONNREFUSED');
    await proxy.heal();
    await echoed(await client(), 'again');
  });

  it('ends in the middle', async () => {
    const end = await client();
    await proxy.set(inTheMiddle({ kind: 'truncate' }));
    end.socket.write('x');
    await once(end.socket, 'end');
    expect(end.received()).toBe('');
  });

  it.each(['black-hole', 'stall'] as const)('swallows: %s', async (kind) => {
    const end = await client();
    await echoed(end, 'before');
    await proxy.set(inTheMiddle({ kind }));
    end.socket.write('lost');
    await vi.waitFor(() => expect(proxy.befallen).toBe(1));
    await proxy.heal();
    await closed(end);
    expect(end.received()).toBe('before');
    await echoed(await client(), 'after');
  });

  it('takes connections that nobody answers, as often as it is told', async () => {
    await proxy.set(inTheMiddle({ kind: 'half-open' }, { times: 1 }));
    const dead = await client();
    dead.socket.write('x');
    await echoed(await client(), 'alive');
    expect([dead.received(), dead.error()]).toEqual(['', undefined]);
  });

  it('resets a connection after a time', async () => {
    const end = await client();
    await proxy.set(inTheMiddle({ kind: 'drop', afterMs: 20 }));
    await closed(end);
    expect(end.error()).toBe('ECONNRESET');
  });

  it('flips one byte', async () => {
    const end = await client();
    await proxy.set(inTheMiddle({ kind: 'corrupt' }));
    end.socket.write('abc');
    await vi.waitFor(() => expect(end.received()).toBe(`${String.fromCharCode(0x61 ^ 0xff)}bc`));
  });

  it('leaves living or new connections alone', async () => {
    const living = await client();
    await proxy.set(inTheMiddle({ kind: 'reset' }, { connections: 'new' }));
    await echoed(living, 'alive');
    const fresh = await client();
    fresh.socket.write('x');
    await closed(fresh);
    await proxy.set(inTheMiddle({ kind: 'reset' }, { connections: 'living' }));
    await echoed(await client(), 'alive');
  });
});

describe('a point in HTTP/2', () => {
  const BODY = Buffer.alloc(200_000, 'b');

  async function answer(fault: Fault): Promise<{ body: Buffer; status: unknown; error: boolean }> {
    const server = createHttp2Server((request, response) => {
      response.addTrailers({ 'x-trailer': 'all' });
      request.resume().on('end', () => response.end(BODY));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const between = await FaultProxy.start(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    await between.set(fault);
    const session = connectHttp2(`http://${between.address}`).on('error', () => {});
    ended.push(
      () => server.close(),
      () => between.close(),
      () => session.destroy(),
    );
    const stream = session.request({ ':method': 'POST', ':path': '/' });
    let status: unknown;
    let error = false;
    stream.on('response', (headers) => {
      status = headers[':status'];
    });
    stream.on('error', () => {
      error = true;
    });
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    let complete = false;
    stream.on('trailers', () => {
      complete = true;
    });
    stream.end(BODY);
    await once(stream, 'close').catch(() => {});
    return { body: Buffer.concat(chunks), status, error: error || !complete };
  }

  it('is in the middle of a body, whose frames stay whole', async () => {
    const { body, error } = await answer({ effect: { kind: 'corrupt' }, point: { at: 'data', bytes: 70_000 } });
    expect(error).toBe(false);
    expect([...body.entries()].filter(([, byte]) => byte !== 0x62)).toEqual([[70_000, 0x62 ^ 0xff]]);
    expect(body.length).toBe(BODY.length);
  });

  it.each([
    { point: { at: 'head' }, direction: 'up', status: undefined, bytes: 0 },
    { point: { at: 'data', bytes: 100_000 }, direction: 'up', status: undefined, bytes: 0 },
    { point: { at: 'head' }, direction: 'down', status: undefined, bytes: 0 },
    { point: { at: 'end' }, direction: 'down', status: 200, bytes: BODY.length },
  ] as const)('is in $point.at on the way $direction', async ({ point, direction, status, bytes }) => {
    const result = await answer({ effect: { kind: 'reset' }, point, direction });
    expect(result).toMatchObject({ status, error: true });
    // A reset throws away what has not been read.
    expect(result.body.length).toBeLessThanOrEqual(bytes);
  });
});
