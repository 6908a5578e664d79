import { describe, expect, it } from 'vitest';
import { RedisLayer } from '../redis/redis-layer.js';
import { FakeRedis } from '../testing/fake-redis.js';
import { MemoryLayer } from './memory-layer.js';

const layers = {
  MemoryLayer: () => new MemoryLayer<string>(),
  RedisLayer: () => new RedisLayer<string>({ connection: new FakeRedis() }),
};

describe.each(Object.entries(layers))('%s', (_, make) => {
  it.each(['ttlMs', 'graceMs'])('refuses a %s that is no number, and keeps what was there', async (name) => {
    const layer = make();
    await layer.set('key', 'old');
    const write = async () => layer.set('key', 'new', { ttlMs: 1000, [name]: Number.NaN });
    await expect(write()).rejects.toMatchObject({ code: 'INVALID_OPTION', message: expect.stringContaining(name) });
    expect(await layer.get('key')).toBe('old');
  });
});
