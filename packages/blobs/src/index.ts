export * from './blob-store.js';
export { Digest, emptyDigest, isEmptyDigest } from './digest.js';
export {
  createHasher,
  DEFAULT_DIGEST_FUNCTIONS,
  DIGEST_FUNCTIONS,
  type DigestFunction,
  HASH_BYTES,
  type Hasher,
  hashBytes,
  inferDigestFunction,
  isDigestFunction,
} from './digest-function.js';
export * from './errors.js';
