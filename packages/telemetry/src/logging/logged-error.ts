import { types } from 'node:util';

/** What a record says about an error, without secrets: with all of the chain of causes that is worth reading. */
export interface LoggedError {
  /** Its name, as `TypeError`. */
  readonly type: string;
  readonly message: string;
  readonly code?: string | number;
  readonly stack?: string;
  readonly cause?: LoggedError | string;
  /** Of an `AggregateError`: the first of its errors. */
  readonly errors?: readonly (LoggedError | string)[];
}

const MAX_CAUSES = 4;
const MAX_ERRORS = 10;
/** Errors of many errors, of which each has many. */
const MAX_NESTED = 2;

/**
 * An error as a record keeps it. Never throws.
 *
 * @param clean bounds a text and takes the secrets out of it
 */
export function loggedError(error: unknown, clean: (text: string) => string, depth = 0): LoggedError {
  try {
    const { name, message, code, stack, cause, errors } = error as Error & Record<'code' | 'errors', unknown>;
    const deeper = (value: unknown) =>
      isObject(value) && 'message' in value ? loggedError(value, clean, depth + 1) : clean(String(value));
    return {
      type: clean(String(name)),
      message: clean(String(message)),
      ...(typeof code === 'number' && { code }),
      ...(typeof code === 'string' && { code: clean(code) }),
      ...(typeof stack === 'string' && { stack: clean(stack) }),
      ...(cause !== undefined && depth < MAX_CAUSES && { cause: deeper(cause) }),
      ...(Array.isArray(errors) && depth < MAX_NESTED && { errors: errors.slice(0, MAX_ERRORS).map(deeper) }),
    };
  } catch {
    return { type: 'Error', message: '[unreadable]' };
  }
}

/**
 * An `Error` again, for loggers that know what to do with one: of the class of the original, but with what the record
 * says of it.
 */
export function toError(logged: LoggedError, original: unknown): Error {
  const error = new Error(logged.message);
  const prototype = prototypeOf(original);
  if (prototype instanceof Error || prototype === Error.prototype) Object.setPrototypeOf(error, prototype);
  const { cause, errors } = logged;
  const parts: Record<string, unknown> = {
    name: logged.type,
    // Its own stack would be that of the logger.
    stack: logged.stack ?? `${logged.type}: ${logged.message}`,
    ...(logged.code !== undefined && { code: logged.code }),
    ...(cause !== undefined && { cause: part(cause, original, 'cause') }),
    ...(errors !== undefined && { errors: errors.map((each) => part(each, undefined, '')) }),
  };
  for (const [name, value] of Object.entries(parts)) {
    Object.defineProperty(error, name, { value, configurable: true, writable: true, enumerable: name === 'code' });
  }
  return error;
}

function part(logged: LoggedError | string, whole: unknown, name: string): unknown {
  if (typeof logged === 'string') return logged;
  try {
    return toError(logged, isObject(whole) ? (whole as Record<string, unknown>)[name] : undefined);
  } catch {
    return toError(logged, undefined);
  }
}

function prototypeOf(value: unknown): unknown {
  try {
    return isObject(value) && types.isNativeError(value) ? Object.getPrototypeOf(value) : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
