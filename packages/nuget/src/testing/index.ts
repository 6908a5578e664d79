export { buildNuspec, buildPackage, type DependencyInit, type NuspecInit, type PackageInit } from './build-package.js';
export { type FakeAnswer, FakeFeed, type FakeFeedOptions, type FakeRequest, fakeFeed } from './fake-feed.js';
export { writeZip, type ZipEntryInit, type ZipOptions } from './zip-writer.js';
