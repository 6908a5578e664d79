import { afterEach, describe, expect, it, vi } from 'vitest';
import type { BlobSource, WriteOptions } from '../../blob-store.js';
import { Digest } from '../../digest.js';
import { BlobDamagedError, NoSpaceError, StoreClosedError, StoreError, TierUnavailableError } from '../../errors.js';
import { MemoryActionResultStore } from '../../memory/memory-action-result-store.js';
import { MemoryBlobStore } from '../../memory/memory-blob-store.js';
import { blobOf, bytesOf } from '../../testing/content.js';
import type { ScriptedStore } from '../../testing/scripted-store.js';
import { TieredStores, testTier } from '../../testing/tiered-stores.js';

const MIB = 1024 * 1024;
const large = blobOf(3 * MIB);
const never = () => new Promise<never>(() => {});
const turn = () => new Promise((resolve) => setImmediate(resolve));

const stores = new TieredStores();
afterEach(() => stores.dispose());

/** Holds a tier's deliveries back at a position until it is opened. */
function barrier(store: ScriptedStore, at: number) {
  let open = () => {};
  const opening = new Promise<void>((resolve) => {
    open = resolve;
  });
  store.delivery = (position) => (position >= at ? opening : undefined);
  return () => open();
}

const flip = (bytes: Buffer) => {
  bytes[bytes.length >> 1]! ^= 1;
  return bytes;
};

describe('a wrong delivery', () => {
  it('fails those who got some of it, and is replaced for those who got none', async () => {
    const [wrong, right] = [testTier('wrong'), testTier('right')];
    const { store, local } = await stores.open([wrong, right]);
    for (const { blobs } of [wrong, right]) await blobs.write(large.digest, large.bytes);
    wrong.blobs.tamper = flip;
    const open = barrier(wrong.blobs, MIB);
    const [reading, left, waiting] = await Promise.all([1, 2, 3].map(() => store.read(large.digest)));
    await reading?.next();
    await left?.next();
    await left?.close();
    open();
    await vi.waitFor(() => expect(wrong.damaged).toHaveLength(1));
    expect((await bytesOf(waiting)).equals(large.bytes)).toBe(true);
    await expect(bytesOf(reading)).rejects.toThrow(BlobDamagedError);
    expect(wrong.damaged).toHaveLength(1);
    expect(right.damaged).toEqual([]);
    await vi.waitFor(() => expect(local.findMissing([large.digest])).toEqual([]));
    expect(wrong.blobs.openReaders + right.blobs.openReaders).toBe(0);
  });

  it('is not blamed on a tier that only had the rest of it', async () => {
    const [page, right] = [testTier('page'), testTier('right')];
    const { store } = await stores.open([page, right]);
    for (const { blobs } of [page, right]) await blobs.write(large.digest, large.bytes);
    page.blobs.tamper = () => Buffer.from('<title>Sign in</title>');
    const open = barrier(right.blobs, 2 * MIB);
    const [reading, waiting] = await Promise.all([store.read(large.digest), store.read(large.digest)]);
    await reading?.next();
    open();
    await vi.waitFor(() => expect(right.blobs.count('read')).toBe(2));
    expect((await bytesOf(waiting)).equals(large.bytes)).toBe(true);
    await expect(bytesOf(reading)).rejects.toThrow(BlobDamagedError);
    expect([...page.damaged, ...right.damaged]).toEqual([]);
    expect(page.blobs.openReaders + right.blobs.openReaders).toBe(0);
  });

  it('does not leave those waiting who got none of it, when there is nothing else', async () => {
    const wrong = testTier('wrong');
    const { store } = await stores.open([wrong, testTier('empty')]);
    await wrong.blobs.write(large.digest, large.bytes);
    wrong.blobs.tamper = flip;
    const open = barrier(wrong.blobs, MIB);
    const reader = await store.read(large.digest);
    open();
    await expect(bytesOf(reader)).rejects.toThrow('was delivered damaged');
  });
});

describe('a tier that breaks off again and again', () => {
  it('leaves the rest to the next one', async () => {
    const [weak, right] = [testTier('weak'), testTier('right')];
    const { store } = await stores.open([weak, right]);
    for (const { blobs } of [weak, right]) await blobs.write(large.digest, large.bytes);
    let chunks = 0;
    weak.blobs.delivery = () => {
      if (++chunks % 2 === 0) throw weak.blobs.gone('reset');
    };
    expect((await bytesOf(await store.read(large.digest))).equals(large.bytes)).toBe(true);
    expect([weak.blobs.count('read'), right.blobs.count('read')]).toEqual([2, 1]);
    expect(weak.blobs.openReaders + right.blobs.openReaders).toBe(0);
  });
});

