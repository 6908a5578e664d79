import { NuGetError } from '../errors.js';

/** What one character of UTF-8 is when it is escaped, of one byte up to four. */
const ESCAPED_CHARACTER =
  /%[0-7][0-9a-f]|%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}|%f[0-7](?:%[89ab][0-9a-f]){3}/gi;
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|$)/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN = /[\u0000-\u001f\u007f<>:"|?*]/;
/** What file systems take. */
const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 4095;

/**
 * The path that an entry's name stands for: packages have the names of parts of URLs, with `%20` for a space, and some
 * that were made on Windows have backslashes, or a slash in front. Nothing is checked.
 */
export function pathOfEntry(name: string): string {
  const whole = name.includes('%') ? name.replace(ESCAPED_CHARACTER, unescaped) : name;
  const path = whole.replaceAll('\\', '/');
  return path.startsWith('/') ? path.slice(1) : path;
}

/** Without steps that lead nowhere, `lib//a` or `./lib/a`, which some tools write and file systems pass over. */
export function withoutIdleSteps(path: string): string {
  if (!path.includes('//') && !path.includes('./')) return path;
  const steps = path.split('/');
  // Nothing in front makes a path absolute, and nothing behind is a folder: both are looked at as they are.
  const isIdle = (step: string, at: number) =>
    at < steps.length - 1 && (step === '.' || (step === '' && at > 0 && steps[0] !== ''));
  return steps.filter((step, at) => !isIdle(step, at)).join('/');
}

/** What isn't UTF-8 stays escaped. */
function unescaped(character: string): string {
  try {
    return decodeURIComponent(character);
  } catch {
    return character;
  }
}

/**
 * The path, which must not lead out of a folder on any system.
 *
 * @throws {@link NuGetError} `INVALID_PACKAGE` for absolute paths, drives and `..`
 */
export function checkPathInside(path: string): string {
  return refuse(path, reasonOutside(path));
}

/**
 * The path, which must be one that may be written below a folder. The answer is the same on all systems, so that a
 * package that can be extracted on one can be on the others.
 *
 * @throws {@link NuGetError} `INVALID_PACKAGE` for paths that lead out of the folder, for names of devices, and for names
 * that Windows would change or not allow, or that are too long for any file system
 */
export function checkSafePath(path: string): string {
  return refuse(path, reasonOutside(path) ?? reasonAgainst(path));
}

function refuse(path: string, reason: string | undefined): string {
  if (reason === undefined) return path;
  throw new NuGetError('INVALID_PACKAGE', `${shown(path)} is no path of a package's file: ${reason}`);
}

function reasonOutside(path: string): string | undefined {
  if (path.startsWith('/')) return 'it is absolute';
  if (/^[A-Za-z]:/.test(path)) return 'it names a drive';
  return path.split('/').includes('..') ? 'it leaves the folder' : undefined;
}

function reasonAgainst(path: string): string | undefined {
  if (path === '') return 'it is empty';
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `it is longer than ${MAX_PATH_BYTES} bytes`;
  if (FORBIDDEN.test(path)) return 'it has a character that file names must not have';
  for (const segment of path.split('/')) {
    if (Buffer.byteLength(segment) > MAX_NAME_BYTES) return `one of its names is longer than ${MAX_NAME_BYTES} bytes`;
    if (segment === '' || segment === '.') return 'it has an empty step';
    if (segment.endsWith('.') || segment.endsWith(' ')) return 'one of its names ends in a dot or a space';
    if (DEVICE.test(segment)) return 'one of its names is that of a device';
  }
  return undefined;
}

/** A name from a package as an error shows it: quoted, and not at full length. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
