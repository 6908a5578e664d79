import { FakeRedis } from '@granary/cache/testing';
import { ManualTime } from '@granary/resilience/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { actionKey } from '../blob-store.js';
import { Digest } from '../digest.js';
import { BlobTooLargeError, DigestMismatchError } from '../errors.js';
import { isRemoteStoreError } from '../remote/remote-store-error.js';
import { blobOf, inChunks } from '../testing/content.js';
import { openRedisTier, type RedisTier, type RedisTierOptions } from './redis-tier.js';

const KIB = 1024;
const KEY = actionKey('main', { function: 'sha256', hash: 'a'.repeat(64) });

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

type Options = Omit<RedisTierOptions, 'name' | 'mode' | 'connection'> & { readonly mode?: RedisTierOptions['mode'] };

async function tierOn(connection: RedisTierOptions['connection'], options: Options = {}) {
  const tier = await openRedisTier({ name: 'near', mode: 'write-through', connection, ...options });
  cleanUps.push(() => tier.close());
  return { tier, blobs: blobsOf(tier), results: tier.actionResults };
}

function blobsOf(tier: RedisTier) {
  if (!tier.blobs) throw new Error('the tier has no blobs');
  return tier.blobs;
}

/** Until what was asked for in this turn has been sent. */
const sent = () => new Promise((resolve) => setImmediate(resolve));

describe('a blob above the limit', () => {
  it('is missing for every question, without asking Redis', async () => {
    const redis = new FakeRedis();
    const { blobs } = await tierOn(redis, { maxBlobBytes: 100 });
    redis.hang();
    const { digest } = blobOf(101);
    expect(await blobs.findMissing([digest])).toEqual([digest]);
    expect(await blobs.get(digest)).toBeUndefined();
    expect(await blobs.read(digest)).toBeUndefined();
    expect(await blobs.delete(digest)).toBe(false);
  });

  it('is refused before anything is read, so that nobody takes it for stored', async () => {
    const redis = new FakeRedis();
    const { tier, blobs } = await tierOn(redis);
    expect(tier.maxBlobBytes).toBe(64 * KIB);
    const { digest } = blobOf(64 * KIB + 1);
    const untouchable: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => {
        throw new Error('the source was read');
      },
    };
    await expect(blobs.write(digest, untouchable)).rejects.toThrow(BlobTooLargeError);
    expect(redis.size).toBe(0);
  });

  it('does not have a size here, when somebody else stored it', async () => {
    const redis = new FakeRedis();
    const { digest, bytes } = blobOf(500);
    await (await tierOn(redis)).blobs.write(digest, bytes);
    const { blobs } = await tierOn(redis, { maxBlobBytes: 499 });
    expect(await blobs.sizeOf('sha256', digest.bytes)).toBeUndefined();
  });

  it('is every blob, where the limit is 0', async () => {
    const tier = await openRedisTier({ name: 'n', mode: 'read-only', connection: new FakeRedis(), maxBlobBytes: 0 });
    expect(tier.blobs).toBeUndefined();
    expect(tier.sizes).toBeUndefined();
    await tier.close();
  });
});

describe('the empty blob', () => {
  it('is always here, and no other of its size', async () => {
    const redis = new FakeRedis();
    const { blobs } = await tierOn(redis);
    const empty = blobOf(0).digest;
    const wrong = Digest.parse('sha256', 'a'.repeat(64), 0);
    expect(await blobs.findMissing([wrong, empty])).toEqual([wrong]);
    expect(await blobs.get(empty)).toHaveLength(0);
    expect(await blobs.get(wrong)).toBeUndefined();
    await blobs.write(empty, Buffer.alloc(0));
    await expect(blobs.write(wrong, Buffer.alloc(0))).rejects.toThrow(DigestMismatchError);
    expect(redis.size).toBe(0);
  });
});

