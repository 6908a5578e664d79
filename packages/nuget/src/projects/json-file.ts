import { NuGetError } from '../errors.js';

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws NuGetError `INVALID_PROJECT` for what is no JSON object */
export function parseJson(path: string, bytes: Buffer): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8').replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new NuGetError('INVALID_PROJECT', `${path} is no JSON: ${(error as Error).message}`, { cause: error });
  }
  if (isObject(value)) return value;
  throw new NuGetError('INVALID_PROJECT', `${path} has no object in it`);
}

/**
 * The same for files that people write: with comments, and with commas behind the last of a list.
 *
 * @throws NuGetError `INVALID_PROJECT` for what is no JSON object
 */
export function parseLenientJson(path: string, bytes: Buffer): Readonly<Record<string, unknown>> {
  const text = bytes.toString('utf8').replace(COMMENT, '$1').replace(LAST_COMMA, '$1');
  return parseJson(path, Buffer.from(text));
}

/** Strings are passed over, whatever is in them. */
const COMMENT = /("(?:[^"\\]|\\.)*(?:"|$))|\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;
const LAST_COMMA = /("(?:[^"\\]|\\.)*(?:"|$))|,(?=\s*[}\]])/g;
