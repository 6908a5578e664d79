import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../../cache/src/redis/testing/free-port.js';
import { GROUP, startGroup } from '../../../cache/src/redis/testing/redis-group.js';
import { whyNoRedis } from '../../../cache/src/redis/testing/redis-server.js';
import { actionKey } from '../blob-store.js';
import { blobOf } from '../testing/content.js';
import { openRedisTier, type RedisTierOptions } from './redis-tier.js';

const FAILOVER_MS = 30_000;
const KEY = actionKey('', { function: 'sha256', hash: 'a'.repeat(64) });

const missing = whyNoRedis();
if (missing) it.skip(`a tier behind Sentinels: ${missing}`, () => {});

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

type Urls = [string, ...string[]];

async function tierOf(urls: Urls, options: Partial<RedisTierOptions['connection']> = {}, timeoutMs = 500) {
  const connection = { urls, topology: 'sentinel' as const, group: GROUP, ...options };
  const tier = await openRedisTier({ name: 'near', mode: 'write-through', connection, timeoutMs });
  cleanUps.push(() => tier.close());
  const { blobs } = tier;
  if (!blobs) throw new Error('the tier has no blobs');
  return { tier, blobs, results: tier.actionResults };
}

async function groupOf(options: Parameters<typeof startGroup>[0]) {
  const group = await startGroup(options);
  cleanUps.push(() => group.stop());
  return { ...group, urls: group.sentinels.map(({ url }) => url) as Urls };
}

describe.skipIf(missing)('a group that Sentinels watch over', () => {
  it(
    'is used again by itself after its primary died, though the Sentinel that is asked first hangs',
    async () => {
      const passwordFile = join(await mkdtemp(join(tmpdir(), 'granary-sentinel-')), 'password');
      cleanUps.push(() => rm(join(passwordFile, '..'), { recursive: true }));
      const { urls, ...group } = await groupOf({
        sentinels: 3,
        password: 'for-the-servers',
        sentinelPassword: 'for-sentinels',
      });
      await writeFile(passwordFile, 'for-the-servers\n');
      const { tier, blobs, results } = await tierOf(urls, { passwordFile, sentinelPassword: 'for-sentinels' });
      const [before, after] = [blobOf(1000, 'before'), blobOf(1000, 'after')];
      await blobs.write(before.digest, before.bytes);
      await results.set(KEY, Buffer.from('before'));
      await group.replicated();

      const [first] = group.sentinels;
      first?.freeze();
      cleanUps.push(() => first?.thaw());
      await group.primary.kill();
      const failures = new Set<unknown>();
      const outcome = (work: Promise<unknown>) =>
        work.catch((error: { kind: string }) => {
          failures.add(error.kind);
          return 'down';
        });
      const both = () => Promise.all([outcome(blobs.get(before.digest)), outcome(results.get(KEY))]);
      expect(await both()).toEqual(['down', 'down']);
      // Each answer is the right one, or none.
      await expect.poll(both, { timeout: FAILOVER_MS, interval: 20 }).toEqual([before.bytes, Buffer.from('before')]);
      expect([...failures]).toEqual(['unavailable']);
      await blobs.write(after.digest, after.bytes);
      expect(await blobs.findMissing([before.digest, after.digest])).toEqual([]);
      const direct = new Redis(group.replica.url, { password: 'for-the-servers' });
      cleanUps.push(() => direct.disconnect());
      expect(await direct.exists(`granary:cas/sha256/${after.digest.hash}`)).toBe(1);
      expect(tier.pending).toBe(0);
    },
    2 * FAILOVER_MS,
  );
});

describe('Sentinels that are not there', () => {
  it('hold nobody up for longer than the timeout, and then nobody at all', async () => {
    const urls: Urls = [`redis://127.0.0.1:${await freePort()}`, `redis://127.0.0.1:${await freePort()}`];
    const { tier, blobs } = await tierOf(urls, {}, 200);
    const { digest } = blobOf(10);
    await expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'timeout' });
    await expect(blobs.get(digest)).rejects.toThrow(/All sentinels are unreachable/);
    expect(tier.pending).toBe(0);
  });
});
