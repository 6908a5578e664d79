import { NuGetFramework, NuGetVersion, VersionRange } from '@granary/nuget';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shapes } from '../upstream/answers/answer-shapes.js';
import { searchAnswerOf, vulnerabilitiesOf } from '../upstream/said-by-source.js';
import { metadataOf } from '../upstream/testing/feed-under-test.js';
import { recordOf, recordOfHit } from './record-of.js';

const range = (text: string) => VersionRange.parse(text);

describe('a record', () => {
  it('is all that a source says of a version, but where things lie there', () => {
    const record = recordOf(
      metadataOf('Some.Package', '1.2.3-beta+build', {
        title: 'T',
        description: 'D',
        summary: 'S',
        releaseNotes: 'R',
        copyright: 'C',
        language: 'en-US',
        authors: ['A'],
        owners: ['O'],
        tags: ['one', 'two'],
        iconUrl: 'https://example.test/icon.png',
        projectUrl: 'https://example.test/',
        licenseUrl: 'https://example.test/licence',
        licenseExpression: 'MIT',
        requireLicenseAcceptance: true,
        minClientVersion: '2.12',
        dependencyGroups: [
          {
            targetFramework: NuGetFramework.parse('net8.0'),
            dependencies: [
              { id: 'Dep', range: range('[1.0,2.0)'), include: 'all', exclude: 'build' },
              { id: 'Any', range: VersionRange.all },
            ],
          },
          { targetFramework: NuGetFramework.parse('any'), dependencies: [] },
          { targetFramework: NuGetFramework.parse('.NETPortable,Version=v0.0,Profile=Profile999'), dependencies: [] },
        ],
        published: new Date('2020-02-03T04:05:06.789Z'),
        listed: false,
        downloads: 7,
        deprecation: {
          reasons: ['Legacy', 'Other'],
          message: 'M',
          alternate: { id: 'Else', range: range('1.0') },
        },
        vulnerabilities: [
          { advisoryUrl: 'https://advisory.test/1', severity: 'low' },
          { advisoryUrl: 'https://advisory.test/2', severity: 'critical' },
        ],
        packageUrl: 'https://feed.test/secret.nupkg',
        detailsUrl: 'https://feed.test/details',
        reportAbuseUrl: 'https://feed.test/abuse',
        packageSize: 1234,
        packageHash: { algorithm: 'SHA512', value: 'aGFzaA==' },
      }),
    );
    expect(record).toEqual({
      id: 'Some.Package',
      version: '1.2.3-beta+build',
      listed: false,
      published: '2020-02-03T04:05:06.789Z',
      title: 'T',
      description: 'D',
      summary: 'S',
      releaseNotes: 'R',
      copyright: 'C',
      language: 'en-US',
      authors: ['A'],
      owners: ['O'],
      tags: ['one', 'two'],
      iconUrl: 'https://example.test/icon.png',
      projectUrl: 'https://example.test/',
      licenseUrl: 'https://example.test/licence',
      licenseExpression: 'MIT',
      requireLicenseAcceptance: true,
      minClientVersion: '2.12',
      downloads: 7,
      packageSize: 1234,
      packageHash: { algorithm: 'SHA512', value: 'aGFzaA==' },
      dependencyGroups: [
        {
          targetFramework: 'net8.0',
          dependencies: [
            { id: 'Dep', range: '[1.0.0, 2.0.0)' },
            { id: 'Any', range: '(, )' },
          ],
        },
        { targetFramework: undefined, dependencies: [] },
        { targetFramework: '.NETPortable,Version=v0.0,Profile=Profile999', dependencies: [] },
      ],
      deprecation: {
        reasons: ['Legacy', 'Other'],
        message: 'M',
        alternatePackage: { id: 'Else', range: '[1.0.0, )' },
      },
      vulnerabilities: [
        { advisoryUrl: 'https://advisory.test/1', severity: 0 },
        { advisoryUrl: 'https://advisory.test/2', severity: 3 },
      ],
    });
    expect(JSON.stringify(record)).not.toContain('feed.test');
    expect(shapes.records([record])).toBe(true);
    for (const page of [null, 1, {}, { number: '1', isInlined: true }, { number: 1 }]) {
      expect(shapes.records([{ ...record, page }])).toBe(false);
    }
  });

  it('is little where little is said', () => {
    const record = recordOf(metadataOf('A', '1.0.0', { deprecation: { reasons: [] } }));
    expect(JSON.parse(JSON.stringify(record))).toEqual({
      id: 'A',
      version: '1.0.0',
      listed: true,
      requireLicenseAcceptance: false,
      authors: [],
      owners: [],
      tags: [],
      dependencyGroups: [],
      deprecation: { reasons: [] },
    });
  });

  it('has absurdly long texts cut, but nothing that a restore depends on', () => {
    const long = 'x'.repeat(1_000_000);
    const dependencies = Array.from({ length: 2000 }, (_, i) => ({ id: `Dependency.${i}`, range: range('1.0') }));
    const record = recordOf(
      metadataOf('A', '1.0.0', {
        title: long,
        description: long,
        iconUrl: `https://example.test/${long}`,
        authors: Array(1000).fill(long),
        dependencyGroups: [{ targetFramework: NuGetFramework.parse('net8.0'), dependencies }],
        packageHash: { algorithm: 'SHA512', value: long },
        deprecation: { reasons: [long], message: long },
        vulnerabilities: [
          { advisoryUrl: `https://${long}`, severity: 'high' },
          ...Array(300).fill({ advisoryUrl: 'https://x', severity: 'high' }),
        ],
      }),
    );
    expect(record.title).toHaveLength(1024);
    expect(record.description).toHaveLength(32_768);
    expect(record.iconUrl).toBeUndefined();
    expect(record.authors).toHaveLength(256);
    expect(record.authors[0]).toHaveLength(1024);
    expect(record.packageHash).toBeUndefined();
    expect(record.deprecation?.reasons[0]).toHaveLength(1024);
    expect(record.vulnerabilities).toHaveLength(256);
    expect(record.dependencyGroups[0]?.dependencies).toHaveLength(2000);
  });

  it('never has half a character at its end', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1020, max: 1030 }), (length) => {
        const { title } = recordOf(metadataOf('A', '1.0.0', { title: `${'x'.repeat(length)}😀😀😀😀` }));
        expect(title?.length).toBeLessThanOrEqual(1024);
        expect(() => encodeURIComponent(title ?? '')).not.toThrow();
      }),
    );
  });

  it('survives being written down, whatever is in it', () => {
    fc.assert(
      fc.property(
        fc.record({
          title: fc.option(fc.string({ unit: 'binary' }), { nil: undefined }),
          description: fc.option(fc.string(), { nil: undefined }),
          tags: fc.array(fc.string()),
          authors: fc.array(fc.string()),
          downloads: fc.option(fc.nat(), { nil: undefined }),
          listed: fc.boolean(),
          page: fc.option(fc.record({ number: fc.nat(), isInlined: fc.boolean() }), { nil: undefined }),
        }),
        (init) => {
          const record = recordOf(metadataOf('A', '1.0.0', init));
          const read = JSON.parse(JSON.stringify(record));
          expect(JSON.stringify(read)).toBe(JSON.stringify(record));
          expect(shapes.records([read])).toBe(true);
        },
      ),
    );
  });
});

