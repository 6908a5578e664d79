export { buildNuspec, buildPackage, type DependencyInit, type NuspecInit, type PackageInit } from './build-package.js';
export {
  type FakeAnswer,
  FakeFeed,
  type FakeFeedOptions,
  type FakeRequest,
  fakeFeed,
  fakeV3Feed,
} from './fake-feed.js';
export type { FeedFault } from './feed-server/faults.js';
export type { FeedPackage, FeedPackages } from './feed-server/feed-packages.js';
export type { FeedRequest, RequestLog, RequestMatch } from './feed-server/request-log.js';
export type {
  FeedPackageInit,
  FeedServerOptions,
  FeedSettings,
  FeedVulnerability,
  ListedPackageInit,
  SignedPackages,
} from './feed-server/settings.js';
export { FeedServer, startFeedServer } from './feed-server.js';
export { writeZip, type ZipEntryInit, type ZipOptions } from './zip-writer.js';
