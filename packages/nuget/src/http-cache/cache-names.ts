import { createHash } from 'node:crypto';
import { splitUserinfo } from '../auth/credentials.js';
import { NuGetError } from '../errors.js';

// What .NET calls invalid in the name of a file.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const INVALID_ON_WINDOWS = /["<>|\u0000-\u001f:*?\\/]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const INVALID_ELSEWHERE = /[\u0000/]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const CONTROL = /[\u0000-\u001f\u007f]/;
/** So that a name with a suffix fits into every file system (255 bytes), and a key into every layer of a cache. */
const MAX_NAME_BYTES = 170;
const HASH_LENGTH = 40;
const VISIBLE_LENGTH = 32;

/** What the names of keys begin with that are hashed. */
export const LONG_KEY = 'long_';
export const FILE_SUFFIX = '.dat';
export const VALIDATORS_SUFFIX = '.etag';
/** What a folder of a source is called: the first 20 bytes of a hash, and the end of the URL. */
export const SOURCE_FOLDER = /^[0-9a-f]{40}\$/;

/**
 * Folder of a source: the same name that NuGet.Client from 5.8 on gives it on this platform. Credentials within the URL
 * don't count.
 */
export function sourceFolder(sourceUrl: string, platform: NodeJS.Platform = process.platform): string {
  const { url } = splitUserinfo(sourceUrl);
  return withoutInvalid(`${hash(url)}$${url.slice(-VISIBLE_LENGTH)}`, platform);
}

/**
 * Name of what is kept under a key, without a suffix. Keys that NuGet.Client has are named as it names them; those that
 * no file could be named after, because they are too long or have control characters, get a hash for a name.
 *
 * @throws {@link NuGetError} `INVALID_OPTION` for an empty key
 */
export function entryName(key: string, platform: NodeJS.Platform = process.platform): string {
  return withoutInvalid(boundedKey(key), platform);
}

/** The key, or a hash of it where no file could be named after it. Gives its own results back as they are. */
export function boundedKey(key: string): string {
  if (key === '') throw new NuGetError('INVALID_OPTION', 'a cache key must not be empty');
  if (!CONTROL.test(key) && Buffer.byteLength(key) <= MAX_NAME_BYTES) return key;
  return `${LONG_KEY}${hash(key)}`;
}

function hash(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex').slice(0, HASH_LENGTH);
}

/** Doubled underscores become one, twice over: as often as NuGet.Client does it. */
function withoutInvalid(text: string, platform: NodeJS.Platform): string {
  const invalid = platform === 'win32' ? INVALID_ON_WINDOWS : INVALID_ELSEWHERE;
  return text.replace(invalid, '_').replaceAll('__', '_').replaceAll('__', '_');
}
