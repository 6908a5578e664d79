export { type LayerContractOptions, type LayerUnderTest, layerContract } from './layer-contract.js';
export type { Expectation, TestRunner } from './test-runner.js';
