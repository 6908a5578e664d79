import { afterEach, describe, expect, it, vi } from 'vitest';
import { blobStoreContract } from '../contract/blob-store-contract.js';
import type { Digest } from '../digest.js';
import { BlobDamagedError, StoreClosedError, TierUnavailableError } from '../errors.js';
import { blobOf, bytesOf } from '../testing/content.js';
import type { ScriptedStore } from '../testing/scripted-store.js';
import { TieredStores, testTier } from '../testing/tiered-stores.js';

const MIB = 1024 * 1024;

const stores = new TieredStores();
afterEach(() => stores.dispose());

/** Holds deliveries back until the test lets them go on to a position. */
function gate(store: ScriptedStore) {
  let upTo = 0;
  let wake = () => {};
  store.delivery = async (position, signal) => {
    while (position >= upTo) {
      await new Promise<void>((resolve, reject) => {
        wake = resolve;
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    }
  };
  return {
    openTo(position: number) {
      upTo = position;
      wake();
    },
  };
}

blobStoreContract({ describe, it, expect }, 'a tiered store without tiers', async () => {
  const { store } = await stores.open([]);
  return { store };
});

blobStoreContract({ describe, it, expect }, 'a tiered store in front of two tiers', async () => {
  const { store } = await stores.open([testTier('first'), testTier('second', 'read-only')]);
  return { store };
});

describe('what is not here', () => {
  it.each([10, 300_000, 3 * MIB])('comes from the tiers in turn, %i bytes, and is kept', async (size) => {
    const [first, second] = [testTier('first'), testTier('second')];
    const { store, local } = await stores.open([first, second]);
    const { bytes, digest } = blobOf(size);
    await second.blobs.write(digest, bytes);
    expect((await bytesOf(await store.read(digest))).equals(bytes)).toBe(true);
    await vi.waitFor(() => expect(local.findMissing([digest])).toEqual([]));
    const asked = second.blobs.calls.length;
    expect((await store.get(digest))?.equals(bytes)).toBe(true);
    expect(second.blobs.calls.length).toBe(asked);
    expect(first.blobs.openReaders + second.blobs.openReaders).toBe(0);
  });

  it('is a miss when no tier has it', async () => {
    const { store } = await stores.open([testTier('first'), testTier('second')]);
    for (const size of [10, 3 * MIB]) {
      const { digest } = blobOf(size);
      expect(await store.get(digest)).toBeUndefined();
      expect(await store.read(digest)).toBeUndefined();
    }
  });

  it('has the size that a tier says, and is no miss while one that is required can not say it', async () => {
    const { bytes, digest } = blobOf(10);
    const [first, second] = [testTier('first', 'read-through', true), testTier('second')];
    const asked: unknown[] = [];
    const sizes = {
      sizeOf: (_: unknown, __: unknown, options: unknown) => {
        asked.push(options);
        throw new Error('gone');
      },
    };
    const { store } = await stores.open([
      { ...first, sizes },
      { ...second, sizes: second.blobs },
    ]);
    const options = { via: ['another'] };
    await expect(store.sizeOf('sha256', digest.bytes, options)).rejects.toThrow(TierUnavailableError);
    await second.blobs.write(digest, bytes);
    expect(await store.sizeOf('sha256', digest.bytes, options)).toBe(10);
    expect(asked).toEqual([options, options]);
    const signal = AbortSignal.abort(new Error('left'));
    await expect(store.sizeOf('sha256', digest.bytes, { signal })).rejects.toThrow('gone');
    expect(asked).toHaveLength(3);
  });

  it.each([10, 3 * MIB])('is fetched once, however many ask, %i bytes', async (size) => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier]);
    const { bytes, digest } = blobOf(size);
    await tier.blobs.write(digest, bytes);
    const answers = await Promise.all([
      ...Array.from({ length: 16 }, async () => bytesOf(await store.read(digest))),
      ...Array.from({ length: 16 }, () => store.get(digest)),
    ]);
    for (const answer of answers) expect(answer?.equals(bytes)).toBe(true);
    expect(tier.blobs.count('read') + tier.blobs.count('get')).toBe(1);
  });

  it('gives each who asked memory of its own', async () => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier]);
    const { bytes, digest } = blobOf(5000);
    await tier.blobs.write(digest, bytes);
    const [first, second] = await Promise.all([store.get(digest), store.get(digest)]);
    first?.fill(0);
    expect(second?.equals(bytes)).toBe(true);
    await vi.waitFor(async () => expect((await store.get(digest))?.equals(bytes)).toBe(true));
  });

  it('fills the tiers in front of the one that had it, except those that are only read', async () => {
    const tiers = [testTier('a', 'read-only'), testTier('b'), testTier('c', 'write-through'), testTier('d')] as const;
    const { store } = await stores.open(tiers);
    for (const size of [10, 3 * MIB]) {
      const { bytes, digest } = blobOf(size);
      await tiers[3].blobs.write(digest, bytes);
      await bytesOf(await store.read(digest));
      await vi.waitFor(() => {
        expect(tiers[1].blobs.findMissing([digest])).toEqual([]);
        expect(tiers[2].blobs.findMissing([digest])).toEqual([]);
      });
      expect(tiers[0].blobs.count('write')).toBe(0);
    }
  });
});

