import type { PackageIdentity } from '@granary/nuget';
import type { FeedContent, PackageContent } from '../../feed/feed-content.js';
import type { Exchange, HeaderList } from '../exchange.js';
import { HttpError, noSuchPackage } from '../http-error.js';
import { parseRange } from './byte-range.js';
import { IMMUTABLE } from './document-answer.js';
import { readerOf, sendChunks } from './send-chunks.js';
import { isAnother, isUnmodified, wantsRangeOf } from './validators.js';

const TYPE: HeaderList = ['Content-Type', 'application/octet-stream'];

/**
 * Answers with a package: the whole, or the part that is asked for. One that still arrives is passed on as it comes.
 *
 * @throws HttpError 404 when it isn't there, 412, 416
 */
export async function sendPackage(exchange: Exchange, feed: FeedContent, identity: PackageIdentity): Promise<void> {
  const content = await feed.package(identity, exchange.call);
  if (content === undefined) throw noSuchPackage();
  let isOpened = false;
  try {
    const head = headOf(exchange, content);
    if (head.status === 304 || exchange.isHead) {
      exchange.begin(head.status, head.headers);
      exchange.response.end();
      return;
    }
    isOpened = true;
    const part = { offset: head.offset, limit: head.limit };
    const reader = content.read?.(part) ?? readerOf(content.open(part));
    // What breaks before anything of it is here can still be answered with an error.
    await sendChunks(exchange, reader, head.length, () => exchange.begin(head.status, head.headers));
  } finally {
    if (!isOpened) content.release();
  }
}

interface Head {
  readonly status: number;
  readonly headers: HeaderList;
  /** Bytes that the body has; undefined when that isn't known. */
  readonly length: number | undefined;
  readonly offset?: number;
  readonly limit?: number;
}

function headOf(exchange: Exchange, content: PackageContent): Head {
  const { headers } = exchange.request;
  const { size, etag, lastModified } = content;
  const common: (string | number)[] = ['Cache-Control', exchange.cacheControl(IMMUTABLE), 'X-Cache', content.state];
  exchange.state = content.state;
  if (etag !== undefined) common.push('ETag', etag);
  if (lastModified !== undefined) common.push('Last-Modified', lastModified.toUTCString());
  if (isAnother(headers, content)) throw new HttpError(412, 'the package is another one now');
  if (isUnmodified(headers, content)) return { status: 304, headers: common, length: 0 };
  common.push(...TYPE);
  if (size === undefined) return { status: 200, headers: common, length: undefined };
  common.push('Accept-Ranges', 'bytes');
  const isPart = headers.range !== undefined && !exchange.isHead && wantsRangeOf(headers, content);
  const range = isPart ? parseRange(headers.range, size) : undefined;
  if (range === undefined) return { status: 200, headers: ['Content-Length', size, ...common], length: size };
  const { offset, length } = range;
  const described = ['Content-Length', length, 'Content-Range', `bytes ${offset}-${offset + length - 1}/${size}`];
  return { status: 206, headers: [...described, ...common], length, offset, limit: length };
}
