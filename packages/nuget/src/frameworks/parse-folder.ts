import { identifierOf, profileOf } from './framework-names.js';
import { type FrameworkParts, frameworkParts, isFramework } from './framework-parts.js';
import { folderVersion, fullVersion } from './framework-version.js';

// Letters and dots, digits and dots, and what stands behind a hyphen. Dots between the first two are of the first: were
// they of either, a name of many would take the square of the time.
const NAME = /^([a-z.]+)((?:\d[\d.]*)?)(?:-([a-z\d.+-]+))?$/i;
const PLATFORM = /^([a-z.]*)(.*)$/i;

/** Old packages name versions of the .NET Framework without its name. */
const NAMELESS: ReadonlyMap<string, string> = new Map([
  ...['45', '4.5'].map((name) => [name, 'net45'] as const),
  ...['40', '4.0', '4'].map((name) => [name, 'net40'] as const),
  ...['35', '3.5'].map((name) => [name, 'net35'] as const),
  ...['20', '2.0', '2'].map((name) => [name, 'net20'] as const),
]);

/** What the name of a folder says; the profile of a portable one stays as it is. Undefined for an unknown framework. */
export function parseFolder(text: string): FrameworkParts | undefined {
  // The first generation of .NET's platform came without a number.
  const name = /^dotnet$/i.test(text) ? 'dotnet5.0' : (NAMELESS.get(text) ?? text);
  const [, identifier = '', digits = '', suffix = ''] = NAME.exec(name) ?? [];
  const framework = identifierOf(identifier);
  const version = folderVersion(digits);
  if (framework === undefined || version === undefined) return undefined;
  const isNet = isFramework({ framework }, '.netframework') || isFramework({ framework }, '.netcoreapp');
  if (!isNet || version.major < 5) {
    const profile = isFramework({ framework }, '.netportable') ? suffix : profileOf(suffix);
    return frameworkParts(framework, version, profile);
  }

  const [, letters = '', numbers = ''] = PLATFORM.exec(suffix) ?? [];
  if (letters === '') return frameworkParts('.NETCoreApp', version, '', suffix);
  const platformVersion = numbers === '' ? undefined : fullVersion(numbers);
  if (numbers !== '' && platformVersion === undefined) return undefined;
  return frameworkParts('.NETCoreApp', version, '', letters, platformVersion);
}
