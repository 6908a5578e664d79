import { NuGetVersion } from '../versions/nuget-version.js';

const DOTTED = /^\d{1,10}(?:\.\d{1,10}){1,3}$/;
const ALWAYS_DOTTED: ReadonlySet<string> = new Set(['.netcoreapp', '.netstandard', '.netnanoframework']);
const ONE_DIGIT_WILL_DO: ReadonlySet<string> = new Set(['windows', 'windowsphone', 'silverlight']);

export const NO_VERSION = NuGetVersion.parse('0.0');

/** A version of two to four numbers; undefined for all else. */
function dottedVersion(text: string): NuGetVersion | undefined {
  return DOTTED.test(text) ? NuGetVersion.tryParse(text) : undefined;
}

/** A version as full names and platforms have it, where a single number will do: `8`, `8.0`, `10.0.19041`. */
export function fullVersion(text: string): NuGetVersion | undefined {
  return dottedVersion(text.includes('.') ? text : `${text}.0`);
}

/** A version as folders have it: with dots, or each of up to four digits for itself (`472`), the rest of them unread. */
export function folderVersion(text: string): NuGetVersion | undefined {
  if (text === '') return NO_VERSION;
  return dottedVersion(text.includes('.') ? text : [...text.padEnd(2, '0').slice(0, 4)].join('.'));
}

/** A version as folders have it: without dots, where the framework is of old and no number has two digits. */
export function toFolderVersion(framework: string, version: NuGetVersion): string {
  const numbers = [version.major, version.minor, version.patch, version.revision];
  const lowerCase = framework.toLowerCase();
  let count = 4;
  while (count > (ONE_DIGIT_WILL_DO.has(lowerCase) ? 1 : 2) && numbers[count - 1] === 0) count--;
  const dotted = ALWAYS_DOTTED.has(lowerCase) || numbers.some((number) => number > 9);
  return numbers.slice(0, dotted ? Math.max(count, 2) : count).join(dotted ? '.' : '');
}

/** A version as full names have it: two numbers, and more only where they aren't zero. */
export function toFullVersion({ major, minor, patch, revision }: NuGetVersion): string {
  const [third, fourth] = [patch > 0 || revision > 0 ? `.${patch}` : '', revision > 0 ? `.${revision}` : ''];
  return `${major}.${minor}${third}${fourth}`;
}