describe('what lies in Redis', () => {
  it('is the bytes themselves, under the documented keys', async () => {
    const redis = new FakeRedis();
    const { blobs, results } = await tierOn(redis, { prefix: 'team:' });
    const { digest, bytes } = blobOf(300);
    await blobs.write(digest, inChunks(bytes, 7));
    await results.set(KEY, Buffer.from([0, 255, 1]));
    expect((await redis.getBuffer(`team:cas/sha256/${digest.hash}`))?.equals(bytes)).toBe(true);
    expect(await redis.getBuffer(`team:ac/sha256/${'a'.repeat(64)}/main`)).toEqual(Buffer.from([0, 255, 1]));
    expect(redis.size).toBe(2);
  });

  it('counts as missing when it is shorter or longer, and is mended by the next write', async () => {
    const redis = new FakeRedis();
    const { blobs } = await tierOn(redis);
    const { digest, bytes } = blobOf(300);
    for (const damaged of [bytes.subarray(1), Buffer.concat([bytes, bytes])]) {
      await redis.set(`granary:cas/sha256/${digest.hash}`, damaged);
      expect(await blobs.findMissing([digest])).toEqual([digest]);
      await expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'invalid', retryable: false, tier: 'near' });
      await expect(blobs.read(digest)).rejects.toThrow(`Redis sent ${damaged.length} bytes for ${digest}`);
      await blobs.write(digest, inChunks(bytes, 100));
      expect((await blobs.get(digest))?.equals(bytes)).toBe(true);
    }
  });

  it('is removed when it was delivered damaged and is so, unless nothing may be written', async () => {
    const redis = new FakeRedis();
    const { digest, bytes } = blobOf(300);
    const name = `granary:cas/sha256/${digest.hash}`;
    await redis.set(name, Buffer.alloc(300));
    const reader = await tierOn(redis, { mode: 'read-only' });
    reader.tier.onDamaged(digest);
    await reader.tier.close();
    const { tier, blobs } = await tierOn(redis);
    expect(await blobs.findMissing([digest])).toEqual([]);
    tier.onDamaged(digest);
    await vi.waitFor(async () => expect(await blobs.findMissing([digest])).toEqual([digest]));
    await blobs.write(digest, bytes);
    tier.onDamaged(digest);
    await tier.close();
    expect((await redis.getBuffer(name))?.equals(bytes)).toBe(true);
  });

  it('is never read beyond the limit, whatever it is', async () => {
    const redis = new FakeRedis();
    const { blobs, results } = await tierOn(redis, { maxBlobBytes: 400, maxActionResultBytes: 400 });
    const range = vi.spyOn(redis, 'getrangeBuffer');
    const { digest } = blobOf(300);
    for (const key of [`cas/sha256/${digest.hash}`, `ac/${KEY}`]) await redis.set(`granary:${key}`, Buffer.alloc(5000));
    expect(await blobs.get(digest)).toBeUndefined();
    await expect(results.get(KEY)).rejects.toMatchObject({ kind: 'invalid' });
    for (const { value } of range.mock.results) expect(await value).toHaveLength(401);
    expect(range).toHaveBeenCalledTimes(2);
  });

  it('is an error where it is nothing that can be a value, and nobody else notices', async () => {
    const redis = new FakeRedis();
    const { blobs } = await tierOn(redis);
    const [good, bad] = [blobOf(10), blobOf(20)];
    await blobs.write(good.digest, good.bytes);
    await redis.eval(
      (await import('../../../cache/src/redis/commands/scripts.js')).ADD_MEMBERS,
      1,
      badKey(bad.digest),
      0,
      9e15,
      'x',
    );
    const [one, other] = await Promise.allSettled([blobs.get(bad.digest), blobs.get(good.digest)]);
    expect(one).toMatchObject({ status: 'rejected', reason: { kind: 'invalid' } });
    expect(String((one as PromiseRejectedResult).reason)).toContain('WRONGTYPE');
    expect(other).toEqual({ status: 'fulfilled', value: good.bytes });
  });

  const badKey = (digest: Digest) => `granary:cas/sha256/${digest.hash}`;
});

describe('an action result', () => {
  it('may have no bytes, which is not the same as none', async () => {
    const { results } = await tierOn(new FakeRedis());
    expect(await results.get(KEY)).toBeUndefined();
    await results.set(KEY, Buffer.alloc(0));
    expect(await results.get(KEY)).toEqual(Buffer.alloc(0));
  });

  it('above the limit is refused', async () => {
    const redis = new FakeRedis();
    const { results } = await tierOn(redis, { maxActionResultBytes: 10 });
    await expect(results.set(KEY, Buffer.alloc(11))).rejects.toMatchObject({ kind: 'refused', unfit: true });
    expect(redis.size).toBe(0);
  });
});

