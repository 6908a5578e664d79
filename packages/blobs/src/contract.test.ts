import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BlobStore } from './blob-store.js';
import { actionResultStoreContract, blobStoreContract } from './contract/index.js';
import { withEmptyBlob } from './decorators/empty-blob-store.js';
import { withRecorder } from './decorators/metered-store.js';
import { withSizeLimit } from './decorators/size-limited-store.js';
import { withVerification } from './decorators/verified-store.js';
import { DiskBlobStore, type Durability } from './index.js';
import { MemoryActionResultStore } from './memory/memory-action-result-store.js';
import { MemoryBlobStore } from './memory/memory-blob-store.js';

const MIB = 1024 * 1024;
const runner = { describe, it, expect };

function diskStore(durability: Durability, smallBlobBytes: number) {
  return async () => {
    const directory = await mkdtemp(join(tmpdir(), 'granary-contract-'));
    const store = await DiskBlobStore.open({ directory, maxBytes: 64 * MIB, durability, smallBlobBytes });
    const dispose = () => rm(directory, { recursive: true });
    return { store, dispose };
  };
}

function decorated(decorate: (store: BlobStore) => BlobStore) {
  return async () => ({ store: decorate(new MemoryBlobStore()) });
}

blobStoreContract(
  runner,
  'MemoryBlobStore',
  decorated((store) => store),
);
blobStoreContract(runner, 'an empty-blob store', decorated(withEmptyBlob));
blobStoreContract(
  runner,
  'a size-limited store',
  decorated((store) => withSizeLimit(store, 2 * MIB)),
);
blobStoreContract(
  runner,
  'a metered store',
  decorated((store) => withRecorder(store, { recordOperation: () => {} })),
);
blobStoreContract(
  runner,
  'a verified store',
  decorated((store) => withVerification(store)),
);
blobStoreContract(runner, 'DiskBlobStore', diskStore('data', 32 * 1024));
blobStoreContract(runner, 'DiskBlobStore without syncs and small blobs', diskStore('none', 0));
blobStoreContract(runner, 'DiskBlobStore with full durability', diskStore('full', 32 * 1024));

actionResultStoreContract(runner, 'MemoryActionResultStore', async () => ({ store: new MemoryActionResultStore() }));
actionResultStoreContract(runner, 'DiskBlobStore.actionResults', async () => {
  const { store, dispose } = await diskStore('data', 32 * 1024)();
  return {
    store: store.actionResults,
    dispose: async () => {
      await store.close();
      await dispose();
    },
  };
});
