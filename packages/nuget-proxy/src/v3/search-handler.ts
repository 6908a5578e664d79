import { checkPackageId, isPackageId, NuGetVersion, type SearchOptions } from '@granary/nuget';
import { FeedUnavailableError } from '../errors.js';
import { mapAtOnce } from '../feed/batches.js';
import type { Answer, FeedContent, SearchAnswer, SearchHit } from '../feed/feed-content.js';
import { type Origin, originOf } from '../feed/heard.js';
import type { PackageRecord } from '../feed/package-record.js';
import { isSemVer2 } from '../feed/sem-ver-2.js';
import { sendDocument } from '../http/answers/document-answer.js';
import type { Exchange } from '../http/exchange.js';
import type { FeedUrls } from '../http/feed-urls.js';
import { HttpError } from '../http/http-error.js';
import { autocompleteDocument, searchDocument } from './search-documents.js';

const DEFAULT_TAKE = 20;
const MAX_TAKE = 1000;
const MAX_SKIP = 10_000;
const MAX_QUERY = 512;

type AskedOptions = SearchOptions & { readonly includePrerelease: boolean; readonly semVer2: boolean };

/** Packages by what people type. What isn't listed is never shown, nor SemVer 2 to who doesn't understand it. */
export async function answerSearch(exchange: Exchange, feed: FeedContent, urls: FeedUrls): Promise<void> {
  exchange.service = 'search';
  const query = parametersOf(exchange);
  const options = readOptions(query);
  const answer = await feed.search(textOf(query, 'q'), options, exchange.call);
  const visible = await visibleHits(exchange, feed, answer, options);
  const hive = options.semVer2 ? 'registration-gz-semver2' : 'registration-gz';
  await sendDocument(exchange, {
    url: `${urls.search}?${query}`,
    answer: visible,
    render: (found) => searchDocument(urls, found, hive),
  });
}

/** Ids that begin with a text, or the listed versions of one package. */
export async function answerAutocomplete(exchange: Exchange, feed: FeedContent, urls: FeedUrls): Promise<void> {
  exchange.service = 'autocomplete';
  const query = parametersOf(exchange);
  const options = readOptions(query);
  const url = `${urls.autocomplete}?${query}`;
  const id = query.get('id');
  if (id === null) {
    const answer = await feed.autocomplete(textOf(query, 'q'), options, exchange.call);
    return await sendDocument(exchange, { url, answer, render: autocompleteDocument });
  }
  const answer = await feed.records(checkPackageId(id), exchange.call);
  await sendDocument(exchange, {
    url,
    answer: answer ?? { value: [], state: exchange.stateOfNothing, asOf: Date.now() },
    render: (records: readonly PackageRecord[]) => {
      const visible = records.filter((record) => isVisible(record, options));
      return autocompleteDocument(visible.map(({ version }) => version));
    },
  });
}

/** By name in lower case: servers of this protocol don't mind how clients write the names. */
function parametersOf({ query }: Exchange): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const [name, value] of query) parameters.append(name.toLowerCase(), value);
  return parameters;
}

/** @throws HttpError 400 for what makes no sense */
function readOptions(query: URLSearchParams): AskedOptions {
  const skip = countOf(query, 'skip', 0);
  if (skip > MAX_SKIP) throw new HttpError(400, `skip is at most ${MAX_SKIP}`);
  const packageType = query.get('packagetype') || undefined;
  if (packageType !== undefined && !isPackageId(packageType)) throw new HttpError(400, 'packageType is no name');
  return {
    includePrerelease: booleanOf(query, 'prerelease'),
    skip,
    take: Math.min(countOf(query, 'take', DEFAULT_TAKE), MAX_TAKE),
    packageType,
    semVer2: understandsSemVer2(query.get('semverlevel')),
  };
}

function countOf(query: URLSearchParams, name: string, unset: number): number {
  const text = query.get(name);
  if (text === null || text === '') return unset;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new HttpError(400, `${name} must be a whole number from 0`);
}

