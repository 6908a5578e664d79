import { NuGetVersion } from '@granary/nuget';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PackageRecord } from '../../feed/package-record.js';
import { FeedUrls } from '../../http/feed-urls.js';
import { record } from '../../http/testing/memory-feed.js';
import type { PackageEntry } from '../lists/package-history.js';
import { PackageFilter } from './package-filter.js';
import { parseOrder } from './package-order.js';

const urls = new FeedUrls({ base: 'https://cache.example/nuget' });

function entry(id: string, version: string, init: Partial<PackageRecord> & Partial<PackageEntry> = {}): PackageEntry {
  const { isLatest = true, isAbsoluteLatest = true, totalDownloads, ...more } = init;
  return {
    record: record(id, version, more),
    version: NuGetVersion.parse(version),
    isLatest,
    isAbsoluteLatest,
    totalDownloads,
  };
}

const json = entry('Newtonsoft.Json', '6.0.8', {
  description: "It's fast",
  tags: ['json', 'Serializer'],
  published: '2015-01-12T10:00:00Z',
  totalDownloads: 1000,
});

describe('a filter', () => {
  it.each([
    ["Id eq 'newtonsoft.json'", true],
    ["'Newtonsoft.JSON' eq id", true],
    ["tolower(Id) eq 'newtonsoft.json'", true],
    ["Id ne 'Newtonsoft.Json'", false],
    ["Id eq 'Newtonsoft.Json' and Version eq '6.0.8'", true],
    ["(Id eq 'a') or (Id eq 'newtonsoft.json')", true],
    ['IsLatestVersion', true],
    ['IsLatestVersion eq true', true],
    ['not IsLatestVersion', false],
    ['not (IsLatestVersion and IsPrerelease)', true],
    ['not not IsLatestVersion', true],
    ["Version eq '6.0.8.0'", true],
    ["NormalizedVersion ge '6.0.10'", false],
    ["Version lt '6.0.10' and Version gt '6.0.8-beta'", true],
    ["Version eq 'latest'", false],
    ["substringof('JSON',tolower(Id))", true],
    ["substringof(' serializer ',Tags)", true],
    ["startswith(Id,'newton') and endswith(Id,'.json')", true],
    ["indexof(Id,'Json') eq 11", true],
    ['length(Id) gt 20', false],
    ["substring(Id,11) eq 'Json'", true],
    ["substring(Id,0,6) eq 'Newton'", true],
    ["substring(Id,-5,-1) eq ''", true],
    ["toupper(trim(' a ')) eq 'A'", true],
    ["Description eq 'It''s fast'", true],
    ['DownloadCount ge 1000', true],
    ['DownloadCount lt 999.5', false],
    ["Published gt datetime'2015-01-12'", true],
    ["Published le datetime'2015-01-12T10:00:00'", true],
    ["Published gt DateTime'2015-01-12T10:00:00' or Published lt Datetime'2015-01-12'", false],
    ["Published gt datetime'2015-01-12T12:00:00+02:00'", false],
    ['Summary eq null', true],
    ['null eq Summary', true],
    ['Summary ne null', false],
    ["Summary ne 'a'", true],
    ["Summary lt 'a' or Summary ge 'a'", false],
    ["substringof('a',Summary)", false],
    ['length(Summary) eq 0', false],
    ['null', false],
    ['TRUE AND NOT FALSE', true],
    ['PackageSize eq 0L and -1 lt DownloadCount', true],
    ['true eq (Id eq Id)', true],
  ])('%s: %s', (text, expected) => {
    expect(new PackageFilter(text, urls).accepts(json)).toBe(expected);
  });

  it('ends when it costs too much', () => {
    const filter = new PackageFilter(`${"substringof('x',Description) or ".repeat(150)}false`, urls);
    const large = entry('A', '1.0.0', { description: 'a'.repeat(32_000) });
    const many = Array.from({ length: 1000 }, () => large);
    expect(() => many.filter((each) => filter.accepts(each))).toThrow('the filter takes too long');
  });

  it('puts and before or, as it is written without parentheses', () => {
    const words = fc.array(fc.tuple(fc.boolean(), fc.constantFrom('and', 'or')), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(words, (parts) => {
        const text = parts.map(([value, word], index) => (index === 0 ? `${value}` : `${word} ${value}`)).join(' ');
        const expected = text.split(' or ').some((all) => all.split(' and ').every((value) => value === 'true'));
        expect(new PackageFilter(text, urls).accepts(json)).toBe(expected);
      }),
    );
  });

  it('finds any text again, in quotes', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (description) => {
        const filter = new PackageFilter(`Description eq '${description.replaceAll("'", "''")}'`, urls);
        expect(filter.accepts(entry('A', '1.0.0', { description }))).toBe(true);
      }),
    );
  });
});

