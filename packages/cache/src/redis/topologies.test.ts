import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InvalidationMessage } from '../invalidation/invalidation-bus.js';
import { layerContract } from '../testing/layer-contract.js';
import { tagIndexContract } from '../testing/tag-index-contract.js';
import { slotOf } from './commands/cluster-slot.js';
import { RedisInvalidationBus } from './redis-invalidation-bus.js';
import { RedisLayer } from './redis-layer.js';
import { RedisTagIndex } from './redis-tag-index.js';
import { SLOTS, startCluster } from './testing/redis-cluster.js';
import { GROUP, startGroup } from './testing/redis-group.js';
import { type RedisServer, whyNoRedis } from './testing/redis-server.js';

const missing = whyNoRedis();
if (missing) it.skip(`Redis Cluster and Sentinel: ${missing}`, () => {});

const TIMEOUT_MS = 60_000;

describe.skipIf(missing)('a Redis Cluster', () => {
  const servers: RedisServer[] = [];
  let prefixes = 0;
  const connection = () => ({ nodes: servers.map(({ port }) => ({ host: '127.0.0.1', port })) });
  beforeAll(() => startCluster(servers), TIMEOUT_MS);
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  const makeLayer = <V = unknown>() =>
    new RedisLayer<V>({ connection: connection(), prefix: `test ${++prefixes}:`, timeoutMs: 10_000 });

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

  it('is known where ioredis gives numbers as texts', async () => {
    const options = { redisOptions: { stringNumbers: true } };
    await using layer = new RedisLayer<number>({
      connection: { ...connection(), options },
      prefix: 'texts:',
      timeoutMs: 10_000,
    });
    const keys = Array.from({ length: 100 }, (_, n) => `key ${n}`);
    await layer.setMany(new Map(keys.map((key, n) => [key, n])));
    expect((await layer.getMany(keys)).size).toBe(100);
    expect(await layer.deleteMany(keys)).toBe(100);
  });

  it('is followed when slots move while a batch is under way', async () => {
    await using layer = new RedisLayer<number>({ connection: connection(), prefix: 'moved:', timeoutMs: 10_000 });
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
    'is used through its new primary when the old one hangs, and afterwards too',
    async () => {
      const group = await startGroup();
      const [sentinel] = group.sentinels;
      await using layer = new RedisLayer<string>({
        connection: { sentinels: [{ host: '127.0.0.1', port: sentinel!.port }], name: GROUP },
        timeoutMs: 300,
      });
      const outcomeOf = (work: Promise<unknown>) => work.catch((error: { code: string }) => error.code);
      try {
        await layer.set('key', 'before');
        await group.replicated();
        group.primary.freeze();
        expect(await outcomeOf(layer.get('key'))).toBe('CACHE_TIMEOUT');
        expect(await outcomeOf(layer.get('key'))).toBe('LAYER_UNAVAILABLE');
        await expect.poll(() => outcomeOf(layer.get('key')), { timeout: 30_000 }).toBe('before');
        group.primary.thaw();
        await layer.set('key', 'after');
        expect(await layer.get('key')).toBe('after');
        const direct = new Redis(group.replica.url);
        expect(await direct.getBuffer('granary:key').then(String)).toContain('after');
        direct.disconnect();
      } finally {
        group.primary.thaw();
        await group.stop();
      }
    },
    TIMEOUT_MS,
  );
});
