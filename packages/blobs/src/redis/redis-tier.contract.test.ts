import { FakeRedis } from '@granary/cache/testing';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCluster } from '../../../cache/src/redis/testing/redis-cluster.js';
import { type RedisServer, startRedis, whyNoRedis } from '../../../cache/src/redis/testing/redis-server.js';
import { actionResultStoreContract, blobStoreContract } from '../contract/index.js';
import { openRedisTier, type RedisTierOptions } from './redis-tier.js';

const MIB = 1024 * 1024;
const START_MS = 60_000;
const runner = { describe, it, expect };

const missing = whyNoRedis();
if (missing) it.skip(`a tier in a real Redis: ${missing}`, () => {});

let prefixes = 0;

function contracts(name: string, connection: () => RedisTierOptions['connection'], options = {}): void {
  const open = () =>
    openRedisTier({
      name: 'redis',
      mode: 'write-through',
      connection: connection(),
      prefix: `test ${++prefixes}:`,
      maxBlobBytes: 2 * MIB,
      ...options,
    });
  blobStoreContract(runner, `the blobs of a tier on ${name}`, async () => {
    const tier = await open();
    if (!tier.blobs) throw new Error('the tier has no blobs');
    return { store: tier.blobs, dispose: () => tier.close() };
  });
  actionResultStoreContract(runner, `the action results of a tier on ${name}`, async () => {
    const tier = await open();
    return { store: tier.actionResults, dispose: () => tier.close() };
  });
}

contracts('FakeRedis', () => new FakeRedis());
contracts('FakeRedis with a lifetime', () => new FakeRedis(), { ttlMs: 60_000 });

describe.skipIf(missing)('with a real Redis', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
    const client = new Redis(server.url);
    await client.config('SET', 'requirepass', 'secret');
    client.disconnect();
  });
  afterAll(() => server?.stop());

  const address = () => ({ urls: [`redis://:secret@127.0.0.1:${server.port}/3`] as const });
  contracts('one server', address);
  contracts('one server with a lifetime', address, { ttlMs: 60_000 });
});

describe.skipIf(missing)('with a Redis Cluster', () => {
  const servers: RedisServer[] = [];
  beforeAll(() => startCluster(servers), START_MS);
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  contracts('a cluster', () => {
    const [first = '', ...others] = servers.map(({ url }) => url);
    return { urls: [first, ...others], topology: 'cluster' };
  });
});
