import { canonicalKey } from './equivalent-frameworks.js';
import { type FrameworkParts, frameworkParts, isFramework } from './framework-parts.js';
import { parseFolder } from './parse-folder.js';

const NUMBERED = /^profile(\d{1,4})$/i;

/** The frameworks that each profile of portable class libraries is for, of all profiles that there ever were. */
const PROFILES: Readonly<Record<number, string>> = {
  31: 'win81+wp81',
  32: 'win81+wpa81',
  44: 'net451+win81',
  84: 'wp81+wpa81',
  151: 'net451+win81+wpa81',
  157: 'win81+wp81+wpa81',
  7: 'net45+win8',
  49: 'net45+wp8',
  78: 'net45+win8+wp8',
  111: 'net45+win8+wpa81',
  259: 'net45+win8+wpa81+wp8',
  2: 'net4+win8+sl4+wp7',
  3: 'net4+sl4',
  4: 'net45+sl4+win8+wp7',
  5: 'net4+win8',
  6: 'net403+win8',
  14: 'net4+sl5',
  18: 'net403+sl4',
  19: 'net403+sl5',
  23: 'net45+sl4',
  24: 'net45+sl5',
  36: 'net4+sl4+win8+wp8',
  37: 'net4+sl5+win8',
  41: 'net403+sl4+win8',
  42: 'net403+sl5+win8',
  46: 'net45+sl4+win8',
  47: 'net45+sl5+win8',
  88: 'net4+sl4+win8+wp75',
  92: 'net4+win8+wpa81',
  95: 'net403+sl4+win8+wp7',
  96: 'net403+sl4+win8+wp75',
  102: 'net403+win8+wpa81',
  104: 'net45+sl4+win8+wp75',
  136: 'net4+sl5+win8+wp8',
  143: 'net403+sl4+win8+wp8',
  147: 'net403+sl5+win8+wp8',
  154: 'net45+sl4+win8+wp8',
  158: 'net45+sl5+win8+wp8',
  225: 'net4+sl5+win8+wpa81',
  240: 'net403+sl5+win8+wpa81',
  255: 'net45+sl5+win8+wpa81',
  328: 'net4+sl5+win8+wpa81+wp8',
  336: 'net403+sl5+win8+wpa81+wp8',
  344: 'net45+sl5+win8+wpa81+wp8',
};

/** Profiles that Mono and Xamarin joined later: whether a name lists those too makes no difference. */
const JOINED_BY_MONO: ReadonlySet<number> = new Set([
  5, 6, 7, 14, 19, 24, 37, 42, 44, 47, 49, 78, 92, 102, 111, 136, 147, 151, 158, 225, 255, 259, 328, 336, 344,
]);
const MONO = ['monoandroid', 'monotouch', 'xamarinios', 'xamarinmac', 'xamarintvos', 'xamarinwatchos'];

/** The version of .NET Standard that projects of a profile can use. */
const STANDARDS: Readonly<Record<number, string>> = {
  7: 'netstandard1.1',
  31: 'netstandard1.0',
  32: 'netstandard1.2',
  44: 'netstandard1.2',
  49: 'netstandard1.0',
  78: 'netstandard1.0',
  84: 'netstandard1.0',
  111: 'netstandard1.1',
  151: 'netstandard1.2',
  157: 'netstandard1.0',
  259: 'netstandard1.0',
};

interface Profile {
  readonly required: readonly FrameworkParts[];
  /** Those that joined it later included. */
  readonly all: readonly FrameworkParts[];
}

/** Read from the table when first wanted. */
let profiles: ReadonlyMap<number, Profile> | undefined;
/** Numbers of profiles by what they are for. */
let numbers: ReadonlyMap<string, number> | undefined;

function profileTable(): ReadonlyMap<number, Profile> {
  if (profiles !== undefined) return profiles;
  const mono = MONO.flatMap(parseSet);
  profiles = new Map(
    Object.entries(PROFILES).map(([name, names]) => {
      const [number, required] = [Number(name), parseSet(names)];
      return [number, { required, all: JOINED_BY_MONO.has(number) ? [...required, ...mono] : required }];
    }),
  );
  return profiles;
}

/** The number of a profile that is called by it, whether there is such a profile or not. */
export function profileNumber(profile: string): number | undefined {
  const [, digits] = NUMBERED.exec(profile) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * The frameworks that a profile is for, where it has a number, or names them itself: `Profile7`, `net45+win8`. None for a
 * number that was never given.
 *
 * @param includeMono also those that joined a numbered profile later
 */
export function portableFrameworks(profile: string, includeMono: boolean): readonly FrameworkParts[] {
  const number = profileNumber(profile);
  if (number === undefined) return parseSet(profile);
  const known = profileTable().get(number);
  return (includeMono ? known?.all : known?.required) ?? [];
}

/** The number of the profile that is for these frameworks, whatever names and order they have. */
export function profileOf(set: readonly FrameworkParts[]): number | undefined {
  numbers ??= new Map([...profileTable()].map(([number, { required }]) => [setKey(required), number]));
  const all = numbers.get(setKey(set));
  if (all !== undefined) return all;
  const number = numbers.get(setKey(set.filter((each) => each.profile !== '' || !isMono(each))));
  return number !== undefined && JOINED_BY_MONO.has(number) ? number : undefined;
}

/** The highest .NET Standard that projects of a profile can use. */
export function standardOf(profile: string): FrameworkParts | undefined {
  const standard = STANDARDS[profileNumber(profile) ?? 0];
  return standard === undefined ? undefined : parseFolder(standard);
}

function parseSet(names: string): FrameworkParts[] {
  return names
    .split('+')
    .filter((name) => name !== '')
    .map((name) => parseFolder(name) ?? frameworkParts('Unsupported'));
}

function setKey(set: readonly FrameworkParts[]): string {
  return [...new Set(set.map(canonicalKey))].sort().join('+');
}

function isMono(parts: FrameworkParts): boolean {
  return MONO.some((name) => isFramework(parts, parseFolder(name)?.framework.toLowerCase() ?? ''));
}
