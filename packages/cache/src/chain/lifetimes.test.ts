import { ManualTime } from '@granary/resilience/testing';
import { describe, expect, it } from 'vitest';
import { BatchAdapter } from '../decorators/batch-adapter.js';
import { NamespacedLayer } from '../decorators/namespaced-layer.js';
import { ResilientLayer } from '../decorators/resilient-layer.js';
import { LocalTagIndex } from '../invalidation/local-tag-index.js';
import type { TagOptions } from '../invalidation/tags.js';
import type { Layer, SetOptions } from '../layer.js';
import { FunctionLayer } from '../layers/function-layer.js';
import { MemoryLayer, type MemoryLayerOptions } from '../layers/memory-layer.js';
import { RedisLayer } from '../redis/redis-layer.js';
import { FakeRedis } from '../testing/fake-redis.js';
import { createChain } from './chain.js';
import type { ChainOptions } from './options/chain-options.js';

const memory = (name: string, options: MemoryLayerOptions<string> = {}) =>
  new MemoryLayer<string>({ name, ...options });

/** For how long the tags of a write are kept, in milliseconds. */
async function keptFor(options: ChainOptions<string>, written: SetOptions = {}): Promise<number | undefined> {
  const kept: (number | undefined)[] = [];
  class Index extends LocalTagIndex {
    override add(keys: readonly string[], tags: readonly string[], given?: TagOptions): readonly string[] {
      kept.push(given?.expiresAt);
      return super.add(keys, tags, given);
    }
  }
  const chain = createChain<string>({ clock: () => 0, tags: new Index(), ...options });
  await chain.set('key', 'value', { ...written, tags: ['tag'] });
  return kept[0];
}

describe('the tags of a value are kept', () => {
  const short = memory('short', { ttlMs: 10, graceMs: 3 });
  const long = memory('long', { ttlMs: 100 });

  it('for the lifetime and the grace that the write or the chain gives it', async () => {
    const layers = [short, memory('for ever')];
    expect(await keptFor({ layers }, { ttlMs: 50 })).toBe(53);
    expect(await keptFor({ layers, ttlMs: 60, graceMs: 5 })).toBe(65);
    expect(await keptFor({ layers, ttlMs: 60, graceMs: 5 }, { ttlMs: 50, graceMs: 7 })).toBe(57);
  });

  it('for the grace that it has above, where it has less below', async () => {
    expect(await keptFor({ layers: [short, long], ttlMs: 60, graceMs: 5 }, { graceMs: 0 })).toBe(65);
    expect(await keptFor({ layers: [short, long], ttlMs: 60 }, { graceMs: 0 })).toBe(63);
  });

  it('for the longest lifetime that layers give by themselves, and without end where one has none', async () => {
    expect(await keptFor({ layers: [short, long] })).toBe(103);
    expect(await keptFor({ layers: [short, memory('for ever')] })).toBeUndefined();
    const other: Layer<string> = { name: 'other', get: () => undefined, set() {}, delete: () => false, close() {} };
    expect(await keptFor({ layers: [short, other] })).toBeUndefined();
  });

  it('for what layers in decorators keep them, and not for those that keep nothing', async () => {
    const redis = new RedisLayer<string>({ connection: new FakeRedis(), ttlMs: 200, graceMs: 20 });
    const decorated = new BatchAdapter(new ResilientLayer(new NamespacedLayer(redis, 'users')));
    expect(await keptFor({ layers: [short, decorated] })).toBe(220);
    expect(await keptFor({ layers: [short, new FunctionLayer<string>(() => undefined)] })).toBe(13);
    await redis.close();
  });
});

it('what is stale in a layer that gives a grace by itself goes with its tag', async () => {
  const time = new ManualTime();
  const layer = memory('memory', { clock: time.clock, graceMs: 1000 });
  const chain = createChain<string>({ layers: [layer], ttlMs: 100, clock: time.clock });
  await chain.set('key', 'stale', { tags: ['tag'] });
  await time.advance(500);
  expect(layer.getEntry('key')?.value).toBe('stale');
  expect(await chain.deleteByTag('tag')).toBe(1);
  expect(layer.getEntry('key')).toBeUndefined();
});
