import { DIGEST_FUNCTIONS, MemoryActionResultStore, MemoryBlobStore } from '@granary/blobs';
import type { RemoteCacheOptions } from '../../grpc/remote-cache.js';
import { type LoopbackCache, startLoopbackCache } from '../../grpc/testing/loopback-cache.js';
import { GrpcTier } from '../grpc-tier.js';
import type { GrpcTierOptions } from '../options.js';

/** A tier in front of a Granary on the loopback. */
export interface LoopbackTier extends AsyncDisposable {
  readonly tier: GrpcTier;
  readonly server: LoopbackCache;
  readonly blobs: MemoryBlobStore;
  readonly actionResults: MemoryActionResultStore;
}

export async function startLoopbackTier(
  options: Partial<GrpcTierOptions> = {},
  cache: Partial<RemoteCacheOptions> = {},
): Promise<LoopbackTier> {
  const blobs = new MemoryBlobStore();
  const actionResults = new MemoryActionResultStore();
  const server = await startLoopbackCache({
    blobs,
    actionResults,
    digestFunctions: DIGEST_FUNCTIONS,
    ac: { completenessCheck: false },
    ...cache,
  });
  const tier = testTier(`127.0.0.1:${server.port}`, options);
  return {
    tier,
    server,
    blobs,
    actionResults,
    async [Symbol.asyncDispose]() {
      await tier.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A tier named `upstream` in front of any server. */
export function testTier(target: string, options: Partial<GrpcTierOptions> = {}): GrpcTier {
  return new GrpcTier({ name: 'upstream', mode: 'write-through', target, ...options });
}
