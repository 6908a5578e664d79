import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseResource } from './resource-path.js';

const read = (segment: string) => {
  const { name, parameters } = parseResource(segment) ?? {};
  return name === undefined ? undefined : [name, Object.fromEntries(parameters ?? [])];
};

it.each([
  ['Packages', ['packages', {}]],
  ['Packages()', ['packages', {}]],
  ["Packages(Id='A.B',Version='1.0')", ['packages', { id: 'A.B', version: '1.0' }]],
  ["packages( version = '1.0' , id = 'a' )", ['packages', { id: 'a', version: '1.0' }]],
  ["FindPackagesById(id='it''s')", ['findpackagesbyid', { id: "it's" }]],
  [
    "Search(searchTerm='a,b=(c)',includePrerelease=true)",
    ['search', { searchterm: 'a,b=(c)', includeprerelease: 'true' }],
  ],
  ["Packages('A')", ['packages', { '': 'A' }]],
  ['$metadata', ['$metadata', {}]],
])('reads %s', (segment, expected) => {
  expect(read(segment)).toEqual(expected);
});

it.each([
  '',
  '()',
  "Packages(Id='a'",
  "Packages(Id='a)",
  "Packages(Id='a'x)",
  'Packages(=1)',
  "Packages(Id='a''')x",
  'a b',
])('takes %j for none', (segment) => expect(read(segment)).toBeUndefined());

it('reads back whatever is in quotes', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (id, version) => {
      const quoted = [id, version].map((text) => `'${text.replaceAll("'", "''")}'`);
      expect(read(`Packages(Id=${quoted[0]},Version=${quoted[1]})`)).toEqual(['packages', { id, version }]);
    }),
  );
});

it('is done soon with hostile segments, however long', () => {
  for (const part of ["'", "''", 'a=', "a='", ' ', '(', "',"]) {
    const segment = `Packages(${part.repeat(200_000)}`;
    expect(read(segment)).toBeUndefined();
    read(`${segment})`);
  }
});
