import { NuGetError } from '../errors.js';
import type { NuGetVersion } from '../versions/nuget-version.js';
import { quoted } from '../versions/quoted.js';
import { identifierOf } from './framework-names.js';
import { type FrameworkParts, frameworkParts, isFramework, isNet5Era } from './framework-parts.js';
import { fullVersion, NO_VERSION } from './framework-version.js';
import { parseFolder } from './parse-folder.js';
import { portableFrameworks, profileNumber, profileOf } from './portable-profiles.js';

/** Longest text that is looked at. */
const MAX_LENGTH = 1024;

export const ANY = frameworkParts('Any');
export const AGNOSTIC = frameworkParts('Agnostic');
export const UNSUPPORTED = frameworkParts('Unsupported');
const SPECIAL: ReadonlyMap<string, FrameworkParts> = new Map([
  ['any', ANY],
  ['agnostic', AGNOSTIC],
  ['unsupported', UNSUPPORTED],
]);

/**
 * What a framework's name says, of either kind.
 *
 * @throws {@link NuGetError} `INVALID_FRAMEWORK` for a name that begins well and goes on with nonsense
 */
export function parseFramework(text: string): FrameworkParts {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) throw invalid(text, 'is no framework');
  return text.includes(',') ? parseFullName(text) : parseFolderName(text);
}

function parseFolderName(text: string): FrameworkParts {
  const name = text.includes('%') ? unescaped(text) : text;
  const parts = SPECIAL.get(name.toLowerCase()) ?? parseFolder(name) ?? UNSUPPORTED;
  return isFramework(parts, '.netportable') && parts.version.major < 5 ? withProfileNumber(parts, text) : parts;
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** `portable-net45+win8` as `Profile7`, where there is a number for it. */
function withProfileNumber(parts: FrameworkParts, text: string): FrameworkParts {
  if (parts.profile.includes('-')) throw invalid(text, 'has a framework with a profile of its own in its portable set');
  const set = portableFrameworks(parts.profile, false);
  if (set.length === 0 && profileNumber(parts.profile) === undefined) return UNSUPPORTED;
  const number = profileOf(set);
  const profile = number === undefined ? parts.profile : `Profile${number}`;
  return frameworkParts(parts.framework, parts.version, profile);
}

/** `.NETFramework,Version=v4.5,Profile=Client` */
function parseFullName(text: string): FrameworkParts {
  const [name, ...details] = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (name === undefined) throw invalid(text, 'is no framework');
  const special = SPECIAL.get(name.toLowerCase());
  if (special !== undefined) return special;

  const framework = identifierOf(name) ?? name;
  const version = versionOf(detailOf(details, 'version='), text);
  if (isNet5Era({ framework, version })) return frameworkParts(framework, version);
  const profile = detailOf(details, 'profile=') ?? '';
  if (isFramework({ framework }, '.netportable') && profile.includes('-')) {
    throw invalid(text, 'has a framework with a profile of its own in its portable set');
  }
  return frameworkParts(framework, version, profile);
}

/** A detail that is there exactly once. */
function detailOf(details: readonly string[], name: string): string | undefined {
  const found = details.filter((detail) => detail.toLowerCase().startsWith(name));
  return found.length === 1 ? found[0]?.split('=')[1] : undefined;
}

function versionOf(value: string | undefined, text: string): NuGetVersion {
  if (value === undefined) return NO_VERSION;
  const version = fullVersion(value.replace(/^v+/, ''));
  if (version === undefined) throw invalid(text, 'has no version in it that is one');
  return version;
}

function invalid(text: string, what: string): NuGetError {
  return new NuGetError('INVALID_FRAMEWORK', `${quoted(text)} ${what}`);
}
