import { isStoreError, nodeFileSystem } from '@granary/blobs';
import { HttpClient } from '@granary/http';
import { expect, it } from 'vitest';
import { StoreUnderTest } from '../packages/testing/store-under-test.js';
import { FeedUnderTest, identityOf } from './testing/feed-under-test.js';
import { UpstreamFeed } from './upstream-feed.js';

it('A package that this server has no room for is not called missing, whatever is said of a dead source', async () => {
  const fileSystem = { ...nodeFileSystem, freeBytes: async () => 0 };
  await using disk = await StoreUnderTest.open({ minFreeBytes: 1, fileSystem });
  await using local = await FeedUnderTest.start((options) => new HttpClient(options));
  const upstream = local.repository();
  const feed = new UpstreamFeed({
    name: 'up',
    upstream,
    packages: disk.store,
    layers: [local.layer()],
    deadUpstream: 404,
    notFoundTtlMs: 0,
  });
  const a = identityOf('Contoso.A');
  // That the source hadn't got it once doesn't change that.
  expect(await feed.versions('Contoso.A')).toBeUndefined();
  expect(await feed.package(a)).toBeUndefined();
  await local.server.packages.add({ id: 'Contoso.A', version: '1.0.0' });
  const failed = await feed.package(a).catch((error: unknown) => error);
  expect(isStoreError((failed as Error).cause)).toBe(true);
  await feed.close();
});
