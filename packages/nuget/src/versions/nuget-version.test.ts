import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NuGetVersion } from './nuget-version.js';

const parse = (text: string) => NuGetVersion.parse(text);
const label = fc.constantFrom(
  '0',
  '1',
  '2',
  '10',
  'a',
  'A',
  'b',
  'a1',
  'a10',
  '-',
  'a-',
  '0a',
  'rc',
  '99999999999999999999',
);
const numbers = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 4 });
/** Few numbers and labels, so that versions are alike in part. */
const versionTexts = fc
  .tuple(numbers, fc.array(label, { maxLength: 3 }), fc.constantFrom('', '', '+m', '+01.x'))
  .map(([parts, labels, end]) => `${parts.join('.')}${labels.length > 0 ? `-${labels.join('.')}` : ''}${end}`);
const compare = (a: string, b: string) => Math.sign(NuGetVersion.compare(parse(a), parse(b)));

describe('a version', () => {
  it.each([
    // text, normalized, full, as written
    ['1', '1.0.0', '1.0.0', '1'],
    ['1.0', '1.0.0', '1.0.0', '1.0'],
    ['1.2.3', '1.2.3', '1.2.3', '1.2.3'],
    ['1.2.3.0', '1.2.3', '1.2.3', '1.2.3.0'],
    ['1.2.3.4', '1.2.3.4', '1.2.3.4', '1.2.3.4'],
    ['01.002.0003.00', '1.2.3', '1.2.3', '01.002.0003.00'],
    ['00000000000001.022', '1.22.0', '1.22.0', '00000000000001.022'],
    ['1.0.0-Beta', '1.0.0-Beta', '1.0.0-Beta', '1.0.0-Beta'],
    ['3.4.0.3-RC-3', '3.4.0.3-RC-3', '3.4.0.3-RC-3', '3.4.0.3-RC-3'],
    ['1-a', '1.0.0-a', '1.0.0-a', '1-a'],
    ['1.0.0--', '1.0.0--', '1.0.0--', '1.0.0--'],
    ['1.0.0-0', '1.0.0-0', '1.0.0-0', '1.0.0-0'],
    ['1.0.0-0a', '1.0.0-0a', '1.0.0-0a', '1.0.0-0a'],
    ['1.0.0-00-', '1.0.0-00-', '1.0.0-00-', '1.0.0-00-'],
    ['2147483647.2147483647.2147483647.2147483647', ...Array(3).fill('2147483647.2147483647.2147483647.2147483647')],
    // Those that need SemVer 2 are never written otherwise than normalized.
    ['1.0+A', '1.0.0', '1.0.0+A', '1.0.0'],
    ['1.0-1.1', '1.0.0-1.1', '1.0.0-1.1', '1.0.0-1.1'],
    ['1.0.0009.01-1.1+A.01-b', '1.0.9.1-1.1', '1.0.9.1-1.1+A.01-b', '1.0.9.1-1.1'],
    ['1.0.0+-', '1.0.0', '1.0.0+-', '1.0.0'],
    // White space goes wherever .NET's own versions have let it.
    ['  1.2-a  ', '1.2.0-a', '1.2.0-a', '1.2-a'],
    ['\t1 . 2 .3\n', '1.2.3', '1.2.3', '1.2.3'],
    [' 1  .   2 -beta', '1.2.0-beta', '1.2.0-beta', '1.2-beta'],
    ['\u00a01.0\u2003', '1.0.0', '1.0.0', '1.0'],
    ['\u00851.0', '1.0.0', '1.0.0', '1.0'],
  ])('%j is %s', (text, normalized, full, written) => {
    const version = parse(text);
    expect(version.toNormalizedString()).toBe(normalized);
    expect(version.toFullString()).toBe(full);
    expect(version.toString()).toBe(written);
    expect(JSON.stringify({ version })).toBe(JSON.stringify({ version: full }));
  });

  it.each([
    ...[
      '',
      ' ',
      '.',
      '1.',
      '.1',
      '1..2',
      '1.2..',
      '1.2.3.',
      '1.2.3.4.5',
      '1.2.3.4.0',
      '1. ',
      '1. -a',
      'v1.0.0',
      'V1',
      '=1.0',
      '1,0',
    ],
    ...[
      '-1',
      '+1',
      '1.-2',
      '1.0x',
      '1beta',
      '1.2.3.Beta',
      '1.34.2Alpha',
      '1 2',
      '1.2 3',
      '1.x',
      '*',
      '1.*',
      '1.0.0-*',
      '$version$',
    ],
    ...[
      '1.0.0-',
      '1.0.0+',
      '1.0.0-+a',
      '1.0.0-a+',
      '1.0.0-a..b',
      '1.0.0-.a',
      '1.0.0-a.',
      '1.0.0+a..b',
      '1.0.0+a+b',
      '-a',
      '+a',
    ],
    ...[
      '1.0.0-01',
      '1.0.0-a.00',
      '1.0.0-a.01.b',
      '1.0.0-00',
      '1.0.0-a b',
      '1.0.0 - a',
      '1.0.0- a',
      '1.0.0-a_b',
      '1.0.0-ä',
      '1.0.0-a^',
      '1.0.0+ä',
    ],
    ...[
      '2147483648',
      '1.2147483648',
      '1.0.2147483648',
      '1.0.0.2147483648',
      '4294967297.0',
      '99999999999999999999',
      '1e3',
      '0x1',
      '١.٠',
    ],
    ...['\ufeff1.0', '1.0\u0000', `${'1'.repeat(2000)}`, `1.0.0-${'a'.repeat(1024)}`, `1.0${' '.repeat(1024)}`],
  ])('%j is none', (text) => {
    expect(NuGetVersion.tryParse(text)).toBeUndefined();
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'INVALID_VERSION' }));
  });

  it('is none of what is no text, from callers without types', () => {
    for (const other of [undefined, null, 1, {}]) expect(NuGetVersion.tryParse(other as never)).toBeUndefined();
  });

  it('shows in errors what was given, short and with nothing that takes over a terminal', () => {
    expect(() => parse('1.0\u001b[2J')).toThrow('"1.0\\u001b[2J" is no version');
    expect(() => parse('x'.repeat(5000))).toThrow(/^"x{100}…" is no version$/);
  });

  it('has its parts', () => {
    const version = parse('1.2.3.4-rc.1.X+build.7');
    expect([version.major, version.minor, version.patch, version.revision]).toEqual([1, 2, 3, 4]);
    expect(version.releaseLabels).toEqual(['rc', '1', 'X']);
    expect(version.releaseLabels).toBe(version.releaseLabels);
    expect([version.release, version.metadata]).toEqual(['rc.1.X', 'build.7']);
    expect(version.originalVersion).toBe('1.2.3.4-rc.1.X+build.7');
    expect(parse('1.0').releaseLabels).toEqual([]);
  });

  it('says what it is', () => {
    const kinds = (text: string) => {
      const { isPrerelease, isSemVer2, hasMetadata, isLegacyVersion } = parse(text);
      return { isPrerelease, isSemVer2, hasMetadata, isLegacyVersion };
    };
    const none = { isPrerelease: false, isSemVer2: false, hasMetadata: false, isLegacyVersion: false };
    expect(kinds('1.0.0.0')).toEqual(none);
    expect(kinds('1.0.0.1')).toEqual({ ...none, isLegacyVersion: true });
    expect(kinds('1.0.0-a')).toEqual({ ...none, isPrerelease: true });
    expect(kinds('1.0.0-a.b')).toEqual({ ...none, isPrerelease: true, isSemVer2: true });
    expect(kinds('1.0.0+a')).toEqual({ ...none, hasMetadata: true, isSemVer2: true });
  });
});

