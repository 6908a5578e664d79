import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { bytesSerializer } from '../serializers/bytes-serializer.js';
import { layerContract } from '../testing/layer-contract.js';
import { RedisLayer } from './redis-layer.js';
import { type RedisServer, startRedis, whyNoRedis } from './testing/redis-server.js';

const missing = whyNoRedis();
if (missing) it.skip(`RedisLayer on a real Redis: ${missing}`, () => {});

describe.skipIf(missing)('with a real Redis', () => {
  let server: RedisServer;
  let prefixes = 0;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server?.stop());

  const makeLayer = <V = unknown>(options = {}) =>
    new RedisLayer<V>({ connection: server.url, prefix: `test ${++prefixes}:`, ...options });

  layerContract({ describe, it, expect }, 'RedisLayer with a connection of its own', () => ({ layer: makeLayer() }));

  layerContract({ describe, it, expect }, "RedisLayer on the caller's client with a prefix", () => {
    const client = new Redis(server.url, { keyPrefix: 'outer*:' });
    return {
      layer: makeLayer({ connection: client }),
      dispose: () => {
        expect(client.status).toBe('ready');
        client.disconnect();
      },
    };
  });

  layerContract({ describe, it, expect }, 'RedisLayer on a client that gives numbers as texts', () => {
    const client = new Redis(server.url, { stringNumbers: true });
    return { layer: makeLayer({ connection: client }), dispose: () => client.disconnect() };
  });

  layerContract<Uint8Array>(
    { describe, it, expect },
    'RedisLayer of bytes',
    () => ({ layer: makeLayer<Uint8Array>({ serializer: bytesSerializer() }) }),
    { samples: [Buffer.from('text'), Buffer.from([0, 1, 255]), Buffer.alloc(0), Buffer.alloc(3000, 7)] },
  );

  it('keeps no more memory than the bytes that were stored', async () => {
    await using layer = makeLayer<Uint8Array>({ serializer: bytesSerializer() });
    const values = new Map(Array.from({ length: 100 }, (_, n) => [`key ${n}`, Buffer.from(`value ${n}`)]));
    await layer.setMany(values);
    for (const [key, { value }] of await layer.getMany([...values.keys()])) {
      expect(value).toEqual(values.get(key));
      expect(value.buffer.byteLength).toBe(value.byteLength);
    }
  });

  it('writes, reads and removes 10,000 keys at once', async () => {
    await using layer = makeLayer<{ n: number }>({ timeoutMs: 10_000 });
    const keys = Array.from({ length: 10_000 }, (_, n) => `key ${n}`);
    await layer.setMany(new Map(keys.map((key, n) => [key, { n }])), { ttlMs: 60_000 });
    const entries = await layer.getMany(keys);
    expect(entries.size).toBe(10_000);
    for (const [n, key] of keys.entries()) expect(entries.get(key)?.value).toEqual({ n });
    expect(await layer.deleteMany(keys.slice(0, 9_999))).toBe(9_999);
    expect((await layer.getMany(keys)).size).toBe(1);
    expect(layer.pending).toBe(0);
  });

  it('names the keys that it reads to who traces commands', async () => {
    const client = new Redis(server.url, { keyPrefix: 'ünï:' });
    const send = vi.spyOn(client, 'sendCommand');
    await using layer = makeLayer<number>({ connection: client, prefix: 'p:' });
    await layer.setMany(
      new Map([
        ['a', 1],
        ['ü', 2],
        ['\ud83d', 3],
      ]),
    );
    expect([...(await layer.getMany(['a', 'ü', 'none', '\ud83d'])).values()].map(({ value }) => value)).toEqual([
      1, 2, 3,
    ]);
    const command = send.mock.calls.map(([sent]) => sent).find(({ name }) => name === 'mget');
    expect(command?.args).toEqual(['ünï:p:a', 'ünï:p:ü', 'ünï:p:none', expect.stringContaining('ünï:p:\u0000')]);
    client.disconnect();
  });

  it('does not overtake what waits in a pipeline that its client makes by itself', async () => {
    const client = new Redis(server.url, { enableAutoPipelining: true });
    await using layer = makeLayer<number>({ connection: client });
    const written = layer.set('key', 1);
    expect((await layer.getMany(['key'])).get('key')?.value).toBe(1);
    await written;
    client.disconnect();
  });

  it('clears only what is below its prefix, glob characters being nothing special', async () => {
    await using star = makeLayer<number>({ prefix: 'st*r:' });
    await using stair = makeLayer<number>({ prefix: 'stair:' });
    await stair.set('key', 1);
    await star.setMany(new Map(Array.from({ length: 5000 }, (_, n) => [`key ${n}`, n])));
    await star.clear();
    expect(await star.get('key 7')).toBeUndefined();
    expect(await stair.get('key')).toBe(1);
  });

  it('lets Redis remove what is neither fresh nor within its grace', async () => {
    await using layer = makeLayer<number>({ prefix: 'px:' });
    await layer.set('key', 1, { ttlMs: 1000, graceMs: 2000 });
    await layer.set('for ever', 1);
    const client = new Redis(server.url);
    const ttl = await client.pttl('px:key');
    expect(ttl).toBeGreaterThan(2000);
    expect(ttl).toBeLessThanOrEqual(3000);
    expect(await client.pttl('px:for ever')).toBe(-1);
    client.disconnect();
  });

  it('takes what it can not read for a miss', async () => {
    await using layer = makeLayer<number>({ prefix: 'bad:' });
    const client = new Redis(server.url);
    await client.set('bad:text', 'not one of ours');
    await client.set('bad:empty', '');
    expect(await layer.get('text')).toBeUndefined();
    await layer.setMany(
      new Map([
        ['one', 1],
        ['two', 2],
      ]),
    );
    await client.set('bad:one', (await client.getBuffer('bad:one'))?.subarray(0, -1) ?? '');
    expect([...(await layer.getMany(['text', 'one', 'empty', 'two'])).keys()]).toEqual(['two']);
    client.disconnect();
  });

  it('says why Redis refused', async () => {
    await using layer = makeLayer<number>({ prefix: 'list:' });
    const client = new Redis(server.url);
    await client.lpush('list:key', '1');
    await expect(layer.get('key')).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE', layer: 'redis' });
    await expect(layer.get('key')).rejects.toThrow(/get failed: WRONGTYPE/);
    client.disconnect();
  });
});
