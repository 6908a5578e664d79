export type { RedisAddress, RedisTlsOptions } from './redis-address.js';
export { openRedisTier, RedisTier, type RedisTierOptions } from './redis-tier.js';
