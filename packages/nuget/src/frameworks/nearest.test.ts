import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCompatible } from './compatibility.js';
import { nearestFramework } from './nearest.js';
import { NuGetFramework } from './nuget-framework.js';

const parse = (name: string) => NuGetFramework.parse(name);
const nearest = (target: string, candidates: string, fallbacks = '') =>
  nearestFramework(parse(target), candidates.split(' ').filter(Boolean).map(parse), {
    fallbacks: fallbacks.split(' ').filter(Boolean).map(parse),
  });

describe('the nearest framework', () => {
  it.each([
    // The target itself, whatever else there is.
    ['net8.0', 'net6.0 net8.0 netstandard2.0 any', 'net8.0'],
    ['net461', 'net462 net461 net46 dotnet5.5 portable-net45+win8', 'net461'],
    ['uap10.0', 'uap10.0 win81 wpa81 dotnet5.4', 'uap10.0'],
    // The highest version of its own framework, and not a nearer relative.
    ['net8.0', 'net5.0 net6.0 net7.0 net9.0', 'net7.0'],
    ['net8.0', 'netcoreapp3.1 netstandard2.1', 'netcoreapp3.1'],
    ['net8.0', 'netcoreapp3.1 net5.0', 'net5.0'],
    ['net472', 'net20 net35 net40 net45 netstandard2.0', 'net45'],
    ['net461', 'net2 dotnet5.5 portable-net45+win8', 'net20'],
    ['net48', 'net40-client net35', 'net40-client'],
    ['net40-client', 'net40 net35', 'net40'],
    ['net40-client', 'net40 net40-client', 'net40-client'],
    ['net45', 'net40-client net40', 'net40'],
    ['netstandard2.0', 'netstandard1.0 netstandard1.6 netstandard2.1', 'netstandard1.6'],
    ['netstandard1.5', 'net40 netstandard7.0 netstandard0.0', 'netstandard'],
    // What it supports besides.
    ['net8.0', 'net472 netstandard2.0 netstandard2.1', 'netstandard2.1'],
    ['net472', 'netcoreapp3.1 netstandard1.3 netstandard2.0 netstandard2.1', 'netstandard2.0'],
    ['net461', 'dotnet5.5 dotnet6.0 portable-net45+win8', 'dotnet55'],
    ['net49', 'dotnet6.0 dotnet5.6 dotnet5.5 portable-net45+win8', 'dotnet56'],
    ['netcoreapp2.1', 'net461 netstandard1.1 netstandard2.0', 'netstandard2.0'],
    ['netstandardapp1.5', 'net4 netstandard1.4 netstandardapp1.3 dotnet5.6', 'netstandardapp13'],
    ['dnx452', 'net45 net40 dotnet', 'net45'],
    ['monoandroid12.0', 'netstandard2.1 portable-net45+win8', 'netstandard2.1'],
    ['tizen40', 'netstandard2.0 netstandard1.6 netstandard2.1', 'netstandard2.0'],
    // From the general to the special, for applications of the store.
    ['uap10.0', 'netcore50 win81 wpa81 dotnet5.4 portable-win81+net45', 'netcore50'],
    ['uap10.0', 'win81 wpa81 dotnet5.4', 'win81'],
    ['uap10.0', 'wpa81 dotnet5.4 portable-win81+net45', 'wpa81'],
    ['uap10.0', 'dotnet5.4 portable-win81+net45', 'dotnet54'],
    ['uap10.0', 'netstandard1.5 dotnet5.6 dotnet5.5 dotnet5.4', 'dotnet55'],
    ['uap10.0', 'netstandard1.4 dotnet5.5', 'netstandard1.4'],
    ['uap10.0.15064', 'netstandard2.0 netstandard2.1 net461', 'netstandard2.0'],
    ['uap10.0', 'native netcore win81 net45 wpa81', 'win81'],
    ['uap10.0', 'native netcore win net45 wpa81', 'netcore'],
    ['win81', 'win8 netcore native netcore451 winrt45', 'netcore451'],
    ['win81', 'native winrt45', 'winrt45'],
    ['win8', 'win netcore45', 'win'],
    ['wp8', 'sl3-wp sl4-wp71 wp7', 'sl4-wp71'],
    ['monoandroid40', 'monoandroid monotouch net40', 'monoandroid'],
    ['dnx452', 'aspnet50 aspnetcore50 net40', 'aspnet50'],
    // Platforms: the later version of the framework first, then the platform.
    ['net8.0-windows10.0.19041', 'net8.0 net8.0-windows7.0', 'net8.0-windows7.0'],
    ['net8.0-windows10.0.19041', 'net8.0-windows10.0.17763 net8.0-windows7.0 net8.0', 'net8.0-windows10.0.17763'],
    ['net8.0-windows', 'net6.0 net6.0-windows7.0 net40', 'net6.0'],
    ['net8.0-windows7.0', 'net6.0 net6.0-windows7.0 net48', 'net6.0-windows7.0'],
    ['net6.0-ios', 'net6.0 net5.0-ios netstandard2.1', 'net6.0'],
    ['net5.0-ios', 'net5.0 netcoreapp3.1', 'net5.0'],
    ['net6.0-ios10.0', 'net6.0-ios11.0 net6.0 net6.0-ios9.0', 'net6.0-ios9.0'],
    ['net8.0', 'net8.0-windows net6.0', 'net6.0'],
    ['net6.0-android', 'xamarinmac net7.0 net5.0 monoandroid12.0', 'monoandroid12.0'],
    ['net7.0-android', 'monoandroid12.0 net6.0', 'net6.0'],
    ['net6.0-tizen', 'net5.0 tizen9.0 netcoreapp3.1', 'tizen90'],
    ['net6.0-ios', 'xamarinios xamarinmac net5.0', 'net5.0'],
    // Portable class libraries come after all else, the one for fewer frameworks first.
    ['net461', 'portable-net45+win8 portable-net45+win8+wpa81', 'portable-net45+win8'],
    ['net461', 'portable-net45+win8+wpa81 native', 'portable-net45+win8+wpa81'],
    ['net461', 'portable-net45+win8 dotnet', 'dotnet'],
    ['uap10.0', 'portable-win81+net45+sl5 portable-win81+net45', 'portable-net45+win81'],
    ['sl5', 'portable-net40+sl4 portable-net40+sl5+win8+wp8+wpa81', 'portable-net40+sl5+win8+wp8+wpa81'],
    ['net45', 'portable-net40+sl5+win8 portable-net45+sl5+win8', 'portable-net45+sl5+win8'],
    ['portable-net45+win8', 'portable-net45+win8+wpa81 netstandard1.1', 'portable-net45+win8+wpa81'],
    ['portable-net45+win8', 'netstandard1.1 netstandard1.0 dotnet5.1', 'netstandard1.1'],
    ['portable-net45+win8', 'portable-net40+win8 portable-net45+win8+wpa81', 'portable-net45+win8+wpa81'],
    // Mono and Xamarin joined the profile with sl5, and not the one with sl4.
    [
      'portable-net45+win8+wp8',
      'portable-net40+win8+wp8+sl5 portable-net403+win8+wp8+sl4',
      'portable-net40+sl5+win8+wp8',
    ],
    ['portable-net45+win81', 'portable-net45+win8 portable-net40+win8 portable-net40+win81', 'portable-net45+win8'],
    [
      'portable-net45+win81',
      'portable-net40+win81+sl5 portable-net45+win8+sl5 portable-net45+win81+wpa81',
      'portable-net45+win81+wpa81',
    ],
    [
      'win9',
      'portable-net45+win8 portable-net45+win82 portable-net45+win81 portable-net45+win91',
      'portable-net45+win82',
    ],
    [
      'win8',
      'portable-net45+win8+wpa81 portable-net45+win8+wpa9 portable-net45+win8+wpa10.0 portable-net45+win8+wpa11.0+sl5',
      'portable-net45+win8+wpa10.0',
    ],
    [
      'wp81',
      'net45 portable-net40+wp80+win8+wpa81+sl5 portable-net45+wp80+win8+wpa81+aspnetcore50',
      'portable-aspnetcore50+net45+win8+wp8+wpa81',
    ],
    [
      'wp8',
      'net35 portable-net403%2Bsl5%2Bnetcore45%2Bwp8 portable-net403+sl5+netcore45+wp8+MonoAndroid1',
      'portable-net403+sl5+win8+wp8',
    ],
    // What goes with everything comes last.
    ['net8.0', 'any netstandard1.0', 'netstandard1.0'],
    ['net8.0', 'any', 'any'],
    ['net8.0', 'any agnostic', 'agnostic'],
    ['any', 'unsupported net45', 'net45'],
    ['any', 'unsupported', 'unsupported'],
    ['unsupported', 'any', 'any'],
  ])('to %s among %s is %s', (target, candidates, expected) => {
    expect(nearest(target, candidates)?.shortFolderName).toBe(expected);
  });

  it.each([
    ['net8.0', 'net472 net9.0 net8.0-windows'],
    ['net45', 'netstandard1.2 net451 portable-net451+win81'],
    ['netstandard1.5', 'net4 netstandard1.6'],
    ['netstandard2.0', 'dotnet5.6'],
    ['net6.0-ios', 'net6.0-android net7.0-ios net6.1'],
    ['net6.0-maccatalyst', 'xamarinmac xamarinios'],
    ['uap10.0', 'uap10.1 dotnet6.0 dnxcore50 native'],
    ['portable-net45+win8+bad', 'netstandard1.0'],
    ['net8.0', 'unsupported'],
    ['net8.0', ''],
  ])('to %s is none of %s', (target, candidates) => {
    expect(nearest(target, candidates)).toBeUndefined();
  });

  it('is looked for again for the fallbacks, in their order, when the target finds none', () => {
    expect(nearest('net8.0', 'net40 net472', 'net461 net48')?.shortFolderName).toBe('net40');
    expect(nearest('net8.0', 'net472', 'net461 net48')?.shortFolderName).toBe('net472');
    expect(nearest('net8.0', 'net472 netstandard1.0', 'net48')?.shortFolderName).toBe('netstandard1.0');
    expect(nearest('net8.0', 'sl5', 'net48')).toBeUndefined();
  });
});

