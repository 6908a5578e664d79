import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeRedis } from '../testing/fake-redis.js';
import { tagIndexContract } from '../testing/tag-index-contract.js';
import { RedisTagIndex } from './redis-tag-index.js';
import { type RedisServer, startRedis, whyNoRedis } from './testing/redis-server.js';

tagIndexContract({ describe, it, expect }, 'RedisTagIndex on FakeRedis', () => ({
  index: new RedisTagIndex({ connection: new FakeRedis() }),
}));

describe('a RedisTagIndex', () => {
  it('fails clearly while Redis is down, so that no value is written without its tags', async () => {
    const redis = new FakeRedis();
    const index = new RedisTagIndex({ connection: redis });
    redis.goDown();
    await expect(index.add(['a'], ['red'])).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
    await expect(index.keysOf('red').next()).rejects.toThrow(/the tag index: not connected/);
  });

  it('refuses a prefix that is empty', () => {
    expect(() => new RedisTagIndex({ connection: new FakeRedis(), prefix: '' })).toThrow(/prefix/);
  });
});

const missing = whyNoRedis();
if (missing) it.skip(`RedisTagIndex on a real Redis: ${missing}`, () => {});

describe.skipIf(missing)('with a real Redis', () => {
  let server: RedisServer;
  let client: Redis;
  let prefixes = 0;
  beforeAll(async () => {
    server = await startRedis();
    client = new Redis(server.url);
  });
  afterAll(async () => {
    client?.disconnect();
    await server?.stop();
  });

  const makeIndex = () => new RedisTagIndex({ connection: server.url, prefix: `tags ${++prefixes}:` });

  tagIndexContract({ describe, it, expect }, 'RedisTagIndex', () => ({ index: makeIndex() }));

  it('shares tags with other processes', async () => {
    await using one = new RedisTagIndex({ connection: server.url });
    await using other = new RedisTagIndex({ connection: client });
    await one.add(['a'], ['red']);
    await other.add(['b'], ['red']);
    const keys = [];
    for await (const batch of one.keysOf('red')) keys.push(...batch.keys);
    expect(keys.sort()).toEqual(['a', 'b']);
  });

  it('keeps nothing longer than the values live', async () => {
    await using index = new RedisTagIndex({ connection: server.url, prefix: 'short:' });
    const now = Date.now();
    await index.add(['old'], ['red'], { expiresAt: now - 1000 });
    expect(await client.exists('short:red')).toBe(0);
    await index.add(['soon'], ['red'], { expiresAt: now + 5000 });
    await index.add(['later'], ['red'], { expiresAt: now + 50_000 });
    expect(await client.pttl('short:red')).toBeGreaterThan(40_000);
    expect(await client.pttl('short:red')).toBeLessThanOrEqual(50_002);
    await client.zadd('short:red', now - 1, 'expired');
    await index.add(['for ever'], ['red']);
    expect((await client.zrange('short:red', 0, -1)).sort()).toEqual(['for ever', 'later', 'soon']);
    expect(await client.pttl('short:red')).toBeGreaterThan(1e12);
  });
});
