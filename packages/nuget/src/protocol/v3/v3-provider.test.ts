import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { SourceCacheContext } from '../../source/source-cache-context.js';
import { fakeFeed, fakeV3Feed } from '../../testing/fake-feed.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { V3Provider } from './v3-provider.js';

const identity = { id: 'A', version: NuGetVersion.parse('1.0.0') };

describe('the provider of protocol 3', () => {
  it('finds out from the service index where everything is', async () => {
    const feed = fakeV3Feed();
    const provider = new V3Provider(feed);
    expect(provider.protocol).toBe('v3');
    expect((await provider.serviceIndex()).version.toNormalizedString()).toBe('3.0.0');
    expect(feed.requests[0]).toMatchObject({ url: feed.url, cacheKey: 'service_index' });
  });

  it.each([
    ['nothing', undefined],
    ['a login page', '<html>'],
    ['another protocol', '{"version":"2.0.0","resources":[]}'],
  ])('fails when there is %s at the URL of the source', async (_, answer) => {
    const provider = new V3Provider(fakeFeed({ 'index.json': answer }));
    await expect(provider.listVersions('A')).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  it('lists versions and downloads by the registration where there is no flat container', async () => {
    const leaf = { catalogEntry: { id: 'A', version: '1.0.0' }, packageContent: 'https://content.test/a.nupkg' };
    const feed = fakeV3Feed(
      { 'registration/a/index.json': { items: [{ items: [leaf] }] }, 'https://content.test/a.nupkg': 'zip' },
      { 'RegistrationsBaseUrl/3.6.0': 'registration' },
    );
    const provider = new V3Provider(feed);
    expect((await provider.listVersions('a')).map(String)).toEqual(['1.0.0']);
    expect((await buffer((await provider.downloadPackage(identity))!.body)).toString()).toBe('zip');
    expect(await provider.downloadPackage({ id: 'B', version: identity.version })).toBeUndefined();
    await expect(provider.getNuspec(identity)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  it('says what a source does not offer', async () => {
    const provider = new V3Provider(fakeV3Feed({}, {}));
    await expect(provider.getMetadata(identity)).rejects.toThrow(/fake: it doesn't offer metadata of packages/);
    await expect(provider.listVersions('A')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(provider.downloadPackage(identity)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  it('hands on the signal and the cache context, but takes the service index from a cache all the same', async () => {
    const feed = fakeV3Feed();
    const provider = new V3Provider(feed);
    const cacheContext = new SourceCacheContext({ maxAgeMs: 0, refreshMemoryCache: true, sessionId: 'mine' });
    const signal = new AbortController().signal;
    await provider.listVersions('A', { cacheContext, signal });
    await provider.getMetadata(identity, { cacheContext, signal });
    const [index, versions] = feed.requests;
    expect(versions?.options).toMatchObject({ cacheContext, signal });
    expect(index?.options.signal).toBe(signal);
    expect(index?.options.cacheContext).toMatchObject({ refreshMemoryCache: false, sessionId: 'mine' });
    expect(index?.options.cacheContext?.effectiveMaxAgeMs).toBeGreaterThan(0);
    expect(feed.urls).toEqual([feed.url, versions?.url, feed.url, 'https://feed.test/v3/registration/a/index.json']);
    // The same context each time, so that what is kept for a context is found again.
    expect(feed.requests.filter(({ url }) => url === feed.url).map(({ options }) => options.cacheContext)).toEqual(
      feed.requests.filter(({ url }) => url === feed.url).map(() => index?.options.cacheContext),
    );
  });

  it.each([{ noCache: true }, { directDownload: true }])(
    'asks for the service index once for each context that is past the caches: %o',
    async (past) => {
      const feed = fakeV3Feed();
      const provider = new V3Provider(feed);
      const cacheContext = new SourceCacheContext(past);
      await provider.listVersions('A', { cacheContext });
      await provider.getMetadata(identity, { cacheContext });
      const indexes = () => feed.requests.filter(({ url }) => url === feed.url);
      expect(indexes().map(({ options }) => options.cacheContext)).toMatchObject([past]);
      await provider.listVersions('A', { cacheContext: new SourceCacheContext(past) });
      expect(indexes()).toHaveLength(2);
    },
  );

  it('ends when the caller does', async () => {
    const signal = AbortSignal.abort('enough');
    await expect(new V3Provider(fakeV3Feed()).listMetadata('A', { signal })).rejects.toBe('enough');
  });

  it('uses what is for clients of the version that it is told', async () => {
    const resources = [
      { '@id': 'https://new.test/', '@type': 'PackageBaseAddress/Versioned', clientVersion: '7.0.0' },
      { '@id': 'https://old.test/', '@type': 'PackageBaseAddress/3.0.0' },
    ];
    const feed = fakeFeed({ 'index.json': { version: '3.0.0', resources } });
    await new V3Provider(feed).listVersions('A');
    await new V3Provider(feed, { clientVersion: '7.0.1' }).listVersions('A');
    expect(feed.urls.filter((url) => url.includes('/a/'))).toEqual([
      'https://old.test/a/index.json',
      'https://new.test/a/index.json',
    ]);
  });

  it.each([
    [{ concurrency: 0 }, 'INVALID_OPTION'],
    [{ maxDocuments: 1.5 }, 'INVALID_OPTION'],
    [{ clientVersion: 'new' }, 'INVALID_VERSION'],
  ])('refuses %j', (options, code) => {
    expect(() => new V3Provider(fakeV3Feed(), options)).toThrow(expect.objectContaining({ code }));
  });
});