describe('choosing among frameworks', () => {
  const NAMES = (
    'net8.0 net8.0-windows10.0.19041 net8.0-windows7.0 net6.0 net6.0-android net6.0-ios15.0 net5.0 net5.0-windows netcoreapp3.1 ' +
    'netcoreapp2.1 netcoreapp1.0 netstandard netstandard1.0 netstandard1.3 netstandard2.0 netstandard2.1 netstandardapp1.5 net ' +
    'net20 net35 net40 net40-client net45 net451 net461 net472 net481 uap uap10.0 uap10.0.15064 win win8 win81 netcore netcore45 ' +
    'netcore50 winrt wp wp7 wp71 wp8 wpa81 sl3-wp sl4 sl5 monoandroid monoandroid12.0 xamarinios xamarinmac tizen tizen40 native ' +
    'dnx452 dnxcore50 aspnet50 aspnetcore50 dotnet dotnet5.4 portable-net45+win8 portable-net45+win8+wpa81+wp8 portable-net451+win81 ' +
    'portable-net40+sl4 portable-net45+sl5+win8+foo portable-win81+wp81 any agnostic unsupported'
  )
    .split(' ')
    .map(parse);
  const framework = fc.constantFrom(...NAMES);

  it('takes one that the target can use, and one whenever there is one', () => {
    fc.assert(
      fc.property(framework, fc.array(framework, { maxLength: 8 }), (target, candidates) => {
        const found = nearestFramework(target, candidates);
        const usable = candidates.filter((each) => isCompatible(target, each));
        if (usable.length === 0) expect(found).toBeUndefined();
        else expect(usable).toContain(found);
      }),
      { numRuns: 500 },
    );
  });

  it("doesn't depend on their order", () => {
    fc.assert(
      fc.property(
        framework,
        fc
          .array(framework, { maxLength: 8 })
          .chain((all) =>
            fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length })),
          ),
        (target, [candidates, shuffled]) => {
          expect(nearestFramework(target, shuffled)?.key).toBe(nearestFramework(target, candidates)?.key);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('takes the target itself where it is there', () => {
    fc.assert(
      fc.property(framework, fc.array(framework, { maxLength: 8 }), (target, others) => {
        expect(nearestFramework(target, [...others, target])?.key).toBe(target.key);
      }),
    );
  });
});
