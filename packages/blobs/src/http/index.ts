export { HttpTier } from './http-tier.js';
export type { HttpTierOptions } from './options.js';
