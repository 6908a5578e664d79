import { InvalidOptionError } from '@granary/resilience';
import type { MaybePromise } from '../layer.js';
import type { SchemaIssue, SchemaResult, StandardSchema } from './standard-schema.js';
import { whenAnswered } from './when-answered.js';

/** Says what is wrong with a value; undefined when nothing is. Without the value itself, which may be a secret. */
export type Validator = (value: unknown, key: string) => MaybePromise<string | undefined>;

export type ValueType =
  | 'string'
  | 'number'
  | 'bigint'
  | 'boolean'
  | 'null'
  | 'object'
  | 'array'
  | 'bytes'
  | 'function'
  | 'symbol';

/** Values of one of these types. `object` is none of the others: no null, no array, no bytes. */
export function ofType(...types: readonly ValueType[]): Validator {
  return (value) => {
    const found = typeOf(value);
    return (types as readonly string[]).includes(found) ? undefined : `is ${found}, not ${types.join(' or ')}`;
  };
}

/**
 * Values of at most so many bytes.
 *
 * @param sizeOf measures a value. Default: bytes and strings (as UTF-8) by their length, all else by its JSON.
 * @throws InvalidOptionError
 */
export function atMostBytes(maxBytes: number, sizeOf: (value: unknown) => number = bytesOf): Validator {
  if (!(Number.isSafeInteger(maxBytes) && maxBytes >= 0)) {
    throw new InvalidOptionError('maxBytes', 'a whole number of at least 0', maxBytes);
  }
  return (value) => {
    const bytes = sizeOf(value);
    return bytes <= maxBytes ? undefined : `has ${bytes} bytes, over ${maxBytes}`;
  };
}

/** Values that fit a schema of Zod, Valibot, ArkType or any other that follows Standard Schema. They aren't transformed. */
export function fitting(schema: StandardSchema): Validator {
  const problem = (result: SchemaResult<unknown>) =>
    result.issues === undefined ? undefined : result.issues.slice(0, MAX_ISSUES).map(describeIssue).join('; ');
  return (value) => whenAnswered(schema['~standard'].validate(value), problem);
}

/** Values that all of these find right; the first problem is told, and those after it aren't asked. */
export function allOf(...validators: readonly Validator[]): Validator {
  const check = (value: unknown, key: string, from: number): MaybePromise<string | undefined> => {
    const validator = validators[from];
    if (validator === undefined) return undefined;
    return whenAnswered(validator(value, key), (problem) => problem ?? check(value, key, from + 1));
  };
  return (value, key) => check(value, key, 0);
}

/** Issues of one value that are told. */
const MAX_ISSUES = 5;

function typeOf(value: unknown): ValueType | 'undefined' {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (value instanceof Uint8Array) return 'bytes';
  return typeof value;
}

function bytesOf(value: unknown): number {
  if (value instanceof Uint8Array) return value.byteLength;
  return Buffer.byteLength(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
}

function describeIssue({ message, path }: SchemaIssue): string {
  if (path === undefined || path.length === 0) return message;
  return `${path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')}: ${message}`;
}
