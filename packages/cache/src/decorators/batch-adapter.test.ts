import { ManualTime } from '@granary/resilience/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { GetOptions, Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer } from '../testing/chaos-layer.js';
import { BatchAdapter } from './batch-adapter.js';

describe('a batch adapter', () => {
  const time = new ManualTime();
  let asked: { keys: string[]; options: GetOptions | undefined }[];
  let chaos: ChaosLayer<string>;
  let layer: BatchAdapter<string>;
  const unhandled = vi.fn();

  beforeEach(() => {
    asked = [];
    const memory = new MemoryLayer<string>({ clock: time.clock });
    const getMany = memory.getMany.bind(memory);
    const spied: Layer<string> = Object.assign(memory, {
      getMany: (keys: readonly string[], options?: GetOptions) => {
        asked.push({ keys: [...keys], options });
        return getMany(keys);
      },
    });
    for (const key of ['a', 'b', 'c']) memory.set(key, key.toUpperCase());
    chaos = new ChaosLayer(spied);
    layer = new BatchAdapter(chaos, { clock: time.clock, maxBatch: 3 });
    unhandled.mockReset();
    process.on('unhandledRejection', unhandled);
  });

  afterEach(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it('asks once for all that is asked for in one turn, also by what goes on in it', async () => {
    const later = (async () => {
      await null;
      return layer.get('c');
    })();
    expect(await Promise.all([layer.get('a'), layer.get('b'), layer.get('a'), later])).toEqual(['A', 'B', 'A', 'C']);
    expect(asked.map(({ keys }) => keys)).toEqual([['a', 'b', 'c']]);
    expect(await layer.get('nothing')).toBeUndefined();
    expect(asked).toHaveLength(2);
  });

  it('makes batches no larger than they may be', async () => {
    const keys = Array.from({ length: 8 }, (_, i) => `k${i}`);
    await Promise.all(keys.map((key) => layer.get(key)));
    expect(asked.map((batch) => batch.keys)).toEqual([keys.slice(0, 3), keys.slice(3, 6), keys.slice(6)]);
  });

  it('lets each caller go alone', async () => {
    chaos.plan('getMany', { kind: 'hangs' });
    const [one, other] = [new AbortController(), new AbortController()];
    const gone = layer.get('a', { signal: one.signal });
    const stays = layer.get('a', { signal: other.signal });
    one.abort('gone');
    await expect(gone).rejects.toBe('gone');
    await vi.waitFor(() => expect(chaos.hanging).toBe(1));
    chaos.release();
    expect(await stays).toBe('A');
    expect(asked[0]?.options?.signal?.aborted).toBe(false);
    await expect(layer.get('a', { signal: one.signal })).rejects.toBe('gone');
  });

  it('aborts a batch that nobody waits for, and asks nothing for one that nobody waits for any more', async () => {
    chaos.plan('getMany', { kind: 'hangs' });
    const caller = new AbortController();
    const gone = layer.get('a', { signal: caller.signal });
    await vi.waitFor(() => expect(chaos.hanging).toBe(1));
    caller.abort('gone');
    await expect(gone).rejects.toBe('gone');
    await vi.waitFor(() => expect(chaos.hanging).toBe(0));
    const early = new AbortController();
    const before = layer.get('a', { signal: early.signal });
    early.abort('at once');
    await expect(before).rejects.toBe('at once');
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toHaveLength(0);
  });

  it('gives a caller who joins after another has gone what is there', async () => {
    const caller = new AbortController();
    const gone = layer.get('a', { signal: caller.signal });
    caller.abort('gone');
    const stays = layer.get('a');
    await expect(gone).rejects.toBe('gone');
    expect(await stays).toBe('A');
  });

  it.each(['throws', 'rejects'] as const)('tells all callers of a batch when the layer %s', async (kind) => {
    chaos.plan('getMany', { kind, error: new Error('broken') });
    const outcomes = await Promise.allSettled([layer.get('a'), layer.getEntry('b')]);
    expect(outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.message)).toEqual(['broken', 'broken']);
    expect(await layer.get('a')).toBe('A');
  });

  it('gives what is stale only to who asks for entries', async () => {
    await layer.set('s', '1', { ttlMs: 10, graceMs: 100 });
    await time.advance(20);
    expect(await layer.get('s')).toBeUndefined();
    expect(await layer.getEntry('s')).toMatchObject({ value: '1' });
  });

  it('refuses a layer without getMany, and a batch without room', () => {
    const plain: Layer<string> = { name: 'p', get() {}, set() {}, delete: () => false, close() {} };
    expect(() => new BatchAdapter(plain)).toThrow(/^layer must be one with getMany/);
    expect(() => new BatchAdapter(chaos, { maxBatch: 0 })).toThrow(/^maxBatch must be/);
  });
});
