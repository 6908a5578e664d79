import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCompatible } from './compatibility.js';
import { NuGetFramework } from './nuget-framework.js';

const uses = (target: string, candidate: string) =>
  isCompatible(NuGetFramework.parse(target), NuGetFramework.parse(candidate));

describe('a project', () => {
  /** Targets, what they can use, and what they can't. */
  it.each([
    [
      'net8.0',
      'net8.0 net7.0 net5.0 netcoreapp3.1 netcoreapp1.0 netcoreapp netstandard2.1 netstandard2.0 netstandard1.0 netstandard',
      'net9.0 net8.0-windows net472 net20 netstandard2.2 dotnet5.4 portable-net45+win8 netcore45 uap10.0 native',
    ],
    [
      'net8.0-windows',
      'net8.0 net6.0 net6.0-windows net5.0-windows netcoreapp3.1 netstandard2.1',
      'net8.0-windows7.0 net8.0-android net9.0 net48 win8',
    ],
    [
      'net8.0-windows10.0.19041',
      'net8.0-windows net8.0-windows7.0 net8.0-windows10.0.17763 net6.0-Windows10.0',
      'net8.0-windows10.0.22000 net9.0-windows',
    ],
    [
      'net6.0-android31.0',
      'monoandroid monoandroid12.0 net6.0-android30.0 net5.0',
      'tizen40 xamarinios net6.0-android32.0',
    ],
    ['net6.0-tizen', 'tizen40 tizen90', 'monoandroid12.0'],
    ['net5.0-android', 'net5.0', 'monoandroid'],
    ['net6.0-ios', 'net6.0', 'xamarinios xamarinmac net6.0-tvos'],
    ['net5.0', 'netcoreapp3.1 netstandard2.1', 'net452 net472 net5.0-windows'],
    ['netcoreapp3.1', 'netcoreapp2.1 netstandard2.1', 'net5.0 net461 netstandard2.2'],
    ['netcoreapp2.1', 'netstandard2.0 netstandard1.7', 'netstandard2.1'],
    ['netcoreapp1.1', 'netstandard1.7 netstandard1.6', 'netstandard2.0'],
    ['netcoreapp1.0', 'netstandard1.6 netstandard', 'netstandard1.7 netstandardapp1.0 dotnet5.5 net451'],
    ['net481', 'net48 net11 netstandard2.0 dotnet5.6', 'netstandard2.1 netcoreapp1.0'],
    [
      'net472',
      'net472 net471 net40 net40-client net20 netstandard2.0 portable-net45+win8',
      'net48 netstandard2.1 netcoreapp2.0 portable-net48+foo',
    ],
    ['net461', 'netstandard2.0 dotnet5.5 dotnet', 'netstandard2.1 dotnet5.6'],
    ['net46', 'netstandard1.3 dotnet5.4', 'netstandard1.4 netstandard2.0 dotnet5.5'],
    ['net451', 'netstandard1.2 dotnet5.3', 'netstandard1.3'],
    [
      'net45',
      'netstandard1.1 netstandard1.0.1 netstandard0.9 net45-full net45-client net40-client',
      'netstandard1.1.1 netstandard1.2 net45-cf dnx451 net46',
    ],
    ['net45-client', 'net45 net40 netstandard1.1 dotnet', 'net46'],
    [
      'net40',
      'net35 net40-client portable-net40+sl4 portable-net40+sl5+win8',
      'netstandard dotnet portable-net45+win8',
    ],
    ['net40-client', 'net40 net35', 'netstandard'],
    ['net45-cf', 'net40-cf', 'net45 netstandard dotnet'],
    ['netstandard2.0', 'netstandard1.6 netstandard', 'netstandard2.1 net461 netcoreapp2.0 dotnet5.4'],
    ['netstandardapp1.5', 'netstandard1.5 netstandardapp1.3', 'netstandard1.6 dotnet5.6 net45'],
    [
      'uap10.0',
      'uap win81 win8 win netcore50 netcore45 winrt45 wpa81 wpa dotnet5.5 netstandard1.4 portable-net45+win8 portable-net45+sl5+netcore50',
      'uap10.1 netstandard1.5 netstandard2.0 portable-net45+sl5+wp8 native net45',
    ],
    ['uap10.0.15064', 'netstandard2.0', 'netstandard2.1 netcoreapp1.0'],
    ['netcore50', 'win81 win8 netcore451 netstandard1.4 dotnet5.5', 'uap10.0 wpa81 netstandard1.5'],
    ['win81', 'netcore451 win8 netcore winrt netstandard1.2 dotnet5.3', 'netcore50 wpa81 netstandard1.3'],
    ['win8', 'win netcore netcore45 winrt45 netstandard1.1', 'netcore451 netstandard1.2'],
    ['wpa81', 'wpa netstandard1.2 portable-win81+wpa81', 'win81 netcore50 netstandard1.3'],
    ['wp8', 'wp7 wp71 sl8-wp sl3-wp sl4-wp71 netstandard1.0', 'wp81 sl4 netstandard1.1'],
    ['sl5', 'sl4 portable-net40+sl4', 'sl4-wp netstandard'],
    ['tizen30', 'netstandard1.6', 'netstandard2.0'],
    ['tizen40', 'netstandard2.0', 'netstandard2.1'],
    ['tizen60', 'netstandard2.1', 'netstandard2.2'],
    [
      'monoandroid',
      'netstandard2.1 dotnet5.6 portable-net45+win8 portable-net45+win8+wp8+wpa81',
      'xamarinios portable-net40+sl4',
    ],
    ['xamarinios10', 'netstandard2.1', 'monotouch'],
    ['xamarinpsthree', 'netstandard2.0', 'netstandard2.1'],
    ['dnx462', 'net462 dnx451 aspnet50 netstandard2.0 dotnet5.6', 'dnxcore50 netstandard2.1'],
    ['dnxcore50', 'dnxcore aspnetcore50 dotnet5.6 netstandard1.5', 'netstandard1.6 net45 dnx451'],
    ['dotnet5.4', 'dotnet dotnet5.1', 'dotnet5.5 netstandard1.0 net45'],
    ['netmf', 'netmf', 'netstandard dotnet'],
    ['netnano1.0', 'netnano1.0', 'net48 netstandard1.0'],
    ['native', 'native any agnostic', 'uap dotnet'],
  ])('for %s uses %s, and not %s', (target, usable, unusable) => {
    for (const candidate of usable.split(' ')) expect([candidate, uses(target, candidate)]).toEqual([candidate, true]);
    for (const candidate of unusable.split(' '))
      expect([candidate, uses(target, candidate)]).toEqual([candidate, false]);
  });

  it.each([
    [
      'portable-net45+win8',
      'portable-net45+win8+wp8 portable-win8+net45+monoandroid portable-net40+win8+sl5 netstandard1.1 netstandard',
      'portable-net451+win81 portable-net45 net45 netstandard1.2 dotnet',
    ],
    [
      'portable-net45+win8+wp8+wpa81',
      'netstandard1.0 portable-net45+win8+wp8+wpa81+unknown',
      'netstandard1.1 portable-net45+win8',
    ],
    ['portable-net451+win81', 'portable-win8+net45 netstandard1.2', 'portable-net451+wp8'],
    ['portable-net40+sl5', 'portable-net40+sl5+win8', 'netstandard1.0'],
    ['portable-net45+win8+unknown', 'portable-net45+win8+unknown', 'portable-net45+win8 netstandard1.0'],
    ['.NETPortable,Version=v4.5,Profile=Profile7', 'portable-net45+win8+wpa81 netstandard1.1', 'net45'],
    ['.NETPortable,Version=v4.5,Profile=Profile999', 'any', 'portable-net45+win8 netstandard1.0'],
  ])('of portable classes for %s uses %s, and not %s', (target, usable, unusable) => {
    for (const candidate of usable.split(' ')) expect([candidate, uses(target, candidate)]).toEqual([candidate, true]);
    for (const candidate of unusable.split(' '))
      expect([candidate, uses(target, candidate)]).toEqual([candidate, false]);
  });

  it.each([
    ['7', '1.1'],
    ['31', '1.0'],
    ['32', '1.2'],
    ['44', '1.2'],
    ['49', '1.0'],
    ['78', '1.0'],
    ['84', '1.0'],
    ['111', '1.1'],
    ['151', '1.2'],
    ['157', '1.0'],
    ['259', '1.0'],
  ])('of portable classes of profile %s uses .NET Standard up to %s', (profile, standard) => {
    const target = `.NETPortable,Version=v0.0,Profile=Profile${profile}`;
    expect(uses(target, `netstandard${standard}`)).toBe(true);
    expect(uses(target, `netstandard${standard}.1`)).toBe(false);
    expect(uses(`netstandard${standard}`, target)).toBe(false);
  });

  it('uses what is for any framework or none in particular, and nothing for an unknown one', () => {
    expect(uses('net8.0', 'any')).toBe(true);
    expect(uses('any', 'net8.0')).toBe(true);
    expect(uses('unsupported', 'any')).toBe(true);
    expect(uses('net8.0', 'agnostic')).toBe(true);
    expect(uses('agnostic', 'net8.0')).toBe(false);
    expect(uses('net8.0', 'something')).toBe(false);
    expect(uses('something', 'net8.0')).toBe(false);
    expect(uses('unsupported', 'agnostic')).toBe(false);
    expect(uses('unsupported', 'unsupported')).toBe(true);
  });
});

