export {
  ChaosLayer,
  type ChaosLayerOptions,
  type ChaosOperation,
  type Fault,
  type RandomFaults,
} from './chaos-layer.js';
export { FakeRedis, type FakeRedisOptions } from './fake-redis.js';
export { type LayerContractOptions, type LayerUnderTest, layerContract } from './layer-contract.js';
export { type TagIndexUnderTest, tagIndexContract } from './tag-index-contract.js';
export type { Expectation, TestRunner } from './test-runner.js';
