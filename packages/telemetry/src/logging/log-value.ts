import { types } from 'node:util';
import { type LoggedError, loggedError } from './logged-error.js';
import { isSuspicious, REDACTED, redactStart, redactText } from './secrets/redaction.js';
import type { SecretNames } from './secrets/secret-names.js';

const MAX_DEPTH = 5;
const MAX_ENTRIES = 100;
/** In one record: an object whose parts all lead to each other is small and endless. */
const MAX_NODES = 2000;
const MAX_CHARACTERS = 64 * 1024;
const MAX_TEXT = 8192;
const MAX_NAME = 200;

const UNREADABLE = '[unreadable]';

const NAMES_VALUE = /^(?:name|key|header)$/i;
const VALUE = /^values?$/i;

/**
 * Copies values for one record, so that they can be written as JSON at any time: bounded in depth, width, length and
 * number, free of cycles and secrets. Nothing of it throws, whatever getters, proxies and `toJSON` do.
 */
export class ValueCopier {
  readonly #secrets: SecretNames;
  /** Objects that the one being copied is a part of. */
  readonly #ancestors: object[] = [];
  #nodes = 0;
  #characters = 0;
  /** Whether a text was met that could be a secret together with what stands beside it in the message. */
  suspicious = false;

  constructor(secrets: SecretNames) {
    this.#secrets = secrets;
  }

  /** Begins another record. */
  reset(): void {
    this.#nodes = 0;
    this.#characters = 0;
    this.suspicious = false;
  }

  /**
   * A value under its name, which may say that it is a secret.
   *
   * @param operator that of a hole: `@` keeps the structure, `$` makes it a text
   */
  property(name: string, value: unknown, operator = ''): unknown {
    if (this.#secrets.has(name)) return REDACTED;
    if (operator === '') return this.value(value);
    if (operator === '@') return this.value(value, true);
    const plain = this.value(value);
    return this.text(typeof plain === 'object' && plain !== null ? JSON.stringify(plain) : String(plain));
  }

  /** All properties of an object. */
  properties(value: object): Record<string, unknown> {
    try {
      return this.#entries(properties(value));
    } catch {
      return {};
    }
  }

  /**
   * A value. Objects that know how to show themselves (their own `toString`) are shown so, unless `structured`, which
   * asks for their `toJSON` or their properties.
   */
  value(value: unknown, structured = false): unknown {
    switch (typeof value) {
      case 'string':
        return this.text(value);
      case 'number':
        return Number.isFinite(value) ? value : String(value);
      case 'boolean':
        return value;
      case 'undefined':
        return null;
      case 'object':
        return value === null ? null : this.#guarded(value, structured);
      case 'function':
        return this.#function(value);
      default:
        return this.text(String(value));
    }
  }

  text(value: string): string {
    this.#characters += Math.min(value.length, MAX_TEXT);
    if (this.#characters > MAX_CHARACTERS) return '…';
    if (value.length <= MAX_TEXT && !isSuspicious(value)) return value;
    this.suspicious = true;
    return value.length <= MAX_TEXT ? redactText(value) : redactStart(value, MAX_TEXT);
  }

  error(error: unknown): LoggedError {
    return loggedError(error, (text) => this.text(text));
  }

  #function(value: object): string {
    try {
      return this.text(`[function ${String((value as { name?: unknown }).name)}]`);
    } catch {
      return UNREADABLE;
    }
  }

  #guarded(value: object, structured: boolean): unknown {
    if (++this.#nodes > MAX_NODES) return '[…]';
    const depth = this.#ancestors.length;
    try {
      return this.#object(value, structured, depth);
    } catch {
      return UNREADABLE;
    } finally {
      this.#ancestors.length = depth;
    }
  }

  #object(value: object, structured: boolean, depth: number): unknown {
    if (isError(value)) return structured ? this.error(value) : this.text(`${value.name}: ${value.message}`);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
    if (value instanceof URL || value instanceof RegExp) return this.text(String(value));
    if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) return `[${value.byteLength} bytes]`;
    if (this.#ancestors.includes(value)) return '[circular]';
    if (depth >= MAX_DEPTH) return '[…]';
    this.#ancestors.push(value);
    if (value instanceof Map) return this.#entries(value);
    if (Array.isArray(value) || value instanceof Set) return this.#items(value);
    if (structured) {
      const { toJSON } = value as { toJSON?: unknown };
      if (typeof toJSON === 'function') return this.value(toJSON.call(value, ''));
    } else if (showsItself(value)) return this.text(String(value));
    return this.#entries(properties(value));
  }

  /** Lists of headers have names and values in turn; where a header came more than once, its values are a list. */
  #items(values: Iterable<unknown>): unknown[] {
    const copied: unknown[] = [];
    let isSecret = false;
    for (const value of values) {
      if (copied.length === MAX_ENTRIES) {
        copied.push('[…]');
        break;
      }
      const hidden = isSecret && (typeof value === 'string' || Array.isArray(value));
      copied.push(hidden ? REDACTED : this.value(value));
      isSecret = typeof value === 'string' && this.#secrets.has(value);
    }
    return copied;
  }

  #entries(pairs: Iterable<readonly [unknown, unknown]>): Record<string, unknown> {
    const copied: [name: string, value: unknown][] = [];
    let isSecret = false;
    for (const [key, value] of pairs) {
      if (copied.length === MAX_ENTRIES) {
        copied.push(['…', '[…]']);
        break;
      }
      const name = this.#name(key);
      copied.push([name, this.property(name, value)]);
      if (NAMES_VALUE.test(name) && typeof value === 'string' && this.#secrets.has(value)) isSecret = true;
    }
    // What is listed as { name: 'Authorization', value: '…' } is named by its value, wherever that stands.
    if (isSecret) for (const pair of copied) if (VALUE.test(pair[0])) pair[1] = REDACTED;
    return Object.fromEntries(copied);
  }

  #name(key: unknown): string {
    const name = typeof key === 'string' ? key : String(this.value(key));
    return this.text(name.length > MAX_NAME ? redactStart(name, MAX_NAME) : name);
  }
}

/** The properties of an object, one at a time: a getter that throws spoils no other. */
function* properties(value: object): Generator<readonly [string, unknown]> {
  for (const name of Object.keys(value)) {
    let own: unknown;
    try {
      own = (value as Record<string, unknown>)[name];
    } catch {
      own = UNREADABLE;
    }
    yield [name, own];
  }
}

function showsItself(value: object): boolean {
  const show: unknown = value.toString;
  return typeof show === 'function' && show !== Object.prototype.toString;
}

/** Whether a value is an error, of this realm or of another one. Never throws. */
export function isError(value: unknown): value is Error {
  try {
    return types.isNativeError(value) || value instanceof Error;
  } catch {
    return false;
  }
}