describe('names of the same framework', () => {
  it.each([
    'uap uap10.0',
    'win win8 netcore netcore45 winrt winrt45',
    'win81 netcore451',
    'wp wp7 sl3-wp',
    'wp71 sl4-wp71',
    'wp8 sl8-wp',
    'wpa wpa81',
    'tizen tizen3',
    'dnx dnx45 aspnet aspnet50',
    'dnxcore50 aspnetcore50',
    'net40 net40-client net40-full',
    'portable-net45+win8 portable-netcore45+net45 .NETPortable,Version=v4.5,Profile=Profile7',
  ])('go with each other: %s', (names) => {
    for (const a of names.split(' '))
      for (const b of names.split(' ')) expect([a, b, uses(a, b)]).toEqual([a, b, true]);
  });
});

describe('compatibility', () => {
  const identifier = fc.constantFrom(
    'net',
    'netstandard',
    'netcoreapp',
    'netcore',
    'uap',
    'win',
    'wp',
    'sl',
    'dnx',
    'foo',
  );
  const number = fc.integer({ min: 0, max: 12 });
  const suffix = fc.constantFrom('', '', '-client', '-windows', '-android31.0', '-foo');
  const framework = fc
    .tuple(identifier, number, number, suffix)
    .map(([name, major, minor, end]) => NuGetFramework.parse(`${name}${major}.${minor}${end}`));

  it('is given with itself', () => {
    fc.assert(fc.property(framework, (each) => isCompatible(each, each)));
  });

  it('is kept by later versions of the target, and by earlier ones of the candidate', () => {
    fc.assert(
      fc.property(identifier, number, number, number, number, (name, major, minor, other, more) => {
        const at = (a: number, b: number) => NuGetFramework.parse(`.NETCoreApp,Version=v${a}.${b}`);
        const candidate = NuGetFramework.parse(`${name}${other}.${more}`);
        if (isCompatible(at(major, minor), candidate)) expect(isCompatible(at(major + 1, minor), candidate)).toBe(true);
      }),
    );
  });
});
