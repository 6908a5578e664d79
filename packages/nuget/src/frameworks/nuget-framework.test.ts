import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NuGetFramework } from './nuget-framework.js';

const parse = (name: string) => NuGetFramework.parse(name);

describe('the name of a folder', () => {
  it.each([
    ['net8.0', '.NETCoreApp,Version=v8.0', 'net8.0'],
    ['net10.0', '.NETCoreApp,Version=v10.0', 'net10.0'],
    ['NET8.0', '.NETCoreApp,Version=v8.0', 'net8.0'],
    ['net5', '.NETCoreApp,Version=v5.0', 'net5.0'],
    ['net50', '.NETCoreApp,Version=v5.0', 'net5.0'],
    ['netcoreapp6.0', '.NETCoreApp,Version=v6.0', 'net6.0'],
    ['netcoreapp3.1', '.NETCoreApp,Version=v3.1', 'netcoreapp3.1'],
    ['netcoreapp21', '.NETCoreApp,Version=v2.1', 'netcoreapp2.1'],
    ['netcoreapp', '.NETCoreApp,Version=v0.0', 'netcoreapp'],
    ['netstandard2.0', '.NETStandard,Version=v2.0', 'netstandard2.0'],
    ['netstandard20', '.NETStandard,Version=v2.0', 'netstandard2.0'],
    ['netstandard1.1.1', '.NETStandard,Version=v1.1.1', 'netstandard1.1.1'],
    ['netstandard', '.NETStandard,Version=v0.0', 'netstandard'],
    ['netstandardapp1.5', '.NETStandardApp,Version=v1.5', 'netstandardapp15'],
    ['net', '.NETFramework,Version=v0.0', 'net'],
    ['net10', '.NETFramework,Version=v1.0', 'net10'],
    ['net4', '.NETFramework,Version=v4.0', 'net40'],
    ['net45', '.NETFramework,Version=v4.5', 'net45'],
    ['net450', '.NETFramework,Version=v4.5', 'net45'],
    ['net4.5.0', '.NETFramework,Version=v4.5', 'net45'],
    ['net472', '.NETFramework,Version=v4.7.2', 'net472'],
    ['net481', '.NETFramework,Version=v4.8.1', 'net481'],
    ['net47234', '.NETFramework,Version=v4.7.2.3', 'net4723'],
    ['.NETFramework3.5', '.NETFramework,Version=v3.5', 'net35'],
    ['net40-client', '.NETFramework,Version=v4.0,Profile=Client', 'net40-client'],
    ['net40-full', '.NETFramework,Version=v4.0', 'net40'],
    ['net45-cf', '.NETFramework,Version=v4.5,Profile=CompactFramework', 'net45-cf'],
    ['net45-custom', '.NETFramework,Version=v4.5,Profile=custom', 'net45-custom'],
    ['45', '.NETFramework,Version=v4.5', 'net45'],
    ['4.0', '.NETFramework,Version=v4.0', 'net40'],
    ['35', '.NETFramework,Version=v3.5', 'net35'],
    ['2', '.NETFramework,Version=v2.0', 'net20'],
    ['netcore45', '.NETCore,Version=v4.5', 'netcore45'],
    ['netcore', '.NETCore,Version=v0.0', 'netcore'],
    ['win', 'Windows,Version=v0.0', 'win'],
    ['win8', 'Windows,Version=v8.0', 'win8'],
    ['windows81', 'Windows,Version=v8.1', 'win81'],
    ['Win10.1.2.3', 'Windows,Version=v10.1.2.3', 'win10.1.2.3'],
    ['wp71', 'WindowsPhone,Version=v7.1', 'wp71'],
    ['windowsphone8', 'WindowsPhone,Version=v8.0', 'wp8'],
    ['wpa81', 'WindowsPhoneApp,Version=v8.1', 'wpa81'],
    ['uap10.0', 'UAP,Version=v10.0', 'uap10.0'],
    ['uap10.0.15064.0', 'UAP,Version=v10.0.15064', 'uap10.0.15064'],
    ['sl5', 'Silverlight,Version=v5.0', 'sl5'],
    ['sl3-wp', 'Silverlight,Version=v3.0,Profile=WindowsPhone', 'sl3-wp'],
    ['sl4-windowsphone71', 'Silverlight,Version=v4.0,Profile=windowsphone71', 'sl4-wp71'],
    ['monoandroid', 'MonoAndroid,Version=v0.0', 'monoandroid'],
    ['MonoAndroid9.0', 'MonoAndroid,Version=v9.0', 'monoandroid90'],
    ['MonoAndroid12.0', 'MonoAndroid,Version=v12.0', 'monoandroid12.0'],
    ['Xamarin.iOS10', 'Xamarin.iOS,Version=v1.0', 'xamarinios10'],
    ['xamarinpsthree', 'Xamarin.PlayStation3,Version=v0.0', 'xamarinpsthree'],
    ['tizen40', 'Tizen,Version=v4.0', 'tizen40'],
    ['native', 'native,Version=v0.0', 'native'],
    ['netmf', '.NETMicroFramework,Version=v0.0', 'netmf'],
    ['netnano1.0', '.NETnanoFramework,Version=v1.0', 'netnano1.0'],
    ['dnx451', 'DNX,Version=v4.5.1', 'dnx451'],
    ['dnxcore50', 'DNXCore,Version=v5.0', 'dnxcore50'],
    ['aspnet50', 'ASP.NET,Version=v5.0', 'aspnet50'],
    ['asp.netcore50', 'ASP.NETCore,Version=v5.0', 'aspnetcore50'],
    ['dotnet', '.NETPlatform,Version=v5.0', 'dotnet'],
    ['dotnet5.4', '.NETPlatform,Version=v5.4', 'dotnet54'],
    ['winrt45', 'WinRT,Version=v4.5', 'winrt45'],
    ['any', 'Any,Version=v0.0', 'any'],
    ['Agnostic', 'Agnostic,Version=v0.0', 'agnostic'],
    ['unsupported', 'Unsupported,Version=v0.0', 'unsupported'],
  ])('%s means %s, and is written as %s', (name, fullName, shortName) => {
    expect(parse(name).fullName).toBe(fullName);
    expect(parse(name).shortFolderName).toBe(shortName);
    expect(parse(shortName).equals(parse(name))).toBe(true);
  });

  it.each([
    ['net8.0-windows', 'windows', '0.0', 'net8.0-windows'],
    ['net8.0-windows7.0', 'windows', '7.0', 'net8.0-windows7.0'],
    ['net8.0-windows10.0.19041', 'windows', '10.0.19041', 'net8.0-windows10.0.19041'],
    ['net8.0-windows10.0.19041.0', 'windows', '10.0.19041.0', 'net8.0-windows10.0.19041'],
    ['net5.0-android10', 'android', '10.0', 'net5.0-android10.0'],
    ['net6.0-iOS15.0', 'iOS', '15.0', 'net6.0-ios15.0'],
    ['net6.0-madeup', 'madeup', '0.0', 'net6.0-madeup'],
    ['net6.0-42', '42', '0.0', 'net6.0-42'],
    ['netcoreapp5.0-windows10.0', 'windows', '10.0', 'net5.0-windows10.0'],
  ])('%s has the platform %s of version %s', (name, platform, version, shortName) => {
    const framework = parse(name);
    expect([framework.platform, framework.platformVersion.toString()]).toEqual([platform, version]);
    expect(framework.shortFolderName).toBe(shortName);
    expect(framework.toString()).toBe(shortName);
    expect(framework.profile).toBe('');
  });

  it.each([
    '',
    ' ',
    'foo',
    'foo45',
    'foo45-client',
    '11',
    '46',
    'net8.',
    'net8.0-',
    'net8.0.1.2.3',
    'net8.0+windows',
    'net 8.0',
    'net8_0',
    'net5.0-mac os',
    'net5.0-macos-14',
    'net5.0-madeup1.1.3.4.5.6',
    'net4294967296.0',
    'portable',
    'portable-net($3747!4',
    '%',
    '%zz',
    '_._',
  ])('%j means no framework', (name) => {
    expect(parse(name)).toBe(NuGetFramework.unsupported);
  });
});

