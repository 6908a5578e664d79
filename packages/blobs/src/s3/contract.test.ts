import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { actionResultStoreContract, blobStoreContract } from '../contract/index.js';
import type { S3TierOptions } from './options.js';
import { TestBucket } from './testing/test-bucket.js';

const runner = { describe, it, expect };

let bucket: TestBucket;
beforeAll(async () => {
  bucket = await TestBucket.start();
});
afterAll(() => bucket[Symbol.asyncDispose]());

/** Each store has a prefix of its own, so that it is empty. */
let stores = 0;
const start = (options: Partial<S3TierOptions> = {}) => bucket.tier({ prefix: `store/${stores++}`, ...options });

blobStoreContract(runner, 'S3Tier.blobs', async () => {
  const tier = start();
  return { store: tier.blobs, dispose: () => tier.close() };
});
blobStoreContract(runner, 'S3Tier.blobs over one connection', async () => {
  const tier = start({ connections: 1, encryption: 'sse-s3' });
  return { store: tier.blobs, dispose: () => tier.close() };
});

actionResultStoreContract(runner, 'S3Tier.actionResults', async () => {
  const tier = start();
  return { store: tier.actionResults, dispose: () => tier.close() };
});
