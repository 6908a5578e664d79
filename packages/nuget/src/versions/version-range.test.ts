import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NuGetVersion } from './nuget-version.js';
import { VersionRange } from './version-range.js';

const range = (text: string) => VersionRange.parse(text);
const version = (text: string) => NuGetVersion.parse(text);
const versions = (texts: string) => texts.split(' ').filter(Boolean).map(version);
const best = (text: string, texts: string) => range(text).findBestMatch(versions(texts))?.toNormalizedString();

describe('the text of a range', () => {
  it.each([
    // text, normalized, short, legacy, for people
    ['1.0', '[1.0.0, )', '1.0.0', '[1.0.0, )', '(>= 1.0.0)'],
    [' 1.0.0-beta.2+meta ', '[1.0.0-beta.2, )', '1.0.0-beta.2', '[1.0.0-beta.2, )', '(>= 1.0.0-beta.2)'],
    ['[1.0]', '[1.0.0, 1.0.0]', '[1.0.0]', '[1.0.0, 1.0.0]', '(= 1.0.0)'],
    ['[1.0,1.0.0.0+meta]', '[1.0.0, 1.0.0]', '[1.0.0]', '[1.0.0, 1.0.0]', '(= 1.0.0)'],
    ['[1.0,)', '[1.0.0, )', '1.0.0', '[1.0.0, )', '(>= 1.0.0)'],
    ['[1.0,]', '[1.0.0, )', '1.0.0', '[1.0.0, )', '(>= 1.0.0)'],
    ['(1.0,)', '(1.0.0, )', '(1.0.0, )', '(1.0.0, )', '(> 1.0.0)'],
    ['(,1.0]', '(, 1.0.0]', '(, 1.0.0]', '(, 1.0.0]', '(<= 1.0.0)'],
    ['[,1.0)', '(, 1.0.0)', '(, 1.0.0)', '(, 1.0.0)', '(< 1.0.0)'],
    ['[1.0,2.0)', '[1.0.0, 2.0.0)', '[1.0.0, 2.0.0)', '[1.0.0, 2.0.0)', '(>= 1.0.0 && < 2.0.0)'],
    ['(1.0,2.0]', '(1.0.0, 2.0.0]', '(1.0.0, 2.0.0]', '(1.0.0, 2.0.0]', '(> 1.0.0 && <= 2.0.0)'],
    ['   [  1 .2   , 2  .3   ]  ', '[1.2.0, 2.3.0]', '[1.2.0, 2.3.0]', '[1.2.0, 2.3.0]', '(>= 1.2.0 && <= 2.3.0)'],
    ['(, )', '(, )', '(, )', '(, )', ''],
    ['[, ]', '(, )', '(, )', '(, )', ''],
    ['*', '[*, )', '*', '[0.0.0, )', '(>= 0.0.0)'],
    ['*-*', '[*-*, )', '*-*', '[0.0.0-0, )', '(>= 0.0.0-0)'],
    ['1.*', '[1.*, )', '1.*', '[1.0.0, )', '(>= 1.0.0)'],
    ['1.2.*', '[1.2.*, )', '1.2.*', '[1.2.0, )', '(>= 1.2.0)'],
    ['1.2.3.*', '[1.2.3.*, )', '1.2.3.*', '[1.2.3, )', '(>= 1.2.3)'],
    ['1.0.0-*', '[1.0.0-*, )', '1.0.0-*', '[1.0.0-0, )', '(>= 1.0.0-0)'],
    ['1.0-*', '[1.0.0-*, )', '1.0.0-*', '[1.0.0-0, )', '(>= 1.0.0-0)'],
    ['1.0.0.5-a*', '[1.0.0.5-a*, )', '1.0.0.5-a*', '[1.0.0.5-a, )', '(>= 1.0.0.5-a)'],
    ['1.0.0-beta*', '[1.0.0-beta*, )', '1.0.0-beta*', '[1.0.0-beta, )', '(>= 1.0.0-beta)'],
    ['1.0.0-beta.*', '[1.0.0-beta.*, )', '1.0.0-beta.*', '[1.0.0-beta.0, )', '(>= 1.0.0-beta.0)'],
    ['1.0.0-beta-*', '[1.0.0-beta-*, )', '1.0.0-beta-*', '[1.0.0-beta-, )', '(>= 1.0.0-beta-)'],
    ['1.0.0--*', '[1.0.0--*, )', '1.0.0--*', '[1.0.0--, )', '(>= 1.0.0--)'],
    ['1.0.0-0*', '[1.0.0-0*, )', '1.0.0-0*', '[1.0.0-0, )', '(>= 1.0.0-0)'],
    ['1.*-*', '[1.*-*, )', '1.*-*', '[1.0.0-0, )', '(>= 1.0.0-0)'],
    ['1.2.*-rc.*', '[1.2.*-rc.*, )', '1.2.*-rc.*', '[1.2.0-rc.0, )', '(>= 1.2.0-rc.0)'],
    ['1.2.3.*-rc-1.*', '[1.2.3.*-rc-1.*, )', '1.2.3.*-rc-1.*', '[1.2.3-rc-1.0, )', '(>= 1.2.3-rc-1.0)'],
    ['*-beta*', '[*-beta*, )', '*-beta*', '[0.0.0-beta, )', '(>= 0.0.0-beta)'],
    ['[1.*,2.0)', '[1.*, 2.0.0)', '[1.*, 2.0.0)', '[1.0.0, 2.0.0)', '(>= 1.0.0 && < 2.0.0)'],
    ['(1.*,2.0)', '(1.*, 2.0.0)', '(1.*, 2.0.0)', '(1.0.0, 2.0.0)', '(> 1.0.0 && < 2.0.0)'],
    ['[1.*,1.0.0]', '[1.*, 1.0.0]', '[1.0.0]', '[1.0.0, 1.0.0]', '(= 1.0.0)'],
    // A star behind a digit is one more digit, 0.
    ['1.0.0*', '[1.0.*, )', '1.0.*', '[1.0.0, )', '(>= 1.0.0)'],
    ['1*', '[10.0.0, )', '10.0.0', '[10.0.0, )', '(>= 10.0.0)'],
  ])('%j is %s', (text, normalized, short, legacy, pretty) => {
    const parsed = range(text);
    expect(parsed.toNormalizedString()).toBe(normalized);
    expect(`${parsed}`).toBe(normalized);
    expect(JSON.stringify(parsed)).toBe(JSON.stringify(normalized));
    expect(parsed.toShortString()).toBe(short);
    expect(parsed.toLegacyString()).toBe(legacy);
    expect(parsed.prettyPrint()).toBe(pretty);
    expect(parsed.originalString).toBe(text);
    expect(range(normalized).equals(parsed)).toBe(true);
    if (parsed.isMinInclusive) expect(range(short).toLegacyString()).toBe(legacy);
  });

  it.each([
    ...[
      '',
      ' ',
      '(',
      '[',
      ')',
      '[]',
      '()',
      '[ ]',
      '( )',
      '(,)',
      '[,]',
      '[,)',
      '(,]',
      '[1.0',
      '1.0]',
      '(1.0',
      '1.0)',
      '][',
      ',',
      '1.0,2.0',
    ],
    ...[
      '(1.0)',
      '(1.0]',
      '[1.0)',
      '[1.0,2.0,3.0]',
      '[1.0,2.0',
      '1.0,2.0]',
      '[[1.0]]',
      '{1.0}',
      '[1.0;2.0]',
      '[a,b]',
      '[1.0,b]',
      '[-1, 2]',
    ],
    // Nothing can be in these.
    ...[
      '[2.0,1.0]',
      '(2.0,1.0)',
      '(1.0,1.0)',
      '[1.0,1.0)',
      '(1.0,1.0]',
      '[1.0.0,1.0.0-a]',
      '[1.0,1.0.0.0)',
      '(1.*,1.0]',
      '[2.*,1.0]',
    ],
    ...[
      '(,1.3..2]',
      '(1.2.3.4.5,1.2]',
      '[v1.0]',
      '^1.0',
      '~1.0',
      '>=1.0',
      '<1.0.*',
      '>=*',
      '1.0 - 2.0',
      '1.x',
      '^*',
      '~1.*.*',
      '=1.0.*',
    ],
    // Only the lower bound floats, and only in its last part.
    ...[
      '[*]',
      '[1.*]',
      '[1.0,1.1.*)',
      '(,2.*]',
      '1.*.0',
      '1.*.*',
      '**',
      '*.*',
      '*.0',
      '1.0.0.0.*',
      '1.*.0-beta',
      '1.*.0-*',
      '1.0.0-*-*',
      '1.0.0-*a',
    ],
    ...[
      '1.0.0-**',
      '1.*-**',
      '*-',
      '-*',
      '*-*-*',
      '1.0.0+*',
      '1.*+a',
      '1.0.0-*+a',
      'a.*',
      'a-*',
      '1.0.0-01*x',
      '1.0.0-00*',
      '1.0.0-rc-1.*',
      '1.*-00*',
    ],
    ...['[1.* ,2.0)', `[${'1'.repeat(5000)}]`, `1.0${' '.repeat(5000)}`],
  ])('%j is none', (text) => {
    expect(VersionRange.tryParse(text)).toBeUndefined();
    expect(() => range(text)).toThrow(expect.objectContaining({ code: 'INVALID_VERSION_RANGE' }));
  });

  it('is none of what is no text, from callers without types', () => {
    for (const other of [undefined, null, 1, {}]) expect(VersionRange.tryParse(other as never)).toBeUndefined();
  });

  it('says its bounds', () => {
    const parsed = range('[1.0,2.0-a)');
    expect([parsed.minVersion?.toString(), parsed.isMinInclusive]).toEqual(['1.0', true]);
    expect([parsed.maxVersion?.toString(), parsed.isMaxInclusive]).toEqual(['2.0-a', false]);
    expect([parsed.isFloating, parsed.float]).toEqual([false, undefined]);
    const floating = range('1.*-rc.*');
    expect(floating.isFloating).toBe(true);
    expect([floating.float?.behavior, floating.float?.releasePrefix]).toEqual(['prerelease-minor', 'rc.']);
    expect(range('(, )')).toMatchObject({ minVersion: undefined, isMinInclusive: false, isMaxInclusive: false });
  });

  it.each([
    ['*', 'major'],
    ['*-*', 'absolute-latest'],
    ['*-a*', 'prerelease-major'],
    ['1.*', 'minor'],
    ['1.*-a*', 'prerelease-minor'],
    ['1.2.*', 'patch'],
    ['1.2.*-*', 'prerelease-patch'],
    ['1.2.3.*', 'revision'],
    ['1.2.3.*-*', 'prerelease-revision'],
    ['1.2.3-*', 'prerelease'],
  ])('%s floats in its %s', (text, behavior) => {
    expect(range(text).float?.behavior).toBe(behavior);
    expect(range(text).float?.toString()).toBe(text);
  });
});