describe('a lifetime', () => {
  const lived = async (options: Options) => {
    let now = 1_800_000_000_000;
    const redis = new FakeRedis({ clock: () => now });
    const { blobs, results } = await tierOn(redis, { ttlMs: 1000, ...options });
    const { digest, bytes } = blobOf(10);
    const store = async (to: typeof redis) => {
      await to.set(`granary:cas/sha256/${digest.hash}`, bytes, 'PX', 1000);
      await to.set(`granary:ac/${KEY}`, bytes, 'PX', 1000);
    };
    if (options.mode === 'read-only') await store(redis);
    else {
      await blobs.write(digest, bytes);
      await results.set(KEY, bytes);
    }
    const pass = (ms: number) => {
      now += ms;
    };
    return { redis, blobs, results, digest, pass };
  };

  it('begins anew with each use', async () => {
    const { redis, blobs, results, digest, pass } = await lived({});
    for (const use of [() => blobs.get(digest), () => blobs.findMissing([digest]), () => blobs.read(digest)]) {
      pass(900);
      expect(await use()).toBeDefined();
      expect(await results.get(KEY)).toBeDefined();
    }
    expect(redis.size).toBe(2);
    pass(1000);
    expect(redis.size).toBe(0);
  });

  it.each([{ refreshTtl: false }, { mode: 'read-only' as const }])('does not with %j', async (options) => {
    const { redis, blobs, results, digest, pass } = await lived(options);
    pass(900);
    expect(await blobs.get(digest)).toBeDefined();
    expect(await blobs.findMissing([digest])).toEqual([]);
    expect(await results.get(KEY)).toBeDefined();
    pass(100);
    expect(redis.size).toBe(0);
  });
});

describe('what is asked for within one turn', () => {
  it('is sent to Redis in one piece', async () => {
    const redis = new FakeRedis();
    const { blobs, results } = await tierOn(redis);
    const many = Array.from({ length: 50 }, (_, i) => blobOf(100, i));
    const pipeline = vi.spyOn(redis, 'pipeline');
    await Promise.all([...many.map(({ digest, bytes }) => blobs.write(digest, bytes)), results.set(KEY, Buffer.of(1))]);
    expect(pipeline).toHaveBeenCalledTimes(1);
    const found = await Promise.all([
      ...many.map(({ digest }) => blobs.get(digest)),
      blobs.findMissing(many.map(({ digest }) => digest)),
      results.get(KEY),
    ]);
    expect(found).toEqual([...many.map(({ bytes }) => bytes), [], Buffer.of(1)]);
    expect(pipeline).toHaveBeenCalledTimes(2);
  });

  it('is sent in pieces where it is much', async () => {
    const redis = new FakeRedis();
    const { blobs } = await tierOn(redis);
    const pipeline = vi.spyOn(redis, 'pipeline');
    const digests = Array.from({ length: 12_000 }, (_, i) => Digest.of('sha256', Buffer.from(String(i))));
    expect(await blobs.findMissing(digests)).toEqual(digests);
    expect(pipeline).toHaveBeenCalledTimes(12);
    pipeline.mockClear();
    await Promise.all(
      Array.from({ length: 40 }, (_, i) => blobOf(64 * KIB, i)).map(({ digest, bytes }) => blobs.write(digest, bytes)),
    );
    expect(pipeline).toHaveBeenCalledTimes(3);
  });
});

