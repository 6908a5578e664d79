import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type IncomingHttpHeaders, sensitiveHeaders } from 'node:http2';
import { type AddressInfo, createServer as createNetServer, type Socket } from 'node:net';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { HeaderRewriter } from './header-rewriter.js';
import { encodeHeader, HpackDecoder, HpackError } from './hpack-decoder.js';
import { decodeHuffman } from './huffman.js';
import { refusesUserinfo, UserinfoConnection } from './userinfo-connection.js';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** An HTTP/2 server whose connections pass through a rewriter; echoes bodies, and header fields as headers. */
async function echoServer(): Promise<string> {
  const http2 = createServer();
  http2.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    const { ':authority': authority = '', authorization = '', 'x-echo': echo = '' } = headers;
    stream.respond({ ':status': 200, 'x-authority': authority, 'x-authorization': authorization, 'x-echo': echo });
    stream.pipe(stream);
  });
  http2.on('sessionError', () => {});
  const net = createNetServer({ noDelay: true }, (socket: Socket) => {
    socket.on('error', () => {});
    http2.emit('connection', new UserinfoConnection(socket));
  }).listen(0, '127.0.0.1');
  await once(net, 'listening');
  closers.push(() => net.close());
  return `http://127.0.0.1:${(net.address() as AddressInfo).port}`;
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function ask(
  session: ReturnType<typeof connect>,
  headers: Record<string, string>,
  body = Buffer.alloc(0),
): Promise<Answer> {
  const stream = session.request({ ':method': 'POST', ':path': '/', ...headers });
  const response = once(stream, 'response');
  stream.end(body);
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [received] = (await response) as [IncomingHttpHeaders];
  await once(stream, 'end');
  return { headers: received, body: Buffer.concat(chunks) };
}

async function session(url: string) {
  const client = connect(url);
  client.on('error', () => {});
  closers.push(() => client.destroy());
  return client;
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

describe('a connection with credentials in its authority', () => {
  it('has them in a header instead, in every request', async () => {
    const client = await session(await echoServer());
    for (let i = 0; i < 5; i++) {
      const { headers } = await ask(client, { ':authority': 'ann:p%40ss%3a@host:1', 'x-echo': `value ${i}` });
      expect(headers).toMatchObject({
        'x-authority': 'host:1',
        'x-authorization': basic('ann:p@ss:'),
        'x-echo': `value ${i}`,
      });
    }
  });

  it('keeps the header of a request that has one', async () => {
    const client = await session(await echoServer());
    const { headers } = await ask(client, { ':authority': 'ann:x@host', authorization: 'Bearer abc' });
    expect(headers).toMatchObject({ 'x-authority': 'host', 'x-authorization': 'Bearer abc' });
  });

  it.each(['ann@host', '%zz:x@host', '@host'])('makes no credentials of %s', async (authority) => {
    const client = await session(await echoServer());
    const { headers } = await ask(client, { ':authority': authority });
    const [, value = ''] = String(headers['x-authorization']).split(' ');
    expect(headers['x-authority']).toBe('host');
    expect(Buffer.from(value, 'base64').toString()).not.toContain(':');
  });

  it('passes large bodies both ways, many at once, and headers of many frames', async () => {
    const client = await session(await echoServer());
    const answers = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const body = randomBytes(1_000_000 + i);
        const echo = 'x'.repeat(i === 0 ? 40_000 : 10);
        const answer = await ask(client, { ':authority': 'ann:x@host', 'x-echo': echo }, body);
        return answer.body.equals(body) && answer.headers['x-echo'] === echo;
      }),
    );
    expect(answers).toEqual(Array.from({ length: 8 }, () => true));
  });

  it('carries gRPC', async () => {
    const grpc = new Server();
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
    const net = createNetServer((socket) => injector.injectConnection(new UserinfoConnection(socket))).listen(
      0,
      '127.0.0.1',
    );
    await once(net, 'listening');
    closers.push(
      () => net.close(),
      () => grpc.forceShutdown(),
    );
    const client = await session(`http://127.0.0.1:${(net.address() as AddressInfo).port}`);
    const stream = client.request({
      ':authority': 'a:b@host',
      ':method': 'POST',
      ':path': '/no/method',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.end();
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    expect(headers['grpc-status']).toBe(String(status.UNIMPLEMENTED));
  });
});

