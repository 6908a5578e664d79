import { isPackageId, NuGetVersion } from '@granary/nuget';
import type { Answer, FeedContent } from '../feed/feed-content.js';
import { sendDocument } from '../http/document-answer.js';
import type { Exchange } from '../http/exchange.js';
import type { FeedUrls } from '../http/feed-urls.js';
import { HttpError } from '../http/http-error.js';
import { sendPackage } from '../http/package-answer.js';
import { deletePackage, identityOf, pushPackage, relistPackage } from '../http/publishing.js';
import { answerIds, answerVersions } from './completion.js';
import { packageUrl } from './documents/entry-document.js';
import { odataError } from './documents/odata-error.js';
import { metadataDocument, serviceDocument } from './documents/service-documents.js';
import { historyOf } from './lists/package-history.js';
import { answerPackage, LISTS, type V2Request } from './lists/package-lists.js';
import { ODataQuery } from './odata-query.js';
import { parseResource, type ResourcePart } from './resource-path.js';

const XML_TYPE = 'application/xml;charset=utf-8';
/** What is answered without asking a feed is always the same. */
const OURS: Answer<object> = { value: Object.freeze({}), state: 'hit', asOf: 0 };
const MEDIA = new Set(['$value', 'download']);

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
  const path = withoutWellKnown(segments);
  const { method } = exchange.request;
  if (method === 'GET' || method === 'HEAD') await read({ exchange, feed, urls }, path);
  else await change(exchange, feed, path);
}

/** Clients that take a source for a whole host put the well-known path of galleries behind it. */
function withoutWellKnown(segments: readonly string[]): readonly string[] {
  const [first = '', second = ''] = segments;
  return /^api$/i.test(first) && /^v2$/i.test(second) ? segments.slice(2) : segments;
}

async function read(request: V2Request, path: readonly string[]): Promise<void> {
  const { exchange, urls } = request;
  const [first = '', ...rest] = path;
  const resource = parseResource(first);
  switch (first.toLowerCase()) {
    case '':
      return await sendDocument(
        exchange,
        ours(`${urls.v2}/`, () => serviceDocument(urls)),
      );
    case '$metadata':
      if (rest.length > 0) throw nothing();
      return await sendDocument(exchange, ours(`${urls.v2}/$metadata`, metadataDocument));
    case 'package':
      return await readPackage(request, rest);
    case 'package-ids':
      if (rest.length > 0) throw nothing();
      return await answerIds(request);
    case 'package-versions':
      if (rest.length !== 1) throw nothing();
      return await answerVersions(request, rest[0] ?? '');
    default:
      if (resource === undefined) throw nothing();
      return await readResource(request, resource, rest);
  }
}

async function readResource(request: V2Request, resource: ResourcePart, rest: readonly string[]): Promise<void> {
  const { exchange, feed, urls } = request;
  const { name, parameters } = resource;
  const [id, version] = [parameters.get('id'), parameters.get('version')];
  if (name === 'packages' && id !== undefined && version !== undefined) {
    if (rest.length === 0) return await answerPackage(request, identityIn(id, version));
    if (rest.length > 1 || !MEDIA.has(rest[0]?.toLowerCase() ?? '')) throw nothing();
    exchange.service = 'package';
    return await sendPackage(exchange, feed, identityIn(id, version));
  }
  const answer = LISTS.get(name);
  const isCount = rest[0]?.toLowerCase() === '$count';
  if (answer === undefined || rest.length > (isCount ? 1 : 0)) throw nothing();
  await answer(request, new ODataQuery(exchange.query, parameters, urls), isCount);
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
  if (answer === undefined || newest === undefined) throw missing();
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
  if (version === undefined || rest.length > 0) throw nothing();
  exchange.allow('GET', 'HEAD', 'DELETE', 'POST');
  const identity = identityOf(id, version);
  if (exchange.request.method === 'DELETE') await deletePackage(exchange, feed, identity);
  else await relistPackage(exchange, feed, identity);
}

/** What can't be a package isn't there. */
function identityIn(id: string, version: string) {
  if (isPackageId(id) && NuGetVersion.tryParse(version) !== undefined) return identityOf(id, version);
  throw missing();
}

function ours(url: string, render: () => string) {
  return { url, answer: OURS, render, type: XML_TYPE, headers: ['DataServiceVersion', '2.0;'] };
}

function missing(): HttpError {
  return new HttpError(404, 'there is no such package or version');
}

function nothing(): HttpError {
  return new HttpError(404, 'there is no such resource; $metadata says what there is');
}
