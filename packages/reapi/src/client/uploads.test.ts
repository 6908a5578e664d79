import { randomBytes } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import type { Digest } from '@granary/blobs';
import { type ServerReadableStream, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type WriteRequest, WriteRequestSchema } from '../gen/google/bytestream/bytestream_pb.js';
import { digestMessage, digestOf } from '../grpc/testing/loopback-cache.js';
import { parseUploadName } from '../resource-name.js';
import { decompress } from '../zstd/index.js';
import type { GrpcTierOptions } from './options.js';
import { disposeAfterEach } from './testing/disposal.js';
import { testTier } from './testing/loopback-tier.js';
import { grpcError, type PeerHandlers, sendGoaway, startTestPeer, writeResponse } from './testing/test-peer.js';

const use = disposeAfterEach(afterEach);
const MIB = 1024 * 1024;
const CONTENT = randomBytes(MIB);

const CAPABLE = (() => ({
  cacheCapabilities: { digestFunctions: [1], supportedCompressors: [0, 1] },
})) satisfies PeerHandlers['capabilities'];
const NOTHING_HERE: NonNullable<PeerHandlers['findMissing']> = ({ blobDigests }) => ({
  missingBlobDigests: blobDigests,
});

async function start(handlers: PeerHandlers, options: Partial<GrpcTierOptions> = {}) {
  const peer = use(await startTestPeer({ findMissing: NOTHING_HERE, ...handlers }));
  const tier = use(testTier(`127.0.0.1:${peer.port}`, options));
  return { peer, blobs: tier.blobs, tier };
}

/** All messages of an upload. */
async function received(call: ServerReadableStream<Buffer, Buffer>): Promise<WriteRequest[]> {
  const messages: WriteRequest[] = [];
  for await (const bytes of call) messages.push(fromBinary(WriteRequestSchema, bytes));
  return messages;
}

/** A source that tells what was asked of it. */
function watched(chunk: Buffer, count = Number.POSITIVE_INFINITY) {
  const state = { given: 0, left: false };
  const source = async function* () {
    try {
      for (let i = 0; i < count; i++) {
        state.given++;
        yield chunk;
      }
    } finally {
      state.left = true;
    }
  };
  return { state, source: source() };
}

function huge(size: number): Digest {
  const { digest } = parseUploadName(`uploads/x/blobs/${'ab'.repeat(32)}/${size}`);
  return digest;
}

describe('an upload to a peer that takes no new calls (GOAWAY)', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  it('waits for its answer', async () => {
    const { blobs } = await start({
      write: async (call, answer) => {
        await received(call);
        await sendGoaway(call);
        // Well beyond keepaliveMs, which is 30 s, and what a ping may take.
        await vi.advanceTimersByTimeAsync(45_000);
        answer(null, writeResponse(CONTENT.length));
      },
    });
    await expect(blobs.write(digestOf(CONTENT), CONTENT)).resolves.toBeUndefined();
  });
});

