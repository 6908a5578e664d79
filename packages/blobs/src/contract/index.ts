export { type ActionResultsUnderTest, actionResultStoreContract } from './action-result-store-contract.js';
export { blobStoreContract, type StoreUnderTest } from './blob-store-contract.js';
export type { Expectation, TestRunner } from './test-runner.js';
