import { Digest, MemoryBlobStore, type OperationOptions } from '@granary/blobs';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { Compressor_Value as Compressor } from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { digestMessage, digestOf } from '../grpc/testing/loopback-cache.js';
import { compress } from '../zstd/index.js';
import type { GrpcTierOptions } from './options.js';
import { disposeAfterEach } from './testing/disposal.js';
import { startLoopbackTier, testTier } from './testing/loopback-tier.js';
import { grpcError, type PeerHandlers, startTestPeer } from './testing/test-peer.js';

const use = disposeAfterEach(afterEach);

async function start(handlers: PeerHandlers, options: Partial<GrpcTierOptions> = {}) {
  const peer = use(await startTestPeer(handlers));
  const tier = use(testTier(`127.0.0.1:${peer.port}`, options));
  return { peer, blobs: tier.blobs, tier };
}

const contents = (count: number) => Array.from({ length: count }, (_, i) => Buffer.from(`content ${i}`));
const OK = { code: 0 };

/** Answers a batch read with everything that it asks for, out of the contents. */
function answers(from: readonly Buffer[]) {
  const byHash = new Map(from.map((bytes) => [digestMessage(bytes).hash, bytes]));
  return (digests: readonly { hash: string; sizeBytes: bigint }[]) => ({
    responses: digests.map((digest) => ({ digest, data: byHash.get(digest.hash) as Buffer, status: OK })),
  });
}