describe('a connection without them', () => {
  it('passes as it is', async () => {
    const client = await session(await echoServer());
    for (let i = 0; i < 3; i++) {
      const body = randomBytes(300_000);
      const answer = await ask(client, { ':authority': 'host', authorization: basic('ann:x') }, body);
      expect(answer.headers).toMatchObject({ 'x-authority': 'host', 'x-authorization': basic('ann:x') });
      expect(answer.body.equals(body)).toBe(true);
    }
  });

  it('ends when the client goes away', async () => {
    const url = await echoServer();
    const client = await session(url);
    await ask(client, { ':authority': 'host' });
    const closed = once(client, 'close');
    client.close();
    await closed;
  });
});

describe('Node', () => {
  it('either takes credentials in an authority or not', async () => {
    const refused = await refusesUserinfo();
    const http2 = createServer((request, response) => response.end(request.authority));
    http2.listen(0, '127.0.0.1');
    await once(http2, 'listening');
    closers.push(() => http2.close());
    const client = await session(`http://127.0.0.1:${(http2.address() as AddressInfo).port}`);
    const stream = client.request({ ':authority': 'a:b@host', ':path': '/' }).resume();
    stream.on('error', () => {});
    await once(stream, 'close').catch(() => {});
    expect(stream.rstCode !== 0).toBe(refused);
    client.destroy();
  });
});

/** What Node's own encoder makes of header fields: the header block of one request. */
async function nodeBlocks(requests: readonly Record<string, string>[]): Promise<Buffer[]> {
  const blocks: Buffer[] = [];
  const net = createNetServer((socket) => {
    let held = Buffer.alloc(0);
    let preface = true;
    socket.on('error', () => {});
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk]);
      if (preface && held.length >= 24) {
        held = held.subarray(24);
        preface = false;
      }
      while (!preface && held.length >= 9 && held.length >= 9 + held.readUIntBE(0, 3)) {
        const end = 9 + held.readUIntBE(0, 3);
        if (held[3] === 1) blocks.push(Buffer.from(held.subarray(held[4]! & 0x20 ? 14 : 9, end)));
        held = held.subarray(end);
      }
      if (blocks.length === requests.length) socket.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(net, 'listening');
  const client = connect(`http://127.0.0.1:${(net.address() as AddressInfo).port}`);
  client.on('error', () => {});
  for (const headers of requests) {
    const { secret, ...rest } = headers;
    const stream = client.request({ ...rest, ...(secret && { secret, [sensitiveHeaders]: ['secret'] }) } as never);
    stream.on('error', () => {});
    stream.end();
  }
  await once(client, 'close');
  net.close();
  return blocks;
}

