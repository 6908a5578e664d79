import type { HeaderRecord, HttpDispatchOptions } from './dispatch.js';

type AnyHeaders = HttpDispatchOptions['headers'];

/** Header names and values in any of the forms that undici takes, as a record with names in lower case. */
export function headerRecord(headers: AnyHeaders): HeaderRecord {
  const record: HeaderRecord = {};
  for (const [name, value] of entries(headers)) {
    if (value === undefined) continue;
    const key = name.toLowerCase();
    const before = record[key];
    record[key] = before === undefined ? value : [before, value].flat();
  }
  return record;
}

function* entries(headers: AnyHeaders): Iterable<readonly [string, string | string[] | undefined]> {
  if (!headers) return;
  if (Array.isArray(headers) && typeof headers[0] === 'string') {
    const flat = headers as string[];
    for (let i = 0; i + 1 < flat.length; i += 2) yield [flat[i] as string, flat[i + 1]];
  } else if (Symbol.iterator in headers) {
    yield* headers as Iterable<[string, string | string[] | undefined]>;
  } else {
    yield* Object.entries(headers as HeaderRecord);
  }
}

/** The first value of a response's header. */
export function firstValue(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
