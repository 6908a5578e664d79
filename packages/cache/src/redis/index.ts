export { BATCH_BYTES, byNode, pipelinedEach, type RedisCommand } from './commands/batches.js';
export { type RedisCallOptions, RedisCalls } from './commands/redis-calls.js';
export type { RedisClusterConnection, RedisConnection } from './connect.js';
export {
  isCluster,
  type RedisClient,
  type RedisClusterClient,
  type RedisCommands,
  type RedisPipeline,
} from './redis-client.js';
export { RedisInvalidationBus, type RedisInvalidationBusOptions } from './redis-invalidation-bus.js';
export { RedisLayer, type RedisLayerOptions } from './redis-layer.js';
export { RedisTagIndex, type RedisTagIndexOptions } from './redis-tag-index.js';
export { StoredKeys } from './stored-key.js';
