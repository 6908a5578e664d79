import { isPackageId, NuGetVersion, type PackageIdentity } from '@granary/nuget';
import type { Answer, FeedContent } from '../feed/feed-content.js';
import { sendDocument } from '../http/answers/document-answer.js';
import { sendPackage } from '../http/answers/package-answer.js';
import type { Exchange } from '../http/exchange.js';
import type { FeedUrls } from '../http/feed-urls.js';
import { HttpError, noSuchPackage } from '../http/http-error.js';
import { deletePackage, identityOf, pushPackage, relistPackage } from '../http/publishing.js';
import { answerBatch, isBatch } from './batch.js';
import { answerIds, answerVersions } from './completion.js';
import { packageUrl } from './documents/entry-document.js';
import { odataError } from './documents/odata-error.js';
import { metadataDocument, serviceDocument } from './documents/service-documents.js';
import { historyOf } from './lists/package-history.js';
import { answerPackage, LISTS } from './lists/package-lists.js';
import { ODataQuery } from './odata-query.js';
import { parseResource, type ResourcePart } from './resource-path.js';
import type { V2Request } from './v2-request.js';

const XML_TYPE = 'application/xml;charset=utf-8';
/** What is answered without asking a feed is always the same. */
const OURS: Answer<object> = { value: Object.freeze({}), state: 'hit', asOf: 0 };
const MEDIA = new Set(['$value', 'download']);
const DOCUMENTS = new Set(['$metadata', 'package-ids']);

/**
 * Everything of protocol 2: OData over Atom, packages, and pushes.
 *
 * @param segments what comes after the feed's URL
 */
export async function handleV2(
  exchange: Exchange,
  feed: FeedContent,
  urls: FeedUrls,
  segments: readonly string[],
): Promise<void> {
  exchange.service = 'v2';
  exchange.describeError = odataError;
  const send: V2Request['send'] = (document) => sendDocument(exchange, document);
  const request: V2Request = { exchange, feed, urls, query: exchange.query, send };
  if (isBatch(segments)) return await answerBatch(request, readDocument);
  const path = withoutWellKnown(segments);
  const { method } = exchange.request;
  if (method === 'GET' || method === 'HEAD') await read(request, path);
  else await change(exchange, feed, path);
}

/** Clients that take a source for a whole host put the well-known path of galleries behind it. */
function withoutWellKnown(segments: readonly string[]): readonly string[] {
  const [first = '', second = ''] = segments;
  return /^api$/i.test(first) && /^v2$/i.test(second) ? segments.slice(2) : segments;
}

async function read(request: V2Request, path: readonly string[]): Promise<void> {
  const [first = '', ...rest] = path;
  if (first.toLowerCase() === 'package') return await readPackage(request, rest);
  const key = rest.length === 1 && MEDIA.has(rest[0]?.toLowerCase() ?? '') ? keyIn(parseResource(first)) : undefined;
  if (key === undefined) return await readDocument(request, path);
  request.exchange.service = 'package';
  await sendPackage(request.exchange, request.feed, key);
}

async function readDocument(request: V2Request, path: readonly string[]): Promise<void> {
  const { urls, send } = request;
  const [first = '', ...rest] = path;
  switch (first.toLowerCase()) {
    case '':
      return await send(ours(`${urls.v2}/`, () => serviceDocument(urls)));
    case '$metadata':
      if (rest.length > 0) throw nothing();
      return await send(ours(`${urls.v2}/$metadata`, metadataDocument));
    case 'package-ids':
      if (rest.length > 0) throw nothing();
      return await answerIds(request);
    case 'package-versions':
      if (rest.length !== 1) throw nothing();
      return await answerVersions(request, rest[0] ?? '');
    default:
      return await readResource(request, parseResource(first), rest);
  }
}

async function readResource(
  request: V2Request,
  resource: ResourcePart | undefined,
  rest: readonly string[],
): Promise<void> {
  const answer = LISTS.get(resource?.name ?? '');
  const isCount = rest[0]?.toLowerCase() === '$count';
  if (resource === undefined || answer === undefined || rest.length > (isCount ? 1 : 0)) throw nothing();
  const key = isCount ? undefined : keyIn(resource);
  if (key !== undefined) return await answerPackage(request, key);
  // Half of a key names no package, and by no means all of them.
  if (resource.name === 'packages' && resource.parameters.size > 0) throw nothing();
  await answer(request, new ODataQuery(request.query, resource.parameters, request.urls), isCount);
}

/** The package that `Packages(Id='…',Version='…')` names. */
function keyIn(resource: ResourcePart | undefined): PackageIdentity | undefined {
  if (resource?.name !== 'packages') return undefined;
  const [id, version] = [resource.parameters.get('id'), resource.parameters.get('version')];
  return id === undefined || version === undefined ? undefined : identityIn(id, version);
}

/** A package's bytes; without a version a redirection to the newest one. */
async function readPackage({ exchange, feed, urls }: V2Request, rest: readonly string[]): Promise<void> {
  exchange.service = 'package';
  const [id = '', version] = rest;
  if (rest.length === 0 || rest.length > 2) throw nothing();
  if (version !== undefined) return await sendPackage(exchange, feed, identityIn(id, version));
  const answer = isPackageId(id) ? await feed.records(id, exchange.call) : undefined;
  const history = historyOf(answer?.value ?? [], true);
  const newest = history.find(({ isLatest }) => isLatest) ?? history.find(({ isAbsoluteLatest }) => isAbsoluteLatest);
  if (answer === undefined || newest === undefined) throw noSuchPackage();
  const location = packageUrl(urls, newest.record.id, newest.version.toNormalizedString());
  exchange.answer(302, ['Location', location, 'Cache-Control', 'no-cache', ...exchange.cacheHeaders(answer)]);
}

async function change(exchange: Exchange, feed: FeedContent, path: readonly string[]): Promise<void> {
  const isOfPackages = path[0]?.toLowerCase() === 'package' && path.length !== 2;
  const [id, version, ...rest] = isOfPackages ? path.slice(1) : path;
  if (id === undefined) {
    exchange.allow('GET', 'HEAD', 'PUT');
    return await pushPackage(exchange, feed);
  }
  if (isOnlyRead(path)) exchange.allow('GET', 'HEAD');
  if (version === undefined || rest.length > 0) throw nothing();
  exchange.allow('GET', 'HEAD', 'DELETE', 'POST');
  const identity = identityOf(id, version);
  if (exchange.request.method === 'DELETE') await deletePackage(exchange, feed, identity);
  else await relistPackage(exchange, feed, identity);
}

/** Lists and documents; with a part behind it, it may be a package that is called like one. */
function isOnlyRead([first = '', ...rest]: readonly string[]): boolean {
  if (rest.length > 0 && !first.includes('(')) return false;
  return DOCUMENTS.has(first.toLowerCase()) || LISTS.has(parseResource(first)?.name ?? '');
}

/** What can't be a package isn't there. */
function identityIn(id: string, version: string): PackageIdentity {
  if (isPackageId(id) && NuGetVersion.tryParse(version) !== undefined) return identityOf(id, version);
  throw noSuchPackage();
}

function ours(url: string, render: () => string) {
  return { url, answer: OURS, render, type: XML_TYPE, headers: ['DataServiceVersion', '2.0;'] };
}

function nothing(): HttpError {
  return new HttpError(404, 'there is no such resource; $metadata says what there is');
}
