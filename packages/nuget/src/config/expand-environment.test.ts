import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expandEnvironment } from './expand-environment.js';
import { decodeXmlName, encodeXmlName } from './xml-name.js';

describe('environment variables in a value', () => {
  it.each([
    ['%A%', '1'],
    ['x%A%y%B%z', 'x1y%B%z'],
    ['%%A%%', '%1%'],
    ['100%', '100%'],
    ['50%A%', '501'],
    ['%B%A%', '%B1'],
    ['%A', '%A'],
    ['%E%', ''],
    ['', ''],
    ['%constructor%', '%constructor%'],
  ])('%s is %s', (text, expected) => {
    expect(expandEnvironment(text, { A: '1', E: '' })).toBe(expected);
  });

  it('are not looked for in what they hold', () => {
    expect(expandEnvironment('%A%', { A: '%B%', B: 'x' })).toBe('%B%');
  });
});

describe('names of elements', () => {
  it.each([
    ['My Feed', 'My_x0020_Feed'],
    ['1st', '_x0031_st'],
    ['a/b:c', 'a_x002F_b_x003A_c'],
    ['a_x0020_b', 'a_x005F_x0020_b'],
    ['a_X0020_b', 'a_x005F_X0020_b'],
    ['_x', '_x'],
    ['zoë', 'zoë'],
    ['a😀', 'a_x0001F600_'],
    ['-a', '_x002D_a'],
    ['Größe.2·日本語', 'Größe.2·日本語'],
    // No letters in the edition of XML that .NET reads, whatever they are in Unicode.
    ['µFeed', '_x00B5_Feed'],
    ['Feed²', 'Feed_x00B2_'],
    ['Ａ', '_xFF21_'],
    ['a𝒳', 'a_x0001D4B3_'],
  ])('%s is written %s', (text, name) => {
    expect(encodeXmlName(text)).toBe(name);
    expect(decodeXmlName(name)).toBe(text);
  });

  it('may have been written by hand', () => {
    expect(decodeXmlName('My_X0020_Feed')).toBe('My Feed');
  });

  it('say again what they were made of', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
        expect(decodeXmlName(encodeXmlName(text))).toBe(text);
      }),
    );
  });

  it('that are beyond Unicode stay as they are', () => {
    expect(decodeXmlName('_xFFFFFFFF_')).toBe('_xFFFFFFFF_');
  });
});
