import type { BlobStore } from '@granary/blobs';
import { blobStoreContract } from '@granary/blobs/contract';
import { describe, expect, it } from 'vitest';
import type { CacheLimits } from '../services/limits.js';
import type { GrpcTierOptions } from './options.js';
import { startLoopbackTier } from './testing/loopback-tier.js';

const runner = { describe, it, expect };

/** The protocol has no call to delete a blob, so the suite deletes behind the tier's back. */
function storeOver(options: Partial<GrpcTierOptions>, limits?: Partial<CacheLimits>) {
  return async () => {
    const loopback = await startLoopbackTier(options, limits && { limits });
    const { blobs } = loopback.tier;
    const store: BlobStore = {
      name: blobs.name,
      findMissing: blobs.findMissing.bind(blobs),
      get: blobs.get.bind(blobs),
      read: blobs.read.bind(blobs),
      write: blobs.write.bind(blobs),
      close: blobs.close.bind(blobs),
      delete: (digest) => loopback.blobs.delete(digest),
    };
    return { store, dispose: async () => loopback[Symbol.asyncDispose]() };
  };
}

blobStoreContract(runner, 'GrpcTier.blobs', storeOver({ compression: 'off' }));
blobStoreContract(runner, 'GrpcTier.blobs with Zstandard', storeOver({ compression: 'on' }));
blobStoreContract(
  runner,
  'GrpcTier.blobs with batches of 1 KiB',
  storeOver({ connections: 4, batch: { delayMs: 0, maxBlobs: 2 } }, { maxBatchTotalBytes: 1024 }),
);
blobStoreContract(runner, 'GrpcTier.blobs without batches', storeOver({ batch: { maxBlobBytes: 0 } }));
