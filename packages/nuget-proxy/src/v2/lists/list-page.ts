import { HttpError } from '../../http/http-error.js';
import type { Continuation, ODataQuery } from '../odata-query.js';
import type { PackageEntry } from './package-history.js';

/** Packages of a page, at most: as galleries have it. */
export const PAGE_SIZE = 100;

export interface Page {
  readonly entries: readonly PackageEntry[];
  /** Undefined when nothing comes after it. */
  readonly next: Continuation | undefined;
  /** How many are on all pages; undefined when nobody asked. */
  readonly count: number | undefined;
}

/** The packages of a whole list that a request's filter takes, in its order. */
export function selected(entries: readonly PackageEntry[], { filter, order }: ODataQuery): readonly PackageEntry[] {
  const taken = filter === undefined ? entries : entries.filter((entry) => filter.accepts(entry));
  return order === undefined ? taken : taken.toSorted(order);
}

/** One page of a whole list, whose token is how many were on the pages before. */
export function pageOf(list: readonly PackageEntry[], query: ODataQuery): Page {
  const { token, skip, top = Number.POSITIVE_INFINITY } = query;
  const from = (token === undefined ? 0 : numberIn(token)) + skip;
  const to = from + Math.min(top, PAGE_SIZE);
  const isLast = to >= list.length || top <= PAGE_SIZE;
  const rest = query.top === undefined ? undefined : query.top - PAGE_SIZE;
  return {
    entries: list.slice(from, to),
    next: isLast ? undefined : { token: String(to), skip: 0, top: rest },
    count: query.wantsCount ? list.length : undefined,
  };
}

/** How many of a list a request wants. */
export function countOf(length: number, { skip, top = Number.POSITIVE_INFINITY }: ODataQuery): number {
  return Math.min(Math.max(length - skip, 0), top);
}

function numberIn(token: string): number {
  if (/^\d{1,7}$/.test(token)) return Number(token);
  throw new HttpError(400, '$skiptoken is none that a page here has named');
}