describe('a large blob that arrives', () => {
  it('is handed out while it comes, to each from its own offset', async () => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier]);
    const { bytes, digest } = blobOf(3 * MIB);
    await tier.blobs.write(digest, bytes);
    const door = gate(tier.blobs);
    door.openTo(1);
    const first = (await store.read(digest))!;
    const firstChunk = Buffer.from((await first.next())!);
    expect(firstChunk.equals(bytes.subarray(0, firstChunk.length))).toBe(true);
    const late = (await store.read(digest, { offset: 100_000, limit: 500_000 }))!;
    door.openTo(1 * MIB);
    expect((await bytesOf(late)).equals(bytes.subarray(100_000, 600_000))).toBe(true);
    door.openTo(4 * MIB);
    const rest = await bytesOf(first);
    expect(Buffer.concat([firstChunk, rest!]).equals(bytes)).toBe(true);
    expect(tier.blobs.count('read')).toBe(1);
  });

  it('is handed out from its file to whoever begins when its beginning has left the memory', async () => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier]);
    const { bytes, digest } = blobOf(24 * MIB);
    await tier.blobs.write(digest, bytes);
    const door = gate(tier.blobs);
    door.openTo(20 * MIB);
    const first = (await store.read(digest))!;
    for (let read = 0; read < 16 * MIB; ) read += (await first.next())!.length;
    const late = (await store.read(digest))!;
    const beginning = Buffer.from((await late.next())!);
    expect(beginning.equals(bytes.subarray(0, beginning.length))).toBe(true);
    door.openTo(25 * MIB);
    const rest = (await bytesOf(late))!;
    expect(Buffer.concat([beginning, rest]).equals(bytes)).toBe(true);
    await first.close();
    expect(tier.blobs.count('read')).toBe(1);
  });

  it('keeps its end back until the hash is right', async () => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier]);
    const { bytes, digest } = blobOf(2 * MIB);
    await tier.blobs.write(digest, bytes);
    const door = gate(tier.blobs);
    door.openTo(2 * MIB - 1);
    const reader = (await store.read(digest))!;
    let seen = 0;
    while (seen < 2 * MIB - 256 * 1024) seen += (await reader.next())!.length;
    let more: Buffer | undefined;
    const next = reader.next().then((chunk) => {
      more = chunk;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(more).toBeUndefined();
    door.openTo(4 * MIB);
    await next;
    expect(more?.length).toBe(256 * 1024);
    expect(await reader.next()).toBeUndefined();
  });

  it('goes on for the others when one leaves, and stops when nobody is left', async () => {
    const tier = testTier('tier');
    const { store, local } = await stores.open([tier]);
    const { bytes, digest } = blobOf(20 * MIB);
    await tier.blobs.write(digest, bytes);
    const door = gate(tier.blobs);
    door.openTo(MIB);
    const [leaving, staying] = [(await store.read(digest))!, (await store.read(digest))!];
    await leaving.next();
    await leaving.close();
    expect((await staying.next())!.length).toBeGreaterThan(0);
    await staying.close();
    await vi.waitFor(() => expect(tier.blobs.openReaders).toBe(0));
    await vi.waitFor(() => expect(local.stats().reservedBytes).toBe(0));
    expect(local.findMissing([digest])).toEqual([digest]);
    door.openTo(30 * MIB);
    expect((await bytesOf(await store.read(digest))).equals(bytes)).toBe(true);
  });

  it('is finished for later when most of it is there', async () => {
    const tier = testTier('tier');
    const { store, local } = await stores.open([tier]);
    const { bytes, digest } = blobOf(20 * MIB);
    await tier.blobs.write(digest, bytes);
    const door = gate(tier.blobs);
    door.openTo(15 * MIB);
    const reader = (await store.read(digest))!;
    for (let seen = 0; seen < 14 * MIB; ) seen += (await reader.next())!.length;
    await reader.close();
    door.openTo(30 * MIB);
    await vi.waitFor(() => expect(local.findMissing([digest])).toEqual([]), 10_000);
  });

  it('leaves a caller whose signal aborts alone, and no other', async () => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier]);
    const { bytes, digest } = blobOf(8 * MIB);
    await tier.blobs.write(digest, bytes);
    const door = gate(tier.blobs);
    const controller = new AbortController();
    const early = store.read(digest, { signal: controller.signal });
    const staying = store.read(digest);
    door.openTo(1);
    const reader = (await early)!;
    await reader.next();
    const pending = reader.next();
    controller.abort(new Error('gone'));
    await expect(pending).rejects.toThrow('gone');
    await reader.close();
    door.openTo(9 * MIB);
    expect((await bytesOf(await staying)).equals(bytes)).toBe(true);
  });

  it('is taken up where it broke off, by the same tier or the next', async () => {
    const [first, second] = [testTier('first'), testTier('second')];
    const { store } = await stores.open([first, second]);
    const { bytes, digest } = blobOf(3 * MIB);
    for (const { blobs } of [first, second]) await blobs.write(digest, bytes);
    first.blobs.delivery = (position) => {
      if (position < MIB) return;
      first.blobs.before = () => {
        throw first.blobs.gone();
      };
      throw first.blobs.gone('reset');
    };
    expect((await bytesOf(await store.read(digest))).equals(bytes)).toBe(true);
    expect(second.blobs.calls.at(-1)?.options).toMatchObject({ offset: MIB });
    expect([first.damaged, second.damaged]).toEqual([[], []]);
  });

  it('gives up on a tier that breaks off again and again', async () => {
    const tier = testTier('tier', 'read-through', true);
    const { store, local } = await stores.open([tier]);
    const { bytes, digest } = blobOf(3 * MIB);
    await tier.blobs.write(digest, bytes);
    tier.blobs.delivery = (position) => {
      if (position >= MIB) throw tier.blobs.gone('reset');
    };
    await expect(store.read(digest).then(bytesOf)).rejects.toThrow(TierUnavailableError);
    expect(tier.blobs.count('read')).toBeLessThan(10);
    expect(local.findMissing([digest])).toEqual([digest]);
    expect(tier.blobs.openReaders).toBe(0);
  });

  it('is passed on when there is no room for it here', async () => {
    const tier = testTier('tier');
    const local = await stores.locals.open({ maxBytes: 4 * MIB, spaceWaitMs: 1 });
    const store = stores.over(local, [tier]);
    const { bytes, digest } = blobOf(6 * MIB);
    await tier.blobs.write(digest, bytes);
    expect((await bytesOf(await store.read(digest))).equals(bytes)).toBe(true);
    expect(await bytesOf(await store.read(digest, { offset: MIB, limit: 5 }))).toEqual(bytes.subarray(MIB, MIB + 5));
    expect(local.findMissing([digest])).toEqual([digest]);
    expect(tier.blobs.openReaders).toBe(0);
  });
});

