import { NuGetVersion } from '@granary/nuget';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MergedOnce, mergedVersions } from './merged-lists.js';
import { mergedHits, mergedIds } from './merged-searches.js';

const number = fc.integer({ min: 0, max: 3 });
const version = fc
  .tuple(
    number,
    number,
    fc.constantFrom('', '-alpha', '-beta', '-Beta', '-rc.1', '-rc.10', '-rc.2'),
    fc.constantFrom('', '+a', '+b'),
  )
  .map(([major, minor, label, metadata]) => `${major}.${minor}.0${label}${metadata}`);
/** As sources give them: ascending, each version once. */
const list = fc
  .uniqueArray(version, { selector: (text) => NuGetVersion.parse(text).toNormalizedString().toLowerCase() })
  .map((texts) => texts.sort((a, b) => NuGetVersion.compare(NuGetVersion.parse(a), NuGetVersion.parse(b))));

describe('merged lists', () => {
  it('have all versions in order, each once, from the first list that has it', () => {
    fc.assert(
      fc.property(fc.array(list, { minLength: 1, maxLength: 4 }), (lists) => {
        const items = lists.map((texts, from) => texts.map((text) => ({ version: text, from })));
        const merged = mergedVersions(items);
        const parsed = merged.map((item) => NuGetVersion.parse(item.version));
        for (let i = 1; i < parsed.length; i++)
          expect(NuGetVersion.compare(parsed[i - 1]!, parsed[i]!)).toBeLessThan(0);
        for (const item of items.flat()) {
          const same = merged.filter((other) =>
            NuGetVersion.parse(other.version).equals(NuGetVersion.parse(item.version)),
          );
          expect(same).toHaveLength(1);
          expect(same[0]!.from).toBeLessThanOrEqual(item.from);
        }
        for (const item of merged) expect(items.flat()).toContain(item);
      }),
    );
  });

  it('leave out what is no version', () => {
    const items = [[{ version: '1.0.0' }, { version: 'latest' }], [{ version: '1.0' }]];
    expect(mergedVersions(items)).toEqual([{ version: '1.0.0' }]);
  });

  it('are made again when a part changes, is missing or is new', () => {
    let times = 0;
    const merged = new MergedOnce((parts: readonly object[]) => ({ parts, times: ++times }));
    const [a, b, c] = [{}, {}, {}];
    const first = merged.of([a, b]);
    expect(merged.of([a, b])).toBe(first);
    expect(merged.of([a, c])).not.toBe(first);
    expect(merged.of([a])).toMatchObject({ times: 3 });
    expect(merged.of([a, b])).toMatchObject({ times: 4 });
  });
});

describe('merged searches', () => {
  const ids = fc.array(fc.constantFrom('A', 'a', 'B', 'C', 'D', 'E'), { maxLength: 6 });

  it('have each id once, the best of each source before the second of any', () => {
    fc.assert(
      fc.property(fc.array(ids, { maxLength: 4 }), (lists) => {
        const merged = mergedIds(lists);
        const lower = merged.map((id) => id.toLowerCase());
        expect(new Set(lower).size).toBe(lower.length);
        expect(new Set(lower)).toEqual(new Set(lists.flat().map((id) => id.toLowerCase())));
        const best = (id: string) =>
          Math.min(
            ...lists
              .map((each) => each.findIndex((other) => other.toLowerCase() === id))
              .map((at) => (at < 0 ? Number.POSITIVE_INFINITY : at)),
          );
        const ranks = lower.map(best);
        expect(ranks).toEqual([...ranks].sort((a, b) => a - b));
      }),
    );
  });

  it('page through the same list, whatever the pages', () => {
    fc.assert(
      fc.property(fc.array(ids, { maxLength: 3 }), fc.integer({ min: 1, max: 4 }), (lists, take) => {
        const parts = lists.map((each) => ({
          answer: {
            total: each.length,
            hits: each.map((id) => ({
              record: { id, version: '1.0.0', listed: true, authors: [], owners: [], tags: [], dependencyGroups: [] },
              versions: [],
              totalDownloads: 0,
              verified: false,
            })),
          },
          mayHave: (id: string) => id !== 'E',
        }));
        const whole = mergedHits(parts, { skip: 0, take: 1000 });
        expect(whole.total).toBe(whole.hits.length);
        const paged = [];
        for (let skip = 0; skip < whole.hits.length; skip += take)
          paged.push(...mergedHits(parts, { skip, take }).hits);
        expect(paged.map(({ record }) => record.id)).toEqual(whole.hits.map(({ record }) => record.id));
      }),
    );
  });
});
