import { NuGetVersion } from '@granary/nuget';
import { describe, expect, it } from 'vitest';
import type { PackageRecord } from '../feed/package-record.js';
import { FeedUrls, type RegistrationHive } from '../http/feed-urls.js';
import { record } from '../http/testing/memory-feed.js';
import { Registration } from './registration.js';

const BASE = 'http://cache.test/nuget';
const V3 = `${BASE}/v3`;
const UPSTREAM = 'api.upstream.test';
const urls = new FeedUrls({ base: BASE, upstreamHosts: new Set([UPSTREAM]) });

const registration = (records: readonly PackageRecord[], hive: RegistrationHive = 'registration-gz-semver2') =>
  new Registration(urls, hive, records[0]?.id ?? 'A', records);
const plain = (document: object | undefined) => document && JSON.parse(JSON.stringify(document));
const version = (text: string) => NuGetVersion.parse(text);

const FULL = record('My.Package', '1.2.0-Beta+build', {
  published: '2026-01-02T03:04:05.000Z',
  title: 'Mine',
  description: 'What it does',
  summary: 'It does',
  authors: ['A', 'B'],
  owners: ['me'],
  tags: ['x', 'y'],
  language: 'en',
  iconUrl: 'https://icons.test/a.png',
  projectUrl: `https://${UPSTREAM}/project`,
  licenseUrl: 'javascript:alert(1)',
  licenseExpression: 'MIT',
  requireLicenseAcceptance: true,
  minClientVersion: '3.6',
  dependencyGroups: [
    { targetFramework: 'net8.0', dependencies: [{ id: 'Other.One', range: '[1.0.0, )' }] },
    { dependencies: [] },
  ],
  deprecation: { reasons: ['Legacy'], message: 'old', alternatePackage: { id: 'New', range: '(, )' } },
  vulnerabilities: [
    { advisoryUrl: 'https://advisories.test/1', severity: 2 },
    { advisoryUrl: `https://${UPSTREAM}/2`, severity: 0 },
  ],
});

describe('a registration', () => {
  const HIVE = `${V3}/registration-gz-semver2`;
  const LEAF = `${HIVE}/my.package/1.2.0-beta.json`;
  const CATALOG = `${HIVE}/my.package/catalog/1.2.0-beta.json`;
  const INDEX = `${HIVE}/my.package/index.json`;
  const CONTENT = `${V3}/flatcontainer/my.package/1.2.0-beta/my.package.1.2.0-beta.nupkg`;

  it('has its versions in its index', () => {
    expect(plain(registration([FULL]).index())).toEqual({
      '@id': INDEX,
      '@type': ['catalog:CatalogRoot', 'PackageRegistration', 'catalog:Permalink'],
      count: 1,
      items: [
        {
          '@id': `${HIVE}/my.package/page/1.2.0-beta/1.2.0-beta.json`,
          '@type': 'catalog:CatalogPage',
          count: 1,
          lower: '1.2.0-Beta',
          upper: '1.2.0-Beta',
          parent: INDEX,
          items: [
            {
              '@id': LEAF,
              '@type': 'Package',
              packageContent: CONTENT,
              registration: INDEX,
              catalogEntry: {
                '@id': CATALOG,
                '@type': 'PackageDetails',
                id: 'My.Package',
                version: '1.2.0-Beta+build',
                title: 'Mine',
                description: 'What it does',
                summary: 'It does',
                authors: 'A, B',
                language: 'en',
                iconUrl: 'https://icons.test/a.png',
                licenseExpression: 'MIT',
                requireLicenseAcceptance: true,
                minClientVersion: '3.6',
                tags: ['x', 'y'],
                listed: true,
                published: '2026-01-02T03:04:05.000Z',
                packageContent: CONTENT,
                dependencyGroups: [
                  {
                    '@type': 'PackageDependencyGroup',
                    targetFramework: 'net8.0',
                    dependencies: [
                      {
                        '@type': 'PackageDependency',
                        id: 'Other.One',
                        range: '[1.0.0, )',
                        registration: `${HIVE}/other.one/index.json`,
                      },
                    ],
                  },
                  { '@type': 'PackageDependencyGroup', dependencies: [] },
                ],
                deprecation: { reasons: ['Legacy'], message: 'old', alternatePackage: { id: 'New', range: '(, )' } },
                vulnerabilities: [
                  { advisoryUrl: 'https://advisories.test/1', severity: '2' },
                  { advisoryUrl: `${V3}/details/my.package`, severity: '0' },
                ],
              },
            },
          ],
        },
      ],
    });
  });

  it('has a leaf of each version', () => {
    expect(plain(registration([FULL]).leaf(version('1.2-BETA')))).toEqual({
      '@id': LEAF,
      '@type': ['Package', 'http://schema.nuget.org/catalog#Permalink'],
      catalogEntry: CATALOG,
      listed: true,
      packageContent: CONTENT,
      published: '2026-01-02T03:04:05.000Z',
      registration: INDEX,
    });
    expect(registration([FULL]).leaf(version('1.2.0'))).toBeUndefined();
  });

  it('has a document of what it says of each version, to which the leaf and the index lead', () => {
    const full = registration([
      {
        ...FULL,
        releaseNotes: 'Faster',
        copyright: 'Us',
        packageHash: { algorithm: 'SHA512', value: 'abc=' },
        packageSize: 7,
      },
    ]);
    const [
      {
        items: [item],
      },
    ] = plain(full.index()).items;
    expect(plain(full.catalogEntry(version('1.2-BETA')))).toEqual({
      ...item.catalogEntry,
      releaseNotes: 'Faster',
      copyright: 'Us',
      packageHash: 'abc=',
      packageHashAlgorithm: 'SHA512',
      packageSize: 7,
    });
    expect(full.catalogEntry(version('1.2.0'))).toBeUndefined();
    const older = registration([FULL, record('My.Package', '1.3.0-rc.1')], 'registration-gz');
    expect(older.catalogEntry(version('1.3.0-rc.1'))).toBeUndefined();
  });

  it("says of what is not listed that it isn't, in both ways that clients know", () => {
    const hidden = registration([{ ...FULL, listed: false }]);
    const unlisted = { listed: false, published: '1900-01-01T00:00:00+00:00' };
    expect(hidden.leaf(version('1.2.0-beta'))).toMatchObject(unlisted);
    expect(hidden.index()).toMatchObject({ items: [{ items: [{ catalogEntry: unlisted }] }] });
  });
});