/** A local store whose writes fail when their time has come. */
class FailingStore extends MemoryBlobStore {
  fail: (source: AsyncIterator<Uint8Array>) => Promise<Error | undefined> = async () => undefined;

  override async write(digest: Digest, source: BlobSource, options?: WriteOptions): Promise<void> {
    if (source instanceof Uint8Array) return super.write(digest, source, options);
    const iterator = source[Symbol.asyncIterator]();
    const error = await this.fail(iterator);
    await iterator.return?.();
    if (error) throw error;
  }
}

describe('a local store that fails in the middle', () => {
  it('fails those who got some of it, and does not keep those from the blob who got none', async () => {
    for (const error of [new NoSpaceError('full'), new StoreError('STORE_FAILED', 'the disk failed')]) {
      const tier = testTier('tier');
      await tier.blobs.write(large.digest, large.bytes);
      const open = barrier(tier.blobs, MIB);
      const local = new FailingStore({ maxBytes: 64 * MIB });
      let begun = () => {};
      const gotSome = new Promise<void>((resolve) => {
        begun = resolve;
      });
      local.fail = async (source) => {
        await source.next();
        await gotSome;
        open();
        return error;
      };
      const store = stores.over(local, [tier]);
      const [early, late] = await Promise.all([store.read(large.digest), store.read(large.digest, { offset: MIB })]);
      expect((await early?.next())?.equals(large.bytes.subarray(0, 64 * 1024))).toBe(true);
      const rest = bytesOf(late);
      begun();
      await expect(bytesOf(early)).rejects.toThrow(error.message);
      expect((await rest).equals(large.bytes.subarray(MIB))).toBe(true);
      expect(tier.blobs.openReaders).toBe(0);
      expect(tier.damaged).toEqual([]);
    }
  });

  it('is an error for all when it is closed meanwhile', async () => {
    const tier = testTier('tier');
    const { store, local } = await stores.open([tier]);
    await tier.blobs.write(large.digest, large.bytes);
    const open = barrier(tier.blobs, MIB);
    const reader = await store.read(large.digest);
    await reader?.next();
    const closing = local.close();
    open();
    await closing;
    await expect(bytesOf(reader)).rejects.toThrow(StoreClosedError);
    await expect(store.read(blobOf(2 * MIB).digest)).rejects.toThrow(StoreClosedError);
    await expect((async () => store.get(blobOf(10).digest))()).rejects.toThrow(StoreClosedError);
  });
});

describe('a tier that ignores that it is to stop', () => {
  it('holds up neither readers nor closing, wherever it hangs', async () => {
    for (const where of ['open', 'stream', 'promotion', 'small'] as const) {
      const [front, back] = [testTier('front'), testTier('back')];
      const { store } = await stores.open([front, back]);
      const blob = where === 'small' ? blobOf(10) : large;
      await back.blobs.write(blob.digest, blob.bytes);
      if (where === 'promotion') front.blobs.before = (call) => (call === 'findMissing' ? never() : undefined);
      if (where === 'open' || where === 'small') back.blobs.before = never;
      if (where === 'stream') back.blobs.delivery = (position) => (position >= MIB ? never() : undefined);
      const controller = new AbortController();
      const reading = store.read(blob.digest, { signal: controller.signal }).then(bytesOf);
      if (where === 'promotion') {
        await reading;
      } else {
        const outcome = expect(reading).rejects.toThrow('left');
        await turn();
        await turn();
        controller.abort(new Error('left'));
        await outcome;
      }
      await store.close();
      expect(back.blobs.openReaders).toBe(0);
    }
  });

  it('has its reader closed when that comes too late', async () => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier]);
    await tier.blobs.write(large.digest, large.bytes);
    let answer = () => {};
    tier.blobs.before = () =>
      new Promise<void>((resolve) => {
        answer = resolve;
      });
    const controller = new AbortController();
    const reading = store.read(large.digest, { signal: controller.signal });
    await turn();
    controller.abort(new Error('left'));
    await expect(reading).rejects.toThrow('left');
    answer();
    await turn();
    await turn();
    expect(tier.blobs.openReaders).toBe(0);
  });
});

