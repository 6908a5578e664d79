import { describe, expect, it } from 'vitest';
import type { KnownVulnerability, SearchPage, SearchResult } from '../protocol/model.js';
import { NuGetVersion } from '../versions/nuget-version.js';
import { VersionRange } from '../versions/version-range.js';
import { mergeIds, mergeSearches, mergeVersions, mergeVulnerabilities } from './merged-answers.js';

const versions = (...texts: string[]) => texts.map(NuGetVersion.parse);
const result = (id: string, version: string, more: Partial<SearchResult> = {}): SearchResult => ({
  id,
  version: NuGetVersion.parse(version),
  authors: [],
  owners: [],
  tags: [],
  verified: false,
  packageTypes: [],
  versions: versions(version).map((each) => ({ version: each })),
  vulnerabilities: [],
  ...more,
});
const page = (total: number | undefined, ...results: SearchResult[]): SearchPage => ({ total, results });
const ids = ({ results }: SearchPage) => results.map(({ id, version }) => `${id} ${version}`);

describe('merged versions', () => {
  it('are in order, each once', () => {
    const merged = mergeVersions([versions('2.0', '1.0-a'), versions('1.0.0', '2.0.0+x'), []]);
    expect(merged.map(String)).toEqual(['1.0-a', '1.0.0', '2.0']);
    expect(mergeVersions([versions('2.0', '1.0-a', '2.0.0')]).map(String)).toEqual(['1.0-a', '2.0']);
    const inOrder = versions('1.0-a', '1.0', '2.0');
    expect(mergeVersions([inOrder])).toBe(inOrder);
  });
});

describe('merged ids', () => {
  it('come from each source in turns, each once whatever its case', () => {
    expect(
      mergeIds(
        [
          ['a', 'b', 'c'],
          ['B', 'x'],
        ],
        10,
      ),
    ).toEqual(['a', 'B', 'x', 'c']);
    expect(mergeIds([['a', 'b'], ['x']], 2)).toEqual(['a', 'x']);
  });
});

describe('merged searches', () => {
  it('are in turns, each package once, with all versions and what the newest says', () => {
    const merged = mergeSearches(
      [
        page(2, result('A', '1.0', { totalDownloads: 5 }), result('B', '1.0')),
        page(2, result('x', '1.0'), result('a', '2.0', { title: 'new', totalDownloads: 3 })),
      ],
      0,
      20,
    );
    expect(ids(merged)).toEqual(['a 2.0', 'x 1.0', 'B 1.0']);
    expect(merged.results[0]).toMatchObject({ title: 'new', totalDownloads: 5 });
    const unknown = mergeSearches([page(1, result('A', '1.0')), page(1, result('a', '2.0'))], 0, 20);
    expect(unknown.results.map(({ totalDownloads }) => totalDownloads)).toEqual([undefined]);
    expect(merged.results[0]?.versions.map(({ version }) => String(version))).toEqual(['1.0', '2.0']);
    expect(merged.total).toBe(4);
  });

  it('are a page of the whole', () => {
    const pages = [
      page(3, result('A', '1.0'), result('B', '1.0'), result('C', '1.0')),
      page(undefined, result('x', '1.0')),
    ];
    expect(ids(mergeSearches(pages, 1, 2))).toEqual(['x 1.0', 'B 1.0']);
    expect(mergeSearches(pages, 1, 2).total).toBeUndefined();
    expect(mergeSearches([], 0, 20)).toEqual({ total: 0, results: [] });
  });
});

describe('merged vulnerabilities', () => {
  const known = (advisoryUrl: string): KnownVulnerability => ({
    advisoryUrl,
    severity: 'high',
    range: VersionRange.parse('[1.0,2.0)'),
  });

  it('are those of all sources, each once', () => {
    const merged = mergeVulnerabilities([
      new Map([['a', [known('0'), known('1')]]]),
      undefined,
      new Map([
        ['a', [known('1'), known('2')]],
        ['b', [known('3')]],
      ]),
    ]);
    expect([...(merged ?? [])].map(([id, all]) => [id, all.map(({ advisoryUrl }) => advisoryUrl)])).toEqual([
      ['a', ['0', '1', '2']],
      ['b', ['3']],
    ]);
    expect(mergeVulnerabilities([undefined])).toBeUndefined();
  });
});