describe('what a search shows', () => {
  const result = {
    ...metadataOf('A', '2.0.0'),
    verified: true,
    packageTypes: ['DotnetTool'],
    totalDownloads: 9,
    versions: Array.from({ length: 3000 }, (_, i) => ({ version: NuGetVersion.parse(`1.0.${i}`), downloads: i })),
  };

  it('is a record, too, and listed', () => {
    expect(recordOfHit(result)).toMatchObject({ id: 'A', listed: true, packageTypes: ['DotnetTool'], downloads: 9 });
    expect(recordOfHit({ ...result, packageTypes: [] }).packageTypes).toBeUndefined();
  });

  it('has its newest versions, if there are very many', () => {
    const { hits, total } = searchAnswerOf({ total: undefined, results: [result] }, {});
    expect(total).toBe(1);
    expect(hits[0]?.versions).toHaveLength(2000);
    expect(hits[0]?.versions.at(-1)).toEqual({ version: '1.0.2999', downloads: 2999 });
    const bare = { ...result, totalDownloads: undefined, versions: [{ version: NuGetVersion.parse('1.0.0') }] };
    expect(searchAnswerOf({ total: 5, results: [bare] }, {})).toMatchObject({
      total: 5,
      hits: [{ totalDownloads: 0, versions: [{ downloads: 0 }] }],
    });
    expect(shapes.search(searchAnswerOf({ total: 5, results: [bare, result] }, {}))).toBe(true);
  });
});

describe('vulnerabilities', () => {
  it('are plain data, even of a package with a strange name', () => {
    const index = new Map([
      ['__proto__', [{ advisoryUrl: 'u', severity: 'moderate' as const, range: range('(,1.0]') }]],
    ]);
    const plain = vulnerabilitiesOf(index);
    expect(Object.entries(JSON.parse(JSON.stringify(plain)))).toEqual([
      ['__proto__', [{ advisoryUrl: 'u', severity: 1, versions: '(, 1.0.0]' }]],
    ]);
    expect(shapes.vulnerabilities(plain)).toBe(true);
    expect(vulnerabilitiesOf(undefined)).toBeUndefined();
  });
});