describe('a tier that delivers something else', () => {
  const flip = (bytes: Buffer) => {
    bytes[bytes.length >> 1]! ^= 1;
    return bytes;
  };

  it('is passed over where nothing was sent yet', async () => {
    const [wrong, right] = [testTier('wrong'), testTier('right')];
    const { store } = await stores.open([wrong, right]);
    wrong.blobs.tamper = flip;
    for (const size of [1, 1000, 200_000, 260_000]) {
      const { bytes, digest } = blobOf(size);
      for (const { blobs } of [wrong, right]) await blobs.write(digest, bytes);
      expect((await bytesOf(await store.read(digest))).equals(bytes)).toBe(true);
      expect(wrong.damaged).toHaveLength(1);
      expect(wrong.damaged.pop()).toContain(digest.hash);
    }
    expect(right.damaged).toEqual([]);
  });

  it('never completes a read, whatever of the blob is wrong', async () => {
    const scripts = [flip, (bytes: Buffer) => bytes.subarray(0, -1), (bytes: Buffer) => Buffer.concat([bytes, bytes])];
    for (const tamper of scripts) {
      for (const size of [10, 3 * MIB]) {
        const tier = testTier('tier');
        const { store, local } = await stores.open([tier]);
        const { bytes, digest } = blobOf(size);
        await tier.blobs.write(digest, bytes);
        tier.blobs.tamper = tamper;
        const read = async () => {
          const reader = await store.read(digest);
          return reader && bytesOf(reader);
        };
        const answers = await Promise.allSettled([read(), read()]);
        for (const answer of answers) {
          if (answer.status === 'fulfilled') expect(answer.value).toBeUndefined();
        }
        expect(local.findMissing([digest])).toEqual([digest]);
        expect(tier.blobs.openReaders).toBe(0);
      }
    }
  });

  it('fails those who got something, and its breaker hears of it', async () => {
    const tier = testTier('tier');
    const { store, local } = await stores.open([tier]);
    const { bytes, digest } = blobOf(3 * MIB);
    await tier.blobs.write(digest, bytes);
    tier.blobs.tamper = flip;
    await expect(store.read(digest).then(bytesOf)).rejects.toThrow(BlobDamagedError);
    expect(tier.damaged).toHaveLength(1);
    expect(local.findMissing([digest])).toEqual([digest]);
  });

  it.each([10, 3 * MIB])('doesn’t have it for those who could upload the right one: %i bytes', async (size) => {
    const tier = testTier('tier', 'write-through');
    const { store, local } = await stores.open([tier]);
    const [{ bytes, digest }, other] = [blobOf(size), blobOf(size, 'other').digest];
    await tier.blobs.write(digest, bytes);
    await tier.blobs.write(other, blobOf(size, 'other').bytes);
    tier.blobs.tamper = flip;
    expect(await store.findMissing([digest])).toEqual([]);
    await store
      .read(digest)
      .then(bytesOf)
      .catch(() => {});
    expect(await store.findMissing([other, digest])).toEqual([digest]);
    await store.write(digest, bytes);
    expect(tier.blobs.calls.at(-1)).toMatchObject({ call: 'write', digests: [digest] });
    expect(local.findMissing([digest])).toEqual([]);
    expect((await bytesOf(await store.read(digest))).equals(bytes)).toBe(true);
  });
});

