import { ManualTime } from '@granary/resilience/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { actionResultStoreContract } from '../contract/index.js';
import { Digest } from '../digest.js';
import { StoreClosedError, TierUnavailableError } from '../errors.js';
import { MemoryActionResultStore } from '../memory/memory-action-result-store.js';
import { MemoryBlobStore } from '../memory/memory-blob-store.js';
import { RemoteStoreError } from '../remote/remote-store-error.js';
import { blobOf } from '../testing/content.js';
import { ScriptedStore } from '../testing/scripted-store.js';
import type { Tier, TierMode } from './tier.js';
import { TieredActionResultStore, type TieredActionResultStoreOptions } from './tiered-action-result-store.js';
import { TieredBlobStore } from './tiered-blob-store.js';

/** Action results of a tier, as a test wants them. */
class ScriptedResults extends MemoryActionResultStore {
  readonly asked: string[] = [];
  before: (call: 'get' | 'set') => Promise<void> | void = () => {};

  gone(): RemoteStoreError {
    return new RemoteStoreError(this.name, 'unavailable', 'nobody listens');
  }

  override get(key: string): Buffer | undefined {
    this.asked.push(`get ${key}`);
    const wait = this.before('get');
    // The interface allows a promise, and those who use it know.
    return (wait ? wait.then(() => super.get(key)) : super.get(key)) as Buffer | undefined;
  }

  override async set(key: string, value: Buffer): Promise<void> {
    this.asked.push(`set ${key}`);
    await this.before('set');
    await super.set(key, value);
  }
}

type TestTier = Tier & { readonly blobs: ScriptedStore; readonly actionResults: ScriptedResults };

function tierOf(name: string, mode: TierMode = 'read-through', more: Partial<Tier> = {}): TestTier {
  return {
    name,
    mode,
    required: false,
    blobs: new ScriptedStore({ name }),
    actionResults: new ScriptedResults({ name }),
    check: async () => {},
    close: async () => {},
    ...more,
  } as TestTier;
}

/** A result that names these blobs. */
function resultOf(...digests: Digest[]): Buffer {
  return Buffer.from(digests.map((digest) => `${digest.hash} ${digest.size}`).join('\n'));
}

function referencesOf(_: string, value: Buffer): Digest[] {
  return String(value)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [hash = '', size] = line.split(' ');
      return Digest.parse('sha256', hash, Number(size));
    });
}

let time: ManualTime;
beforeEach(() => {
  time = new ManualTime();
});

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

function tieredOver(tiers: readonly Tier[], more: Partial<TieredActionResultStoreOptions> = {}) {
  const localBlobs = new MemoryBlobStore();
  const local = new MemoryActionResultStore();
  const writeBehind = more.writeBehind;
  const blobs = new TieredBlobStore({ local: localBlobs, tiers, writeBehind });
  const store = new TieredActionResultStore({ local, tiers, blobs, referencesOf, clock: time.clock, ...more });
  opened.push(store, blobs);
  return { store, blobs, local, localBlobs };
}

const runner = { describe, it, expect };
actionResultStoreContract(runner, 'tiered results without tiers', async () => ({ store: tieredOver([]).store }));
actionResultStoreContract(runner, 'tiered results in front of tiers', async () => ({
  store: tieredOver([tierOf('a'), tierOf('b', 'read-only')], { negativeTtlMs: 1000, referencesOf: () => [] }).store,
}));

const { bytes, digest } = blobOf(1000);
const value = resultOf(digest);

