import { randomBytes } from 'node:crypto';
import type { ServerHttp2Session } from 'node:http2';
import { type BlobReader, CHUNK_BYTES, CHUNK_HEADROOM, Digest } from '@granary/blobs';
import { type ServerWritableStream, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { digestOf } from '../grpc/testing/loopback-cache.js';
import { compress } from '../zstd/index.js';
import type { GrpcTierOptions } from './options.js';
import { disposeAfterEach } from './testing/disposal.js';
import { testTier } from './testing/loopback-tier.js';
import {
  grpcError,
  type PeerHandlers,
  readResponse,
  sendGoaway,
  sessionOf,
  startTestPeer,
} from './testing/test-peer.js';

const use = disposeAfterEach(afterEach);
const MIB = 1024 * 1024;
const ALONE = { batch: { maxBlobBytes: 0 } };

async function start(handlers: PeerHandlers, options: Partial<GrpcTierOptions> = {}) {
  const peer = use(await startTestPeer(handlers));
  const tier = use(testTier(`127.0.0.1:${peer.port}`, { ...ALONE, ...options }));
  return { peer, blobs: tier.blobs, tier };
}

const CAPABLE = (() => ({
  cacheCapabilities: { digestFunctions: [1], supportedCompressors: [0, 1] },
})) satisfies PeerHandlers['capabilities'];

async function bytesOf(reader: BlobReader | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of reader ?? []) {
    expect(chunk.length).toBeLessThanOrEqual(CHUNK_BYTES);
    expect(chunk.byteOffset).toBeGreaterThanOrEqual(CHUNK_HEADROOM);
    chunks.push(Buffer.from(chunk));
    // What belongs to the consumer may be overwritten.
    Buffer.from(chunk.buffer, chunk.byteOffset - CHUNK_HEADROOM, CHUNK_HEADROOM + chunk.length).fill(0xee);
  }
  return Buffer.concat(chunks);
}

/** Sends the pieces and ends the call. */
function send(call: ServerWritableStream<Buffer, Buffer>, pieces: readonly Uint8Array[]): void {
  for (const piece of pieces) call.write(readResponse(piece));
  call.end();
}

describe('a download from a peer that takes no new calls (GOAWAY)', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  it('goes on to its end, however long that takes', async () => {
    const pieces = [randomBytes(MIB), randomBytes(MIB)] as const;
    const content = Buffer.concat(pieces);
    const calls: ServerWritableStream<Buffer, Buffer>[] = [];
    const { blobs } = await start({
      read: (_, call) => {
        calls.push(call);
        call.write(readResponse(pieces[0]));
      },
    });
    const reader = await blobs.read(digestOf(content));
    const call = calls[0] as ServerWritableStream<Buffer, Buffer>;
    await sendGoaway(call);
    // Well beyond keepaliveMs, which is 30 s, and what a ping may take.
    await vi.advanceTimersByTimeAsync(45_000);
    send(call, [pieces[1]]);
    expect((await bytesOf(reader)).equals(content)).toBe(true);
  });
});