describe('a full name', () => {
  it.each([
    ['.NETFramework,Version=v4.7.2', 'net472'],
    ['.NETFramework, Version=v4.5', 'net45'],
    ['NETFramework,Version=4.5', 'net45'],
    ['.netframework,version=v4', 'net40'],
    ['.NETFramework,Version=v4.0,Profile=Client', 'net40-client'],
    ['.NETFramework,', 'net'],
    ['.NETCoreApp,Version=v8.0', 'net8.0'],
    ['.NETCoreApp,Version=v8.0,Profile=ignored', 'net8.0'],
    ['.NETCoreApp,Version=v3.1', 'netcoreapp3.1'],
    ['.NETStandard,Version=v2.1', 'netstandard2.1'],
    ['.NETPlatform,Version=v0.0', 'dotnet'],
    ['UAP,Version=v10.0.10030.1', 'uap10.0.10030.1'],
    ['.NETPortable,Version=v4.5,Profile=Profile259', 'portable45-net45+win8+wp8+wpa81'],
    ['Portable,Version=v0.0,Profile=net45+win8', 'portable-net45+win8'],
    ['Any,Version=v0.0', 'any'],
    ['Some Thing,Version=v1.2', 'something12'],
    ['.NETFramework,Version=v4.0,Version=v4.5', 'net'],
  ])('%s is %s in short', (name, shortName) => {
    expect(parse(name).shortFolderName).toBe(shortName);
  });

  it.each([
    '.NETFramework,Version=vfour',
    '.NETFramework,Version=v',
    '.NETFramework,Version=v4.5.6.7.8',
    '.NETFramework,Version=v4.-5',
    '.NETPortable,Version=v0.0,Profile=win+net-cf',
    'portable-win+net-cf',
    ',',
    'x'.repeat(1025),
  ])('%s is an error', (name) => {
    expect(() => parse(name)).toThrow(expect.objectContaining({ code: 'INVALID_FRAMEWORK' }));
  });

  it('without a name that a folder could have is an error when it is asked for', () => {
    expect(() => parse('.NETPortable,Version=v4.5').shortFolderName).toThrow(/no set of frameworks/);
    expect(() => parse('.NETPortable,Version=v4.5,Profile=Profile999').shortFolderName).toThrow(/"Profile999"/);
    expect(() => parse('+,Version=v1.0').shortFolderName).toThrow(/can't be the name of a folder/);
  });
});

describe('a portable class library', () => {
  it.each([
    ['portable-net45+win8', 'Profile7'],
    ['portable-win8+net45', 'Profile7'],
    ['portable-net45+netcore45', 'Profile7'],
    ['portable-net45+win8+monoandroid+monotouch', 'Profile7'],
    ['portable-win8+net45+monoandroid10+xamarin.ios+xamarin.watchos', 'Profile7'],
    ['.NETPortable-net45+win8', 'Profile7'],
    ['portable-Profile7', 'Profile7'],
    ['portable-net45+wp8', 'Profile49'],
    ['portable-win%2Bnet45%2Bwp8', 'Profile78'],
    ['portable-net45+win8+wpa81', 'Profile111'],
    ['portable-net45+wp8+win+wpa+netcore+netcore45', 'Profile259'],
    ['portable-net450+net4.5+net45+wp8+wpa+win8+wpa81', 'Profile259'],
    ['portable-net4+sl5+wp8+win8+wpa81+monotouch', 'Profile328'],
    ['portable-win81+wp81', 'Profile31'],
    ['portable-net40+sl4', 'Profile3'],
    ['portable-net40+sl4+monoandroid', 'net40+sl4+monoandroid'],
    ['portable-net45+win10.0', 'net45+win10.0'],
    ['portable-net45', 'net45'],
    ['portable-net45+foo', 'net45+foo'],
    ['.NETPortable40-Profile1', 'Profile1'],
  ])('%s is of profile %s', (name, profile) => {
    const framework = parse(name);
    expect([framework.framework, framework.profile]).toEqual(['.NETPortable', profile]);
    expect(framework.isPortable).toBe(true);
  });

  it('names its frameworks in alphabetical order', () => {
    expect(parse('portable-net40%2Bsl5%2Bwp80%2Bwin8%2Bwpa81').shortFolderName).toBe(
      'portable-net40+sl5+win8+wp8+wpa81',
    );
    expect(parse('portable-win8+net45+monotouch').shortFolderName).toBe('portable-net45+win8');
    expect(parse('portable-net45+foo').shortFolderName).toBe('portable-net45+unsupported');
  });

  it('is found by its number whatever the order of its frameworks', () => {
    const sets = ['net45+win8+wpa81+wp8', 'net403+sl5+win8+wpa81', 'net4+win8+sl4+wp7', 'net451+win81+wpa81'];
    fc.assert(
      fc.property(
        fc.constantFrom(...sets).chain((set) => {
          const names = set.split('+');
          const shuffled = fc.shuffledSubarray(names, { minLength: names.length });
          return fc.tuple(fc.constant(set), shuffled);
        }),
        ([set, names]) => {
          expect(parse(`portable-${names.join('+')}`).key).toBe(parse(`portable-${set}`).key);
        },
      ),
    );
  });
});

describe('a framework', () => {
  it('equals itself by any of its names, and is one key', () => {
    for (const name of ['net450', 'net4.5', '.NETFramework, Version=v4.5', 'NETFramework,Version=4.5.0.0']) {
      expect(parse(name).equals(parse('net45'))).toBe(true);
      expect(parse(name).key).toBe(parse('net45').key);
    }
    expect(parse('net8.0-windows').equals(parse('net8.0-WINDOWS'))).toBe(true);
    expect(parse('net8.0-windows7.0').equals(parse('net8.0-windows8.0'))).toBe(false);
    expect(parse('net45').equals(parse('net451'))).toBe(false);
    expect(parse('net45').equals(parse('net45-client'))).toBe(false);
    expect(parse('net45').equals(undefined)).toBe(false);
  });

  it('says what it is', () => {
    expect(parse('any').isAny && parse('agnostic').isAgnostic && parse('foo').isUnsupported).toBe(true);
    expect(['any', 'foo', 'net45'].map((name) => parse(name).isSpecific)).toEqual([false, false, true]);
    expect(['net8.0', 'netcoreapp3.1', 'net48'].map((name) => parse(name).isNet5Era)).toEqual([true, false, false]);
    const packageBased = [
      'net8.0',
      'netstandard1.0',
      'dotnet',
      'uap10.0',
      'netcore50',
      'tizen40',
      'net48',
      'netcore45',
      'win81',
    ];
    expect(packageBased.filter((name) => !parse(name).isPackageBased)).toEqual(['net48', 'netcore45', 'win81']);
  });

  it('is a text in JSON: short from .NET 5 on, and full before', () => {
    expect(JSON.stringify([parse('net8.0-ios'), parse('net472')])).toBe(
      '["net8.0-ios",".NETFramework,Version=v4.7.2"]',
    );
  });

  it('goes through both of its names unharmed', () => {
    const name = fc.constantFrom(
      'net',
      'netstandard',
      'netcoreapp',
      'uap',
      'win',
      'wp',
      'sl',
      'monoandroid',
      'tizen',
      'xamarinios',
    );
    const part = fc.integer({ min: 0, max: 20 });
    const version = fc.array(part, { minLength: 2, maxLength: 4 }).map((parts) => parts.join('.'));
    const suffix = fc.constantFrom('', '-client', '-windows', '-ios17.2', '-custom');
    fc.assert(
      fc.property(name, version, suffix, (framework, number, end) => {
        const parsed = parse(`${framework}${number}${end}`);
        if (parsed.isUnsupported) return;
        expect(parse(parsed.shortFolderName).equals(parsed)).toBe(true);
        if (parsed.platform === '') expect(parse(parsed.fullName).equals(parsed)).toBe(true);
      }),
    );
  });

  it('is read from any text in little time, or is an error with a code', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        try {
          expect(parse(text).key).toBeTypeOf('string');
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_FRAMEWORK' });
        }
      }),
    );
  });

  // To try all the ways in which this could be read would outlast any test.
  it('is read at once, however many ways there seem to be', () => {
    for (let i = 0; i < 1000; i++) expect(parse(`${'.'.repeat(1000)}!${i}`).isUnsupported).toBe(true);
  });
});
