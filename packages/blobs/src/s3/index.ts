export type { S3Credentials, S3TierOptions, S3TlsOptions } from './options.js';
export { S3Tier } from './s3-tier.js';