describe('a range', () => {
  it.each([
    ['1.0', '1.0.0 1.0 1.0.0.0 1.0.0+x 1.0.0.1 1.0.1-a 1.1-a 2.0 2147483647.0', '1.0.0-alpha 1.0.0-z 0.9'],
    ['1.0.0-beta', '1.0.0-beta 1.0.0-BETA.1 1.0.0-rc 1.0.0', '1.0.0-alpha 1.0.0-2'],
    ['[1.0]', '1.0 1.0.0+x', '1.0.0.1 1.0.1 1.0.0-a 0.9'],
    ['[1.0-a]', '1.0.0-a 1.0.0-A+b', '1.0.0-a.0 1.0.0 1.0.0-9'],
    ['(1.0,)', '1.0.0.1 1.0.1-a', '1.0 1.0.0+x 1.0.0-z'],
    ['(,1.0]', '1.0 1.0-a 0.0.0-0', '1.0.0.1 1.0.1-a'],
    ['(,1.0)', '1.0-a 0.9', '1.0 1.0.0+x'],
    ['[1.0,2.0)', '1.0 1.5-a 2.0.0-0 2.0.0-alpha 1.999', '2.0 1.0-a 2.0.0+x'],
    ['[1.0,2.0]', '1.0 2.0 2.0-a 2.0.0+x', '2.0.0.1 2.0.1-0'],
    ['(, )', '0.0.0-0 1.0 2147483647.2147483647.2147483647.2147483647', ''],
    ['1.2.*', '1.2.0 1.2.9 1.3.0 2.0', '1.1.9 1.2.0-a'],
    ['1.0.0-*', '1.0.0-0 1.0.0-0.0 1.0.0 3.0', '0.9'],
    ['[1.*,2.0)', '1.0 1.9 2.0-a', '2.0'],
  ])('%s has %s in it, and not %s', (text, inside, outside) => {
    const parsed = range(text);
    expect(
      versions(inside)
        .filter((each) => !parsed.satisfies(each))
        .map(String),
    ).toEqual([]);
    expect(
      versions(outside)
        .filter((each) => parsed.satisfies(each))
        .map(String),
    ).toEqual([]);
  });

  it.each([
    ['[1.0,2.0]', '[1.0.0+a,2.0.0.0+b]', true],
    ['1.0', '[1.0,)', true],
    ['(,1.0]', '[,1.0]', true],
    ['1.0.0-A', '1.0.0-a', true],
    ['1.0', '1.0.*', false],
    ['1.1.*', '1.0.*', false],
    ['1.0.0-0*', '1.0.0-*', false],
    ['1.0.0-A*', '1.0.0-a*', true],
    ['*', '0.*', false],
    ['[1.0,2.0]', '[1.0,2.0)', false],
    ['[1.0,2.0]', '(1.0,2.0]', false],
    ['[1.0,2.0]', '[1.0,)', false],
    ['(,2.0]', '[1.0,2.0]', false],
    ['(, )', '1.0', false],
  ])('%s and %s: the same is %s', (a, b, same) => {
    expect(range(a).equals(range(b))).toBe(same);
    expect(range(b).equals(range(a))).toBe(same);
  });

  it('is made of bounds, inclusive below and exclusive above unless they say otherwise', () => {
    const bounds = { minVersion: version('1.0'), maxVersion: version('2.0') };
    expect(String(new VersionRange(bounds))).toBe('[1.0.0, 2.0.0)');
    expect(String(new VersionRange({ ...bounds, isMinInclusive: false, isMaxInclusive: true }))).toBe('(1.0.0, 2.0.0]');
    expect(String(new VersionRange({}))).toBe('(, )');
    expect(VersionRange.all.equals(range('(, )'))).toBe(true);
    expect(range('1.0').equals(undefined)).toBe(false);
  });

  it('is empty when no version can be in it', () => {
    expect(VersionRange.none.isEmpty).toBe(true);
    expect(VersionRange.none.satisfies(version('0.0.0'))).toBe(false);
    expect(String(VersionRange.none)).toBe('(0.0.0, 0.0.0)');
    expect(new VersionRange({ minVersion: version('2.0'), maxVersion: version('1.0') }).isEmpty).toBe(true);
    expect(range('[1.0]').isEmpty || range('(, )').isEmpty || range('1.0').isEmpty).toBe(false);
  });

  it('leaves out what floats in the short form for old clients', () => {
    expect(['1.*', '[1.*,2.0)', '[1.0]', '(1.0,)', '(,1.0]'].map((text) => range(text).toLegacyShortString())).toEqual([
      '1.0.0',
      '[1.0.0, 2.0.0)',
      '[1.0.0]',
      '(1.0.0, )',
      '(, 1.0.0]',
    ]);
  });
});