describe('the order of versions', () => {
  it('has each of these before the next', () => {
    const ascending = [
      ...[
        '0.0.0-0',
        '0.0.0',
        '0.0.0.1',
        '0.0.1',
        '0.9',
        '1.0.0-0',
        '1.0.0-1',
        '1.0.0-2',
        '1.0.0-10',
        '1.0.0-10.0',
        '1.0.0-10.a',
      ],
      ...[
        '1.0.0-2147483647',
        '1.0.0-2147483648',
        '1.0.0-9007199254740992',
        '1.0.0-9007199254740993',
        '1.0.0-18446744073709551617',
      ],
      ...[
        '1.0.0--',
        '1.0.0--1',
        '1.0.0-0a',
        '1.0.0-1-',
        '1.0.0-1a',
        '1.0.0-A',
        '1.0.0-a.0',
        '1.0.0-A.1',
        '1.0.0-a.1.0',
        '1.0.0-a.9',
        '1.0.0-a.10',
      ],
      ...[
        '1.0.0-a.10a',
        '1.0.0-a.1a',
        '1.0.0-a.B',
        '1.0.0-a.b.c',
        '1.0.0-a-',
        '1.0.0-a-b',
        '1.0.0-a1',
        '1.0.0-a10',
        '1.0.0-a2',
        '1.0.0-aB',
        '1.0.0-abc',
      ],
      ...[
        '1.0.0-alpha',
        '1.0.0-alpha.1',
        '1.0.0-alpha.beta',
        '1.0.0-beta',
        '1.0.0-beta.2',
        '1.0.0-beta.11',
        '1.0.0-rc.1',
        '1.0.0-z',
      ],
      ...['1.0.0', '1.0.0.1-a', '1.0.0.1', '1.0.0.2', '1.0.1-a', '1.0.1', '1.1', '1.10', '2.0', '10.0', '2147483647.0'],
    ];
    for (let i = 0; i < ascending.length; i++) {
      for (let j = 0; j < ascending.length; j++) {
        const [a, b] = [ascending[i] as string, ascending[j] as string];
        expect([a, b, compare(a, b)]).toEqual([a, b, Math.sign(i - j)]);
      }
    }
  });

  it.each([
    ['1.0', '1.0.0.0'],
    ['1.23.01', '1.23.1'],
    ['1.6.2-BeTa', '1.6.02-beta'],
    ['1.0.0-RC.X.1', '1.0.0-rc.x.1'],
    ['1.0.0+a', '1.0.0+b'],
    ['1.0.0-a+1', '1.0.0-A'],
    ['22.3.07     ', '22.3.7'],
  ])('has %s and %s in the same place', (a, b) => {
    expect(compare(a, b)).toBe(0);
    expect(parse(a).equals(parse(b))).toBe(true);
    expect(parse(a).compareTo(parse(b))).toBe(0);
  });

  it("has nothing in a version's place that is none", () => {
    expect(parse('1.0').equals(undefined)).toBe(false);
  });

  it('compares labels of digits without end as the numbers that they are', () => {
    const digits = fc.stringMatching(/^[1-9]\d{0,60}$/);
    fc.assert(
      fc.property(digits, digits, (a, b) => {
        const difference = BigInt(a) - BigInt(b);
        const expected = difference === 0n ? 0 : difference < 0n ? -1 : 1;
        expect(compare(`1.0.0-x.${a}`, `1.0.0-x.${b}`)).toBe(expected);
        expect(compare(`1.0.0-${a}.y`, `1.0.0-${b}.y`)).toBe(expected);
      }),
    );
  });

  it('is what a plain reading of the rules says', () => {
    fc.assert(
      fc.property(versionTexts, versionTexts, (a, b) => {
        expect(compare(a, b)).toBe(plainOrder(parse(a), parse(b)));
      }),
      { numRuns: 1000 },
    );
  });

  it('is total: antisymmetric and transitive', () => {
    fc.assert(
      fc.property(versionTexts, versionTexts, versionTexts, (a, b, c) => {
        expect(compare(a, b)).toBe(-compare(b, a) || 0);
        const [x, y, z] = [a, b, c].sort(compare) as [string, string, string];
        expect([compare(x, y), compare(y, z), compare(x, z)].every((order) => order <= 0)).toBe(true);
        if (compare(a, b) === 0) expect(compare(a, c)).toBe(compare(b, c));
      }),
      { numRuns: 500 },
    );
  });

  it('is kept when versions are written and read again', () => {
    fc.assert(
      fc.property(versionTexts, (text) => {
        const version = parse(text);
        for (const written of [version.toString(), version.toNormalizedString(), version.toFullString()]) {
          expect(parse(written).equals(version)).toBe(true);
        }
        expect(parse(version.toFullString()).metadata).toBe(version.metadata);
        expect(parse(version.toNormalizedString()).toNormalizedString()).toBe(version.toNormalizedString());
      }),
    );
  });

  it('knows a version from any other text, and never throws but its own error', () => {
    const version = /^\s*\d+\s*(\.\s*\d+\s*){0,3}(-[\da-z-]+(\.[\da-z-]+)*)?(\+[\da-z-]+(\.[\da-z-]+)*)?\s*$/i;
    const text = fc.string({ unit: fc.constantFrom(...'0123.-+ aZ*'), maxLength: 14 });
    fc.assert(
      fc.property(text, (each) => {
        const [, release = ''] = /-([^+]*)/.exec(each.replace(/\+.*/, '')) ?? [];
        const hasLeadingZero = release
          .trim()
          .split('.')
          .some((label) => /^0\d+$/.test(label));
        expect(NuGetVersion.tryParse(each) !== undefined).toBe(version.test(each) && !hasLeadingZero);
      }),
      { numRuns: 3000 },
    );
  });
});

/** The rules, as slowly and plainly as they can be written. */
function plainOrder(a: NuGetVersion, b: NuGetVersion): number {
  const numbers = (v: NuGetVersion) => [v.major, v.minor, v.patch, v.revision];
  for (let i = 0; i < 4; i++) {
    const difference = (numbers(a)[i] as number) - (numbers(b)[i] as number);
    if (difference !== 0) return Math.sign(difference);
  }
  if (a.isPrerelease !== b.isPrerelease) return a.isPrerelease ? -1 : 1;
  for (let i = 0; i < Math.max(a.releaseLabels.length, b.releaseLabels.length); i++) {
    const [x, y] = [a.releaseLabels[i], b.releaseLabels[i]];
    if (x === undefined) return -1;
    if (y === undefined) return 1;
    const [xIsNumber, yIsNumber] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (xIsNumber !== yIsNumber) return xIsNumber ? -1 : 1;
    const [left, right] = xIsNumber ? [BigInt(x), BigInt(y)] : [x.toUpperCase(), y.toUpperCase()];
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}
