import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { slotOf } from '../../../cache/src/redis/commands/cluster-slot.js';
import { freePort } from '../../../cache/src/redis/testing/free-port.js';
import { SLOTS, startCluster } from '../../../cache/src/redis/testing/redis-cluster.js';
import { type RedisServer, startRedis, whyNoRedis } from '../../../cache/src/redis/testing/redis-server.js';
import { actionKey } from '../blob-store.js';
import { blobOf } from '../testing/content.js';
import { startTcpProxy, type TcpProxy } from '../testing/tcp-proxy.js';
import type { RedisAddress } from './redis-address.js';
import { openRedisTier, type RedisTierOptions } from './redis-tier.js';

const CERTIFICATES = new URL('../../../http/src/testing/certificates/', import.meta.url);
const START_MS = 60_000;
const BACK_MS = 20_000;
const KEY = actionKey('', { function: 'sha256', hash: 'a'.repeat(64) });

const missing = whyNoRedis();
if (missing) it.skip(`faults of a real Redis: ${missing}`, () => {});

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function serverOf(...config: string[]): Promise<RedisServer> {
  const server = await startRedis({ config });
  cleanUps.push(() => server.stop());
  return server;
}

async function adminOf({ url }: RedisServer): Promise<Redis> {
  const client = new Redis(url);
  cleanUps.push(() => client.disconnect());
  return client;
}

async function tierOn(connection: RedisAddress, options: Partial<RedisTierOptions> = {}) {
  const tier = await openRedisTier({ name: 'near', mode: 'write-through', connection, ...options });
  cleanUps.push(() => tier.close());
  const { blobs } = tier;
  if (!blobs) throw new Error('the tier has no blobs');
  return { tier, blobs, results: tier.actionResults };
}

async function filePassword(password: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'granary-redis-password-'));
  cleanUps.push(() => rm(folder, { recursive: true }));
  const file = join(folder, 'password');
  await writeFile(file, `${password}\n`);
  return file;
}

const at = (port: number, credentials = ''): RedisAddress => ({ urls: [`redis://${credentials}127.0.0.1:${port}`] });

const msOf = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return performance.now() - start;
};

const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe.skipIf(missing)('a Redis', () => {
  it('is used again after it was killed and started, empty', async () => {
    const server = await serverOf();
    const { tier, blobs } = await tierOn(at(server.port));
    const { digest, bytes } = blobOf(1000);
    await blobs.write(digest, bytes);
    await server.kill();
    await expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(blobs.write(digest, bytes)).rejects.toMatchObject({ kind: 'unavailable' });
    await server.restart();
    await expect.poll(() => blobs.findMissing([digest]).catch(() => 'down'), { timeout: BACK_MS }).toEqual([digest]);
    await blobs.write(digest, bytes);
    expect(await blobs.get(digest)).toEqual(bytes);
    expect(tier.pending).toBe(0);
  });

  it('may come after the tier', async () => {
    const server = await serverOf();
    await server.kill();
    const { blobs, tier } = await tierOn(at(server.port));
    await expect(tier.check(new AbortController().signal)).rejects.toMatchObject({ kind: 'unavailable' });
    const { digest } = blobOf(10);
    await expect(blobs.get(digest)).rejects.toThrow(/ECONNREFUSED/);
    await server.restart();
    await expect.poll(() => blobs.findMissing([digest]).catch(() => 'down'), { timeout: BACK_MS }).toEqual([digest]);
    await tier.check(new AbortController().signal);
  });

  it('that is full refuses writes as exhausted, and goes on answering', async () => {
    const server = await serverOf('maxmemory-policy noeviction');
    const { blobs, results } = await tierOn(at(server.port));
    const [kept, refused] = [blobOf(1000), blobOf(60_000)];
    await blobs.write(kept.digest, kept.bytes);
    await (await adminOf(server)).config('SET', 'maxmemory', '1');
    await expect(blobs.write(refused.digest, refused.bytes)).rejects.toMatchObject({
      kind: 'exhausted',
      retryable: true,
    });
    await expect(results.set(KEY, Buffer.alloc(100))).rejects.toThrow(/near: Redis: OOM/);
    expect(await blobs.get(kept.digest)).toEqual(kept.bytes);
    expect(await blobs.findMissing([refused.digest, kept.digest])).toEqual([refused.digest]);
  });

  it('that evicts makes room, and what it evicted is missing', async () => {
    const server = await serverOf('maxmemory-policy allkeys-lru');
    const { blobs } = await tierOn(at(server.port));
    const many = Array.from({ length: 60 }, (_, i) => blobOf(60_000, i));
    for (const { digest, bytes } of many) await blobs.write(digest, bytes);
    await (await adminOf(server)).config('SET', 'maxmemory', '2500000');
    const extra = blobOf(60_000, 'extra');
    await blobs.write(extra.digest, extra.bytes);
    const gone = await blobs.findMissing(many.map(({ digest }) => digest));
    expect(gone.length).toBeGreaterThan(10);
    for (const digest of gone) expect(await blobs.get(digest)).toBeUndefined();
    expect(await blobs.get(extra.digest)).toEqual(extra.bytes);
  });

  it('that is a replica is unavailable for writes', async () => {
    const master = await serverOf();
    const replica = await serverOf(`replicaof 127.0.0.1 ${master.port}`, 'repl-diskless-sync-delay 0');
    const { results } = await tierOn(at(replica.port));
    expect(await results.get(KEY)).toBeUndefined();
    await expect(results.set(KEY, Buffer.of(1))).rejects.toMatchObject({ kind: 'unavailable' });
    await expect.poll(() => results.get(KEY).catch(() => 'down'), { timeout: BACK_MS }).toBeUndefined();
  });
});

