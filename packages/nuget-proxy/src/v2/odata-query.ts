import { NuGetVersion } from '@granary/nuget';
import type { FeedUrls } from '../http/feed-urls.js';
import { HttpError } from '../http/http-error.js';
import { PackageFilter } from './filter/package-filter.js';
import { type PackageOrder, parseOrder } from './filter/package-order.js';

const MAX_NUMBER = 1_000_000;
/** Of the packages of a large solution there are many names. */
const MAX_TEXT = 65_536;
/** What changes from one page to the next. */
const PAGING: ReadonlySet<string> = new Set(['$skip', '$top', '$skiptoken']);

/** Where the next page begins. */
export interface Continuation {
  readonly token: string;
  /** Packages that are still to be passed over. */
  readonly skip: number;
  /** How many more are wanted; undefined for all. */
  readonly top: number | undefined;
}

/** What a request asks of a list of packages: OData's options, and the parameters of functions. */
export class ODataQuery {
  readonly filter: PackageFilter | undefined;
  readonly order: PackageOrder | undefined;
  /** Whether the client understands SemVer 2. */
  readonly semVer2: boolean;
  /** How many packages are passed over first. */
  readonly skip: number;
  /** How many are wanted; undefined for all. */
  readonly top: number | undefined;
  /** Where a page begins, as the page before has said. */
  readonly token: string | undefined;
  /** Whether the number of packages on all pages is wanted with them. */
  readonly wantsCount: boolean;
  readonly #parameters: URLSearchParams;
  /** By name in lower case: galleries don't mind how clients write the names, nor whether they put them in the path. */
  readonly #values = new Map<string, string>();

  /**
   * @param parameters of the request's query
   * @param inPath those that the path has in parentheses
   * @throws HttpError 400 for what makes no sense, or isn't supported
   */
  constructor(parameters: URLSearchParams, inPath: ReadonlyMap<string, string>, urls: FeedUrls) {
    this.#parameters = new URLSearchParams(parameters);
    for (const [name, value] of inPath) this.#parameters.set(name, value);
    for (const [name, value] of [...inPath, ...parameters]) {
      if (!this.#values.has(name.toLowerCase())) this.#values.set(name.toLowerCase(), value);
    }
    const format = this.#option('$format')?.toLowerCase();
    if (format !== undefined && format !== 'atom') throw new HttpError(400, 'lists of packages are Atom: no $format');
    const [filter, order] = [this.#option('$filter'), this.#option('$orderby')];
    this.filter = filter === undefined ? undefined : new PackageFilter(filter, urls);
    this.order = order === undefined ? undefined : parseOrder(order, urls);
    this.skip = this.#number('$skip') ?? 0;
    this.top = this.#number('$top');
    this.token = this.#option('$skiptoken');
    this.semVer2 = understandsSemVer2(this.#option('semVerLevel'));
    const counting = this.#option('$inlinecount')?.toLowerCase() ?? 'none';
    if (counting !== 'none' && counting !== 'allpages') throw new HttpError(400, '$inlinecount is allpages or none');
    this.wantsCount = counting === 'allpages' || this.flag('$count');
  }

  /** A text, with or without the quotes that belong around it; '' when it isn't there. */
  text(name: string): string {
    const value = this.#option(name) ?? '';
    if (value.length > MAX_TEXT) throw new HttpError(400, `${name} has at most ${MAX_TEXT} characters`);
    return unquoted(value);
  }

  /** True or false, in any case; false when it isn't there. */
  flag(name: string): boolean {
    const value = unquoted(this.#option(name) ?? 'false').toLowerCase();
    if (value === 'true' || value === 'false') return value === 'true';
    throw new HttpError(400, `${name} is true or false`);
  }

  /** The same request as the query of a URL. */
  toString(): string {
    return asQuery(this.#parameters);
  }

  /** The same request, from where a page has ended. */
  next({ token, skip, top }: Continuation): string {
    const parameters = new URLSearchParams(this.#parameters);
    for (const name of this.#parameters.keys()) if (PAGING.has(name.toLowerCase())) parameters.delete(name);
    if (skip > 0) parameters.set('$skip', String(skip));
    if (top !== undefined) parameters.set('$top', String(top));
    parameters.set('$skiptoken', token);
    return asQuery(parameters);
  }

  #option(name: string): string | undefined {
    return this.#values.get(name.toLowerCase())?.trim() || undefined;
  }

  #number(name: string): number | undefined {
    const text = this.#option(name);
    if (text === undefined) return undefined;
    if (!/^\d{1,7}$/.test(text) || Number(text) > MAX_NUMBER) {
      throw new HttpError(400, `${name} is a whole number from 0 to ${MAX_NUMBER}`);
    }
    return Number(text);
  }
}

/** A literal's text: what is between its quotes, where doubled ones stand for one. */
export function unquoted(literal: string): string {
  const isQuoted = literal.length >= 2 && literal.startsWith("'") && literal.endsWith("'");
  return isQuoted ? literal.slice(1, -1).replaceAll("''", "'") : literal;
}

/** Written for people to read, too: only what must be encoded is. */
function asQuery(parameters: URLSearchParams): string {
  return parameters.toString().replaceAll('+', '%20').replaceAll('%24', '$').replaceAll('%27', "'");
}

function understandsSemVer2(level: string | undefined): boolean {
  if (level === undefined) return false;
  const version = NuGetVersion.tryParse(unquoted(level));
  if (version === undefined) throw new HttpError(400, 'semVerLevel is a version');
  return version.major >= 2;
}
