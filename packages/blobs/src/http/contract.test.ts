import { describe, expect, it } from 'vitest';
import type { ActionResultStore, BlobStore, SizeLookup } from '../blob-store.js';
import { actionResultStoreContract, blobStoreContract } from '../contract/index.js';
import { DIGEST_FUNCTIONS } from '../digest-function.js';
import { HttpTier } from './http-tier.js';
import type { HttpTierOptions } from './options.js';
import { PlainCache } from './testing/plain-cache.js';

const runner = { describe, it, expect };

async function start(options: Partial<HttpTierOptions> = {}) {
  const cache = await PlainCache.start();
  const url = `${cache.url}/some/base/`;
  const tier = new HttpTier({
    name: 'web',
    mode: 'write-through',
    url,
    proxy: false,
    digestFunctions: DIGEST_FUNCTIONS,
    ...options,
  });
  const dispose = async () => {
    await tier.close();
    await cache[Symbol.asyncDispose]();
  };
  return { cache, tier, dispose };
}

/** The protocol has no call to delete anything, so the suites delete behind the tier's back. */
function blobStore(prepare: (cache: PlainCache) => void, options?: Partial<HttpTierOptions>) {
  return async () => {
    const { cache, tier, dispose } = await start(options);
    prepare(cache);
    const { blobs, sizes } = tier;
    const store: BlobStore & SizeLookup = {
      name: blobs.name,
      findMissing: blobs.findMissing.bind(blobs),
      get: blobs.get.bind(blobs),
      read: blobs.read.bind(blobs),
      write: blobs.write.bind(blobs),
      close: blobs.close.bind(blobs),
      sizeOf: sizes.sizeOf.bind(sizes),
      delete: async (digest) => cache.files.delete(`/some/base/cas/${digest.hash}`),
    };
    return { store, dispose };
  };
}

blobStoreContract(
  runner,
  'HttpTier.blobs',
  blobStore(() => {}),
);
blobStoreContract(
  runner,
  'HttpTier.blobs of a server without ranges',
  blobStore((cache) => {
    cache.ranges = false;
  }),
);
blobStoreContract(
  runner,
  'HttpTier.blobs of a server without HEAD, over two connections',
  blobStore(
    (cache) => {
      cache.answer = (request, response) => {
        if (request.method !== 'HEAD') return false;
        response.writeHead(405).end();
        return true;
      };
    },
    { connections: 2 },
  ),
);

actionResultStoreContract(runner, 'HttpTier.actionResults', async () => {
  const { cache, tier, dispose } = await start();
  const { actionResults } = tier;
  const store: ActionResultStore = {
    name: actionResults.name,
    get: actionResults.get.bind(actionResults),
    set: actionResults.set.bind(actionResults),
    close: actionResults.close.bind(actionResults),
    delete: async (key) => {
      const [, hash, ...instance] = key.split('/');
      const path = [...instance.map(encodeURIComponent).filter(Boolean), 'ac', hash].join('/');
      return cache.files.delete(`/some/base/${path}`);
    },
  };
  return { store, dispose };
});