describe.skipIf(missing)('credentials', () => {
  let server: RedisServer;
  let admin: Redis;
  beforeEach(async () => {
    server = await serverOf();
    admin = await adminOf(server);
    await admin.acl('SETUSER', 'reader', 'on', '>swordfish', '~granary:*', '+@read', '+@connection', '+info');
    await admin.acl('SETUSER', 'stranger', 'on', '>swordfish', '~other:*', '+@all');
  });

  it.each([
    ['a wrong password', 'reader:shibboleth@'],
    ['no such user', 'nobody:shibboleth@'],
    ['keys that are not for this user', 'stranger:swordfish@'],
  ])('that fit nothing are refused for good: %s', async (_, credentials) => {
    const { tier, blobs } = await tierOn(at(server.port, credentials));
    await expect
      .poll(() => failureOf(blobs.get(blobOf(10).digest)), { timeout: BACK_MS })
      .toMatchObject({ kind: 'refused', retryable: false });
    const failures = [
      await failureOf(blobs.write(blobOf(10).digest, blobOf(10).bytes)),
      await failureOf(tier.check(new AbortController().signal)),
    ];
    for (const failure of failures) {
      expect(failure).toMatchObject({ kind: 'refused' });
      expect(inspect(failure, { depth: 10 })).not.toMatch(/swordfish|shibboleth/);
    }
  });

  it('that are needed and missing are refused', async () => {
    await admin.config('SET', 'requirepass', 'swordfish');
    const { blobs } = await tierOn(at(server.port));
    await expect
      .poll(() => failureOf(blobs.get(blobOf(10).digest)), { timeout: BACK_MS })
      .toMatchObject({ kind: 'refused' });
  });

  it('that only read are enough for a tier that is only read', async () => {
    const { blobs, results } = await tierOn(at(server.port, 'reader:swordfish@'), { mode: 'read-only', ttlMs: 1000 });
    const { digest, bytes } = blobOf(10);
    await admin.set(`granary:cas/sha256/${digest.hash}`, bytes);
    expect(await blobs.get(digest)).toEqual(bytes);
    expect(await blobs.findMissing([digest])).toEqual([]);
    expect(await results.get(KEY)).toBeUndefined();
    await expect(results.set(KEY, bytes)).rejects.toMatchObject({ kind: 'refused' });
  });

  it('in a file can change while the tier lives', async () => {
    const passwordFile = await filePassword('first');
    await admin.config('SET', 'requirepass', 'first');
    const { results } = await tierOn({ ...at(server.port), passwordFile });
    await results.set(KEY, Buffer.of(1));
    await admin.config('SET', 'requirepass', 'second');
    await admin.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await expect.poll(() => failureOf(results.get(KEY)), { timeout: BACK_MS }).toMatchObject({ kind: 'refused' });
    await writeFile(passwordFile, 'second\n');
    await expect.poll(() => results.get(KEY).catch(() => 'refused'), { timeout: BACK_MS }).toEqual(Buffer.of(1));
  });
});

