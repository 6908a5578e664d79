import { createHash, randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { GROUP, startGroup } from '../../../cache/src/redis/testing/redis-group.js';
import { whyNoRedis } from '../../../cache/src/redis/testing/redis-server.js';
import { startTestServer, temporaryFolder } from '../testing/test-server.js';

const FAILOVER_MS = 30_000;

const missing = whyNoRedis();
if (missing) it.skip(`a server in front of a group of Sentinels: ${missing}`, () => {});

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

function blob() {
  const bytes = randomBytes(1000);
  return { bytes, path: `cas/${createHash('sha256').update(bytes).digest('hex')}` };
}

describe.skipIf(missing)('a server in front of a Redis that Sentinels watch over', () => {
  it(
    'misses and takes uploads while the primary is gone, and reads and writes there again after the failover',
    async () => {
      const folder = await temporaryFolder();
      ended.push(() => rm(folder, { recursive: true, force: true }));
      const [password, sentinelPassword] = ['for-the-servers', 'for-the-sentinels'];
      const [passwordFile, sentinelFile] = [join(folder, 'password'), join(folder, 'sentinel')];
      await writeFile(passwordFile, `${password}\n`);
      await writeFile(sentinelFile, `${sentinelPassword}\n`);
      const group = await startGroup({ password, sentinelPassword });
      ended.push(() => group.stop());
      const tier = {
        type: 'redis',
        topology: 'sentinel',
        urls: group.sentinels.map(({ url }) => url),
        group: GROUP,
        password_file: passwordFile,
        sentinel_password_file: sentinelFile,
        mode: 'write-through',
        attempt_timeout: '500ms',
        rest: '50ms',
      };
      const server = async () => {
        const running = await startTestServer({ tiers: [tier], 'auth.anonymous': 'write' });
        ended.push(() => running[Symbol.asyncDispose]());
        return `http://${running.address('listen.http')}`;
      };
      const [one, other] = [await server(), await server()];
      const put = async (path: string, bytes: Uint8Array<ArrayBuffer>) =>
        (await fetch(`${one}/${path}`, { method: 'PUT', body: bytes })).status;
      /** What the other server says, which has it from Redis alone. */
      const statusAt = async (path: string) => {
        const answer = await fetch(`${other}/${path}`);
        await answer.arrayBuffer();
        return answer.status;
      };

      const [seen, before, during] = [blob(), blob(), blob()];
      for (const { path, bytes } of [seen, before]) expect(await put(path, bytes)).toBe(200);
      expect(await statusAt(seen.path)).toBe(200);
      await group.replicated();

      await group.primary.kill();
      // Missing until the replica has taken over, which may be at once.
      expect([404, 200]).toContain(await statusAt(before.path));
      expect(await statusAt(seen.path)).toBe(200);
      expect(await put(during.path, during.bytes)).toBe(200);

      const statuses = new Set<number>();
      const remembered = async () => {
        const status = await statusAt(before.path);
        statuses.add(status);
        return status;
      };
      await expect.poll(remembered, { timeout: FAILOVER_MS, interval: 20 }).toBe(200);
      expect([404, 200]).toEqual(expect.arrayContaining([...statuses]));
      const direct = new Redis(group.replica.url, { password });
      ended.push(() => direct.disconnect());
      const written = async () => {
        const { path, bytes } = blob();
        expect(await put(path, bytes)).toBe(200);
        return direct.exists(`granary:${path.replace('/', '/sha256/')}`);
      };
      await expect.poll(written, { timeout: FAILOVER_MS, interval: 20 }).toBe(1);
    },
    2 * FAILOVER_MS,
  );
});