describe('what waits for Redis', () => {
  const hanging = async (options: Options) => {
    const time = new ManualTime();
    const redis = new FakeRedis();
    const opened = await tierOn(redis, { timeoutMs: 100, timers: time, ...options });
    redis.hang();
    return { ...opened, redis, time };
  };

  it('is given up after its time, and keeps its place as long as Redis may still answer', async () => {
    const { tier, blobs, results, time } = await hanging({ maxPending: 3 });
    const { digest, bytes } = blobOf(10);
    const calls = [blobs.get(digest), blobs.write(digest, bytes), results.get(KEY)];
    const outcomes = Promise.allSettled(calls);
    await sent();
    await time.advance(100);
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'timeout', retryable: true } });
      expect(isRemoteStoreError((outcome as PromiseRejectedResult).reason)).toBe(true);
    }
    expect(tier.pending).toBe(3);
    await expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'exhausted' });
    expect(time.pending).toBe(0);
  });

  it('is bounded in bytes', async () => {
    const { blobs, time } = await hanging({ maxPendingBytes: 1000 });
    const [large, small] = [blobOf(2000), blobOf(10)];
    const first = expect(blobs.write(large.digest, large.bytes)).rejects.toMatchObject({ kind: 'timeout' });
    await sent();
    await expect(blobs.get(small.digest)).rejects.toThrow(/1 calls with 2000 bytes wait/);
    await time.advance(100);
    await first;
  });

  it('gives its place back when it is answered', async () => {
    const { tier, blobs } = await tierOn(new FakeRedis(), { maxPending: 2, maxPendingBytes: 100 });
    const { digest, bytes } = blobOf(50);
    for (let i = 0; i < 10; i++) {
      await blobs.write(digest, bytes);
      expect(await blobs.get(digest)).toEqual(bytes);
    }
    expect(tier.pending).toBe(0);
  });

  it('holds up nobody whose signal aborts, before or after it was sent', async () => {
    const { tier, blobs, redis } = await hanging({});
    const pipeline = vi.spyOn(redis, 'pipeline');
    const { digest } = blobOf(10);
    for (const isSent of [false, true]) {
      const abort = new AbortController();
      const got = blobs.get(digest, { signal: abort.signal });
      if (isSent) await sent();
      abort.abort(new Error('gone'));
      await expect(got).rejects.toThrow('gone');
      await sent();
      expect(pipeline).toHaveBeenCalledTimes(isSent ? 1 : 0);
      expect(tier.pending).toBe(isSent ? 1 : 0);
    }
    await expect(blobs.get(digest, { signal: AbortSignal.abort(new Error('late')) })).rejects.toThrow('late');
  });
});

describe('a Redis that is gone', () => {
  it('fails everything at once, and is used again when it is back', async () => {
    const redis = new FakeRedis();
    const { tier, blobs, results } = await tierOn(redis);
    const { digest, bytes } = blobOf(10);
    await blobs.write(digest, bytes);
    redis.goDown();
    const calls = [blobs.findMissing([digest]), blobs.get(digest), blobs.write(digest, bytes), results.get(KEY)];
    for (const outcome of await Promise.allSettled([...calls, tier.check(new AbortController().signal)])) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable', tier: 'near' } });
    }
    expect(tier.pending).toBe(0);
    redis.comeBack();
    expect(await blobs.get(digest)).toEqual(bytes);
    await tier.check(new AbortController().signal);
  });
});

describe('closing', () => {
  it('refuses what has not been sent and what comes, and leaves the client of its caller alone', async () => {
    const redis = new FakeRedis();
    const { tier, blobs, results } = await tierOn(redis);
    const waiting = expect(blobs.get(blobOf(10).digest)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await tier.close();
    await tier.close();
    await waiting;
    await expect(results.get(KEY)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await expect(results.set(KEY, Buffer.alloc(1))).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    await expect(tier.check(new AbortController().signal)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
    expect(redis.status).toBe('ready');
    for (const event of ['error', 'close']) expect(redis.listenerCount(event)).toBe(0);
  });

  it('is what `await using` does', async () => {
    let kept: RedisTier;
    {
      await using tier = await openRedisTier({ name: 'n', mode: 'read-only', connection: new FakeRedis() });
      kept = tier;
    }
    await expect(kept.actionResults.get(KEY)).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });
});

describe('options', () => {
  it.each([
    [{ prefix: '' }, 'prefix'],
    [{ maxBlobBytes: 17 * 1024 * KIB }, 'maxBlobBytes'],
    [{ maxActionResultBytes: 0 }, 'maxActionResultBytes'],
    [{ ttlMs: 0 }, 'ttlMs'],
    [{ refreshTtl: true }, 'refreshTtl'],
    [{ timeoutMs: 0 }, 'timeoutMs'],
    [{ maxPending: 0 }, 'maxPending'],
    [{ maxPendingBytes: 0.5 }, 'maxPendingBytes'],
  ])('%j are refused by name', async (options, name) => {
    const redis = new FakeRedis();
    await expect(tierOn(redis, options)).rejects.toThrow(name);
    expect(redis.listenerCount('error')).toBe(0);
  });
});