describe.skipIf(missing)('TLS', () => {
  it('is used for rediss, and the certificate is checked', async () => {
    const file = (name: string) => new URL(name, CERTIFICATES).pathname;
    const tlsPort = await freePort();
    await serverOf(
      `tls-port ${tlsPort}`,
      `tls-cert-file ${file('server.pem')}`,
      `tls-key-file ${file('server.key')}`,
      `tls-ca-cert-file ${file('ca.pem')}`,
      'tls-auth-clients no',
    );
    const urls = [`rediss://localhost:${tlsPort}`] as const;
    const { results } = await tierOn({ urls, tls: { ca: await readFile(file('ca.pem')) } });
    await results.set(KEY, Buffer.of(1));
    expect(await results.get(KEY)).toEqual(Buffer.of(1));
    const { results: distrusting } = await tierOn({ urls });
    const failure = await failureOf(distrusting.get(KEY));
    expect(failure).toMatchObject({ kind: 'unavailable' });
    expect(String(failure)).toMatch(/certificate/);
  });
});

describe.skipIf(missing)('a network', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server?.stop());
  beforeEach(async () => {
    proxy = await startTcpProxy(server.port);
    cleanUps.push(() => proxy.close());
  });

  const { digest, bytes } = blobOf(50_000);

  it('that swallows everything holds nobody up for longer than the timeout, and is left by itself', async () => {
    const { tier, blobs, results } = await tierOn(at(proxy.port), { timeoutMs: 200 });
    await blobs.write(digest, bytes);
    proxy.mode = 'swallow';
    const calls = [
      () => blobs.get(digest),
      () => blobs.findMissing([digest]),
      () => blobs.write(digest, bytes),
      () => results.get(KEY),
      () => results.set(KEY, bytes),
      () => tier.check(new AbortController().signal),
    ];
    const ms = await msOf(async () => {
      for (const outcome of await Promise.allSettled(calls.map((call) => call()))) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'timeout' } });
      }
    });
    expect(ms).toBeLessThan(1500);
    await expect.poll(() => tier.pending, { timeout: BACK_MS }).toBe(0);
    proxy.mode = 'pass';
    await expect.poll(() => blobs.get(digest).catch(() => 'down'), { timeout: BACK_MS }).toEqual(bytes);
  });

  it('that swallows everything from the start holds the first callers up for their timeout, and no others', async () => {
    proxy.mode = 'swallow';
    const { blobs } = await tierOn(at(proxy.port), { timeoutMs: 300 });
    const first = await msOf(() => expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'timeout' }));
    expect(first).toBeLessThan(2000);
    const later = await msOf(() => expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'unavailable' }));
    expect(later).toBeLessThan(200);
  });

  it('that is slow is waited for within the timeout', async () => {
    const { blobs } = await tierOn(at(proxy.port), { timeoutMs: 5000 });
    await blobs.write(digest, bytes);
    proxy.mode = { delayMs: 100 };
    expect(await blobs.get(digest)).toEqual(bytes);
    expect(await blobs.findMissing([digest])).toEqual([]);
  });

  it('that resets connections fails what is under way at once, and nothing is sent twice', async () => {
    const { blobs, results } = await tierOn(at(proxy.port), { timeoutMs: 10_000 });
    await blobs.write(digest, bytes);
    proxy.mode = 'swallow';
    const under = [failureOf(blobs.get(digest)), failureOf(results.set(KEY, Buffer.from('from before')))];
    await new Promise((resolve) => setImmediate(resolve));
    const ms = await msOf(async () => {
      proxy.reset();
      for (const failure of await Promise.all(under)) expect(failure).toMatchObject({ kind: 'unavailable' });
    });
    expect(ms).toBeLessThan(1000);
    proxy.mode = 'pass';
    await expect.poll(() => results.get(KEY).catch(() => 'down'), { timeout: BACK_MS }).toBeUndefined();
  });
});

