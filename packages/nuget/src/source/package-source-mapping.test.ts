import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PackageSourceMapping } from './package-source-mapping.js';

const mapping = new PackageSourceMapping([
  ['everything', ['*']],
  ['contoso', ['Contoso.*', 'Shared.*']],
  ['secret', ['Contoso.Secret.*', 'contoso.one', 'Shared.*']],
]);

describe('package source mapping', () => {
  it.each([
    ['Newtonsoft.Json', ['everything']],
    ['Contoso', ['everything']],
    ['contoso.x', ['contoso']],
    ['CONTOSO.SECRET.X', ['secret']],
    ['Contoso.Secret', ['contoso']],
    ['Contoso.One', ['secret']],
    ['Contoso.One.Two', ['contoso']],
    ['Shared.x', ['contoso', 'secret']],
  ])('lets %s come from %j', (id, sources) => {
    expect(mapping.sourcesFor(id)).toEqual(sources);
  });

  it('lets packages come from anywhere while there is no pattern', () => {
    const none = new PackageSourceMapping([['a', []]]);
    expect(none.isEnabled).toBe(false);
    expect(none.sourcesFor('x')).toBeUndefined();
    const sources = [{ name: 'a' }];
    expect(none.select('x', sources)).toBe(sources);
  });

  it('lets packages that no pattern fits come from nowhere', () => {
    const some = new PackageSourceMapping([['a', ['x.*']]]);
    expect(some.sourcesFor('y')).toEqual([]);
    expect(some.select('y', [{ name: 'a' }])).toEqual([]);
  });

  it('selects sources by name, whatever its case', () => {
    const sources = [{ name: 'Everything' }, { name: 'Contoso' }, { name: 'other' }];
    expect(mapping.select('contoso.x', sources)).toEqual([{ name: 'Contoso' }]);
  });

  it('takes a prefix for its own beginning, too, and knows no star but the last', () => {
    const odd = new PackageSourceMapping([
      ['a', ['foo*']],
      ['b', ['bar*baz']],
    ]);
    expect(odd.sourcesFor('foo')).toEqual(['a']);
    expect(odd.sourcesFor('foobar')).toEqual(['a']);
    expect(odd.sourcesFor('bart')).toEqual(['b']);
  });

  it('refuses patterns and ids that are none', () => {
    expect(() => new PackageSourceMapping([['a', [' ']]])).toThrow('a: a package pattern has 1 to 100 characters');
    expect(() => new PackageSourceMapping([['a', ['x'.repeat(101)]]])).toThrow('this one has 101');
    expect(() => mapping.sourcesFor('../x')).toThrow('is no package id');
  });

  it('chooses as comparing every pattern would', () => {
    const word = fc.constantFrom('a', 'b', 'a.', 'b.a', 'ab');
    const id = fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'));
    const pattern = fc.oneof(
      id,
      fc.array(word, { maxLength: 3 }).map((parts) => `${parts.join('')}*`),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('s', 't'), pattern), { minLength: 1 }), id, (pairs, text) => {
        const stem = (entry: string) => entry.replace('*', '');
        const stems = pairs.map(([, entry]) => stem(entry));
        const fits = pairs.filter(
          ([, entry]) =>
            stem(entry) === text ||
            (stems.some((s, i) => s === stem(entry) && pairs[i]?.[1].endsWith('*')) && text.startsWith(stem(entry))),
        );
        const longest = Math.max(-1, ...fits.map(([, entry]) => stem(entry).length));
        const expected = new Set(fits.filter(([, entry]) => stem(entry).length === longest).map(([source]) => source));
        const actual = new PackageSourceMapping(pairs.map(([source, entry]) => [source, [entry]])).sourcesFor(text);
        expect(new Set(actual)).toEqual(expected);
      }),
    );
  });
});