describe('an upload', () => {
  it('sends the name once, offsets that follow each other, and says with the last byte that it is the last', async () => {
    let messages: WriteRequest[] = [];
    const { blobs } = await start(
      {
        write: async (call, answer) => {
          messages = await received(call);
          answer(null, writeResponse(CONTENT.length));
        },
      },
      { instanceName: 'main' },
    );
    await blobs.write(digestOf(CONTENT), CONTENT);
    const [first, ...others] = messages as [WriteRequest];
    const name = parseUploadName(first.resourceName);
    expect(name).toMatchObject({ instance: 'main', compressor: 'identity' });
    expect(name.digest.equals(digestOf(CONTENT))).toBe(true);
    expect(others.every(({ resourceName }) => resourceName === '')).toBe(true);
    let offset = 0n;
    for (const { writeOffset, data } of messages) {
      expect(writeOffset).toBe(offset);
      offset += BigInt(data.length);
    }
    expect(messages.map(({ finishWrite }) => finishWrite)).toEqual([false, false, false, true]);
    expect(Buffer.concat(messages.map(({ data }) => data)).equals(CONTENT)).toBe(true);
  });

  it('joins small chunks to large messages', async () => {
    let count = 0;
    const { blobs } = await start({
      write: async (call, answer) => {
        count = (await received(call)).length;
        answer(null, writeResponse(CONTENT.length));
      },
    });
    const pieces = async function* () {
      for (let at = 0; at < CONTENT.length; at += 1000) yield CONTENT.subarray(at, at + 1000);
    };
    await blobs.write(digestOf(CONTENT), pieces());
    expect(count).toBe(4);
  });

  it('reads nothing of the source when the peer has the blob', async () => {
    const { state, source } = watched(CONTENT);
    const { peer, blobs } = await start({ findMissing: () => ({}) });
    await blobs.write(digestOf(CONTENT), source);
    expect(state.given).toBe(0);
    expect(peer.count('Write')).toBe(0);
  });

  it.each([
    ['with its size', 'off', (answer: (size: number) => void, size: number) => answer(size)],
    ['with −1, compressed', 'on', (answer: (size: number) => void) => answer(-1)],
  ] as const)('is done when the peer answers early %s, and the source is left', async (_, compression, early) => {
    const size = 1024 * MIB;
    const { state, source } = watched(randomBytes(MIB));
    const { blobs } = await start(
      {
        capabilities: CAPABLE,
        write: (call, answer) => {
          call.once('data', () => early((committed) => answer(null, writeResponse(committed)), size));
          call.resume();
        },
      },
      { compression },
    );
    await blobs.write(huge(size), source);
    expect(state.left).toBe(true);
    expect(state.given).toBeLessThan(200);
  });

  it('is done when the peer answers while the source is silent', async () => {
    let left = false;
    const silent: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => {
        let first = true;
        return {
          next: () => {
            if (!first) return new Promise(() => {});
            first = false;
            return Promise.resolve({ value: CONTENT, done: false });
          },
          return: async () => {
            left = true;
            return { value: undefined, done: true as const };
          },
        };
      },
    };
    const { blobs } = await start({
      write: (call, answer) => {
        call.once('data', () => answer(null, writeResponse(5 * MIB)));
      },
    });
    await blobs.write(huge(5 * MIB), silent);
    expect(left).toBe(true);
  });

  it('is done when the peer says that the blob exists', async () => {
    const { blobs } = await start({ write: (_, answer) => answer(grpcError(status.ALREADY_EXISTS)) });
    await blobs.write(digestOf(CONTENT), CONTENT);
  });

  it.each([
    [status.RESOURCE_EXHAUSTED, 'exhausted'],
    [status.UNAVAILABLE, 'unavailable'],
    [status.PERMISSION_DENIED, 'refused'],
    [status.INVALID_ARGUMENT, 'invalid'],
  ])('that the peer ends early with status %i is %s, and the source is left', async (code, kind) => {
    const { state, source } = watched(CONTENT);
    const { blobs } = await start({ write: (call, answer) => void call.once('data', () => answer(grpcError(code))) });
    await expect(blobs.write(huge(1024 * MIB), source)).rejects.toMatchObject({ kind });
    expect(state.left).toBe(true);
  });

  it.each([
    ['fewer bytes', writeResponse(17)],
    ['something that is no message', Buffer.from('no message')],
    ['−1, though it was not compressed', writeResponse(-1)],
  ])('that the peer answers with %s is invalid', async (_, response) => {
    const { blobs } = await start({
      write: async (call, answer) => {
        await received(call);
        answer(null, response);
      },
    });
    await expect(blobs.write(digestOf(CONTENT), CONTENT)).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('whose content the peer calls invalid is a mismatch when it is one', async () => {
    const { blobs } = await start({
      write: async (call, answer) => {
        await received(call);
        answer(grpcError(status.INVALID_ARGUMENT, 'another hash'));
      },
    });
    const other = Buffer.from(CONTENT);
    other[0] = (other[0] as number) ^ 1;
    await expect(blobs.write(digestOf(CONTENT), other)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expect(blobs.write(digestOf(CONTENT), CONTENT)).rejects.toMatchObject({ kind: 'invalid' });
    const { source } = watched(other, 1);
    await expect(blobs.write(digestOf(CONTENT), source)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('holds the source back when the peer is slow', async () => {
    const chunk = randomBytes(64 * 1024);
    const { state, source } = watched(chunk, 1024);
    let take = () => {};
    const { blobs } = await start(
      {
        write: (call, answer) => {
          take = async () => {
            await received(call);
            answer(null, writeResponse(64 * MIB));
          };
        },
      },
      { connections: 1 },
    );
    const written = blobs.write(huge(64 * MIB), source);
    // Calls on the same connection, so that everything that could have gone out has had its time.
    for (let i = 0; i < 50; i++) await blobs.findMissing([digestOf('a')]);
    expect(state.given).toBeGreaterThan(1);
    expect(state.given * chunk.length).toBeLessThan(2 * MIB);
    take();
    await written;
    expect(state.given).toBe(1024);
  });

  it.each([
    ['before it began', 0],
    ['while the peer takes nothing', 1],
    ['while the answer is waited for', 2],
  ])('can be aborted %s, which ends the call and the source', async (_, position) => {
    const abort = new AbortController();
    let cancelled: Promise<void> | undefined;
    const { peer, blobs } = await start({
      write: async (call) => {
        cancelled = new Promise((resolve) => call.once('cancelled', () => resolve()));
        if (position === 2) await received(call);
        abort.abort(new Error('gone'));
      },
    });
    if (position === 0) abort.abort(new Error('gone'));
    const { state, source } = watched(CONTENT, position === 2 ? 1 : Number.POSITIVE_INFINITY);
    const digest = position === 2 ? digestOf(CONTENT) : huge(1024 * MIB);
    await expect(blobs.write(digest, source, { signal: abort.signal })).rejects.toThrow('gone');
    if (position === 0) return expect(peer.count('Write')).toBe(0);
    await cancelled;
    expect(state.left).toBe(true);
  });

  it('whose peer says nothing ends with the timeout', async () => {
    const { blobs } = await start({ write: (call) => void call.resume() }, { timeoutMs: 30 });
    await expect(blobs.write(digestOf(CONTENT), CONTENT)).rejects.toMatchObject({ kind: 'timeout' });
  });

  it('waits for its own source as long as that takes', async () => {
    const { blobs } = await start(
      {
        write: async (call, answer) => {
          await received(call);
          answer(null, writeResponse(CONTENT.length));
        },
      },
      { timeoutMs: 5000 },
    );
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true });
    onTestFinished(() => void vi.useRealTimers());
    const slow = async function* () {
      yield CONTENT.subarray(0, MIB / 2);
      await vi.advanceTimersByTimeAsync(12_000);
      yield CONTENT.subarray(MIB / 2);
    };
    await blobs.write(digestOf(CONTENT), slow());
  });

  it('travels compressed to a peer that takes it', async () => {
    let messages: WriteRequest[] = [];
    const content = Buffer.alloc(2 * MIB, 'granary ');
    const { blobs } = await start({
      capabilities: CAPABLE,
      write: async (call, answer) => {
        messages = await received(call);
        const sent = messages.reduce((sum, { data }) => sum + data.length, 0);
        answer(null, writeResponse(sent));
      },
    });
    await blobs.write(digestOf(content), content);
    expect(parseUploadName(messages[0]?.resourceName ?? '').compressor).toBe('zstd');
    expect(messages.at(-1)?.finishWrite).toBe(true);
    const bytes = Buffer.concat(messages.map(({ data }) => data));
    expect(bytes.length).toBeLessThan(content.length / 10);
    expect((await decompress(bytes, content.length)).equals(content)).toBe(true);
  });

  it('goes in messages that the peer takes', async () => {
    let messages: Buffer[] = [];
    const { blobs } = await start(
      {
        write: async (call, answer) => {
          messages = await call.toArray();
          answer(null, writeResponse(CONTENT.length));
        },
      },
      { maxMessageBytes: 64 * 1024, instanceName: 'i'.repeat(1000) },
    );
    await blobs.write(digestOf(CONTENT), CONTENT);
    expect(Math.max(...messages.map(({ length }) => length))).toBeLessThanOrEqual(64 * 1024);
    expect(Buffer.concat(messages.map((bytes) => fromBinary(WriteRequestSchema, bytes).data)).equals(CONTENT)).toBe(
      true,
    );
  });

  it('of more than the peer takes is refused before the source is read', async () => {
    const { state, source } = watched(CONTENT);
    const { blobs } = await start({
      capabilities: () => ({ cacheCapabilities: { digestFunctions: [1], maxCasBlobSizeBytes: 1000n } }),
    });
    await expect(blobs.write(huge(1001), source)).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE' });
    expect(state.given).toBe(0);
  });

  it('under a digest function that the peer does not know is refused', async () => {
    const { peer, blobs } = await start({ capabilities: () => ({ cacheCapabilities: { digestFunctions: [1] } }) });
    const digest = digestOf('a', 'blake3');
    await expect(blobs.write(digest, Buffer.from('a'))).rejects.toMatchObject({ kind: 'refused', unfit: true });
    expect(await blobs.findMissing([digest])).toEqual([digest]);
    expect(await blobs.get(digest)).toBeUndefined();
    expect(await blobs.read(digest)).toBeUndefined();
    expect(peer.calls).toEqual(['GetCapabilities']);
    expect(digestMessage('a').sizeBytes).toBe(1n);
  });
});