function booleanOf(query: URLSearchParams, name: string): boolean {
  const text = (query.get(name) || 'false').toLowerCase();
  if (text === 'true' || text === 'false') return text === 'true';
  throw new HttpError(400, `${name} must be true or false`);
}

function textOf(query: URLSearchParams, name: string): string {
  const text = query.get(name) ?? '';
  if (text.length > MAX_QUERY) throw new HttpError(400, `${name} has at most ${MAX_QUERY} characters`);
  return text;
}

function understandsSemVer2(level: string | null): boolean {
  if (level === null || level === '') return false;
  const version = NuGetVersion.tryParse(level);
  if (version === undefined) throw new HttpError(400, 'semVerLevel must be a version');
  return version.major >= 2;
}

/** Sources that can't tell, or don't, show more than they are asked for. */
async function visibleHits(
  exchange: Exchange,
  feed: FeedContent,
  answer: Answer<SearchAnswer>,
  options: AskedOptions,
): Promise<Answer<SearchAnswer>> {
  const { hits: found, total } = answer.value;
  if (found.every((hit) => isPlain(hit, options))) return answer;
  let origin: Origin = answer;
  const heard = (part: Origin) => {
    origin = originOf(origin, part);
  };
  const shown = await mapAtOnce(found, async (hit) => {
    return isPlain(hit, options) ? hit : visibleHit(exchange, feed, hit, options, heard);
  });
  const hits = shown.filter((hit) => hit !== undefined);
  const { state, asOf } = origin;
  return { value: { total: total - (found.length - hits.length), hits }, state, asOf };
}

/** Whether a hit can be shown as it is. */
function isPlain({ record, versions }: SearchHit, options: AskedOptions): boolean {
  if (!isVisible(record, options)) return false;
  return options.semVer2 || !versions.some(({ version }) => isSemVer2Version(version));
}

/**
 * The hit as this client may see it: with the newest version that it understands, of those that are listed.
 *
 * @param heard told where what is said beside the hit comes from
 */
async function visibleHit(
  exchange: Exchange,
  feed: FeedContent,
  hit: SearchHit,
  options: AskedOptions,
  heard: (part: Origin) => void,
): Promise<SearchHit | undefined> {
  if (isVisible(hit.record, options)) {
    return { ...hit, versions: hit.versions.filter(({ version }) => !isSemVer2Version(version)) };
  }
  const records = await recordsOf(exchange, feed, hit.record.id, heard);
  const visible = records.filter((each) => isVisible(each, options));
  const record = visible.at(-1);
  return record && { ...hit, record, versions: versionsOf(hit, visible) };
}

/** Sources of protocol 2 name the one version alone that they found, which may be the one that isn't shown. */
function versionsOf({ versions }: SearchHit, visible: readonly PackageRecord[]): SearchHit['versions'] {
  const told = new Map(versions.map((each) => [nameOf(each.version), each]));
  return visible.map(({ version, downloads = 0 }) => told.get(nameOf(version)) ?? { version, downloads });
}

/** A hit that nothing more can be told of isn't shown; that is no reason to show nothing at all. */
async function recordsOf(
  exchange: Exchange,
  feed: FeedContent,
  id: string,
  heard: (part: Origin) => void,
): Promise<readonly PackageRecord[]> {
  try {
    const answer = await feed.records(id, exchange.call);
    if (answer !== undefined) heard(answer);
    return answer?.value ?? [];
  } catch (error) {
    if (error instanceof FeedUnavailableError) return [];
    throw error;
  }
}

function isVisible(record: PackageRecord, { includePrerelease, semVer2 }: AskedOptions): boolean {
  if (!record.listed || (!semVer2 && isSemVer2(record))) return false;
  return includePrerelease || NuGetVersion.tryParse(record.version)?.isPrerelease === false;
}

function isSemVer2Version(version: string): boolean {
  return NuGetVersion.tryParse(version)?.isSemVer2 === true;
}

/** Versions are the same whatever their metadata is. */
function nameOf(version: string): string {
  return version.split('+', 1)[0]?.toLowerCase() ?? '';
}
