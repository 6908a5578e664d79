import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  actionKey,
  type BlobStore,
  DIGEST_FUNCTIONS,
  Digest,
  MemoryActionResultStore,
  MemoryBlobStore,
  type SizeLookup,
} from '@granary/blobs';
import { blobStoreContract } from '@granary/blobs/contract';
import { HttpTier, type HttpTierOptions } from '@granary/blobs/http';
import { describe, expect, it } from 'vitest';
import { ActionResultSchema } from '../gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { ActionCache } from '../services/action-cache.js';
import { encodeGenerated } from '../wire/generated-message.js';
import { createHttpCacheHandler } from './http-cache-handler.js';

/** A Granary behind another one, over HTTP. */
async function start(options: Partial<HttpTierOptions> = {}) {
  const blobs = new MemoryBlobStore();
  const results = new MemoryActionResultStore();
  const actionCache = new ActionCache({ results, blobs, maxTreeBytes: 1e6, maxTreeDirectories: 100 });
  const handler = createHttpCacheHandler({
    blobs,
    sizes: blobs,
    actionCache,
    digestFunctions: DIGEST_FUNCTIONS,
    serverId: 'upstream-1',
  });
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tier = new HttpTier({ name: 'web', mode: 'write-through', url, proxy: false, ...options });
  return {
    tier,
    blobs,
    results,
    async [Symbol.asyncDispose]() {
      await tier.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A path names no function, so that the server takes a hash of BLAKE3 for one of SHA-256, and refuses the content. */
const runner = {
  describe,
  it: (name: string, body: () => Promise<void>) => {
    if (name !== 'tells blake3 blobs from others') it(name, body);
  },
  expect,
};

blobStoreContract(runner, 'HttpTier.blobs in front of a Granary', async () => {
  const loopback = await start({ digestFunctions: DIGEST_FUNCTIONS });
  const { blobs, sizes } = loopback.tier;
  const store: BlobStore & SizeLookup = {
    name: blobs.name,
    findMissing: blobs.findMissing.bind(blobs),
    get: blobs.get.bind(blobs),
    read: blobs.read.bind(blobs),
    write: blobs.write.bind(blobs),
    close: blobs.close.bind(blobs),
    sizeOf: sizes.sizeOf.bind(sizes),
    // The protocol has no call for it.
    delete: (digest) => loopback.blobs.delete(digest),
  };
  return { store, dispose: () => loopback[Symbol.asyncDispose]() };
});

describe('a Granary behind another over HTTP', () => {
  it('gives large blobs compressed or as they are, whole and from an offset', async () => {
    const bytes = Buffer.alloc(5_000_000, 'a line that can be compressed\n');
    const digest = Digest.of('sha256', bytes);
    for (const compression of [true, false]) {
      await using loopback = await start({ compression });
      await loopback.blobs.write(digest, bytes);
      expect((await loopback.tier.blobs.get(digest))?.equals(bytes)).toBe(true);
      const chunks: Buffer[] = [];
      for await (const chunk of (await loopback.tier.blobs.read(digest, { offset: 4_000_001 })) ?? [])
        chunks.push(Buffer.from(chunk));
      expect(Buffer.concat(chunks).equals(bytes.subarray(4_000_001))).toBe(true);
    }
  });

  it('keeps action results of instances apart', async () => {
    await using loopback = await start();
    const { actionResults } = loopback.tier;
    for (const [instance, exitCode] of [
      ['', 1],
      ['team/a', 2],
    ] as const) {
      const result = encodeGenerated(ActionResultSchema, { exitCode });
      const key = actionKey(instance, { function: 'sha256', hash: 'ab'.repeat(32) });
      await actionResults.set(key, result);
      expect(loopback.results.get(key)).toEqual(result);
      expect(await actionResults.get(key)).toEqual(result);
    }
  });

  it('refuses what it has seen before, which is not tried again', async () => {
    await using loopback = await start();
    const digest = Digest.of('sha256', Buffer.from('x'));
    await expect(loopback.tier.blobs.get(digest, { via: ['upstream-1'] })).rejects.toMatchObject({
      kind: 'refused',
      retryable: false,
    });
    await loopback.tier.check(new AbortController().signal);
  });
});