describe('a download', () => {
  it('is the same however the peer cuts it', async () => {
    const content = Buffer.alloc(2 * MIB, 'granary ');
    let cuts: number[] = [];
    const { blobs } = await start({
      read: (_, call) => {
        const edges = [0, ...[...cuts].sort((a, b) => a - b), content.length];
        send(
          call,
          edges.slice(1).map((end, i) => content.subarray(edges[i], end)),
        );
      },
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(content.length), { maxLength: 6 }), async (chosen) => {
        cuts = chosen;
        expect((await bytesOf(await blobs.read(digestOf(content)))).equals(content)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it('comes in messages as the peer sends them, however small those are that it takes', async () => {
    const content = randomBytes(MIB);
    const { blobs } = await start({ read: (_, call) => send(call, [content]) }, { maxMessageBytes: 64 * 1024 });
    expect((await bytesOf(await blobs.read(digestOf(content)))).equals(content)).toBe(true);
  });

  it('begins where it is wanted, plain, and ends where that ends without a limit that not every peer understands', async () => {
    const content = Buffer.from('0123456789');
    const asked: string[] = [];
    const ended: Promise<void>[] = [];
    const { blobs } = await start(
      {
        capabilities: CAPABLE,
        read: ({ resourceName, readOffset, readLimit }, call) => {
          asked.push(`${resourceName.split('/')[0]} ${readOffset} ${readLimit}`);
          if (asked.length > 1) ended.push(new Promise((resolve) => call.once('cancelled', () => resolve())));
          call.write(readResponse(content.subarray(Number(readOffset))));
          if (asked.length === 1) call.end();
        },
      },
      { compression: 'on' },
    );
    const digest = digestOf(content);
    expect(String(await bytesOf(await blobs.read(digest, { offset: 3 })))).toBe('3456789');
    expect(String(await bytesOf(await blobs.read(digest, { offset: 3, limit: 4 })))).toBe('3456');
    expect(String(await bytesOf(await blobs.read(digest, { limit: 9 })))).toBe('012345678');
    await Promise.all(ended);
    expect(asked).toEqual(['blobs 3 0', 'blobs 3 0', 'blobs 0 0']);
  });

  it('names the instance, and the digest function where its length does not tell', async () => {
    const asked: string[] = [];
    const { blobs } = await start(
      {
        capabilities: () => ({ cacheCapabilities: { digestFunctions: [1, 9] } }),
        read: ({ resourceName }, call) => {
          asked.push(resourceName);
          call.emit('error', grpcError(status.NOT_FOUND));
        },
      },
      { instanceName: 'team/a' },
    );
    for (const fn of ['sha256', 'blake3'] as const)
      expect(await blobs.read(Digest.of(fn, Buffer.from('a')))).toBeUndefined();
    expect(asked[0]).toMatch(/^team\/a\/blobs\/[0-9a-f]{64}\/1$/);
    expect(asked[1]).toMatch(/^team\/a\/blobs\/blake3\/[0-9a-f]{64}\/1$/);
  });

  it.each([
    ['too few bytes', ['abc']],
    ['no bytes', []],
    ['messages without data', ['', '']],
    ['too many bytes', ['0123456789', '0']],
    ['too many bytes at once', ['0123456789 and more']],
  ])('of %s is invalid', async (_, pieces) => {
    const { blobs } = await start({
      read: (_, call) =>
        send(
          call,
          pieces.map((piece) => Buffer.from(piece)),
        ),
    });
    const read = async () => bytesOf(await blobs.read(digestOf('0123456789')));
    await expect(read()).rejects.toMatchObject({ kind: 'invalid', tier: 'upstream' });
    await expect(blobs.get(digestOf('0123456789'))).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('of bytes that are no message is invalid', async () => {
    const { blobs } = await start({
      read: (_, call) => {
        call.write(Buffer.from('no message'));
        call.end();
      },
    });
    await expect(blobs.read(digestOf('a'))).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('that breaks off gives what came and then the error', async () => {
    const { blobs } = await start({
      read: (_, call) => {
        call.write(readResponse(Buffer.from('01234')), () =>
          call.emit('error', grpcError(status.UNAVAILABLE, 'going down')),
        );
      },
    });
    const reader = await blobs.read(digestOf('0123456789'));
    expect(String(await reader?.next())).toBe('01234');
    await expect(reader?.next()).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('going down'),
    });
    expect(await reader?.next()).toBeUndefined();
  });

  it('is not spoiled by what comes after its last byte', async () => {
    const { blobs } = await start({
      read: (_, call) => {
        call.write(readResponse(Buffer.from('0123456789')), () => call.emit('error', grpcError(status.INTERNAL)));
      },
    });
    expect(await blobs.get(digestOf('0123456789'))).toEqual(Buffer.from('0123456789'));
  });

  it('whose connection is lost is unavailable', async () => {
    const peer = await startTestPeer({ read: (_, call) => void call.write(readResponse(Buffer.from('01234'))) });
    const tier = use(testTier(`127.0.0.1:${peer.port}`, ALONE));
    const reader = await tier.blobs.read(digestOf('0123456789'));
    await reader?.next();
    const rest = reader?.next();
    await peer[Symbol.asyncDispose]();
    await expect(rest).rejects.toMatchObject({ kind: 'unavailable', retryable: true });
  });

  it('from a peer that says nothing ends with the timeout', async () => {
    const { blobs } = await start({ read: () => {} }, { timeoutMs: 30 });
    await expect(blobs.read(digestOf('0123456789'))).rejects.toMatchObject({ kind: 'timeout', retryable: true });
  });

  /** Reads without end, each with how much of it the peer could send. */
  async function slowReads(count: number, options: Partial<GrpcTierOptions>) {
    const sent: number[] = [];
    const sessions: (ServerHttp2Session | undefined)[] = [];
    const piece = Buffer.alloc(64 * 1024);
    const size = 64 * MIB;
    const { blobs } = await start(
      {
        findMissing: () => ({}),
        read: (_, call) => {
          const n = sent.push(0) - 1;
          sessions.push(sessionOf(call));
          const more = () => {
            if (sent[n] === size) {
              call.end();
              return;
            }
            sent[n]! += piece.length;
            call.write(readResponse(piece), more);
          };
          more();
        },
      },
      { connections: 1, ...options },
    );
    const readers: BlobReader[] = [];
    for (let i = 0; i < count; i++) {
      const reader = (await blobs.read(Digest.parse('sha256', 'ab'.repeat(32), size)))!;
      await reader.next();
      readers.push(reader);
    }
    // Calls meanwhile, so that everything that could have come in has had its time.
    for (let i = 0; i < 50; i++) await blobs.findMissing([digestOf('a')]);
    return { sent, sessions, readers, piece, size };
  }

  it('holds the peer back when the consumer is slow', async () => {
    const { sent, readers, piece, size } = await slowReads(1, { windowBytes: MIB });
    expect(sent[0]).toBeGreaterThanOrEqual(2 * piece.length);
    // The window, the peer's own buffers, and the messages on both sides.
    expect(sent[0]).toBeLessThan(3 * MIB);
    let read = piece.length;
    for (let chunk = await readers[0]?.next(); chunk; chunk = await readers[0]?.next()) read += chunk.length;
    expect(read).toBe(size);
  });

  it('has a small window where there are many, on a connection that has not', async () => {
    const { sent, sessions, readers } = await slowReads(7, { windowBytes: 2 * MIB });
    for (const first of sent.slice(0, 4)) expect(first).toBeGreaterThan(1.5 * MIB);
    for (const other of sent.slice(4)) expect(other).toBeLessThan(MIB);
    expect(new Set(sessions).size).toBe(2);
    expect(sessions[6]?.state.remoteWindowSize).toBeGreaterThan(MIB);
    await readers[0]?.close();
    for (const reader of readers.slice(1)) await reader.close();
  });

  it.each([
    ['before it began', 0],
    ['before the first byte', 1],
    ['in its middle', 2],
  ])('can be aborted %s, which ends the call', async (_, position) => {
    const abort = new AbortController();
    let cancelled: Promise<void> | undefined;
    const { peer, blobs } = await start({
      read: (_, call) => {
        cancelled = new Promise((resolve) => call.once('cancelled', () => resolve()));
        if (position === 1) abort.abort(new Error('gone'));
        else call.write(readResponse(Buffer.from('01234')));
      },
    });
    await blobs.findMissing([]);
    if (position === 0) abort.abort(new Error('gone'));
    const options = { signal: abort.signal };
    if (position < 2) await expect(blobs.read(digestOf('0123456789'), options)).rejects.toThrow('gone');
    else {
      const reader = await blobs.read(digestOf('0123456789'), options);
      await reader?.next();
      const rest = reader?.next();
      abort.abort(new Error('gone'));
      await expect(rest).rejects.toThrow('gone');
      expect(await reader?.next()).toBeUndefined();
    }
    if (position > 0) await cancelled;
    else expect(peer.count('Read')).toBe(0);
  });

  it('that is closed while a chunk is waited for ends, and ends the call', async () => {
    let cancelled: Promise<void> | undefined;
    const { blobs } = await start({
      read: (_, call) => {
        cancelled = new Promise((resolve) => call.once('cancelled', () => resolve()));
        call.write(readResponse(Buffer.from('01234')));
      },
    });
    const reader = await blobs.read(digestOf('0123456789'));
    await reader?.next();
    const rest = reader?.next();
    await reader?.close();
    expect(await rest).toBeUndefined();
    await cancelled;
  });
});

describe('a compressed download', () => {
  const content = Buffer.alloc(3 * MIB, 'granary ');

  async function startCompressed(pieces: () => Promise<readonly Buffer[]>) {
    let asked = '';
    const started = await start(
      {
        capabilities: CAPABLE,
        read: async ({ resourceName }, call) => {
          asked = resourceName;
          send(call, await pieces());
        },
      },
      { compression: 'on' },
    );
    return { ...started, asked: () => asked };
  }

  it('gives the content', async () => {
    const { blobs, asked } = await startCompressed(async () => {
      const bytes = await compress(content);
      return [bytes.subarray(0, 5), bytes.subarray(5, 100), bytes.subarray(100)];
    });
    expect((await bytesOf(await blobs.read(digestOf(content)))).equals(content)).toBe(true);
    expect(asked()).toMatch(/^compressed-blobs\/zstd\//);
  });

  it.each([
    ['is damaged', async () => [Buffer.from('no Zstandard at all')]],
    ['ends early', async () => [(await compress(content)).subarray(0, -10)]],
    ['is larger than announced', async () => [await compress(Buffer.concat([content, content]))]],
    ['is smaller than announced', async () => [await compress(content.subarray(1))]],
    ['has something behind its end', async () => [await compress(content), Buffer.from('more')]],
  ])('that %s is invalid', async (_, pieces) => {
    const { blobs } = await startCompressed(pieces);
    await expect((async () => bytesOf(await blobs.read(digestOf(content))))()).rejects.toMatchObject({
      kind: 'invalid',
    });
  });

  it('can be left in its middle', async () => {
    const random = randomBytes(3 * MIB);
    let cancelled: Promise<void> | undefined;
    const { blobs } = await start(
      {
        capabilities: CAPABLE,
        read: async (_, call) => {
          cancelled = new Promise((resolve) => call.once('cancelled', () => resolve()));
          call.write(readResponse((await compress(random)).subarray(0, 2 * MIB)));
        },
      },
      { compression: 'on' },
    );
    const reader = await blobs.read(digestOf(random));
    await reader?.next();
    await reader?.close();
    expect(await reader?.next()).toBeUndefined();
    await cancelled;
  });

  it('is not asked of a peer that can not, or when it is off', async () => {
    const names: string[] = [];
    const read: PeerHandlers['read'] = ({ resourceName }, call) => {
      names.push(resourceName);
      send(call, [content]);
    };
    for (const [handlers, compression] of [
      [{ read }, 'on'],
      [{ read, capabilities: CAPABLE }, 'off'],
    ] as const) {
      const { blobs } = await start(handlers, { compression });
      await blobs.get(digestOf(content));
    }
    expect(names.every((name) => name.startsWith('blobs/'))).toBe(true);
  });
});
