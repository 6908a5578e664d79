export * from './blob-store.js';
export { BufferReader, iterateReader, readAll, readRange } from './buffer-reader.js';
export { withEmptyBlob } from './decorators/empty-blob-store.js';
export {
  type StoreOperation,
  type StoreOutcome,
  type StoreRecorder,
  withRecorder,
} from './decorators/metered-store.js';
export { withResilientResults } from './decorators/resilient-results.js';
export { withResilience } from './decorators/resilient-store.js';
export { withSizeLimit } from './decorators/size-limited-store.js';
export { optionsInSpan } from './decorators/traced-options.js';
export { withTracing } from './decorators/traced-store.js';
export { type MismatchListener, withVerification } from './decorators/verified-store.js';
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
export { DiskBlobStore, type DiskBlobStoreStats } from './disk/disk-blob-store.js';
export { commitFailure } from './disk/failure.js';
export { type FileStatus, type FileSystem, nodeFileSystem, type OpenFile } from './disk/files/file-system.js';
export { WRITE_BEHIND_FOLDER } from './disk/files/store-directory.js';
export { actionResultPin, blobPin, EntryPins } from './disk/index/entry-pins.js';
export type { DiskBlobStoreOptions, Durability, Eviction } from './disk/options.js';
export { type VerifyFinding, type VerifyOptions, type VerifyReport, verifyStore } from './disk/verify.js';
export * from './errors.js';
export { MemoryActionResultStore } from './memory/memory-action-result-store.js';
export { MemoryBlobStore } from './memory/memory-blob-store.js';
export {
  isRemoteStoreError,
  type RemoteFailure,
  RemoteStoreError,
  type RemoteStoreErrorOptions,
} from './remote/remote-store-error.js';
export type { ExistenceCacheOptions } from './tiered/existence-cache.js';
export { resilientTier } from './tiered/resilience/resilient-tier.js';
export type { StoreResilienceOptions } from './tiered/resilience/store-policies.js';
export { TierBreaker } from './tiered/resilience/tier-breaker.js';
export type { ResultTier } from './tiered/result-tier.js';
export type { Tier, TierMode } from './tiered/tier.js';
export type { TierAccess } from './tiered/tier-access.js';
export { TierWrites, type TierWritesOptions, type WriteBehind } from './tiered/tier-writes.js';
export { TieredActionResultStore, type TieredActionResultStoreOptions } from './tiered/tiered-action-result-store.js';
export { TieredBlobStore, type TieredBlobStoreOptions } from './tiered/tiered-blob-store.js';
export { writeBehindTargets } from './tiered/write-behind/targets.js';
export type { TierQueueStats } from './tiered/write-behind/tier-queue.js';
export {
  type DropReason,
  WriteBehindQueue,
  type WriteBehindQueueOptions,
  type WriteBehindTarget,
} from './tiered/write-behind/write-behind-queue.js';
