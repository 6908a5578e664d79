export type { RedisActionResultStore } from './redis-action-result-store.js';
export type { RedisAddress, RedisTlsOptions } from './redis-address.js';
export type { RedisBlobStore } from './redis-blob-store.js';
export { openRedisTier, RedisTier, type RedisTierOptions } from './redis-tier.js';
