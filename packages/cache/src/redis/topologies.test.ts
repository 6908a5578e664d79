import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InvalidationMessage } from '../invalidation/invalidation-bus.js';
import { layerContract } from '../testing/layer-contract.js';
import { tagIndexContract } from '../testing/tag-index-contract.js';
import { slotOf } from './cluster-slot.js';
import { RedisInvalidationBus } from './redis-invalidation-bus.js';
import { RedisLayer } from './redis-layer.js';
import { RedisTagIndex } from './redis-tag-index.js';
import { SLOTS, startCluster } from './testing/redis-cluster.js';
import { type RedisServer, startRedis, whyNoRedis } from './testing/redis-server.js';

const missing = whyNoRedis();
if (missing) it.skip(`Redis Cluster and Sentinel: ${missing}`, () => {});

const TIMEOUT_MS = 60_000;

describe.skipIf(missing)('a Redis Cluster', () => {
  const servers: RedisServer[] = [];
  let prefixes = 0;
  const connection = () => ({ nodes: servers.map(({ port }) => ({ host: '127.0.0.1', port })) });
  beforeAll(() => startCluster(servers), TIMEOUT_MS);
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  const makeLayer = <V = unknown>() => new RedisLayer<V>({ connection: connection(), prefix: `test ${++prefixes}:` });

  layerContract({ describe, it, expect }, 'RedisLayer on a cluster', () => ({ layer: makeLayer() }));

  tagIndexContract({ describe, it, expect }, 'RedisTagIndex on a cluster', () => ({
    index: new RedisTagIndex({ connection: connection(), prefix: `tags ${++prefixes}:` }),
  }));

  it('takes batches of 10,000 keys of all nodes', async () => {
    await using layer = makeLayer<number>();
    const keys = Array.from({ length: 10_000 }, (_, n) => `key ${n}`);
    await layer.setMany(new Map(keys.map((key, n) => [key, n])));
    const entries = await layer.getMany(keys);
    for (const [n, key] of keys.entries()) expect(entries.get(key)?.value).toBe(n);
    expect(await layer.deleteMany(keys.slice(1))).toBe(9999);
    await layer.clear();
    expect((await layer.getMany(keys)).size).toBe(0);
  });

  it("works with the caller's client and its prefix", async () => {
    const client = new Cluster(connection().nodes, { keyPrefix: 'outer:' });
    const layer = new RedisLayer<number>({ connection: client, prefix: 'own:' });
    const keys = Array.from({ length: 100 }, (_, n) => `key ${n}`);
    await layer.setMany(new Map(keys.map((key, n) => [key, n])));
    expect((await layer.getMany(keys)).size).toBe(100);
    await layer.clear();
    expect((await layer.getMany(keys)).size).toBe(0);
    await layer.close();
    expect(client.status).toBe('ready');
    client.disconnect();
  });

  it('is followed when slots move while a batch is under way', async () => {
    await using layer = new RedisLayer<number>({ connection: connection(), prefix: 'moved:' });
    const keys = Array.from({ length: 1000 }, (_, n) => `key ${n}`);
    await layer.setMany(new Map(keys.map((key, n) => [key, n])));
    const key = 'moved:key 7';
    const slot = slotOf(key);
    const clients = servers.map(({ url }) => new Redis(url));
    const owner = Math.floor((slot * 3) / SLOTS);
    const [from, to] = [clients[owner]!, clients[(owner + 1) % 3]!];
    const [fromId, toId] = [String(await from.call('CLUSTER', 'MYID')), String(await to.call('CLUSTER', 'MYID'))];
    await to.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
    await from.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
    const names = (await from.call('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[];
    await from.migrate('127.0.0.1', servers[(owner + 1) % 3]!.port, '', 0, 5000, 'KEYS', ...names);
    expect((await layer.getMany(keys)).size).toBe(1000);
    for (const client of [to, from]) await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
    expect((await layer.getMany(keys)).size).toBe(1000);
    expect(await layer.deleteMany(keys)).toBe(1000);
    for (const client of clients) client.disconnect();
  });

  it('holds up nobody for longer than the timeout when a node stands still, and is used again after it', async () => {
    await using layer = new RedisLayer<number>({ connection: connection(), prefix: 'still:', timeoutMs: 300 });
    const keys = Array.from({ length: 100 }, (_, n) => `key ${n}`);
    await layer.setMany(new Map(keys.map((key, n) => [key, n])));
    const [frozen] = servers;
    frozen!.freeze();
    const begun = performance.now();
    const results = await Promise.allSettled(keys.map((key) => layer.get(key)));
    expect(performance.now() - begun).toBeLessThan(2000);
    const answered = results.filter(({ status }) => status === 'fulfilled').length;
    expect(answered).toBeGreaterThan(30);
    expect(answered).toBeLessThan(100);
    frozen!.thaw();
    await expect
      .poll(
        () =>
          layer.getMany(keys).then(
            ({ size }) => size,
            () => 0,
          ),
        { timeout: 20_000 },
      )
      .toBe(100);
  });

  it('carries news between processes', async () => {
    await using one = new RedisInvalidationBus({ connection: connection() });
    await using other = new RedisInvalidationBus({ connection: connection() });
    await Promise.all([one.ready(), other.ready()]);
    const heard: InvalidationMessage[] = [];
    other.subscribe((message) => void heard.push(message));
    await one.publish({ type: 'keys', keys: ['a'] });
    await expect.poll(() => heard, { timeout: 5000 }).toEqual([{ type: 'keys', keys: ['a'] }]);
  });
});

describe.skipIf(missing)('a group that Sentinel watches over', () => {
  it(
    'is used through its new master when the old one died',
    async () => {
      const master = await startRedis();
      const replica = await startRedis({
        config: [`replicaof 127.0.0.1 ${master.port}`, 'repl-diskless-sync-delay 0'],
      });
      const sentinel = await startRedis({
        sentinel: true,
        config: [
          `sentinel monitor group 127.0.0.1 ${master.port} 1`,
          'sentinel down-after-milliseconds group 500',
          'sentinel failover-timeout group 2000',
        ],
      });
      const watch = new Redis(sentinel.url);
      try {
        await expect.poll(() => watch.call('SENTINEL', 'REPLICAS', 'group'), { timeout: 20_000 }).toHaveLength(1);
        await using layer = new RedisLayer<string>({
          connection: { sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: 'group' },
        });
        await layer.set('key', 'before');
        const direct = new Redis(replica.url);
        await expect.poll(() => direct.exists('granary:key'), { timeout: 10_000 }).toBe(1);
        direct.disconnect();
        await master.kill();
        await expect(layer.get('key')).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
        await expect.poll(() => layer.get('key').catch(() => 'down'), { timeout: 30_000 }).toBe('before');
        await expect
          .poll(
            () =>
              layer.set('key', 'after').then(
                () => layer.get('key'),
                () => 'down',
              ),
            { timeout: 30_000 },
          )
          .toBe('after');
      } finally {
        watch.disconnect();
        for (const server of [sentinel, replica, master]) await server.stop();
      }
    },
    TIMEOUT_MS,
  );
});