describe('the version that is wanted', () => {
  it.each([
    // Without a star it is the lowest that will do.
    ['1.0', '2.0 1.1 1.0 0.9', '1.0.0'],
    ['1.0', '2.0 1.1 0.9', '1.1.0'],
    ['[1.0]', '2.0 1.1 1.0', '1.0.0'],
    ['[1.0,2.0)', '2.0 1.5 1.9', '1.5.0'],
    ['(1.0,)', '1.0 1.0.0.1 1.1', '1.0.0.1'],
    ['(,2.0]', '0.1 1.0 2.0', '0.1.0'],
    ['(, )', '3.0 1.0-a 1.0 2.0', '1.0.0'],
    ['1.0', '0.9 0.1', undefined],
    ['1.0', '', undefined],
    // Prereleases only where a bound is one.
    ['1.0', '1.1-a 1.2', '1.2.0'],
    ['1.0', '1.1-a', undefined],
    ['[1.0,2.0]', '1.5-beta', undefined],
    ['[1.0,2.0-beta]', '1.5-beta', '1.5.0-beta'],
    ['[1.0-beta,2.0)', '2.0-beta 2.0', '2.0.0-beta'],
    ['1.0-a', '1.0-b 1.0-a 1.0', '1.0.0-a'],
    // With a star it is the highest of those that the star is for.
    ['*', '1.0 2.0 3.0-a', '2.0.0'],
    ['*-*', '1.0 2.0 3.0-a', '3.0.0-a'],
    ['*-*', '3.0 3.0-a', '3.0.0'],
    ['*-rc*', '1.0 3.0-rc.1 3.0-beta 4.0-beta', '3.0.0-rc.1'],
    ['0.*', '1.0 2.0', '1.0.0'],
    ['1.*', '1.0 1.5 1.10 2.0 1.11-a', '1.10.0'],
    ['1.2.*', '1.2.1 1.2.10 1.2.9 1.3 2.0', '1.2.10'],
    ['1.2.3.*', '1.2.3 1.2.3.7 1.2.4', '1.2.3.7'],
    ['1.0.0-*', '1.0.0-alpha 1.0.0-beta 1.0.1-omega', '1.0.0-beta'],
    ['1.0.0-*', '1.0.0-alpha 1.0.0 1.0.1', '1.0.0'],
    ['1.0.0-beta.*', '1.0.0-beta.1 1.0.0-beta.10 1.0.0-beta.9 1.0.0-rc', '1.0.0-beta.10'],
    ['1.0.0-beta.*', '1.0.0-beta.1 1.0.0-beta.a', '1.0.0-beta.a'],
    ['1.0.0-BETA*', '1.0.0-beta1 1.0.0-beta2 1.0.0-gamma', '1.0.0-beta2'],
    ['1.0.0-beta-*', '1.0.0-beta-01 1.0.0-beta-02 1.0.0-betb', '1.0.0-beta-02'],
    ['1.0.0.5-*', '1.0.0.5-a 1.0.0.6-a', '1.0.0.5-a'],
    ['1.*-*', '1.0 1.5-a 2.0 2.0-a', '1.5.0-a'],
    ['1.*-rc.*', '1.0 1.5-rc.1 1.6-beta 2.0', '1.5.0-rc.1'],
    ['1.2.*-*', '1.2.0 1.2.5-a 1.3.0', '1.2.5-a'],
    ['1.2.3.*-*', '1.2.3 1.2.3.5-a 1.2.4', '1.2.3.5-a'],
    ['[1.*,1.5)', '1.1 1.4 1.5 2.0', '1.4.0'],
    ['[1.0.0-beta.*,2.0)', '1.0.0-beta.1 1.0.0-beta.2 1.0.0 2.0', '1.0.0'],
    // Where there is none of those, the nearest above.
    ['1.*', '3.0 2.0 4.0', '2.0.0'],
    ['1.2.*', '1.4 1.3 2.0', '1.3.0'],
    ['1.0.0-beta*', '1.0.0-rc 1.0.0-gamma 2.0', '1.0.0-gamma'],
    ['1.*', '0.9 0.1', undefined],
    ['1.*', '1.5-a 2.0-a', undefined],
    ['1.0.*', '1.0.0-beta', undefined],
    ['[1.0.*,2.0-beta]', '2.0-beta', '2.0.0-beta'],
  ])('by %s of %s is %s', (text, available, expected) => {
    expect(best(text, available)).toBe(expected);
    expect(best(text, available.split(' ').reverse().join(' '))).toBe(expected);
  });

  it('is the first of equal ones', () => {
    const [first, second] = versions('1.0.0+a 1.0.0+b');
    expect(range('1.0').findBestMatch([first as NuGetVersion, second as NuGetVersion])).toBe(first);
    expect(range('1.*').findBestMatch([first as NuGetVersion, second as NuGetVersion])).toBe(first);
  });

  it('takes any iterable', () => {
    expect(
      range('1.0')
        .findBestMatch(new Set(versions('2.0 1.5')))
        ?.toString(),
    ).toBe('1.5');
  });
});