describe('a tier that is gone', () => {
  it.each([10, 3 * MIB])(
    'counts as a miss when it is not required, and is an error when it is: %i bytes',
    async (size) => {
      for (const required of [false, true]) {
        const [gone, other] = [testTier('gone', 'read-through', required), testTier('other')];
        const { store } = await stores.open([gone, other]);
        gone.blobs.before = () => {
          throw gone.blobs.gone();
        };
        const { bytes, digest } = blobOf(size);
        const absent = blobOf(size, 'absent').digest;
        await other.blobs.write(digest, bytes);
        expect((await bytesOf(await store.read(digest))).equals(bytes)).toBe(true);
        if (required) {
          await expect(store.read(absent)).rejects.toThrow(TierUnavailableError);
          await expect(store.get(absent)).rejects.toThrow('gone is not available');
          await expect(store.findMissing([absent])).rejects.toThrow(TierUnavailableError);
          expect(await store.findMissing([digest])).toEqual([]);
        } else {
          expect(await store.read(absent)).toBeUndefined();
          expect(await store.get(absent)).toBeUndefined();
          expect(await store.findMissing([absent, digest])).toEqual([absent]);
        }
      }
    },
  );
});

describe('FindMissing', () => {
  it('asks all tiers for what is missing here, and says what is missing everywhere', async () => {
    const [first, second] = [testTier('first'), testTier('second')];
    const { store } = await stores.open([first, second]);
    const blobs = Array.from({ length: 5 }, (_, i) => blobOf(100, i));
    await store.write(blobs[0]!.digest, blobs[0]!.bytes);
    await first.blobs.write(blobs[1]!.digest, blobs[1]!.bytes);
    await second.blobs.write(blobs[2]!.digest, blobs[2]!.bytes);
    const digests = blobs.map(({ digest }) => digest);
    expect(await store.findMissing(digests)).toEqual(digests.slice(3));
    expect(first.blobs.calls.at(-1)?.digests).toEqual(digests.slice(1));
    expect(second.blobs.calls.at(-1)?.digests).toEqual(digests.slice(1));
  });

  it('asks a tier only once about what it has, and again about what it does not have', async () => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier]);
    const [there, absent] = [blobOf(100, 'there'), blobOf(100, 'absent')];
    await tier.blobs.write(there.digest, there.bytes);
    for (let i = 0; i < 3; i++) expect(await store.findMissing([there.digest, absent.digest])).toEqual([absent.digest]);
    expect(tier.blobs.calls.filter(({ call }) => call === 'findMissing').map(({ digests }) => digests.length)).toEqual([
      2, 1, 1,
    ]);
    // A read that misses corrects what is remembered.
    await tier.blobs.delete(there.digest);
    expect(await store.get(there.digest)).toBeUndefined();
    expect(await store.findMissing([there.digest])).toEqual([there.digest]);
  });

  it('asks nobody about what one of the tiers is known to have', async () => {
    const [first, second] = [testTier('first'), testTier('second')];
    const { store } = await stores.open([first, second]);
    const [there, absent] = [blobOf(100, 'there'), blobOf(100, 'absent')];
    await second.blobs.write(there.digest, there.bytes);
    expect(await store.findMissing([there.digest])).toEqual([]);
    expect(store.findMissing([there.digest])).toEqual([]);
    expect(await store.findMissing([there.digest, absent.digest])).toEqual([absent.digest]);
    for (const { blobs } of [first, second]) {
      const asked = blobs.calls.filter(({ call }) => call === 'findMissing').map(({ digests }) => digests.length);
      expect(asked).toEqual([1, 1]);
    }
  });
});