describe('reading small blobs', () => {
  it('asks once for what is wanted in one turn of the event loop', async () => {
    const all = contents(100);
    const { peer, blobs } = await start({ batchRead: ({ digests }) => answers(all)(digests) });
    const found = await Promise.all(all.map((bytes) => blobs.get(digestOf(bytes))));
    expect(found).toEqual(all);
    expect(peer.count('BatchReadBlobs')).toBe(1);
  });

  it('asks once for a blob that several want, and gives each memory of his own', async () => {
    const [bytes] = contents(1) as [Buffer];
    let asked = 0;
    const { blobs } = await start({
      batchRead: ({ digests }) => {
        asked += digests.length;
        return answers([bytes])(digests);
      },
    });
    const [a, b] = await Promise.all([blobs.get(digestOf(bytes)), blobs.get(digestOf(bytes))]);
    expect(asked).toBe(1);
    a?.fill(0);
    expect(b).toEqual(bytes);
  });

  it('gathers what comes while a batch is under way, and takes it along when that returns', async () => {
    const all = contents(50);
    let release = () => {};
    const { peer, blobs } = await start(
      {
        batchRead: async ({ digests }) => {
          if (peer.count('BatchReadBlobs') === 1) await new Promise<void>((resolve) => (release = resolve));
          return answers(all)(digests);
        },
      },
      { batch: { delayMs: 1000 } },
    );
    const first = blobs.get(digestOf(all[0] as Buffer));
    await blobs.findMissing([]);
    while (peer.count('BatchReadBlobs') === 0) await new Promise(setImmediate);
    const rest = all.slice(1).map((bytes) => blobs.get(digestOf(bytes)));
    await new Promise(setImmediate);
    release();
    expect(await Promise.all([first, ...rest])).toEqual(all);
    expect(peer.count('BatchReadBlobs')).toBe(2);
  });

  it('keeps batches within the number that is set and the bytes that the peer allows', async () => {
    const all = Array.from({ length: 20 }, (_, i) => Buffer.alloc(300, i + 1));
    const batches: number[] = [];
    const handlers: PeerHandlers = {
      capabilities: () => ({ cacheCapabilities: { digestFunctions: [1], maxBatchTotalSizeBytes: 1500n } }),
      batchRead: ({ digests }) => {
        batches.push(digests.length);
        return answers(all)(digests);
      },
    };
    const { blobs } = await start(handlers);
    expect(await Promise.all(all.map((bytes) => blobs.get(digestOf(bytes))))).toEqual(all);
    expect(Math.max(...batches) * 300).toBeLessThanOrEqual(1500);
    const few = await start(handlers, { batch: { maxBlobs: 2 } });
    batches.length = 0;
    await Promise.all(all.map((bytes) => few.blobs.get(digestOf(bytes))));
    expect(batches).toEqual(Array(10).fill(2));
  });

  it('finds its answers in any order, and takes errors for the blob that they name', async () => {
    const all = contents(4);
    const [a, b, c, d] = all.map((bytes) => digestOf(bytes)) as [Digest, Digest, Digest, Digest];
    const { blobs } = await start({
      batchRead: ({ digests }) => {
        const { responses } = answers(all)(digests);
        const [first, second, third, fourth] = responses as Required<typeof responses>;
        return {
          responses: [
            { ...fourth, status: { code: status.INTERNAL, message: 'disk' } },
            third,
            { ...second, data: Buffer.alloc(0), status: { code: status.NOT_FOUND } },
            first,
          ] as typeof responses,
        };
      },
    });
    const found = await Promise.allSettled([a, b, c, d].map((digest) => blobs.get(digest)));
    expect(found.slice(0, 3).map((one) => one.status === 'fulfilled' && one.value)).toEqual([
      all[0],
      undefined,
      all[2],
    ]);
    expect(found[3]).toMatchObject({ reason: { kind: 'unavailable', tier: 'upstream', retryable: true } });
  });

  it.each([
    ['another size', (digest: object) => [{ digest, data: Buffer.from('short'), status: OK }]],
    ['no entry', () => []],
    [
      'a compressor that nobody asked for',
      (digest: object) => [{ digest, data: Buffer.from('x'), compressor: 2, status: OK }],
    ],
    [
      'damaged Zstandard',
      (digest: object) => [{ digest, data: Buffer.from('x'), compressor: Compressor.ZSTD, status: OK }],
    ],
    [
      'a digest that nobody asked for',
      () => [{ digest: digestMessage('other'), data: Buffer.from('other'), status: OK }],
    ],
    ['no digest', () => [{ data: Buffer.from('content 0'), status: OK }]],
    [
      'the same digest twice',
      (digest: object) => [1, 2].map(() => ({ digest, data: Buffer.from('content 0'), status: OK })),
    ],
  ])('calls an answer with %s invalid', async (_, entries) => {
    const { blobs } = await start({
      batchRead: ({ digests }) => ({ responses: entries(digests[0] as object) as never }),
    });
    await expect(blobs.get(digestOf('content 0'))).rejects.toMatchObject({ kind: 'invalid', retryable: false });
  });

  it('calls bytes that are no message invalid', async () => {
    const { blobs } = await start({ batchRead: () => Buffer.from('<html>no gRPC here</html>') });
    await expect(blobs.get(digestOf('a'))).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('calls an answer that is larger than a message may be invalid', async () => {
    const { blobs } = await start({
      batchRead: ({ digests }) => ({
        responses: [{ ...(digests[0] && { digest: digests[0] }), data: Buffer.alloc(4 * 1024 * 1024) }],
      }),
    });
    await expect(blobs.get(digestOf('a'))).rejects.toMatchObject({ kind: 'invalid', retryable: false });
  });

  it('decompresses no more than the digest names', async () => {
    const bytes = Buffer.alloc(5000, 'abc');
    const { blobs } = await start({
      capabilities: () => ({ cacheCapabilities: { digestFunctions: [1], supportedCompressors: [0, 1] } }),
      batchRead: async ({ digests, acceptableCompressors }) => {
        expect(acceptableCompressors).toEqual([Compressor.ZSTD]);
        const responses = digests.map(async (digest, i) => ({
          digest,
          data: await compress(i === 0 ? bytes : Buffer.alloc(1_000_000)),
          compressor: Compressor.ZSTD,
          status: OK,
        }));
        return { responses: await Promise.all(responses) };
      },
    });
    const bomb = Digest.parse('sha256', 'ab'.repeat(32), 4000);
    const [good, bad] = await Promise.allSettled([blobs.get(digestOf(bytes)), blobs.get(bomb)]);
    expect(good).toMatchObject({ value: bytes });
    expect(bad).toMatchObject({ reason: { kind: 'invalid' } });
  });

  it('lets a caller leave his batch, and ends a batch that nobody wants', async () => {
    let cancelled: Promise<void> | undefined;
    const { peer, blobs } = await start({
      batchRead: (_, call) => {
        cancelled ??= new Promise((resolve) => call.once('cancelled', () => resolve()));
        return new Promise<never>(() => {});
      },
    });
    const [one, two] = [new AbortController(), new AbortController()];
    const first = blobs.get(digestOf('a'), { signal: one.signal });
    const second = blobs.get(digestOf('b'), { signal: two.signal });
    while (!cancelled) await new Promise(setImmediate);
    one.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    two.abort(new Error('gone too'));
    await expect(second).rejects.toThrow('gone too');
    await cancelled;
    expect(peer.count('BatchReadBlobs')).toBe(1);
  });

  it('leaves one who goes before the batch does out of it', async () => {
    const all = contents(2);
    let asked: number | undefined;
    const { blobs } = await start({
      batchRead: ({ digests }) => {
        asked = digests.length;
        return answers(all)(digests);
      },
    });
    await blobs.get(digestOf(all[0] as Buffer));
    const abort = new AbortController();
    const left = blobs.get(digestOf(all[0] as Buffer), { signal: abort.signal });
    const stayed = blobs.get(digestOf(all[1] as Buffer));
    await Promise.resolve();
    await Promise.resolve();
    abort.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    expect(await stayed).toEqual(all[1]);
    expect(asked).toBe(1);
  });

  it('keeps requests that came through different servers apart, and names those', async () => {
    const all = contents(3);
    const { peer, blobs } = await start({ batchRead: ({ digests }) => answers(all)(digests) });
    const [a, b, c] = all.map((bytes) => digestOf(bytes)) as [Digest, Digest, Digest];
    const via = (ids: readonly string[]): OperationOptions => ({ via: ids });
    await Promise.all([blobs.get(a, via(['x', 'me'])), blobs.get(b, via(['me'])), blobs.get(c, via(['me']))]);
    const sent = peer.metadata.filter((_, i) => peer.calls[i] === 'BatchReadBlobs');
    expect(sent.map((metadata) => metadata.get('granary-via')[0]).sort()).toEqual(['me', 'x,me']);
  });

  it('fails a whole batch with the status of the call, without telling the peer more often', async () => {
    const { peer, blobs } = await start({
      batchRead: () => {
        throw grpcError(status.PERMISSION_DENIED, 'not you');
      },
    });
    const results = await Promise.allSettled([blobs.get(digestOf('a')), blobs.get(digestOf('b'))]);
    for (const result of results)
      expect(result).toMatchObject({ reason: { kind: 'refused', message: expect.stringContaining('not you') } });
    expect(peer.count('BatchReadBlobs')).toBe(1);
  });
});

describe('writing small blobs', () => {
  const written = () => {
    const store = new MemoryBlobStore();
    const batchUpdate: PeerHandlers['batchUpdate'] = async ({ requests }) => {
      for (const { digest, data } of requests)
        await store.write(Digest.parse('sha256', digest?.hash ?? '', Number(digest?.sizeBytes)), Buffer.from(data));
      return { responses: requests.map(({ digest }) => ({ ...(digest && { digest }), status: OK })).reverse() };
    };
    return { store, batchUpdate };
  };

  it('sends in one call what is written in one turn, each blob once', async () => {
    const all = contents(30);
    const { store, batchUpdate } = written();
    const { peer, blobs } = await start({ batchUpdate });
    await Promise.all([...all, ...all].map((bytes) => blobs.write(digestOf(bytes), bytes)));
    expect(await store.findMissing(all.map((bytes) => digestOf(bytes)))).toEqual([]);
    expect(peer.calls).toEqual(['BatchUpdateBlobs']);
  });

  it('takes a status for the blob that it names, and one that is there already for done', async () => {
    const { blobs } = await start({
      batchUpdate: ({ requests }) => ({
        responses: requests.map(({ digest }, i) => ({
          ...(digest && { digest }),
          status: {
            code: [status.OK, status.ALREADY_EXISTS, status.RESOURCE_EXHAUSTED, status.INVALID_ARGUMENT][i] as number,
          },
        })),
      }),
    });
    const all = contents(4);
    const results = await Promise.allSettled(all.map((bytes) => blobs.write(digestOf(bytes), bytes)));
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
    expect(results[2]).toMatchObject({ reason: { kind: 'exhausted', retryable: true } });
    // The bytes are those of the digest, so this is the peer's mistake.
    expect(results[3]).toMatchObject({ reason: { kind: 'invalid' } });
  });

  it('does not let wrong bytes under a digest spoil the right ones', async () => {
    const loopback = use(await startLoopbackTier());
    const { blobs } = loopback.tier;
    const [right, wrong] = [Buffer.from('right'), Buffer.from('wrong')];
    const digest = digestOf(right);
    const results = await Promise.allSettled([
      blobs.write(digest, wrong),
      blobs.write(digest, right),
      blobs.write(digest, Buffer.from(right)),
    ]);
    expect(results.map((result) => result.status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    expect(results[0]).toMatchObject({ reason: { code: 'DIGEST_MISMATCH' } });
    expect(await blobs.get(digest)).toEqual(right);
  });

  it.each([
    ['without an entry', []],
    ['with a blob that nobody sent', [{ digest: digestMessage('other'), status: OK }]],
    ['with an entry twice', [1, 2].map(() => ({ digest: digestMessage('a'), status: OK }))],
  ])('calls an answer %s invalid', async (_, responses) => {
    const { blobs } = await start({ batchUpdate: () => ({ responses }) });
    await expect(blobs.write(digestOf('a'), Buffer.from('a'))).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('compresses what gets smaller, for a peer that takes it', async () => {
    const seen: [number, number][] = [];
    const { blobs } = await start({
      capabilities: () => ({ cacheCapabilities: { digestFunctions: [1], supportedBatchUpdateCompressors: [1] } }),
      batchUpdate: ({ requests }) => {
        for (const { compressor, data } of requests) seen.push([compressor, data.length]);
        return { responses: requests.map(({ digest }) => ({ ...(digest && { digest }), status: OK })) };
      },
    });
    for (const bytes of [Buffer.alloc(5000), Buffer.alloc(500)]) await blobs.write(digestOf(bytes), bytes);
    expect(seen[0]?.[0]).toBe(Compressor.ZSTD);
    expect(seen[0]?.[1]).toBeLessThan(200);
    expect(seen[1]).toEqual([Compressor.IDENTITY, 500]);
  });
});

describe('existence checks', () => {
  it('makes one question of many, asks for each blob once, and gives every caller his own order', async () => {
    let asked: string[] = [];
    const { peer, blobs } = await start({
      findMissing: ({ blobDigests }) => {
        asked = blobDigests.map(({ hash }) => hash);
        return { missingBlobDigests: blobDigests.filter((_, i) => i % 2 === 0).reverse() };
      },
    });
    const [a, b, c, d] = contents(4).map((bytes) => digestOf(bytes)) as [Digest, Digest, Digest, Digest];
    const results = await Promise.all([
      blobs.findMissing([a, b, c]),
      blobs.findMissing([c, b, a, c]),
      blobs.findMissing([d]),
    ]);
    expect(results).toEqual([[a, c], [c, a, c], []]);
    expect(asked).toHaveLength(4);
    expect(peer.count('FindMissingBlobs')).toBe(1);
  });

  it('splits what is too much for one call', async () => {
    const sizes: number[] = [];
    const { blobs } = await start(
      {
        findMissing: ({ blobDigests }) => {
          sizes.push(blobDigests.length);
          return { missingBlobDigests: blobDigests };
        },
      },
      { batch: { maxBlobs: 100 } },
    );
    const digests = contents(2050).map((bytes) => digestOf(bytes));
    expect(await blobs.findMissing(digests)).toEqual(digests);
    expect(Math.max(...sizes)).toBe(100);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(2050);
  });

  it('asks for nothing where there is nothing to ask', async () => {
    const { peer, blobs } = await start({});
    expect(await blobs.findMissing([])).toEqual([]);
    expect(peer.calls).toEqual([]);
  });

  it.each([
    ['a blob that nobody asked for', { missingBlobDigests: [digestMessage('other')] }],
    ['a digest that is none', { missingBlobDigests: [{ hash: 'zz', sizeBytes: 1n }] }],
  ])('calls an answer with %s invalid', async (_, answer) => {
    const { blobs } = await start({ findMissing: () => answer });
    await expect(blobs.findMissing([digestOf('a')])).rejects.toMatchObject({ kind: 'invalid' });
  });
});

it('lets no more wait than it has room for', async () => {
  let release = () => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  const { blobs } = await start(
    {
      findMissing: async () => {
        await gate;
        return {};
      },
    },
    { batch: { maxBlobs: 10_000 } },
  );
  const digests = Array.from({ length: 10_000 }, (_, i) => Digest.parse('sha256', i.toString(16).padStart(64, '0'), 1));
  const asked = Array.from({ length: 16 }, () => blobs.findMissing(digests));
  const results = Promise.allSettled(asked);
  await expect(asked.at(-1)).rejects.toMatchObject({ kind: 'exhausted', retryable: true });
  release();
  expect((await results).filter((result) => result.status === 'fulfilled').length).toBeGreaterThanOrEqual(14);
});