/** A cluster for the tests of one chapter, and how it is found. */
function ownCluster(): { readonly servers: RedisServer[]; readonly address: () => RedisAddress } {
  const servers: RedisServer[] = [];
  beforeAll(() => startCluster(servers, { config: ['cluster-require-full-coverage no'] }), START_MS);
  afterAll(() => Promise.all(servers.map((server) => server.stop())));
  const address = (): RedisAddress => {
    const [first = '', ...others] = servers.map(({ url }) => url);
    return { urls: [first, ...others], topology: 'cluster' };
  };
  return { servers, address };
}

describe.skipIf(missing)('a cluster', () => {
  const { servers, address } = ownCluster();

  it('answers for thousands of blobs on all its nodes, in their order', async () => {
    // What 2000 writes at once take on a busy machine is no fault.
    const { blobs } = await tierOn(address(), { timeoutMs: 10_000 });
    const all = Array.from({ length: 3000 }, (_, i) => blobOf(20, i));
    const stored = all.filter((_, i) => i % 3 !== 0);
    await Promise.all(stored.map(({ digest, bytes }) => blobs.write(digest, bytes)));
    const absent = all.filter((_, i) => i % 3 === 0).map(({ digest }) => digest);
    expect(await blobs.findMissing(all.map(({ digest }) => digest))).toEqual(absent);
    const found = await Promise.all(stored.map(({ digest }) => blobs.get(digest)));
    expect(found.every((bytes, i) => bytes?.equals(stored[i]!.bytes))).toBe(true);
  });

  it('takes a password that changes in its file', async () => {
    const passwordFile = await filePassword('first');
    const admins = await Promise.all(servers.map(adminOf));
    const change = async (password: string) => {
      for (const admin of admins) await admin.config('SET', 'requirepass', password);
      for (const admin of admins) await admin.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    };
    await change('first');
    const { blobs } = await tierOn({ ...address(), passwordFile });
    const all = Array.from({ length: 30 }, (_, i) => blobOf(30, i));
    const digests = all.map(({ digest }) => digest);
    const missing = () => blobs.findMissing(digests).catch(() => 'refused');
    await Promise.all(all.map(({ digest, bytes }) => blobs.write(digest, bytes)));
    await change('second');
    await writeFile(passwordFile, 'second');
    await expect.poll(missing, { timeout: BACK_MS }).toEqual([]);
    await change('');
  });
});

describe.skipIf(missing)('a cluster that loses a node', () => {
  const { servers, address } = ownCluster();

  it('fails for what that node has, and for nothing else', async () => {
    const { blobs } = await tierOn(address(), { timeoutMs: 500 });
    const all = Array.from({ length: 100 }, (_, i) => blobOf(30, i));
    await Promise.all(all.map(({ digest, bytes }) => blobs.write(digest, bytes)));
    const lost = 2;
    await servers[lost]!.kill();
    const ms = await msOf(async () => {
      const outcomes = await Promise.allSettled(all.map(({ digest }) => blobs.get(digest)));
      for (const [i, outcome] of outcomes.entries()) {
        const node = Math.floor((slotOf(`granary:cas/sha256/${all[i]!.digest.hash}`) * 3) / SLOTS);
        if (node !== lost) expect(outcome).toEqual({ status: 'fulfilled', value: all[i]!.bytes });
        else expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'TIER_UNAVAILABLE' } });
      }
    });
    expect(ms).toBeLessThan(3000);
    expect(await failureOf(blobs.findMissing(all.map(({ digest }) => digest)))).toMatchObject({ tier: 'near' });
  });
});

describe('a cluster that is not there', () => {
  it('holds nobody up', async () => {
    const urls = [`redis://127.0.0.1:${await freePort()}`, `redis://127.0.0.1:${await freePort()}`] as const;
    const { tier, blobs } = await tierOn({ urls, topology: 'cluster' }, { timeoutMs: 3000 });
    const { digest, bytes } = blobOf(10);
    const ms = await msOf(async () => {
      for (const outcome of await Promise.allSettled([blobs.get(digest), blobs.write(digest, bytes)])) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable' } });
      }
    });
    expect(ms).toBeLessThan(2900);
    expect(tier.pending).toBe(0);
    await expect(blobs.get(digest)).rejects.toMatchObject({ kind: 'unavailable' });
  });
});