describe('an upload', () => {
  it('is complete when it is here and in the tiers that are written through', async () => {
    const modes = ['read-only', 'read-through', 'write-through', 'write-behind'] as const;
    const tiers = modes.map((mode) => testTier(mode, mode));
    const later: string[] = [];
    const writeBehind = {
      blob: async (tier: string, digest: Digest) => void later.push(`${tier} ${digest.hash}`),
      actionResult: async () => {},
    };
    const { store, local } = await stores.open(tiers, { writeBehind });
    for (const size of [100, 2 * MIB]) {
      const { bytes, digest } = blobOf(size);
      await store.write(digest, bytes);
      expect(local.findMissing([digest])).toEqual([]);
      const have = await Promise.all(tiers.map(async ({ blobs }) => (await blobs.findMissing([digest])).length === 0));
      expect(have).toEqual([false, false, true, false]);
      expect(later.pop()).toBe(`write-behind ${digest.hash}`);
    }
  });

  it('is sent to a tier once', async () => {
    const tier = testTier('tier', 'write-through');
    const { store } = await stores.open([tier]);
    const { bytes, digest } = blobOf(100);
    for (let i = 0; i < 3; i++) await store.write(digest, bytes);
    expect(tier.blobs.count('write')).toBe(1);
    expect(tier.blobs.count('findMissing')).toBe(1);
  });

  it('fails when a required tier does not take it, and is kept when the tier was not required', async () => {
    for (const required of [true, false]) {
      const tier = testTier('tier', 'write-through', required);
      const { store, local } = await stores.open([tier]);
      tier.blobs.before = () => {
        throw tier.blobs.gone();
      };
      const { bytes, digest } = blobOf(100);
      const written = store.write(digest, bytes);
      if (required) await expect(written).rejects.toThrow(TierUnavailableError);
      else await written;
      expect(local.findMissing([digest])).toEqual([]);
    }
  });

  it('is complete without a required tier that is only for smaller blobs', async () => {
    const small = { ...testTier('small', 'write-through', true), maxBlobBytes: 100 };
    const behind: string[] = [];
    const writeBehind = { blob: async (tier: string) => void behind.push(tier), actionResult: async () => {} };
    const slow = { ...testTier('slow', 'write-behind'), maxBlobBytes: 100 };
    const { store } = await stores.open([small, slow], { writeBehind });
    const [within, above] = [blobOf(100), blobOf(101)];
    for (const { digest, bytes } of [within, above]) await store.write(digest, bytes);
    await store.writes.ensure(store.tiers[0]!, [within.digest, above.digest], undefined);
    expect(await small.blobs.findMissing([within.digest, above.digest])).toEqual([above.digest]);
    expect(behind).toEqual(['slow']);
  });

  it('brings what an action result needs, and says when that is not here', async () => {
    const tier = testTier('tier');
    const { store, local } = await stores.open([tier]);
    const blobs = Array.from({ length: 30 }, (_, i) => blobOf(i * 1000, i));
    for (const { digest, bytes } of blobs) await local.write(digest, bytes);
    await tier.blobs.write(blobs[3]!.digest, blobs[3]!.bytes);
    const access = store.tiers[0]!;
    await store.writes.ensure(
      access,
      blobs.map(({ digest }) => digest),
      undefined,
    );
    expect(tier.blobs.findMissing(blobs.map(({ digest }) => digest))).toEqual([]);
    expect(tier.blobs.count('write')).toBe(blobs.length);
    const absent = blobOf(10, 'absent').digest;
    await expect(store.writes.ensure(access, [absent], undefined)).rejects.toThrow('went away');
  });
});

describe('closing', () => {
  it('ends what is under way, and closes the tiers but not the local store', async () => {
    const tier = testTier('tier');
    const { store, local } = await stores.open([tier]);
    const [large, small] = [blobOf(3 * MIB), blobOf(10)];
    for (const { digest, bytes } of [large, small]) await tier.blobs.write(digest, bytes);
    gate(tier.blobs).openTo(1);
    const reader = (await store.read(large.digest))!;
    await reader.next();
    const pending = reader.next();
    tier.blobs.before = () => new Promise(() => {});
    const waiting = store.get(small.digest);
    const outcome = Promise.allSettled([pending, waiting]);
    await store.close();
    for (const result of await outcome) {
      expect(result.status === 'rejected' && result.reason).toBeInstanceOf(StoreClosedError);
    }
    await expect(store.read(large.digest)).rejects.toThrow(StoreClosedError);
    expect(() => tier.blobs.findMissing([])).not.toThrow();
    expect(local.findMissing([small.digest])).toEqual([small.digest]);
  });
});
