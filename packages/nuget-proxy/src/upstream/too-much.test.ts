import { nodeFileSystem } from '@granary/blobs';
import { HttpClient } from '@granary/http';
import { expect, it } from 'vitest';
import { StoreUnderTest, type TestStoreOptions } from '../packages/testing/store-under-test.js';
import { FeedUnderTest, identityOf } from './testing/feed-under-test.js';
import { UpstreamFeed } from './upstream-feed.js';

const full = { ...nodeFileSystem, freeBytes: async () => 0 };
const cases: readonly (readonly [what: string, TestStoreOptions, code: string])[] = [
  ['has no room for', { minFreeBytes: 1, fileSystem: full }, 'NO_SPACE'],
  ['takes none as long as', { maxPackageBytes: 100 }, 'LIMIT'],
];

it.each(cases)(
  'A package that this server %s is not called missing, whatever is said of a dead source',
  async (...of) => {
    const [, options, code] = of;
    await using disk = await StoreUnderTest.open(options);
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
    await expect(feed.package(a)).rejects.toMatchObject({ cause: { code } });
    await feed.close();
  },
);
