import { describe, expect, it } from 'vitest';
import { UpstreamAddresses } from './upstream-addresses.js';

describe('the addresses of a source', () => {
  const addresses = new UpstreamAddresses([
    'https://api.feed.test/v3/index.json',
    'https://api.feed.test/v3-flatcontainer/',
    'https://search-1.feed.test/query',
    'https://www.feed.test/api/v2',
    'https://www.feed.test/packages/',
    'https://static.feed.test:8443/index.json',
    'no URL',
  ]);

  it.each([
    'https://api.feed.test/v3/registration/a/index.json',
    'https://api.feed.test/v3-flatcontainer/a/1.0.0/icon',
    'https://API.feed.test:443/v3-flatcontainer/a/1.0.0/icon',
    'https://api.feed.test/V3-FlatContainer/a/1.0.0/icon?x=1#y',
    'https://search-1.feed.test/query?q=a',
    'https://www.feed.test/api/v2',
    'https://www.feed.test/api/v2/package/a/1.0.0',
    'https://www.feed.test/packages/A/1.0.0/license',
    'https://static.feed.test:8443/anything',
  ])('have %s among them', (url) => {
    expect(addresses.has(url)).toBe(true);
  });

  it.each([
    'https://www.feed.test/',
    'https://www.feed.test/policies/licences/mit',
    'https://www.feed.test/api/v20',
    'https://search-1.feed.test/queryplan',
    'https://static.feed.test/anything',
    'https://github.com/author/project',
    'author/project',
    '',
  ])('do not have %s among them', (url) => {
    expect(addresses.has(url)).toBe(false);
  });
});
