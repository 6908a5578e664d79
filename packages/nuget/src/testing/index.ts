export { type FakeAnswer, FakeFeed, type FakeFeedOptions, type FakeRequest, fakeFeed } from './fake-feed.js';