describe('the algebra of ranges', () => {
  const label = fc.constantFrom('', '', '-0', '-a', '-a.1', '-b');
  const versionText = fc
    .tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 }), label)
    .map(([major, minor, release]) => `${major}.${minor}.0${release}`);
  const someVersion = versionText.map(version);
  const someRange = fc
    .tuple(
      fc.option(someVersion, { nil: undefined }),
      fc.boolean(),
      fc.option(someVersion, { nil: undefined }),
      fc.boolean(),
    )
    .map(([minVersion, isMinInclusive, maxVersion, isMaxInclusive]) => {
      return new VersionRange({ minVersion, isMinInclusive, maxVersion, isMaxInclusive });
    })
    .filter((each) => !each.isEmpty);
  const runs = { numRuns: 500 };

  it('has in the common subset exactly what is in all of them', () => {
    fc.assert(
      fc.property(fc.array(someRange, { minLength: 1, maxLength: 4 }), someVersion, (ranges, each) => {
        expect(VersionRange.commonSubset(ranges).satisfies(each)).toBe(ranges.every((one) => one.satisfies(each)));
      }),
      runs,
    );
  });

  it('has in the combination what is in any of them, and no end that is in none', () => {
    fc.assert(
      fc.property(fc.array(someRange, { minLength: 1, maxLength: 4 }), someVersion, (ranges, each) => {
        const combined = VersionRange.combine(ranges);
        if (ranges.some((one) => one.satisfies(each))) expect(combined.satisfies(each)).toBe(true);
        for (const one of ranges) expect(one.isSubsetOrEqualTo(combined)).toBe(true);
        const { minVersion, maxVersion } = combined;
        const isEnd = (end: NuGetVersion | undefined, key: 'minVersion' | 'maxVersion') =>
          ranges.some((one) => (end === undefined ? one[key] === undefined : end.equals(one[key])));
        expect([isEnd(minVersion, 'minVersion'), isEnd(maxVersion, 'maxVersion')]).toEqual([true, true]);
      }),
      runs,
    );
  });

  it('has a subset when no version tells otherwise', () => {
    fc.assert(
      fc.property(someRange, someRange, fc.array(someVersion, { maxLength: 20 }), (a, b, some) => {
        if (a.isSubsetOrEqualTo(b))
          for (const each of some) if (a.satisfies(each)) expect(b.satisfies(each)).toBe(true);
        expect(a.isSubsetOrEqualTo(b)).toBe(VersionRange.commonSubset([a, b]).equals(a));
        expect(a.isSubsetOrEqualTo(b) && b.isSubsetOrEqualTo(a)).toBe(a.equals(b));
      }),
      runs,
    );
  });

  it('is kept when ranges are written and read again', () => {
    fc.assert(
      fc.property(someRange, (each) => {
        expect(range(each.toNormalizedString()).equals(each)).toBe(true);
        expect(range(each.toShortString()).equals(each)).toBe(true);
      }),
      runs,
    );
  });

  it('has the lowest, or the highest that floats, as the best match', () => {
    const text = fc.oneof(
      versionText,
      fc.constantFrom('*', '*-*', '1.*', '1.*-*', '1.1.*', '1.1.0-*', '1.1.0-a*', '[1.*,2.0.0-a)'),
    );
    fc.assert(
      fc.property(text, fc.array(someVersion, { maxLength: 8 }), (one, available) => {
        const parsed = range(one);
        const found = parsed.findBestMatch(available);
        const usable = available.filter((each) => parsed.isBetter(undefined, each)).sort(NuGetVersion.compare);
        const floating = usable.filter((each) => parsed.float?.satisfies(each));
        const expected = floating.at(-1) ?? usable[0];
        expect(found?.toNormalizedString()).toBe(expected?.toNormalizedString());
      }),
      runs,
    );
  });

  it('knows what is nothing', () => {
    const { none, all } = VersionRange;
    expect(VersionRange.combine([])).toBe(none);
    expect(VersionRange.combine([none])).toBe(none);
    expect(VersionRange.combine([none, range('[1.0]')]).equals(range('[1.0]'))).toBe(true);
    expect(VersionRange.commonSubset([])).toBe(none);
    expect(VersionRange.commonSubset([range('[1.0]'), none])).toBe(none);
    expect(VersionRange.commonSubset([range('(,1.0)'), range('[1.0,)')])).toBe(none);
    expect(VersionRange.commonSubset([range('(,1.0]'), range('[1.0,)')]).equals(range('[1.0]'))).toBe(true);
    expect(none.isSubsetOrEqualTo(range('[1.0]')) && none.isSubsetOrEqualTo(none)).toBe(true);
    expect(range('[1.0]').isSubsetOrEqualTo(none)).toBe(false);
    expect(all.isSubsetOrEqualTo(range('1.0')) || !range('1.0').isSubsetOrEqualTo(all)).toBe(false);
  });

  it('combines versions with ranges, and drops what floats', () => {
    const combined = VersionRange.combine([version('3.0'), range('[1.*,2.0)'), version('0.5-a')]);
    expect(String(combined)).toBe('[0.5.0-a, 3.0.0]');
    expect(VersionRange.combine([range('1.*')]).isFloating).toBe(false);
    expect(String(VersionRange.combine(versions('2.0 1.0 1.5')))).toBe('[1.0.0, 2.0.0]');
  });
});