describe('a result that is of no use', () => {
  const garbage = Buffer.from('garbage');
  const isUsable = async (_: string, found: Buffer) => !found.equals(garbage);

  it('is asked for elsewhere, once however many ask, and is replaced by the first that is of use', async () => {
    const [wrong, fixed, right] = [tierOf('wrong'), tierOf('fixed', 'read-only'), tierOf('right')];
    const { store, local } = tieredOver([wrong, fixed, right], { referencesOf: () => [] });
    for (const { actionResults } of [wrong, fixed]) await actionResults.set('key', garbage);
    await right.actionResults.set('key', value);
    expect((await store.get('key'))?.equals(garbage)).toBe(true);
    await vi.waitFor(() => expect(local.get('key')).toBeDefined());
    const answers = await Promise.all(Array.from({ length: 10 }, () => store.getElsewhere('key', isUsable)));
    for (const answer of answers) expect(answer?.equals(value)).toBe(true);
    expect(right.actionResults.asked).toEqual(['set key', 'get key']);
    await vi.waitFor(() => expect(local.get('key')?.equals(value)).toBe(true));
    await vi.waitFor(() => expect(wrong.actionResults.asked.at(-1)).toBe('set key'));
    expect((await wrong.actionResults.get('key'))?.equals(value)).toBe(true);
    expect((await fixed.actionResults.get('key'))?.equals(garbage)).toBe(true);
  });

  it('stays where nobody has another', async () => {
    const [wrong, empty] = [tierOf('wrong'), tierOf('empty')];
    const { store, local } = tieredOver([wrong, empty], { negativeTtlMs: 1000 });
    await wrong.actionResults.set('key', garbage);
    local.set('key', garbage);
    for (let i = 0; i < 3; i++) expect(await store.getElsewhere('key', isUsable)).toBeUndefined();
    expect(empty.actionResults.asked).toEqual(['get key']);
    expect((await store.get('key'))?.equals(garbage)).toBe(true);
    // A result that is written here corrects it.
    await store.set('key', value);
    expect((await store.get('key'))?.equals(value)).toBe(true);
  });

  it('fails as the question whether it is of use does', async () => {
    const tier = tierOf('tier');
    const { store } = tieredOver([tier]);
    await tier.actionResults.set('key', value);
    const failing = () => Promise.reject(new TierUnavailableError('other', 'nobody listens'));
    await expect(store.getElsewhere('key', failing)).rejects.toThrow(TierUnavailableError);
  });

  it('is another question than that for any', async () => {
    const tier = tierOf('tier');
    const { store } = tieredOver([tier]);
    await tier.actionResults.set('key', garbage);
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    tier.actionResults.before = () => gate;
    const any = store.get('key');
    const usable = store.getElsewhere('key', isUsable);
    open();
    expect((await any)?.equals(garbage)).toBe(true);
    expect(await usable).toBeUndefined();
  });

  it('is not waited for by a store that is closed', async () => {
    const tier = tierOf('tier');
    const { store } = tieredOver([tier]);
    tier.actionResults.before = () => new Promise(() => {});
    const asked = [store.get('key'), store.getElsewhere('key', isUsable)];
    await store.close();
    for (const one of asked) await expect(one).rejects.toThrow(StoreClosedError);
  });
});

