import { describe, expect, it } from 'vitest';
import { fakeV3Feed } from '../../testing/fake-feed.js';
import { NuGetVersion } from '../../versions/nuget-version.js';
import { UriTemplate } from './templates.js';
import { V3Provider } from './v3-provider.js';

const BASE = 'https://feed.test/v3/index.json';

describe('a template', () => {
  it.each([
    ['https://a.test/{id}/{version}', 'https://a.test/My%20Id/1.0.0'],
    ['https://a.test/{ID}?v={Version}#{id}', 'https://a.test/My%20Id?v=1.0.0#My%20Id'],
    ['/{id}', 'https://feed.test/My%20Id'],
    ['https://{id}/', undefined],
    ['https://a.test/plain', 'https://a.test/plain'],
    ['https://a.test/{unknown}', 'https://a.test/{unknown}'],
    ['https://a.test/{constructor}', 'https://a.test/{constructor}'],
    ['javascript:{id}', undefined],
    ['{id}:alert(1)', 'https://feed.test/v3/My%20Id:alert(1)'],
    ['ftp://a.test/{id}', undefined],
  ])('%s is %s', (text, url) => {
    expect(new UriTemplate(text, BASE).expand({ id: 'My Id', version: '1.0.0' })).toBe(url);
  });

  it('stays where it is, whatever the values are', () => {
    const url = new UriTemplate('https://a.test/x/{id}/y', BASE).expand({ id: '/../..//evil.test?#@\\' });
    expect(new URL(url!).host).toBe('a.test');
    expect(url).toBe('https://a.test/x/%2F..%2F..%2F%2Fevil.test%3F%23%40%5C/y');
  });
});

describe('pages of packages', () => {
  const identity = { id: 'My.Package', version: NuGetVersion.parse('1.0.0-Beta+build') };

  it('are where the source says', async () => {
    const pages = await new V3Provider(fakeV3Feed()).pages();
    expect(pages.details(identity)).toBe('https://feed.test/v3/packages/My.Package/1.0.0-Beta');
    expect(pages.reportAbuse(identity)).toBe('https://feed.test/v3/packages/My.Package/1.0.0-Beta/report');
    expect(pages.readme(identity)).toBe('https://feed.test/v3/readmes/my.package/1.0.0-beta');
    expect(pages.owner('some body')).toBe('https://feed.test/v3/owners/some%20body');
  });

  it('are nowhere when it does not say', async () => {
    const pages = await new V3Provider(fakeV3Feed({}, {})).pages();
    expect([pages.details(identity), pages.reportAbuse(identity), pages.readme(identity), pages.owner('x')]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('readmes', () => {
  const identity = { id: 'My.Package', version: NuGetVersion.parse('1.0.0-Beta+build') };

  it('come from where the source says, as they are', async () => {
    const provider = new V3Provider(fakeV3Feed({ 'readmes/my.package/1.0.0-beta': '# Mine' }));
    expect(String(await provider.getReadme(identity))).toBe('# Mine');
    expect(await provider.getReadme({ ...identity, id: 'Other' })).toBeUndefined();
    await expect(provider.getReadme(identity, { maxBytes: 5 })).rejects.toMatchObject({ code: 'LIMIT' });
  });

  it('are nowhere beside the packages of most sources', async () => {
    const provider = new V3Provider(fakeV3Feed({}, {}));
    await expect(provider.getReadme(identity)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});

describe('files that a source tells of', () => {
  it('come as they are, no longer than they may be', async () => {
    const icon = Buffer.from([0x89, 0x50, 0]);
    const provider = new V3Provider(fakeV3Feed({ 'icon.png': icon, 'long.png': Buffer.alloc(4 * 1024 * 1024 + 1) }));
    expect(await provider.getFile('https://feed.test/v3/icon.png')).toEqual(icon);
    expect(await provider.getFile('https://feed.test/v3/other.png')).toBeUndefined();
    await expect(provider.getFile('https://feed.test/v3/long.png')).rejects.toMatchObject({ code: 'LIMIT' });
  });
});
