import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HttpError } from '../../http/http-error.js';
import { parseFilter } from './parse-filter.js';

/** The sentence of the 400 that a filter gets. */
function complaint(text: string): string {
  try {
    parseFilter(text);
  } catch (error) {
    if (error instanceof HttpError && error.status === 400) return error.message;
    throw error;
  }
  return 'none';
}

describe('a filter that is none', () => {
  it.each([
    ['', 'nothing where a value should be'],
    ['Id eq', 'nothing where a value should be'],
    ["Id eq 'a", "no filter from here on:  'a"],
    ["Id eq 'a' 'b'", 'b where it should end'],
    ["(Id eq 'a'", 'nothing where ) should be'],
    ["Id eq 'a')", ') where it should end'],
    ['Id eq ,', ', where a value should be'],
    ['Id', 'a text in a filter, which takes a boolean'],
    ['1', 'a number in a filter, which takes a boolean'],
    ['Id eq 5', 'a text compared with a number'],
    ['IsLatestVersion eq 1', 'a boolean compared with a number'],
    ["IsLatestVersion and 'a'", 'a text in and, which takes a boolean'],
    ['not Id', 'a text in not, which takes a boolean'],
    ["Nonsense eq 'a'", "Nonsense, which packages don't have"],
    ["replace(Id,'a','b') eq 'c'", "the function replace, which isn't supported"],
    ["tolower('a','b') eq 'c'", '2 values for tolower'],
    ["substringof('a') eq true", '1 values for substringof'],
    ['startswith(Id,5)', 'a number in startswith, which takes a text'],
    ['DownloadCount add 1 gt 5', 'add where it should end'],
    ["Published gt datetime'soon'", 'no date: soon'],
    ['DownloadCount gt 5x', 'no filter from here on:  5x'],
    ['Id eq "a"', 'no filter from here on:  "a"'],
    ["Id eq 'a'; drop", 'no filter from here on: ; drop'],
    ["constructor eq 'a'", "constructor, which packages don't have"],
    ['__proto__(Id)', "the function __proto__, which isn't supported"],
  ])('%j: %s', (text, expected) => {
    expect(complaint(text)).toContain(expected);
  });
});

describe('a hostile filter', () => {
  it('is refused when it is too long', () => {
    expect(complaint(`Id eq '${'a'.repeat(8192)}'`)).toContain('at most 8192 characters');
  });

  it('is refused when it has too many words', () => {
    expect(complaint(`true${' or true'.repeat(1000)}`)).toContain('at most 1500 words');
  });

  it('is refused when it nests too deeply', () => {
    const nested = (depth: number) => `${'('.repeat(depth)}true${')'.repeat(depth)}`;
    expect(complaint(nested(60))).toBe('none');
    expect(complaint(nested(700))).toContain('64 levels');
    expect(complaint(`${'tolower('.repeat(300)}Id${')'.repeat(300)} eq 'a'`)).toContain('64 levels');
  });

  it('may negate as often as it likes', () => {
    expect(complaint(`${'not '.repeat(1400)}true`)).toBe('none');
  });

  it('gets a filter or a 400, whatever it is', () => {
    const pieces = [
      'Id',
      "'a'",
      'eq',
      'and',
      'or',
      'not',
      '(',
      ')',
      ',',
      'tolower',
      '1',
      'null',
      'true',
      'x',
      ' ',
      "'",
    ];
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.constantFrom(...pieces)).map((all) => all.join(' ')),
        ),
        (text) => {
          expect(typeof complaint(text)).toBe('string');
        },
      ),
      { numRuns: 500 },
    );
  });
});
