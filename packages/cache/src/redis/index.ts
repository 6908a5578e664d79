export type { RedisClusterConnection, RedisConnection } from './connect.js';
export type { RedisCallOptions } from './redis-calls.js';
export type { RedisClient, RedisCommands, RedisPipeline } from './redis-client.js';
export { RedisInvalidationBus, type RedisInvalidationBusOptions } from './redis-invalidation-bus.js';
export { RedisLayer, type RedisLayerOptions } from './redis-layer.js';
export { RedisTagIndex, type RedisTagIndexOptions } from './redis-tag-index.js';
