import { REDACTED, redactText, type SecretNames } from './redaction.js';

const MAX_DEPTH = 5;
const MAX_ENTRIES = 100;
const MAX_TEXT = 8192;

/**
 * A copy of a value that can be written as JSON at any time: bounded in depth, width and length, free of cycles and
 * secrets. Objects that know how to show themselves (their own `toString`) are shown so, unless `structured`.
 * Never throws, whatever getters and proxies do.
 */
export function logValue(value: unknown, secrets: SecretNames, structured = false): unknown {
  try {
    return copy(value, secrets, structured, 0);
  } catch {
    return '[unreadable]';
  }
}

function copy(value: unknown, secrets: SecretNames, structured: boolean, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return text(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'undefined':
      return null;
    case 'object':
      return value === null ? null : copyObject(value, secrets, structured, depth);
    case 'function':
      return `[function ${value.name}]`;
    default:
      return String(value);
  }
}

function copyObject(value: object, secrets: SecretNames, structured: boolean, depth: number): unknown {
  if (value instanceof Error) return text(`${value.name}: ${value.message}`);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (value instanceof URL || value instanceof RegExp) return text(String(value));
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (depth >= MAX_DEPTH) return '[…]';
  if (value instanceof Map) return entries(value, secrets, structured, depth);
  if (Array.isArray(value) || value instanceof Set) return items(value, secrets, structured, depth);
  if (!structured && showsItself(value)) return text(String(value));
  return entries(Object.entries(value), secrets, structured, depth);
}

function items(values: Iterable<unknown>, secrets: SecretNames, structured: boolean, depth: number): unknown[] {
  const copied: unknown[] = [];
  for (const value of values) {
    if (copied.length === MAX_ENTRIES) return [...copied, '[…]'];
    copied.push(copy(value, secrets, structured, depth + 1));
  }
  return copied;
}

function entries(
  pairs: Iterable<readonly [unknown, unknown]>,
  secrets: SecretNames,
  structured: boolean,
  depth: number,
): Record<string, unknown> {
  const copied: [string, unknown][] = [];
  for (const [key, value] of pairs) {
    if (copied.length === MAX_ENTRIES) {
      copied.push(['…', '[…]']);
      break;
    }
    const name = String(key);
    copied.push([name, secrets.has(name) ? REDACTED : copy(value, secrets, structured, depth + 1)]);
  }
  return Object.fromEntries(copied);
}

function showsItself(value: object): boolean {
  const show: unknown = value.toString;
  return typeof show === 'function' && show !== Object.prototype.toString;
}

function text(value: string): string {
  return redactText(value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value);
}

/** What a record says about an error: all of the chain of causes that is worth reading. */
export interface LoggedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string | number;
  readonly stack?: string;
  readonly cause?: LoggedError | string;
}

const MAX_CAUSES = 4;

/** An error as a record keeps it, without secrets. Never throws. */
export function loggedError(error: Error, depth = 0): LoggedError {
  try {
    const { code } = error as { code?: unknown };
    const { cause } = error;
    return {
      type: error.name,
      message: text(String(error.message)),
      ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
      ...(typeof error.stack === 'string' ? { stack: text(error.stack) } : {}),
      ...(cause === undefined || depth === MAX_CAUSES
        ? {}
        : { cause: cause instanceof Error ? loggedError(cause, depth + 1) : text(String(cause)) }),
    };
  } catch {
    return { type: 'Error', message: '[unreadable]' };
  }
}
