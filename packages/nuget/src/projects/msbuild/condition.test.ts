import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluateCondition, type Truth } from './condition.js';
import { expand } from './expand.js';

const PROPERTIES: Readonly<Record<string, string | undefined>> = { A: 'one', B: 'TRUE', N: '10', Unknown: undefined };

const scope = {
  property: (name: string) => (name in PROPERTIES ? PROPERTIES[name] : ''),
  call: (name: string, args: readonly string[]) => (name === 'Join' ? args.join('+') : undefined),
  exists: (path: string) => path === 'here.props',
};

const holds = (condition: string): Truth => evaluateCondition(condition, scope);

describe('a condition', () => {
  it.each<[string, Truth]>([
    ["'$(A)' == 'one'", true],
    ["'$(A)'=='ONE'", true],
    ["'$(A)' != 'one'", false],
    ["$(A) == 'one'", true],
    ["'$(Nobody)' == ''", true],
    ["'$(A)-$(B)' == 'one-true'", true],
    ['$(B)', true],
    ["'off'", false],
    ["!$(B) or '$(A)' == 'one'", true],
    ["!('$(A)' == 'one' and $(B))", false],
    ["'1' == '1' Or '$(Unknown)' == 'x'", true],
    ["'1' == '2' AND '$(Unknown)' == 'x'", false],
    ['$(N) >= 9', true],
    ["'$(N)' < '9.5'", false],
    ["'10.0' == '10'", true],
    ["Exists('here.props')", true],
    ["!Exists('$(A).props')", true],
    ["HasTrailingSlash('a/')", true],
    ["'$([MSBuild]::Join('x', $(A)))' == 'x+one'", true],
    // What can't be known.
    ["'$(Unknown)' == ''", undefined],
    ["'1' == '1' and '$(Unknown)' == 'x'", undefined],
    ["'$(A)' < 'two'", undefined],
    ["'$([System.Guid]::NewGuid())' == ''", undefined],
    ["'@(Compile)' == ''", undefined],
    ['maybe', undefined],
    ["Whatever('x')", undefined],
    ["('1' == '1'", undefined],
    ["'1' == '1' '2'", undefined],
    ["'1' ==", undefined],
    ["'open", undefined],
    ['', undefined],
    [`${'('.repeat(4000)}true`, undefined],
    [`'${'x'.repeat(9000)}' == ''`, undefined],
  ])('%s is %s', (condition, truth) => {
    expect(holds(condition)).toBe(truth);
  });

  it('ends with an answer whatever it is', () => {
    const piece = fc.constantFrom("'", '$(A)', '==', '!', '(', ')', ' and ', ' or ', 'true', 'Exists', '$(', ',', '1');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        expect([true, false, undefined]).toContain(holds(pieces.join('')));
      }),
    );
  });
});

describe('a text with properties', () => {
  it.each([
    ['a$(A)b$(N)', 'aoneb10'],
    ['%40x%2f', '@x/'],
    ['$([MSBuild]::Join("a,b", \'c)\', $([MSBuild]::Join(1,2))))', 'a,b+c)+1+2'],
    ['$(A.Length)', undefined],
    ['$(A', undefined],
    ['$([MSBuild]::Other(1))', undefined],
    ['$(Unknown)', undefined],
    ['%(Filename)', undefined],
    [`${'$([MSBuild]::Join('.repeat(20)}1${'))'.repeat(20)}`, undefined],
  ])('%s is %s', (text, value) => {
    expect(expand(text, scope)).toBe(value);
  });

  it('is bounded', () => {
    const long = { ...scope, property: () => 'x'.repeat(40_000) };
    expect(() => expand('$(A)$(B)', long)).toThrow(expect.objectContaining({ code: 'LIMIT' }));
  });
});
