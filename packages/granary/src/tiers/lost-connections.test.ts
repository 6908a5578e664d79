import { GrpcTier } from '@granary/reapi';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Direction } from '../testing/fault-proxy/fault.js';
import { FaultProxy } from '../testing/fault-proxy/fault-proxy.js';
import { clientOf, GuardedTier, readAll, testBlob } from '../testing/fault-proxy/guarded-tier.js';
import { startTestServer } from '../testing/test-server.js';

const ended: (() => PromiseLike<unknown>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

/** A tier behind a proxy, with connections that are made, however long that takes. */
async function start(settings: Partial<ConstructorParameters<typeof GrpcTier>[0]> = {}) {
  const back = await startTestServer();
  ended.push(() => back[Symbol.asyncDispose]());
  const proxy = await FaultProxy.start(back.address('listen.grpc'));
  ended.push(() => proxy.close());
  const tier = new GrpcTier({
    name: 'back',
    mode: 'write-through',
    target: proxy.address,
    connections: 1,
    ...settings,
  });
  ended.push(() => tier.close());
  const client = clientOf(back);
  ended.push(() => client.close());
  const blob = testBlob(2000);
  await client.blobs.write(blob.digest, blob.bytes);
  await vi.waitFor(async () => expect(await tier.blobs.get(blob.digest)).toEqual(blob.bytes), 15_000);
  return { proxy, tier, blob, client };
}

describe('a connection to a tier that is lost without a word', () => {
  it.each<Direction>(['up', 'down'])(
    'is given up, though no call lasts as long as that takes: %s',
    async (direction) => {
      const { proxy, tier, blob } = await start({ keepaliveMs: 1000, timeoutMs: 200 });
      await proxy.set({ effect: { kind: 'black-hole' }, direction, connections: 'living' });
      await expect((async () => tier.blobs.get(blob.digest))()).rejects.toMatchObject({ kind: 'timeout' });
      await vi.waitFor(async () => expect(await tier.blobs.get(blob.digest)).toEqual(blob.bytes), {
        timeout: 15_000,
        interval: 50,
      });
      expect(proxy.connectionsMade).toBe(2);
    },
  );

  it('keeps a call that was sent waiting no longer than its signal says', async () => {
    const { proxy, tier, blob } = await start();
    await proxy.set({ effect: { kind: 'stall' }, direction: 'down' });
    const signal = AbortSignal.timeout(100);
    const begun = performance.now();
    await expect((async () => tier.blobs.get(blob.digest, { signal }))()).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    expect(performance.now() - begun).toBeLessThan(3000);
  });
});

describe('a download from a tier that breaks off once', () => {
  it.each(['reset', 'truncate', 'black-hole'] as const)('fails for whoever reads the tier alone: %s', async (kind) => {
    const { proxy, tier, client } = await start({ timeoutMs: kind === 'black-hole' ? 1000 : 10_000 });
    const blob = testBlob(2 * 1024 * 1024);
    await client.blobs.write(blob.digest, blob.bytes);
    await proxy.set({ effect: { kind }, point: { at: 'data', bytes: 1024 * 1024 }, times: 1 });
    const reader = await tier.blobs.read(blob.digest);
    if (!reader) throw new Error('it is not there');
    await expect(readAll(reader)).rejects.toMatchObject({ retryable: true });
    expect(proxy.befallen).toBe(1);
  });

  it.each(['reset', 'truncate', 'black-hole'] as const)('is taken up by a server in front of it: %s', async (kind) => {
    const back = await startTestServer();
    ended.push(() => back[Symbol.asyncDispose]());
    const times = { attempt_timeout: '500ms', idle_timeout: '500ms', timeout: '10s' };
    const front = await GuardedTier.start(back, times);
    ended.push(() => front[Symbol.asyncDispose]());
    const { proxy, client } = front;
    const blob = testBlob(2 * 1024 * 1024);
    const backClient = clientOf(back);
    ended.push(() => backClient.close());
    await backClient.blobs.write(blob.digest, blob.bytes);
    await proxy.set({ effect: { kind }, point: { at: 'data', bytes: 1024 * 1024 }, times: 1 });
    const reader = await client.blobs.read(blob.digest);
    expect(reader && (await readAll(reader)).equals(blob.bytes)).toBe(true);
    expect(proxy.befallen).toBe(1);
    await vi.waitFor(async () => expect(await front.leftovers()).toEqual({ reservedBytes: 0, files: [] }));
  });
});