describe('a result that is not here', () => {
  it('comes from the tiers in turn, once however many ask, and is kept', async () => {
    const [first, second] = [tierOf('first'), tierOf('second')];
    const { store, local } = tieredOver([first, second]);
    await second.actionResults.set('key', value);
    const answers = await Promise.all(Array.from({ length: 10 }, () => store.get('key')));
    for (const answer of answers) expect(answer?.equals(value)).toBe(true);
    answers[0]?.fill(0);
    expect(answers[1]?.equals(value)).toBe(true);
    await vi.waitFor(() => expect(local.get('key')?.equals(value)).toBe(true));
    expect(second.actionResults.asked).toEqual(['set key', 'get key']);
    expect((await store.get('key'))?.equals(value)).toBe(true);
    expect(first.actionResults.asked.filter((one) => one === 'get key')).toHaveLength(1);
  });

  it('is a miss when a tier is gone, and an error when that tier is required and no other has it', async () => {
    for (const required of [false, true]) {
      const [gone, other] = [tierOf('gone', 'read-through', { required }), tierOf('other')];
      const { store } = tieredOver([gone, other], { negativeTtlMs: 60_000 });
      gone.actionResults.before = () => {
        throw gone.actionResults.gone();
      };
      await other.actionResults.set('key', value);
      expect((await store.get('key'))?.equals(value)).toBe(true);
      if (required) await expect(store.get('absent')).rejects.toThrow(TierUnavailableError);
      else expect(await store.get('absent')).toBeUndefined();
      // What nobody could say for certain is not remembered.
      const asked = other.actionResults.asked.length;
      await Promise.resolve(store.get('absent')).catch(() => {});
      expect(other.actionResults.asked.length).toBe(asked + 1);
    }
  });

  it('is not asked for again for a while, where that was chosen', async () => {
    const tier = tierOf('tier');
    const { store } = tieredOver([tier], { negativeTtlMs: 1000, maxNegativeEntries: 3 });
    for (let i = 0; i < 3; i++) expect(await store.get('key')).toBeUndefined();
    expect(tier.actionResults.asked).toEqual(['get key']);
    await time.advance(1001);
    expect(await store.get('key')).toBeUndefined();
    expect(tier.actionResults.asked).toEqual(['get key', 'get key']);
    // A result that is written here corrects it.
    await store.set('key', value);
    await store.delete('key');
    expect(await store.get('key')).toBeUndefined();
    expect(tier.actionResults.asked).toHaveLength(3);
    for (const other of ['a', 'b', 'c']) await store.get(other);
    await store.get('key');
    expect(tier.actionResults.asked.at(-1)).toBe('get key');
  });

  it('is asked for each time otherwise', async () => {
    const tier = tierOf('tier');
    const { store } = tieredOver([tier]);
    for (let i = 0; i < 3; i++) expect(await store.get('key')).toBeUndefined();
    expect(tier.actionResults.asked).toHaveLength(3);
  });

  it('does not undo what is written while it is asked for', async () => {
    const tier = tierOf('tier');
    const { store, local } = tieredOver([tier], { negativeTtlMs: 60_000 });
    await tier.actionResults.set('key', Buffer.from('old'));
    let answer = () => {};
    tier.actionResults.before = () =>
      new Promise<void>((resolve) => {
        answer = resolve;
      });
    const asking = store.get('key');
    await store.set('key', Buffer.alloc(0));
    answer();
    expect(String(await asking)).toBe('old');
    await new Promise((resolve) => setImmediate(resolve));
    expect(String(local.get('key'))).toBe('');
    tier.actionResults.before = () => {};
  });

  it('stops being asked for when all who wait have left, and is asked for anew', async () => {
    const tier = tierOf('tier');
    const { store } = tieredOver([tier]);
    tier.actionResults.before = () => new Promise(() => {});
    const controller = new AbortController();
    const asking = store.get('key', { signal: controller.signal });
    controller.abort(new Error('left'));
    await expect(asking).rejects.toThrow('left');
    tier.actionResults.before = () => {};
    await tier.actionResults.set('key', value);
    expect((await store.get('key'))?.equals(value)).toBe(true);
  });

  it('goes to the tiers in front of the one that had it, where its blobs are or can be sent', async () => {
    const front = [
      tierOf('has', 'read-through'),
      tierOf('gets', 'write-through'),
      tierOf('reads', 'read-only'),
      tierOf('alone', 'read-through', { blobs: undefined }),
    ] as const;
    const back = tierOf('back');
    const { store, localBlobs } = tieredOver([...front, back]);
    await localBlobs.write(digest, bytes);
    await front[0].blobs.write(digest, bytes);
    const elsewhere = blobOf(500, 'elsewhere');
    await front[0].blobs.write(elsewhere.digest, elsewhere.bytes);
    await back.actionResults.set('here', value);
    await back.actionResults.set('elsewhere', resultOf(elsewhere.digest));
    await store.get('here');
    await store.get('elsewhere');
    await vi.waitFor(() => {
      for (const tier of [front[0], front[1], front[3]]) expect(tier.actionResults.asked).toContain('set here');
      expect(front[0].actionResults.asked).toContain('set elsewhere');
    });
    expect(front[1].blobs.findMissing([digest])).toEqual([]);
    expect(front[1].actionResults.asked).not.toContain('set elsewhere');
    expect(front[2].actionResults.asked).not.toContain('set here');
  });
});

