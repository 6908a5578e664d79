export type { RedisAddress } from './redis-address.js';
export { openRedisTier, RedisTier, type RedisTierOptions } from './redis-tier.js';
