import { isAscii } from 'node:buffer';
import { SourceError } from '../errors.js';
import { shownUrl } from './endpoint-url.js';

/** An object as `JSON.parse` makes it: nothing is known of what is in it. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Smaller documents are read without a look at how many values they hold: that would cost as much as a tenth of it. */
const COUNTED_FROM_BYTES = 8 * 1024 * 1024;
/**
 * Most commas, lists and objects of a larger one, which take some two seconds; registrations, the largest documents that
 * feeds have, hold half as many in 64 MiB, as nuget.org writes them. What is full of empty objects would be read for half a
 * minute, in which nobody else is served, and take gigabytes.
 */
const MAX_VALUES = 4_000_000;

/**
 * What a document says, in UTF-8 or, where its byte order mark says so, in UTF-16. Feeds write with and without a mark.
 *
 * @throws SourceError `PROTOCOL` when it isn't JSON, such as the web page that somebody is to sign in on, or holds too much
 */
export function parseJson(body: Buffer, source: string, url: string): unknown {
  if (body.length > COUNTED_FROM_BYTES && hasMoreValuesThan(MAX_VALUES, body))
    throw new SourceError('PROTOCOL', source, `${shownUrl(url)} answered with JSON of more than ${MAX_VALUES} values`);
  const text = decode(body);
  try {
    return JSON.parse(text);
  } catch {
    const what = /^\s*</.test(text.slice(0, 1024)) ? 'a web page or other markup instead of JSON' : 'no JSON';
    throw new SourceError('PROTOCOL', source, `${shownUrl(url)} answered with ${what}`);
  }
}

/** What is in texts counts as well: it makes little of what a feed says, and to tell it apart would cost more. */
function hasMoreValuesThan(limit: number, body: Buffer): boolean {
  let left = limit;
  for (let i = 0; i < body.length; i++) {
    const byte = body[i];
    // A comma, or what begins a list or an object.
    if ((byte === 0x2c || byte === 0x5b || byte === 0x7b) && --left < 0) return true;
  }
  return false;
}

function decode(body: Buffer): string {
  // Registrations are large and nearly always ASCII, which is several times as fast to copy as UTF-8 is to decode.
  if (isAscii(body)) return body.toString('latin1');
  if (body[0] === 0xff && body[1] === 0xfe) return new TextDecoder('utf-16le').decode(body);
  if (body[0] === 0xfe && body[1] === 0xff) return new TextDecoder('utf-16be').decode(body);
  const marked = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf;
  return body.toString('utf8', marked ? 3 : 0);
}

/** As {@link parseJson}, for a document that is an object. */
export function parseJsonObject(body: Buffer, source: string, url: string): JsonObject {
  const value = asObject(parseJson(body, source, url));
  if (value !== undefined) return value;
  throw new SourceError('PROTOCOL', source, `${shownUrl(url)} answered with JSON that is no object`);
}

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** As {@link asArray}, but undefined for what is none: null is one without anything in it, as programs in Go write it. */
export function asArrayOrNone(value: unknown): readonly unknown[] | undefined {
  return value === null ? [] : Array.isArray(value) ? value : undefined;
}

const SAYS_SOMETHING = /\S/;

/** A text that says something; undefined for everything else. */
export function asText(value: unknown): string | undefined {
  return typeof value === 'string' && SAYS_SOMETHING.test(value) ? value : undefined;
}

/** One text or an array of them: feeds write either. What is no text, or a blank one, is left out. */
export function asTexts(value: unknown): readonly string[] {
  const one = asText(value);
  if (one !== undefined) return [one];
  return asArray(value).filter((each): each is string => asText(each) !== undefined);
}

/** Texts of an array as they are, or the parts of one text. */
export function asList(value: unknown, separator: RegExp): readonly string[] {
  if (typeof value !== 'string') return asTexts(value);
  return value
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** A number of something, written as a number or as a text; undefined for what can't be one (negative, or endless). */
export function asCount(value: unknown): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && number >= 0 && number <= Number.MAX_SAFE_INTEGER
    ? Math.trunc(number)
    : undefined;
}

/** True or false, written so or as a text. */
export function asBoolean(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'string') return undefined;
  const text = value.trim().toLowerCase();
  return text === 'true' ? true : text === 'false' ? false : undefined;
}

const WITHOUT_ZONE = /^\d{4}-\d\d-\d\d[T ][\d:.]+$/;

/** A point in time; UTC where no zone is given. */
export function asDate(value: unknown): Date | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  const date = new Date(WITHOUT_ZONE.test(text) ? `${text}Z` : text);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
