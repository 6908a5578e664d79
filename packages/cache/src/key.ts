import { InvalidKeyError } from './errors.js';

/** Most characters of a key. */
export const MAX_KEY_LENGTH = 250;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const PLAIN = /^[^\u0000-\u001f\u007f]*$/;

/** @throws InvalidKeyError when the key is empty, over 250 characters long, or has a control character */
export function checkKey(key: string): void {
  if (typeof key !== 'string') throw new InvalidKeyError(`a key is a string, not ${typeof key}`);
  if (key.length === 0) throw new InvalidKeyError('a key must not be empty');
  if (key.length > MAX_KEY_LENGTH)
    throw new InvalidKeyError(`a key has at most ${MAX_KEY_LENGTH} characters, not ${key.length}`);
  if (!PLAIN.test(key)) throw new InvalidKeyError('a key has no control characters');
}
