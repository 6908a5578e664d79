import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { fakeV3Feed } from '../../testing/fake-feed.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { V3Provider } from './v3-provider.js';

const BASE = 'https://feed.test/v3/content';
const identity = (id: string, version: string) => ({ id, version: NuGetVersion.parse(version) });
const texts = (versions: readonly NuGetVersion[]) => versions.map((version) => version.toNormalizedString());

describe('a flat container', () => {
  it('lists versions in ascending order, each once, without those that are none', async () => {
    const versions = ['10.0.0', '2.0.0', '2.0.0-beta', '2.0', '1.0.0.1', 'nonsense', 7, null, '2.0.0+build'];
    const feed = fakeV3Feed({ 'content/my.package/index.json': { versions } });
    const listed = await new V3Provider(feed).listVersions('My.Package');
    expect(texts(listed)).toEqual(['1.0.0.1', '2.0.0-beta', '2.0.0', '10.0.0']);
    expect(feed.requests.map(({ url, cacheKey }) => [url, cacheKey])).toContainEqual([
      `${BASE}/my.package/index.json`,
      'list_my.package',
    ]);
  });

  it('has no versions of a package that it has not got', async () => {
    expect(await new V3Provider(fakeV3Feed()).listVersions('Nothing')).toEqual([]);
  });

  it.each([['<html>'], ['[]'], ['{}'], ['{"versions":"1.0.0"}']])('refuses a list that is %s', async (body) => {
    const feed = fakeV3Feed({ 'content/a/index.json': body });
    await expect(new V3Provider(feed).listVersions('a')).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  it('gives a package by id and version in lower case, without metadata', async () => {
    const feed = fakeV3Feed({ 'content/my.package/1.0.0-beta.1/my.package.1.0.0-beta.1.nupkg': Buffer.from('zip') });
    const provider = new V3Provider(feed);
    const stream = await provider.downloadPackage(identity('My.Package', '1.0-BETA.1+build.7'));
    expect((await buffer(stream!.body)).toString()).toBe('zip');
    expect(stream?.length).toBe(3);
    expect(await provider.downloadPackage(identity('My.Package', '2.0'))).toBeUndefined();
  });

  it('encodes ids', async () => {
    const feed = fakeV3Feed();
    await new V3Provider(feed).downloadPackage(identity('Ünï.Cödé', '1.0.0'));
    expect(feed.urls.at(-1)).toBe(
      `${BASE}/%C3%BCn%C3%AF.c%C3%B6d%C3%A9/1.0.0/%C3%BCn%C3%AF.c%C3%B6d%C3%A9.1.0.0.nupkg`,
    );
  });

  it.each([['../../etc'], ['a/b'], [''], ['a?b'], ['a..b'], ['a%2fb']])(
    'asks for no id that is none: %j',
    async (id) => {
      const feed = fakeV3Feed();
      const provider = new V3Provider(feed);
      await expect(provider.listVersions(id)).rejects.toMatchObject({ code: 'INVALID_PACKAGE_ID' });
      await expect(provider.downloadPackage(identity(id, '1.0.0'))).rejects.toMatchObject({
        code: 'INVALID_PACKAGE_ID',
      });
      await expect(provider.getNuspec(identity(id, '1.0.0'))).rejects.toMatchObject({ code: 'INVALID_PACKAGE_ID' });
      expect(feed.urls.filter((url) => url.startsWith(BASE))).toEqual([]);
    },
  );

  it('gives a nuspec, and no web page in its stead', async () => {
    const nuspec = '\u{feff}<?xml version="1.0"?><package/>';
    const feed = fakeV3Feed({
      'content/a/1.0.0/a.nuspec': nuspec,
      'content/b/1.0.0/b.nuspec': 'gone',
      'content/c/1.0.0/c.nuspec': '<!DOCTYPE html>',
    });
    const provider = new V3Provider(feed);
    expect((await provider.getNuspec(identity('A', '1.0.0.0')))?.toString()).toBe(nuspec);
    expect(feed.requests.at(-1)?.cacheKey).toBe('nuspec_a.1.0.0');
    expect(await provider.getNuspec(identity('A', '2.0.0'))).toBeUndefined();
    for (const id of ['b', 'c']) {
      await expect(provider.getNuspec(identity(id, '1.0.0'))).rejects.toMatchObject({ code: 'PROTOCOL' });
    }
  });

  it('keeps the query of an endpoint, and adds the slash that one lacks', async () => {
    const feed = fakeV3Feed(
      { 'https://cdn.test/x/a/index.json?sig=1': { versions: ['1.0.0'] } },
      {
        'PackageBaseAddress/3.0.0': 'https://cdn.test/x?sig=1',
      },
    );
    expect(texts(await new V3Provider(feed).listVersions('a'))).toEqual(['1.0.0']);
  });

  it('never shows that query', async () => {
    const answers = {
      'https://cdn.test/x/a/index.json?sig=s3cret': {},
      'https://cdn.test/x/a/1.0.0/a.nuspec?sig=s3cret': 'gone',
    };
    const provider = new V3Provider(
      fakeV3Feed(answers, { 'PackageBaseAddress/3.0.0': 'https://cdn.test/x?sig=s3cret' }),
    );
    const list = 'fake: https://cdn.test/x/a/index.json is no list of versions';
    await expect(provider.listVersions('a')).rejects.toMatchObject({ message: list });
    const nuspec = 'fake: https://cdn.test/x/a/1.0.0/a.nuspec is no nuspec';
    await expect(provider.getNuspec(identity('a', '1.0.0'))).rejects.toMatchObject({ message: nuspec });
  });

  it('takes null for a list without versions', async () => {
    const provider = new V3Provider(fakeV3Feed({ 'content/a/index.json': { versions: null } }));
    expect(await provider.listVersions('a')).toEqual([]);
  });

  it('asks the next endpoint when one fails, but not when it has not got the package', async () => {
    const resources = { 'PackageBaseAddress/3.0.0': ['https://one.test/', 'https://two.test/', 'https://three.test/'] };
    const answers = {
      'https://one.test/a/index.json': 503,
      'https://two.test/a/index.json': '<html>',
      'https://three.test/a/index.json': { versions: ['1.0.0'] },
      'https://two.test/b/index.json': { versions: ['1.0.0'] },
      'https://one.test/c/index.json': 500,
      'https://two.test/c/index.json': 500,
      'https://three.test/c/index.json': 429,
    };
    const feed = fakeV3Feed(answers, resources);
    const provider = new V3Provider(feed);
    expect(texts(await provider.listVersions('a'))).toEqual(['1.0.0']);
    expect(await provider.listVersions('b')).toEqual([]);
    await expect(provider.listVersions('c')).rejects.toMatchObject({ statusCode: 429 });
  });

  it('asks no other endpoint once the caller has gone', async () => {
    const abort = new AbortController();
    const resources = { 'PackageBaseAddress/3.0.0': ['https://one.test/', 'https://two.test/'] };
    const leave = () => {
      abort.abort('gone');
      return 503;
    };
    const feed = fakeV3Feed({ 'https://one.test/a/index.json': leave }, resources);
    await expect(new V3Provider(feed).listVersions('a', { signal: abort.signal })).rejects.toBe('gone');
    expect(feed.urls.at(-1)).toBe('https://one.test/a/index.json');
  });

  it('is bounded', async () => {
    const feed = fakeV3Feed({ 'content/a/1.0.0/a.nuspec': Buffer.alloc(4 * 1024 * 1024 + 1) });
    await expect(new V3Provider(feed).getNuspec(identity('a', '1.0.0'))).rejects.toMatchObject({ code: 'LIMIT' });
  });
});
