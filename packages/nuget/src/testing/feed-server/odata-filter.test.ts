import { describe, expect, it } from 'vitest';
import { compileFilter, compileOrder, ODataError, type ODataRecord } from './odata-filter.js';

const RECORD: ODataRecord = {
  Id: "It's.A",
  Version: '1.10.0',
  Tags: null,
  DownloadCount: 12,
  IsLatestVersion: true,
  Published: new Date('2020-01-02T00:00:00Z'),
};
const holds = (filter: string) => compileFilter(filter)(RECORD);

describe('a filter', () => {
  it.each([
    'IsLatestVersion',
    'isLATESTversion eq TRUE',
    "tolower(Id) eq 'it''s.a'",
    "(tolower(Id) eq 'x') or IsLatestVersion and DownloadCount gt 0",
    "((Id ne null) and substringof('s.a',tolower(Id))) or ((Tags ne null) and substringof(' x ',tolower(Tags)))",
    "startswith(Id,'It') and endswith(Id, 'A') and indexof(Id,'s') eq 3",
    'not (Tags ne null)',
    'Tags eq null and not IsLatestVersion eq false',
    'DownloadCount ge 12 and DownloadCount le 12 and DownloadCount lt 12.5 and DownloadCount gt -1',
    "Published gt datetime'2020-01-01T00:00:00' and length(Id) eq 6 and toupper(trim(' a ')) eq 'A'",
    "Version ne '1.9.0'",
  ])('accepts with %s', (filter) => expect(holds(filter)).toBe(true));

  it.each(['false', "Id eq 'x'", 'Tags', "Version eq '1'", 'DownloadCount lt 12', "substringof('x',Tags)", 'Id'])(
    'refuses with %s',
    (filter) => expect(holds(filter)).toBe(false),
  );

  it.each([
    'Nope eq 1',
    "Id eq 'x",
    '(Id',
    'Id)',
    'and',
    'what(Id)',
    '',
    'Id eq',
    'Id % 2',
    "substringof('x' Id)",
    'not',
  ])('is none: %s', (filter) => expect(() => holds(filter)).toThrow(ODataError));
});

describe('an order', () => {
  const records: ODataRecord[] = [
    { Id: 'b', Version: '1.9', Count: 1 },
    { Id: 'A', Version: '1.10', Count: 2 },
    { Id: 'a', Version: '1.2', Count: 2 },
  ];
  const sorted = (order: string) =>
    records
      .toSorted(compileOrder(order, (a, b) => Number(a.slice(2)) - Number(b.slice(2))))
      .map((record) => record['Version']);

  it('is that of its keys, one after another', () => {
    expect(sorted('Version desc')).toEqual(['1.10', '1.9', '1.2']);
    expect(sorted('Id asc, Version')).toEqual(['1.2', '1.10', '1.9']);
    expect(sorted('Count desc,id')).toEqual(['1.10', '1.2', '1.9']);
  });

  it('is refused when it is none', () => {
    expect(() => sorted('Id sideways')).toThrow(ODataError);
    expect(() => sorted('Nope')).toThrow(ODataError);
  });
});
