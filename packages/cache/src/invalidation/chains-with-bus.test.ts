import { afterEach, describe, expect, it } from 'vitest';
import { createChain } from '../chain/chain.js';
import type { Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { RedisInvalidationBus } from '../redis/redis-invalidation-bus.js';
import { RedisLayer } from '../redis/redis-layer.js';
import { RedisTagIndex } from '../redis/redis-tag-index.js';
import { startRedis, whyNoRedis } from '../redis/testing/redis-server.js';
import { FakeRedis } from '../testing/fake-redis.js';
import type { InvalidationBus } from './invalidation-bus.js';
import { LocalInvalidationBus } from './local-invalidation-bus.js';
import { LocalTagIndex } from './local-tag-index.js';
import type { TagIndex } from './tags.js';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

type Connection = ConstructorParameters<typeof RedisTagIndex>[0]['connection'];

/** A chain as each of several processes has it: memory of its own above a Redis that all share. */
async function makeProcess(connect: () => Connection, bus?: InvalidationBus) {
  const connection = connect();
  const redisBus = bus ? undefined : new RedisInvalidationBus({ connection });
  await redisBus?.ready();
  const memory = new MemoryLayer<string>({ name: 'memory' });
  const tags = new RedisTagIndex({ connection });
  const chain = createChain<string>({
    layers: [memory, { layer: new RedisLayer<string>({ connection }), shared: true }],
    bus: bus ?? (redisBus as RedisInvalidationBus),
    tags,
  });
  cleanUps.push(async () => {
    await chain.close();
    await redisBus?.close();
    await tags.close();
  });
  return { chain, memory };
}

function fakeServer() {
  const redis = new FakeRedis();
  return { redis, connect: () => redis.duplicate() };
}

/** The news are underway for a moment. */
const eventually = (value: () => unknown) => expect.poll(value, { timeout: 5000 });

describe('two chains over one Redis, with one bus', () => {
  it('drop from memory what the other changed, and only that', async () => {
    const { connect } = fakeServer();
    const bus = new LocalInvalidationBus();
    const [one, other] = [await makeProcess(connect, bus), await makeProcess(connect, bus)];
    await one.chain.set('key', 'old');
    await one.chain.set('same', 'same');
    expect(await other.chain.get('key')).toBe('old');
    expect(await other.chain.get('same')).toBe('same');
    await one.chain.set('key', 'new');
    await eventually(() => other.memory.get('key')).toBeUndefined();
    expect(await other.chain.get('key')).toBe('new');
    expect(other.memory.get('same')).toBe('same');
    expect(one.memory.get('key')).toBe('new');
  });

  it('drop what the other deleted by a tag, whoever wrote it', async () => {
    const { connect } = fakeServer();
    const [one, other] = [await makeProcess(connect), await makeProcess(connect)];
    await one.chain.set('a', 'A', { tags: ['red'] });
    await other.chain.set('b', 'B', { tags: ['red', 'round'] });
    await other.chain.set('c', 'C', { tags: ['round'] });
    for (const key of ['a', 'b', 'c']) {
      for (const { chain } of [one, other]) expect(await chain.get(key)).toBe(key.toUpperCase());
    }
    await one.chain.deleteByTag('red');
    await eventually(() => other.memory.get('a') ?? other.memory.get('b')).toBeUndefined();
    for (const { chain } of [one, other]) {
      expect(await chain.get('a')).toBeUndefined();
      expect(await chain.get('b')).toBeUndefined();
      expect(await chain.get('c')).toBe('C');
    }
  });

  it('do not keep what was loaded from before the other deleted its tag', async () => {
    const { connect } = fakeServer();
    const [one, other] = [await makeProcess(connect), await makeProcess(connect)];
    let answer = (_: string) => {};
    const slow = new Promise<string>((resolve) => {
      answer = resolve;
    });
    const loading = one.chain.getOrLoad('key', () => slow, { tags: ['red'] });
    await other.chain.deleteByTag('red');
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    answer('old');
    expect(await loading).toBe('old');
    await eventually(() => one.memory.get('key')).toBeUndefined();
    expect(await other.chain.get('key')).toBeUndefined();
  });

  it('drop everything when messages may have been lost', async () => {
    const { connect, redis } = fakeServer();
    const [one, other] = [await makeProcess(connect), await makeProcess(connect)];
    await one.chain.set('key', 'value');
    expect(await other.chain.get('key')).toBe('value');
    redis.goDown();
    expect(await other.chain.get('key')).toBe('value');
    redis.comeBack();
    await eventually(() => other.memory.get('key')).toBeUndefined();
    expect(await other.chain.get('key')).toBe('value');
  });
});

describe('a change that its caller gave up, or that failed half-way', () => {
  const local = (bus: InvalidationBus, shared: Layer<string>, tags?: TagIndex) => {
    const memory = new MemoryLayer<string>();
    const chain = createChain<string>({ layers: [memory, { layer: shared, shared: true }], bus, tags });
    cleanUps.push(() => chain.close());
    return { chain, memory };
  };
  const setUp = async (tagsOfOne?: TagIndex) => {
    const bus = new LocalInvalidationBus();
    const shared = new MemoryLayer<string>({ name: 'shared' });
    const caller = new AbortController();
    // It does what it is told, and is slower than the caller has patience.
    const slow: Layer<string> = {
      name: 'slow',
      get: (key) => shared.get(key),
      set: (key, value) => shared.set(key, value),
      delete: async (key) => {
        const had = shared.delete(key);
        caller.abort(new Error('too slow'));
        return had;
      },
      clear: () => shared.clear(),
      close: () => {},
    };
    const [one, other] = [local(bus, slow, tagsOfOne), local(bus, shared)];
    await one.chain.setMany([
      ['a', 'A'],
      ['b', 'B'],
    ]);
    expect(await other.chain.getMany(['a', 'b'])).toHaveLength(2);
    return { one, other, signal: caller.signal };
  };

  it('is told to the others, be it of many keys', async () => {
    const { one, other, signal } = await setUp();
    await expect(one.chain.deleteMany(['a', 'b'], { signal })).rejects.toThrow('too slow');
    await eventually(() => other.memory.getMany(['a', 'b']).size).toBe(0);
  });

  it('or of a tag', async () => {
    const index = new LocalTagIndex();
    const tags: TagIndex = {
      shared: true,
      add: (keys, given) => index.add(keys, given),
      keysOf: (tag) => index.keysOf(tag),
      clear: () => index.clear(),
      close: () => index.close(),
    };
    const { one, other, signal } = await setUp(tags);
    await one.chain.set('a', 'A', { tags: ['red'] });
    expect(await other.chain.get('a')).toBe('A');
    await expect(one.chain.deleteByTag('red', { signal })).rejects.toThrow('too slow');
    await eventually(() => other.memory.get('a')).toBeUndefined();
  });

  it('or of everything, where the index of tags is away', async () => {
    const away = () => Promise.reject(new Error('the index is away'));
    const tags: TagIndex = { shared: true, add: () => [], async *keysOf() {}, clear: away, close: () => {} };
    const { one, other } = await setUp(tags);
    await expect(one.chain.clear()).rejects.toThrow('the index is away');
    await eventually(() => other.memory.getMany(['a', 'b']).size).toBe(0);
  });
});

const missing = whyNoRedis();
if (missing) it.skip(`two chains over a real Redis: ${missing}`, () => {});

describe.skipIf(missing)('two chains over a real Redis', () => {
  it('drop from memory what the other changed or deleted by a tag', async () => {
    const server = await startRedis();
    cleanUps.push(() => server.stop());
    const [one, other] = [await makeProcess(() => server.url), await makeProcess(() => server.url)];
    await one.chain.set('key', 'old', { tags: ['red'] });
    expect(await other.chain.get('key')).toBe('old');
    await one.chain.set('key', 'new', { tags: ['red'] });
    await eventually(() => other.memory.get('key')).toBeUndefined();
    expect(await other.chain.get('key')).toBe('new');
    await one.chain.deleteByTag('red');
    await eventually(() => other.memory.get('key')).toBeUndefined();
    expect(await other.chain.get('key')).toBeUndefined();
  });
});