describe('the hives of registrations', () => {
  const records = [
    record('A', '1.0.0'),
    record('A', '1.1.0', { dependencyGroups: [{ dependencies: [{ id: 'B', range: '[1.0.0-a.1, )' }] }] }),
    record('A', '1.2.0', { dependencyGroups: [{ dependencies: [{ id: 'B', range: '(, 2.0.0+x]' }] }] }),
    record('A', '1.3.0-a.1'),
    record('A', '1.4.0+build'),
    record('A', '2.0.0-a1', { dependencyGroups: [{ dependencies: [{ id: 'B', range: 'nonsense' }] }] }),
  ];
  const versionsIn = (hive: RegistrationHive) =>
    plain(registration(records, hive).index()).items[0].items.map((item: never) => item['catalogEntry']['version']);

  it('have all versions where SemVer 2 is understood, and else those that are understood', () => {
    expect(versionsIn('registration-gz-semver2')).toEqual(records.map((each) => each.version));
    expect(versionsIn('registration-gz')).toEqual(['1.0.0', '2.0.0-a1']);
    expect(versionsIn('registration')).toEqual(['1.0.0', '2.0.0-a1']);
  });

  it('lead to themselves only', () => {
    for (const hive of ['registration', 'registration-gz', 'registration-gz-semver2'] as const) {
      const text = JSON.stringify(registration(records, hive).index());
      const hives = new Set(Array.from(text.matchAll(/\/v3\/(registration[\w-]*)\//g), ([, name]) => name));
      expect([...hives]).toEqual([hive]);
    }
  });

  it('have no document without a version', () => {
    const older = registration([record('A', '1.0.0-a.1')], 'registration-gz');
    expect(older.index()).toBeUndefined();
    expect(older.leaf(version('1.0.0-a.1'))).toBeUndefined();
    expect(older.page(version('0.0.0'), version('9.0.0'))).toBeUndefined();
  });
});

describe('the pages of a registration', () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => record('A', `1.0.${i}`));

  it.each([
    [1, [1], true],
    [64, [64], true],
    [65, [64, 1], true],
    [128, [64, 64], true],
    [129, [64, 64, 1], false],
    [200, [64, 64, 64, 8], false],
  ])('of %i versions have %j, within the index: %s', (count, counts, inlined) => {
    const { items } = plain(registration(many(count)).index());
    expect(items.map((page: never) => page['count'])).toEqual(counts);
    expect(items.map((page: never) => 'items' in page)).toEqual(counts.map(() => inlined));
  });

  it('are documents of their own, too, whether the index has them or not', () => {
    for (const count of [2, 200]) {
      const all = registration(many(count));
      for (const page of plain(all.index()).items) {
        const document = plain(all.page(version(page.lower), version(page.upper)));
        expect(document).toMatchObject({ '@id': page['@id'], count: page.count, lower: page.lower, upper: page.upper });
        expect(document.items.map((item: never) => item['catalogEntry']['version'])).toEqual(
          Array.from({ length: page.count }, (_, i) => `1.0.${Number(page.lower.split('.')[2]) + i}`),
        );
      }
    }
  });

  const inPage = (number: number, isInlined: boolean, ...versions: readonly string[]) =>
    versions.map((each) => record('A', each, { page: { number, isInlined } }));
  const pagesOf = (records: readonly PackageRecord[], hive?: RegistrationHive) =>
    plain(registration(records, hive).index()).items.map((page: Record<string, unknown>) => {
      return [page['lower'], page['upper'], page['count'], 'items' in page];
    });

  it('are those of the source, and in the index where it has them there', () => {
    const records = [...inPage(0, true, '1.0.0', '1.1.0'), ...inPage(1, false, '2.0.0-a.1', '2.0.0', '3.0.0')];
    expect(pagesOf(records)).toEqual([
      ['1.0.0', '1.1.0', 2, true],
      ['2.0.0-a.1', '3.0.0', 3, false],
    ]);
    expect(pagesOf(records, 'registration-gz')).toEqual([
      ['1.0.0', '1.1.0', 2, true],
      ['2.0.0', '3.0.0', 2, false],
    ]);
    const one = Array.from({ length: 1000 }, (_, i) => `1.0.${i}`);
    expect(pagesOf(inPage(0, true, ...one))).toEqual([['1.0.0', '1.0.999', 1000, true]]);
    const all = registration(inPage(0, true, ...one));
    expect(all.page(version('1.0.0'), version('1.0.999'))).toMatchObject({ count: 1000 });
  });

  it('are made here where those of the source lie across each other, whatever number of them there would be', () => {
    const records = [...inPage(3, false, '1.0.0'), ...inPage(0, true, '2.0.0'), ...inPage(3, false, '3.0.0', '4.0.0')];
    expect(pagesOf(records)).toEqual([['1.0.0', '4.0.0', 4, true]]);
    const inTurns = many(1000).map((each, i) => ({ ...each, page: { number: i % 2, isInlined: false } }));
    expect(pagesOf(inTurns)).toEqual(pagesOf(many(1000)));
    // What a hive leaves out may be all that lay across.
    const apart = [...inPage(0, false, '1.0.0'), ...inPage(1, false, '2.0.0-a.1'), ...inPage(0, false, '3.0.0')];
    expect(pagesOf(apart, 'registration-gz')).toEqual([['1.0.0', '3.0.0', 2, false]]);
  });

  it('are made here where those of the source make one document of more than 4096 versions', () => {
    const inPages = (count: number, of: number, isInlined: boolean) =>
      many(count).map((each, i) => ({ ...each, page: { number: Math.floor(i / of), isInlined } }));
    for (const [of, isInlined] of [
      [4096, true],
      [4096, false],
      [64, true],
    ] as const) {
      expect(pagesOf(inPages(4096, of, isInlined))).toHaveLength(4096 / of);
    }
    for (const [of, isInlined] of [
      [4097, true],
      [4097, false],
      [1, true],
    ] as const) {
      expect(pagesOf(inPages(4097, of, isInlined))).toEqual(pagesOf(many(4097)));
    }
    expect(pagesOf(inPages(4097, 100, false))).toHaveLength(41);
  });

  it('are made here where the source has not put every version in one', () => {
    expect(pagesOf([...inPage(0, false, '1.0.0'), ...inPage(1, false, '2.0.0'), record('A', '3.0.0')])).toEqual([
      ['1.0.0', '3.0.0', 3, true],
    ]);
  });

  it('stay where an index of before named them when versions come in between and at the end', () => {
    const before = plain(registration(many(200)).index());
    const after = registration([record('A', '0.9.0'), ...many(210)]);
    for (const { lower, upper, count } of before.items) {
      expect(plain(after.page(version(lower), version(upper)))).toMatchObject({ count, lower, upper });
    }
  });

  it('that are larger at the source are there under the bounds of today and of before, and under no others', () => {
    const all = registration(many(1000).map((each) => ({ ...each, page: { number: 0, isInlined: false } })));
    expect(all.page(version('1.0.0'), version('1.0.999'))).toMatchObject({ count: 1000 });
    expect(all.page(version('1.0.0'), version('1.0.900'))).toMatchObject({ count: 901 });
    // Anybody may make up any number of those.
    expect(all.page(version('0.0.0'), version('1.0.999'))).toBeUndefined();
    expect(all.page(version('1.0.0'), version('1.0.999.1'))).toBeUndefined();
    expect(all.page(version('1.0.1'), version('1.0.999'))).toBeUndefined();
    expect(all.page(version('1.0.1'), version('1.0.256'))).toMatchObject({ count: 256 });
    const two = many(1000).map((each, i) => ({ ...each, page: { number: i < 500 ? 0 : 1, isInlined: true } }));
    expect(registration(two).page(version('1.0.0'), version('1.0.500'))).toBeUndefined();
  });

  it('have a version, and not too many', () => {
    const all = registration(many(1000));
    expect(all.page(version('2.0.0'), version('3.0.0'))).toBeUndefined();
    expect(all.page(version('1.0.5'), version('1.0.4'))).toBeUndefined();
    expect(all.page(version('0.0.0'), version('9.0.0'))).toBeUndefined();
    expect(all.page(version('1.0.0'), version('1.0.255'))).toMatchObject({ count: 256 });
  });
});
