import { describe, expect, it } from 'vitest';
import type { PackageContent } from '../feed/feed-content.js';
import { bytesOf, identityOf, packageOf, StoreUnderTest, Upstream } from './testing/store-under-test.js';

const KIB = 1024;
const A = identityOf('Contoso.A');

function read(content: PackageContent | undefined, part?: Parameters<PackageContent['open']>[0]): Promise<Buffer> {
  return bytesOf((content as PackageContent).open(part));
}

describe('a package that comes from upstream', () => {
  it('is stored, found and given byte for byte', async () => {
    await using t = await StoreUnderTest.open();
    const bytes = packageOf('Contoso.A', 300 * KIB);
    expect(await t.store.find('feed', A)).toBeUndefined();
    const content = await t.store.fetch('feed', A, async () => Upstream.whole(bytes).answer());
    expect(content?.state).toBe('miss');
    expect(content?.size).toBe(bytes.length);
    expect(await read(content)).toEqual(bytes);

    const found = await t.store.find('feed', identityOf('contoso.a', '1.0'));
    expect(found).toMatchObject({ state: 'hit', size: bytes.length, lastModified: new Date(t.time.clock()) });
    expect(found?.etag).toMatch(/^"[0-9a-f]{64}"$/);
    expect(await read(found)).toEqual(bytes);
    expect(await read(found, { offset: 1000, limit: 100_000 })).toEqual(bytes.subarray(1000, 101_000));
    expect(await t.store.find('another', A)).toBeUndefined();
    expect(t.incoming()).toEqual([]);
    expect(t.counted).toEqual(['miss package', 'download success', 'hit package', 'miss package']);
  });
});
