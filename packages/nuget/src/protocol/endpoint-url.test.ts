import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { below, httpUrl, shownUrl, withQuery } from './endpoint-url.js';

const BASE = 'https://feed.test/v3/index.json';

describe('a URL in a document', () => {
  it.each([
    ['https://a.test/b', 'https://a.test/b'],
    ['https://a.test/b/../c', 'https://a.test/c'],
    ['HTTPS://A.test:443/b', 'https://a.test/b'],
    ['//a.test/b', 'https://a.test/b'],
    ['b c', 'https://feed.test/v3/b%20c'],
    ['', undefined],
    ['file:///b', undefined],
    ['data:text/plain,b', undefined],
    [7, undefined],
    [undefined, undefined],
  ])('%j is %j', (text, url) => {
    expect(httpUrl(text, BASE)).toBe(url);
  });

  // Some runtimes take these, and some don't.
  it.each(['https://xn--/b', 'https://xn--a.test/'])('%j is what the runtime makes of it', (text) => {
    expect(httpUrl(text, BASE)).toBe(URL.canParse(text) ? new URL(text).href : undefined);
  });

  it('is the one that a browser would see, however it is written', () => {
    const parts = [
      'http',
      'https',
      '://',
      'a',
      '.test',
      '.1',
      'xn--',
      '-',
      ':',
      '80',
      '/',
      '.',
      '..',
      '?',
      '#',
      '%2e',
      '\\',
      'é',
    ];
    const text = fc.array(fc.constantFrom(...parts), { maxLength: 9 }).map((each) => each.join(''));
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          text.map((rest) => `https://a.test/${rest}`),
          text.map((rest) => `https://${rest}.test/`),
        ),
        (url) => {
          const seen = parsed(url);
          const isHttp = url !== '' && (seen?.protocol === 'http:' || seen?.protocol === 'https:');
          expect(httpUrl(url, BASE)).toBe(isHttp ? seen?.href : undefined);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

function parsed(url: string): URL | undefined {
  try {
    return new URL(url, BASE);
  } catch {
    return undefined;
  }
}

describe('a URL below an endpoint', () => {
  it.each([
    ['https://a.test', ['b'], 'https://a.test/b'],
    ['https://a.test/x/', ['b', 'c'], 'https://a.test/x/b/c'],
    ['https://a.test/x?sig=1#z', ['b'], 'https://a.test/x/b?sig=1#z'],
    ['https://a.test/x', [''], 'https://a.test/x/'],
    ['https://a.test/%7Bx%7D/', ['b/c?d', 'é'], 'https://a.test/%7Bx%7D/b%2Fc%3Fd/%C3%A9'],
  ])('%s with %j is %s', (endpoint, segments, url) => {
    expect(below(endpoint, ...segments)).toBe(url);
  });

  it('keeps the query that an endpoint has', () => {
    expect(withQuery('https://a.test/q', [['x', 'a&b']])).toBe('https://a.test/q?x=a%26b');
    expect(withQuery('https://a.test/q?y=1', [['x', 'é']])).toBe('https://a.test/q?y=1&x=%C3%A9');
  });

  it('is shown without what is nobody’s business', () => {
    expect(shownUrl('https://me:secret@a.test/b?sig=secret#c')).toBe('https://a.test/b');
    const key = '0f8fad5b-d9cb-469f-a165-70867728950e';
    expect(shownUrl(`https://a.test/F/b/auth/${key}/api/v3/index.json`)).toBe(
      'https://a.test/F/b/auth/[redacted]/api/v3/index.json',
    );
    expect(shownUrl(`https://a.test/F/b/AUTH/${key}`)).toBe('https://a.test/F/b/AUTH/[redacted]');
    expect(shownUrl('https://a.test/auth/app/nuget/feed')).toBe('https://a.test/auth/app/nuget/feed');
    const cloudsmith = (first: string) => `https://dl.cloudsmith.io/${first}/acme/tools/nuget/v3/index.json`;
    expect(shownUrl(cloudsmith('aBcD1234eFgH5678'))).toBe(cloudsmith('[redacted]'));
    for (const first of ['public', 'basic']) expect(shownUrl(cloudsmith(first))).toBe(cloudsmith(first));
    expect(shownUrl('nonsense')).toBe('the URL');
  });
});