describe('HPACK', () => {
  it('decodes what Node encodes, request after request', async () => {
    const everyByte = String.fromCharCode(...Array.from({ length: 0x7f - 0x20 }, (_, i) => i + 0x20)).trim();
    const upper = String.fromCharCode(...Array.from({ length: 0x80 }, (_, i) => i + 0x80));
    const requests = Array.from({ length: 40 }, (_, i) => ({
      ':method': i % 2 ? 'GET' : 'POST',
      ':authority': `host-${i % 3}`,
      ':path': `/path/${i}`,
      'x-ascii': everyByte,
      'x-upper': upper,
      'x-long': 'v'.repeat(i * 40),
      'x-again': `again ${i % 5}`,
      ...(i % 4 === 0 && { secret: `never indexed ${i}` }),
    }));
    const blocks = await nodeBlocks(requests);
    const decoder = new HpackDecoder();
    expect(blocks).toHaveLength(requests.length);
    for (const [i, block] of blocks.entries()) {
      const decoded = Object.fromEntries(decoder.decode(block).map(({ name, value }) => [name, value]));
      expect(decoded).toMatchObject(requests[i]!);
    }
  });

  it('decodes the Huffman codes of long symbols', () => {
    // RFC 7541, C.4.1: www.example.com
    expect(String(decodeHuffman(Buffer.from('f1e3c2e5f23a6ba0ab90f4ff', 'hex')))).toBe('www.example.com');
    expect(String(decodeHuffman(Buffer.from('07', 'hex')))).toBe('0');
    expect(decodeHuffman(Buffer.from('ff', 'hex'))).toBeUndefined();
    expect(decodeHuffman(Buffer.from('ffff', 'hex'))).toBeUndefined();
    expect(decodeHuffman(Buffer.from('00', 'hex'))).toBeUndefined();
    expect(decodeHuffman(Buffer.from('fffffffc', 'hex'))).toBeUndefined();
  });

  it('decodes what it encodes', () => {
    const text = fc.string({ maxLength: 300 }).map((s) => Buffer.from(s).toString('latin1'));
    fc.assert(
      fc.property(fc.array(fc.record({ name: text, value: text }), { maxLength: 20 }), (fields) => {
        expect(new HpackDecoder().decode(encodeHeader(fields))).toEqual(fields);
      }),
    );
    const long = [{ name: 'n', value: 'v'.repeat(100_000) }];
    expect(new HpackDecoder().decode(encodeHeader(long))).toEqual(long);
  });

  it.each([
    ['an index of nothing', '80'],
    ['an entry that is not there', 'be'],
    ['a table larger than offered', '3fffff07'],
    ['a number without end', 'ffffffffffffffffffff'],
    ['a number cut off', 'ff'],
    ['a string cut off', '000561'],
    ['a string that is not Huffman', '0082ffff0161'],
  ])('refuses %s', (_, hex) => {
    expect(() => new HpackDecoder().decode(Buffer.from(hex, 'hex'))).toThrow(HpackError);
  });

  it('refuses a few bytes that stand for many', () => {
    const decoder = new HpackDecoder();
    const large = Buffer.concat([Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4000, 0x62)]);
    expect(decoder.decode(large)).toHaveLength(1);
    expect(() => decoder.decode(Buffer.alloc(100, 0xbe))).toThrow('the header is larger than');
  });

  it('never does more than refuse garbage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          new HpackDecoder().decode(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(HpackError);
        }
      }),
    );
  });
});

describe('a rewriter', () => {
  const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const frame = (type: number, flags: number, streamId: number, payload: Buffer) => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(streamId, 5);
    return Buffer.concat([head, payload]);
  };
  const block = encodeHeader([{ name: ':authority', value: 'ann:x@host' }]);
  const expected = encodeHeader([
    { name: ':authority', value: 'host' },
    { name: 'authorization', value: basic('ann:x') },
  ]);

  it('gives the same however the bytes are cut, padding, priority and continuations left out', () => {
    const padded = Buffer.concat([Buffer.of(3), Buffer.alloc(5), block.subarray(0, 4), Buffer.alloc(3)]);
    const input = Buffer.concat([
      PREFACE,
      frame(4, 0, 0, Buffer.alloc(0)),
      frame(1, 0x1 | 0x8 | 0x20, 1, padded),
      frame(9, 0x4, 1, block.subarray(4)),
      frame(0, 1, 1, Buffer.from('data')),
    ]);
    const output = Buffer.concat([
      PREFACE,
      frame(4, 0, 0, Buffer.alloc(0)),
      frame(1, 0x5, 1, expected),
      frame(0, 1, 1, Buffer.from('data')),
    ]);
    fc.assert(
      fc.property(fc.array(fc.nat(input.length), { maxLength: 10 }), (cuts) => {
        const rewriter = new HeaderRewriter();
        const bounds = [0, ...cuts.sort((a, b) => a - b), input.length];
        const pieces = bounds.slice(1).map((end, i) => input.subarray(bounds[i], end));
        expect(Buffer.concat(pieces.flatMap((piece) => rewriter.rewrite(piece)))).toEqual(output);
      }),
    );
  });

  it.each([
    ['a frame that is too large', frame(0, 0, 1, Buffer.alloc(16_385))],
    ['a header that is interrupted', Buffer.concat([frame(1, 0, 1, block), frame(0, 0, 1, block)])],
    ['padding larger than the frame', frame(1, 0xc, 1, Buffer.of(200, 1))],
    [
      'a header without end',
      Buffer.concat([frame(1, 0, 1, block), ...Array(20).fill(frame(9, 0, 1, Buffer.alloc(16_000)))]),
    ],
    [
      'a header in empty frames without end',
      Buffer.concat([frame(1, 0, 1, block), ...Array(64).fill(frame(9, 0, 1, Buffer.alloc(0)))]),
    ],
  ])('refuses %s', (_, bytes) => {
    expect(() => new HeaderRewriter().rewrite(Buffer.concat([PREFACE, bytes]))).toThrow(HpackError);
  });
});
