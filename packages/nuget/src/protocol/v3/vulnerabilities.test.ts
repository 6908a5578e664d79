import { describe, expect, it } from 'vitest';
import { type FakeAnswer, fakeV3Feed } from '../../testing/fake-feed.js';
import { V3Provider } from './v3-provider.js';

const INDEX = 'vulnerabilities/index.json';
const page = (name: unknown, id: unknown = `${name}.json`) => ({
  '@name': name,
  '@id': id,
  '@updated': '2024-01-01T00:00:00Z',
});
const known = (url: unknown, severity: unknown, versions: unknown) => ({ url, severity, versions });
const feedOf = (index: FakeAnswer, pages: Readonly<Record<string, FakeAnswer>> = {}) =>
  fakeV3Feed({
    [INDEX]: index,
    ...Object.fromEntries(Object.entries(pages).map(([name, answer]) => [`vulnerabilities/${name}.json`, answer])),
  });

describe('known vulnerabilities', () => {
  it('are those of all pages together, by id in lower case, each once', async () => {
    const same = known('https://a.test/1', 1, '(, 2.0.0)');
    const feed = feedOf([page('base'), page('update')], {
      base: {
        'one.package': [same, known('https://a.test/2', '3', '[1.0.0]')],
        'two.package': [known('https://a.test/3', 0, '*')],
      },
      update: {
        'One.Package': [same, known('https://a.test/4', 2, '[3.0.0, 4.0.0)')],
        'ONE.Package': [known('https://a.test/5', 0, '[5.0.0]')],
      },
    });
    const index = await new V3Provider(feed).vulnerabilities();
    expect([...index!.keys()]).toEqual(['one.package', 'two.package']);
    const seen = index!.get('one.package')?.map(({ advisoryUrl, severity }) => [advisoryUrl, severity]);
    expect(seen).toEqual([
      ['https://a.test/1', 'moderate'],
      ['https://a.test/2', 'critical'],
      ['https://a.test/4', 'high'],
      ['https://a.test/5', 'low'],
    ]);
    expect(index!.get('one.package')?.[0]?.range.toNormalizedString()).toBe('(, 2.0.0)');
    expect(feed.requests.slice(-3).map(({ cacheKey }) => cacheKey)).toEqual([
      'vuln_index',
      'vuln_data_base',
      'vuln_data_update',
    ]);
  });

  it('are merged soon however much is said of one id, in however many spellings', async () => {
    const many = Array.from({ length: 60_000 }, (_, i) => known(`https://a.test/${i}`, 1, '*'));
    const spellings = Array.from({ length: 17 }, (_, i) => i);
    const spelt = (n: number) => spellings.map((i) => (n & (1 << i) ? 'A' : 'a')).join('');
    const feed = feedOf([page('base'), page('update')], {
      base: { one: many, ...Object.fromEntries(many.map((each, n) => [spelt(n), [each]])) },
      update: { one: many },
    });
    const index = await new V3Provider(feed).vulnerabilities();
    expect(index?.get('one')?.length).toBe(many.length);
    expect(index?.get(spelt(0))?.length).toBe(many.length);
  });

  it('are kept under no name that is none for a file', async () => {
    const feed = feedOf([page('../x', 'a.json'), page(7, 'b.json'), page('n'.repeat(33), 'c.json')], {
      a: {},
      b: {},
      c: {},
    });
    expect(await new V3Provider(feed).vulnerabilities()).toEqual(new Map());
    expect(feed.requests.slice(-3).map(({ cacheKey }) => cacheKey)).toEqual([undefined, undefined, undefined]);
  });

  it('are without what makes no sense', async () => {
    const odd = [
      null,
      7,
      {},
      known('', 1, '1.0'),
      known('https://a.test/', 1, 'nonsense'),
      known('https://a.test/', 1, 7),
    ];
    const feed = feedOf([page('base')], {
      base: { a: odd, b: 'x', __proto__: 1, c: [...odd, known('https://a.test/', 'x', '1.0')] },
    });
    const index = await new V3Provider(feed).vulnerabilities();
    expect([...index!.keys()]).toEqual(['c']);
    expect(index!.get('c')).toHaveLength(1);
  });

  it('are none of this source when it does not tell any', async () => {
    expect(await new V3Provider(fakeV3Feed({}, {})).vulnerabilities()).toBeUndefined();
    expect(await new V3Provider(feedOf([])).vulnerabilities()).toEqual(new Map());
  });

  it('fail as a whole when a part is missing', async () => {
    await expect(new V3Provider(feedOf(undefined)).vulnerabilities()).rejects.toMatchObject({ statusCode: 404 });
    const missing = feedOf([page('base'), page('update')], { base: {} });
    await expect(new V3Provider(missing).vulnerabilities()).rejects.toMatchObject({ code: 'PROTOCOL' });
    const broken = feedOf([page('base')], { base: 503 });
    await expect(new V3Provider(broken).vulnerabilities()).rejects.toMatchObject({ statusCode: 503 });
  });

  it.each([
    ['an index that is no array', feedOf({}), 'PROTOCOL'],
    ['an index of HTML', feedOf('<html>'), 'PROTOCOL'],
    ['a page that is neither http nor https', feedOf([page('a', 'file:///etc/passwd')]), 'PROTOCOL'],
    ['a page that is an array', feedOf([page('a')], { a: [] }), 'PROTOCOL'],
    ['too many pages', feedOf(Array.from({ length: 33 }, (_, i) => page(`p${i}`))), 'LIMIT'],
  ])('refuse %s', async (_, feed, code) => {
    await expect(new V3Provider(feed).vulnerabilities()).rejects.toMatchObject({ code });
  });
});