describe('a result that is written', () => {
  it('reaches the tiers that are written to, after its blobs', async () => {
    const modes = ['read-only', 'read-through', 'write-through', 'write-behind'] as const;
    const tiers = modes.map((mode) => tierOf(mode, mode));
    const later: string[] = [];
    const writeBehind = {
      blob: async () => {},
      actionResult: async (tier: string, key: string) => void later.push(`${tier} ${key}`),
    };
    const { store, local, localBlobs } = tieredOver(tiers, { writeBehind });
    await localBlobs.write(digest, bytes);
    const through = tiers[2]!;
    through.actionResults.before = () =>
      expect(through.blobs.findMissing([digest])).toEqual([]) as unknown as undefined;
    const mine = Buffer.from(value);
    const writing = store.set('key', mine);
    mine.fill(0);
    await writing;
    expect(local.get('key')?.equals(value)).toBe(true);
    expect(tiers.map(({ actionResults }) => actionResults.asked)).toEqual([[], [], ['set key'], []]);
    expect(later).toEqual(['write-behind key']);
  });

  it('brings blobs that only another tier has', async () => {
    const [front, back] = [tierOf('front', 'write-through'), tierOf('back')];
    const { store } = tieredOver([front, back]);
    const big = blobOf(1_000_000);
    for (const blob of [{ bytes, digest }, big]) await back.blobs.write(blob.digest, blob.bytes);
    await store.set('key', resultOf(digest, big.digest));
    expect(front.blobs.findMissing([digest, big.digest])).toEqual([]);
    expect(front.actionResults.get('key')).toBeDefined();
  });

  it('is not written to a tier when a blob is nowhere', async () => {
    const tier = tierOf('tier', 'write-through', { required: true });
    const { store, local } = tieredOver([tier]);
    await store.set('key', value);
    expect(tier.actionResults.asked).toEqual([]);
    expect(local.get('key')?.equals(value)).toBe(true);
  });

  it('waits for its blobs in the tiers of the same mode where its own tier has no place for them', async () => {
    const small = tierOf('small', 'write-through', { maxBlobBytes: 500 });
    const alone = tierOf('alone', 'write-through', { blobs: undefined });
    const large = tierOf('large', 'write-through', { actionResults: undefined });
    const { store, localBlobs } = tieredOver([small, alone, large]);
    const tiny = blobOf(100);
    for (const blob of [{ bytes, digest }, tiny]) await localBlobs.write(blob.digest, blob.bytes);
    large.blobs.before = () => {
      throw large.blobs.gone();
    };
    await store.set('key', resultOf(digest, tiny.digest));
    expect([small.actionResults.asked, alone.actionResults.asked]).toEqual([[], []]);
    large.blobs.before = () => {};
    await store.set('key', resultOf(digest, tiny.digest));
    expect([small.actionResults.asked, alone.actionResults.asked]).toEqual([['set key'], ['set key']]);
    expect(large.blobs.findMissing([digest])).toEqual([]);
    expect(small.blobs.findMissing([tiny.digest, digest])).toEqual([digest]);
  });

  it('fails when a required tier does not take it, and is kept when the tier was not required', async () => {
    for (const required of [true, false]) {
      for (const where of ['blobs', 'actionResults'] as const) {
        const tier = tierOf('tier', 'write-through', { required });
        const { store, local, localBlobs } = tieredOver([tier]);
        await localBlobs.write(digest, bytes);
        tier[where].before = () => {
          throw tier.blobs.gone();
        };
        if (required) await expect(store.set('key', value)).rejects.toThrow('tier is not available');
        else await store.set('key', value);
        expect(local.get('key')?.equals(value)).toBe(true);
        expect(tier.actionResults.asked.length).toBe(where === 'blobs' ? 0 : 1);
      }
    }
  });

  it('is the last one everywhere when it was the last one here', async () => {
    const tier = tierOf('tier', 'write-through');
    const { store, local } = tieredOver([tier], { referencesOf: () => [] });
    let delay = 5;
    tier.actionResults.before = async () => {
      for (let i = delay--; i > 0; i--) await new Promise((resolve) => setImmediate(resolve));
    };
    await Promise.all(['a', 'b', 'c', 'd'].map((text) => store.set('key', Buffer.from(text))));
    expect([String(local.get('key')), String(await tier.actionResults.get('key'))]).toEqual(['d', 'd']);
  });

  it('needs a queue for a tier that is written behind', () => {
    expect(() => tieredOver([tierOf('later', 'write-behind')])).toThrow('writeBehind must be given for the tier later');
  });
});

describe('closing', () => {
  it('ends what is under way', async () => {
    const [front, back] = [tierOf('front'), tierOf('back')];
    const { store, localBlobs } = tieredOver([front, back]);
    await localBlobs.write(digest, bytes);
    await back.actionResults.set('found', value);
    front.blobs.before = () => new Promise(() => {});
    await store.get('found');
    back.actionResults.before = () => new Promise(() => {});
    const asking = Promise.resolve(store.get('key'));
    const outcome = expect(asking).rejects.toThrow(StoreClosedError);
    await store.close();
    await outcome;
    expect(() => store.get('key')).toThrow(StoreClosedError);
    await expect(store.set('key', value)).rejects.toThrow(StoreClosedError);
  });
});