describe('what a filter says of itself', () => {
  it.each([
    ["Id eq 'A'", ['a']],
    ["tolower(Id) eq 'a' or tolower(Id) eq 'b'", ['a', 'b']],
    ["((tolower(Id) eq 'a') or ('B' eq Id)) and IsLatestVersion", ['a', 'b']],
    ["(Id eq 'a' or Id eq 'b') and (Id eq 'a')", ['a']],
    ["Id eq 'a' or IsLatestVersion", undefined],
    ["Id ne 'a'", undefined],
    ["not (Id eq 'a')", undefined],
    ["startswith(Id,'a')", undefined],
    ['Id eq Title', undefined],
    ["Title eq 'a'", undefined],
  ])('the ids of %s are %j', (text, ids) => {
    expect(new PackageFilter(text, urls).ids).toEqual(ids && new Set(ids));
  });

  it.each([
    ["substringof('Json',tolower(Id))", ['json']],
    ["((Id ne null) and substringof('x',Id)) or ((Tags ne null) and substringof(' x ',Tags))", ['x']],
    ["startswith(Title,'a') or endswith(Description,'b')", ['a', 'b']],
    ["substringof('x',Version)", undefined],
    ["substringof(Id,'x')", undefined],
    ["not substringof('x',Id)", undefined],
    ["substringof('',Id)", undefined],
    ['IsLatestVersion', undefined],
  ])('the words of %s are %j', (text, words) => {
    expect(new PackageFilter(text, urls).words).toEqual(words && new Set(words));
  });

  it.each([
    ['IsLatestVersion', 'stable'],
    ['isabsolutelatestversion eq true', 'absolute'],
    ['IsLatestVersion eq false', undefined],
    ['IsLatestVersion ne true', undefined],
    ['true eq IsLatestVersion', undefined],
    ['not IsLatestVersion', undefined],
    ['IsPrerelease', undefined],
    ["IsLatestVersion and Id eq 'a'", 'stable'],
    ["(Id eq 'a' and IsAbsoluteLatestVersion eq true) and IsLatestVersion", 'stable'],
    ["startswith(Id,'a') and IsAbsoluteLatestVersion", 'absolute'],
    ["IsLatestVersion or Id eq 'a'", undefined],
  ])('%s takes the newest: %s', (text, newest) => {
    expect(new PackageFilter(text, urls).newest).toBe(newest);
  });

  it.each([
    ["startswith(Id,'new')", true],
    ["startswith(Id,'new') eq true", true],
    ["startswith(Id,'old') and IsLatestVersion", false],
    ["startswith(Id,'new') and IsLatestVersion", undefined],
    ["startswith(Id,'new') or IsLatestVersion", true],
    ["startswith(Id,'old') or IsLatestVersion", undefined],
    ["not (startswith(Id,'old') and IsLatestVersion)", true],
    ['not IsLatestVersion', undefined],
    ["Id ne null and substringof('JSON',tolower(Id))", true],
    ['Id eq Version', undefined],
    ["Summary ne 'a'", undefined],
  ])('%s is decided by the id and the summary, as far as they are there: %s', (text, expected) => {
    const filter = new PackageFilter(text, urls);
    expect(filter.decides(json, (name) => name === 'Id' || name === 'Summary')).toBe(expected);
  });
});

describe('an order', () => {
  const entries = [
    entry('b', '1.0.0', { totalDownloads: 5 }),
    entry('A', '10.0.0', { totalDownloads: 5, summary: 's' }),
    entry('A', '9.0.0', { totalDownloads: 7 }),
  ];
  const sorted = (text: string) => {
    return entries.toSorted(parseOrder(text, urls)).map(({ record: { id, version } }) => `${id} ${version}`);
  };

  it.each([
    ['Id', ['A 10.0.0', 'A 9.0.0', 'b 1.0.0']],
    ['id desc', ['b 1.0.0', 'A 10.0.0', 'A 9.0.0']],
    ['Id,Version', ['A 9.0.0', 'A 10.0.0', 'b 1.0.0']],
    ['Version desc', ['A 10.0.0', 'A 9.0.0', 'b 1.0.0']],
    ['DownloadCount desc, Id ASC', ['A 9.0.0', 'A 10.0.0', 'b 1.0.0']],
    ['Summary', ['b 1.0.0', 'A 9.0.0', 'A 10.0.0']],
    ['concat(Summary,Id)', ['A 9.0.0', 'b 1.0.0', 'A 10.0.0']],
    ['concat( Title , Id ) desc,Version', ['b 1.0.0', 'A 9.0.0', 'A 10.0.0']],
    ['Concat(Version,Id) asc', ['b 1.0.0', 'A 10.0.0', 'A 9.0.0']],
  ])('%s', (text, expected) => {
    expect(sorted(text)).toEqual(expected);
  });

  it.each([
    'Nonsense',
    'Id up',
    'Id asc desc',
    'Id,',
    'tolower(Id)',
    'concat(Title)',
    'concat(Title,Nonsense)',
    'concat(Title,Id',
    'concat(Title,Id)Id',
    Array(9).fill('Id').join(','),
  ])('is refused: %s', (text) => {
    expect(() => parseOrder(text, urls)).toThrow(expect.objectContaining({ status: 400 }));
  });
});
