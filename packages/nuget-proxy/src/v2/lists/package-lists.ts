import { isPackageId, type PackageIdentity } from '@granary/nuget';
import type { Answer } from '../../feed/feed-content.js';
import { recordsWith } from '../../feed/records-with.js';
import { versionName } from '../../feed/version-name.js';
import { HttpError } from '../../http/http-error.js';
import { entryDocument } from '../documents/entry-document.js';
import { feedDocument } from '../documents/feed-document.js';
import type { ODataQuery } from '../odata-query.js';
import type { V2Request } from '../v2-request.js';
import { countOf, type Page, pageOf, selected } from './list-page.js';
import { historyOf, type PackageEntry } from './package-history.js';
import { recordsOfAll } from './package-records.js';
import { type SearchInit, SearchListing } from './search-listing.js';
import { findUpdates, frameworksIn } from './updates.js';

type ListAnswer = (request: V2Request, query: ODataQuery, isCount: boolean) => Promise<void>;

const FEED_TYPE = 'application/atom+xml;type=feed;charset=utf-8';
const ENTRY_TYPE = 'application/atom+xml;type=entry;charset=utf-8';
const TEXT_TYPE = 'text/plain;charset=utf-8';
const HEADERS = ['DataServiceVersion', '2.0;'];
const MAX_SEARCH = 512;
const MAX_FRAMEWORKS = 20;
/** No packages, which nobody was asked for. */
const NOTHING: Answer<readonly never[]> = { value: [], state: 'hit', asOf: 0 };

/** What can be asked for lists of packages, by its name in lower case. */
export const LISTS: ReadonlyMap<string, ListAnswer> = new Map<string, ListAnswer>([
  ['packages', answerPackages],
  ['findpackagesbyid', answerVersionsOf],
  ['search', answerSearch],
  ['getupdates', answerUpdates],
]);

/** One version of a package, whatever the client understands: it knows what it asks for. */
export async function answerPackage(
  { exchange, feed, urls, send }: V2Request,
  identity: PackageIdentity,
): Promise<void> {
  const { id, version } = identity;
  await send({
    url: `${urls.v2}/Packages(Id='${id.toLowerCase()}',Version='${versionName(version)}')`,
    answer: await recordsWith(feed, identity, exchange.call),
    render(records) {
      const entry = historyOf(records, true).find((each) => each.version.equals(version));
      return entry && entryDocument(urls, entry);
    },
    type: ENTRY_TYPE,
    headers: HEADERS,
  });
}

/** All versions of a package, unlisted ones too: clients know them by their date. */
async function answerVersionsOf(request: V2Request, query: ODataQuery, isCount: boolean): Promise<void> {
  const { exchange, feed } = request;
  const id = query.text('id');
  if (id === '') throw new HttpError(400, "FindPackagesById() takes an id: id='…'");
  // What can't be an id isn't there, as anything else that isn't there.
  const answer = isPackageId(id) ? await feed.records(id, exchange.call) : undefined;
  await sendList(
    request,
    'FindPackagesById',
    query,
    isCount,
    answer ?? { ...NOTHING, state: exchange.stateOfNothing },
    (records) => {
      return selected(historyOf(records, query.semVer2), query);
    },
  );
}

/** Packages by a filter: those that it names, or what a search finds, of which it takes some. */
async function answerPackages(request: V2Request, query: ODataQuery, isCount: boolean): Promise<void> {
  const ids = query.filter?.ids;
  if (ids === undefined) {
    const text = wordOf(query) ?? '';
    return await sendFound(request, 'Packages', query, isCount, { text, includePrerelease: true });
  }
  const answer = await recordsOfAll(request.feed, ids, request.exchange.call);
  await sendList(request, 'Packages', query, isCount, answer, (all) => {
    return selected(
      all.flatMap((records) => historyOf(records, query.semVer2)),
      query,
    );
  });
}

async function answerSearch(request: V2Request, query: ODataQuery, isCount: boolean): Promise<void> {
  request.exchange.service = 'search';
  const text = query.text('searchTerm');
  if (text.length > MAX_SEARCH) throw new HttpError(400, `searchTerm has at most ${MAX_SEARCH} characters`);
  const frameworks = frameworksIn(query.text('targetFramework')).slice(0, MAX_FRAMEWORKS);
  await sendFound(request, 'Search', query, isCount, {
    text,
    word: text.trim() === '' ? wordOf(query) : undefined,
    includePrerelease: query.flag('includePrerelease'),
    frameworks: frameworks.map(({ shortName }) => shortName),
  });
}

/** The one word that everything has which the filter takes. */
function wordOf({ filter }: ODataQuery): string | undefined {
  const words = filter?.words;
  return words?.size === 1 ? [...words].join('') : undefined;
}

async function answerUpdates(request: V2Request, query: ODataQuery, isCount: boolean): Promise<void> {
  const { feed, exchange } = request;
  const answer = await findUpdates(feed, query, exchange.call);
  await sendList(request, 'GetUpdates', query, isCount, answer, (entries) => selected(entries, query));
}

/** Answers with a page of a list that is made of what a feed said, or with its length. */
async function sendList<T extends object>(
  request: V2Request,
  name: string,
  query: ODataQuery,
  isCount: boolean,
  answer: Answer<T>,
  listOf: (value: T) => readonly PackageEntry[],
): Promise<void> {
  if (isCount) return await sendCount(request, name, query, answer, (value) => countOf(listOf(value).length, query));
  await sendPage(request, name, query, answer, (value) => pageOf(listOf(value), query));
}

/** The same of a search, which is asked for page by page. */
async function sendFound(
  request: V2Request,
  name: string,
  query: ODataQuery,
  isCount: boolean,
  init: SearchInit,
): Promise<void> {
  const { feed, exchange } = request;
  const found = new SearchListing(feed, query, init, exchange.call);
  if (isCount) {
    const value = { count: await found.count() };
    return await sendCount(request, name, query, { ...found.origin, value }, ({ count }) => count);
  }
  const value = await found.page();
  await sendPage(request, name, query, { ...found.origin, value }, (page) => page);
}

async function sendPage<T extends object>(
  { urls, send }: V2Request,
  name: string,
  query: ODataQuery,
  answer: Answer<T>,
  pageIn: (value: T) => Page,
): Promise<void> {
  const url = `${urls.v2}/${name}()`;
  await send({
    url: `${url}?${query}`,
    answer,
    render(value) {
      const { entries, count, next } = pageIn(value);
      return feedDocument(urls, { name, entries, count, next: next && `${url}?${query.next(next)}` });
    },
    type: FEED_TYPE,
    headers: HEADERS,
  });
}

async function sendCount<T extends object>(
  { urls, send }: V2Request,
  name: string,
  query: ODataQuery,
  answer: Answer<T>,
  countIn: (value: T) => number,
): Promise<void> {
  await send({
    url: `${urls.v2}/${name}()/$count?${query}`,
    answer,
    render: (value) => String(countIn(value)),
    type: TEXT_TYPE,
    headers: HEADERS,
  });
}