describe('many readers', () => {
  it('share one fetch, whether they read, leave or never read at all', async () => {
    const tier = testTier('tier');
    const { store, local } = await stores.open([tier]);
    await tier.blobs.write(large.digest, large.bytes);
    const open = barrier(tier.blobs, MIB);
    const readers = await Promise.all(Array.from({ length: 500 }, () => store.read(large.digest)));
    const idle = readers.slice(0, 100);
    for (const reader of readers.slice(100, 200)) await reader?.close();
    open();
    for (const bytes of await Promise.all(readers.slice(200).map(bytesOf))) {
      expect(bytes.equals(large.bytes)).toBe(true);
    }
    expect(tier.blobs.count('read')).toBe(1);
    await vi.waitFor(() => expect(local.findMissing([large.digest])).toEqual([]));
    for (const reader of idle) expect((await reader?.next())?.length).toBeGreaterThan(0);
    for (const reader of idle) await reader?.close();
  });

  it('wait for their turn where many blobs arrive, and those who leave give it back', async () => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier], { maxArrivals: 1 });
    const blobs = [1, 2, 3].map((i) => blobOf(2 * MIB, i));
    for (const { digest, bytes } of blobs) await tier.blobs.write(digest, bytes);
    const open = barrier(tier.blobs, MIB);
    const first = store.read(blobs[0]!.digest).then(bytesOf);
    const controller = new AbortController();
    const second = store.read(blobs[1]!.digest, { signal: controller.signal });
    const third = store.read(blobs[2]!.digest).then(bytesOf);
    await turn();
    controller.abort(new Error('left'));
    await expect(second).rejects.toThrow('left');
    open();
    expect((await first).equals(blobs[0]!.bytes)).toBe(true);
    expect((await third).equals(blobs[2]!.bytes)).toBe(true);
    expect(tier.blobs.calls.filter(({ call }) => call === 'read').length).toBe(2);
    expect((await bytesOf(await store.read(blobs[1]!.digest))).equals(blobs[1]!.bytes)).toBe(true);
  });

  it('are refused clearly when too many different blobs are wanted', async () => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier], { maxArrivals: 1 });
    tier.blobs.before = never;
    const asked = Array.from({ length: 10_002 }, (_, i) =>
      store.read(Digest.parse('sha256', i.toString(16).padStart(64, '0'), 300_000)),
    );
    const outcomes = Promise.allSettled(asked);
    await turn();
    await store.close();
    const reasons = (await outcomes).map((outcome) => (outcome.status === 'rejected' ? outcome.reason : undefined));
    expect(reasons.filter((reason) => reason instanceof TierUnavailableError).length).toBe(1);
    expect(reasons.filter((reason) => reason instanceof StoreClosedError).length).toBe(10_001);
  });
});

describe('what a tier says it has', () => {
  it('is not believed when the answer is in another order than the question', async () => {
    const tier = testTier('tier');
    const { store } = await stores.open([tier]);
    const digests = [1, 2, 3].map((i) => blobOf(100, i).digest);
    tier.blobs.findMissing = (asked) => {
      tier.blobs.calls.push({ call: 'findMissing', digests: asked, options: undefined });
      return [...asked].reverse().slice(0, 2);
    };
    await store.findMissing(digests);
    await store.findMissing(digests);
    expect(tier.blobs.calls.map((one) => one.digests.length)).toEqual([3, 3]);
  });
});

describe('passing on', () => {
  it('asks all tiers before it fails because of one that is required', async () => {
    const [gone, other] = [testTier('gone', 'read-through', true), testTier('other')];
    const local = await stores.locals.open({ maxBytes: 4 * MIB, spaceWaitMs: 1 });
    const store = stores.over(local, [gone, other]);
    gone.blobs.before = () => {
      throw gone.blobs.gone();
    };
    const big = blobOf(6 * MIB);
    await other.blobs.write(big.digest, big.bytes);
    expect((await bytesOf(await store.read(big.digest))).equals(big.bytes)).toBe(true);
    await expect(store.read(blobOf(7 * MIB).digest)).rejects.toThrow(TierUnavailableError);
  });
});

it('closes tiers that have action results alone', async () => {
  const close = vi.fn(async () => {});
  const tier = {
    name: 'results',
    mode: 'read-only' as const,
    required: false,
    blobs: undefined,
    actionResults: new MemoryActionResultStore(),
    check: async () => {},
    close,
  };
  const { store } = await stores.open([tier]);
  await store.close();
  expect(close).toHaveBeenCalledTimes(1);
});
