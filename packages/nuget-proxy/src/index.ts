export { FeedUnavailableError } from './errors.js';
export type {
  Answer,
  FeedCall,
  FeedContent,
  FeedSignatures,
  PackageContent,
  PackagePart,
  PackageReader,
  PackageSignatures,
  PushCall,
  ReceivedPackage,
  SigningCertificate,
} from './feed/feed-content.js';
export { recordOf } from './feed/record-of.js';
export { HostedFeed, type HostedFeedOptions, type HostedFeedStats } from './hosted/hosted-feed.js';
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
export { KeptPackages, type KeptPackagesOptions } from './packages/kept-packages.js';
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
