export { FeedUnavailableError } from './errors.js';
export type {
  Answer,
  CacheState,
  FeedCall,
  FeedContent,
  FeedSignatures,
  ListedVersion,
  PackageContent,
  PackagePart,
  PackageReader,
  PackageSignatures,
  PushCall,
  ReceivedPackage,
  SearchAnswer,
  SearchHit,
  SigningCertificate,
  Vulnerability,
} from './feed/feed-content.js';
export type { DependencyGroupRecord, PackageRecord } from './feed/package-record.js';
export { type IsOwnUrl, recordOf } from './feed/record-of.js';
export { HostedFeed, type HostedFeedOptions, type HostedFeedStats } from './hosted/hosted-feed.js';
export type { HostedStore } from './hosted/hosted-inventory.js';
export {
  type AccessDenial,
  FeedAccessError,
  type FeedCredentials,
  type FeedHooks,
  type FeedRequestRecord,
  type FeedRight,
} from './http/hooks.js';
export {
  createNuGetHandler,
  type NuGetHandler,
  type NuGetHandlerOptions,
  type NuGetLimits,
} from './http/nuget-handler.js';
export { MergedFeed, type MergedFeedOptions } from './merged/merged-feed.js';
export type { ExpectedPackage } from './packages/arriving/receive-package.js';
export type { EmbeddedFile } from './packages/embedded-file.js';
export { KeptPackages, type KeptPackagesOptions, type PackageOnList } from './packages/kept-packages.js';
export {
  type AdoptOptions,
  type FetchCall,
  type OpenUpstream,
  PackageStore,
} from './packages/package-store.js';
export type { PackageStoreOptions } from './packages/package-store-options.js';
export { StoredPackage } from './packages/stored-package.js';
export type { Kept } from './upstream/answers/kept-values.js';
export { UpstreamFeed } from './upstream/upstream-feed.js';
export {
  type KeptPackage,
  type PackageKeeper,
  type Upstream,
  type UpstreamFeedOptions,
  upstreamSourceOptions,
} from './upstream/upstream-feed-options.js';
export type { UpstreamStatus } from './upstream/upstream-health.js';
export { type UpstreamPatience, upstreamHttpOptions } from './upstream/upstream-http-options.js';
export type { ServiceIndexOptions } from './v3/service-index.js';
