import type { Readable } from 'node:stream';
import type { PackageIdentity } from '@granary/nuget';
import type { FeedContent, PackageContent } from '../feed/feed-content.js';
import { parseRange } from './byte-range.js';
import { IMMUTABLE } from './document-answer.js';
import type { Exchange, HeaderList } from './exchange.js';
import { HttpError } from './http-error.js';
import { isUnmodified, wantsRangeOf } from './validators.js';

const TYPE: HeaderList = ['Content-Type', 'application/octet-stream'];

/**
 * Answers with a package: the whole, or the part that is asked for. One that still arrives is passed on as it comes.
 *
 * @throws HttpError 404 when it isn't there, 416
 */
export async function sendPackage(exchange: Exchange, feed: FeedContent, identity: PackageIdentity): Promise<void> {
  const content = await feed.package(identity, exchange.call);
  if (content === undefined) throw new HttpError(404, 'there is no such package or version');
  let isOpened = false;
  try {
    const head = headOf(exchange, content);
    if (head.status === 304 || exchange.isHead) {
      exchange.begin(head.status, head.headers);
      exchange.response.end();
      return;
    }
    isOpened = true;
    const body = content.open({ offset: head.offset, limit: head.limit });
    exchange.begin(head.status, head.headers);
    await sendStream(exchange, body, head.length);
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

/**
 * Sends a body at the client's pace, and ends the answer only when all of it was there.
 *
 * @throws HttpError 499 when the client goes away, 408 when it takes nothing for too long; what the body fails with
 */
function sendStream(exchange: Exchange, body: Readable, length: number | undefined): Promise<void> {
  const { response, edge } = exchange;
  return new Promise((resolve, reject) => {
    let stall: NodeJS.Timeout | undefined;
    const settle = (error?: unknown) => {
      clearTimeout(stall);
      body.off('data', send).off('end', end).off('close', broken);
      response.off('drain', resume).off('close', gone);
      body.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    const watch = () => {
      clearTimeout(stall);
      stall = setTimeout(() => settle(new HttpError(408, 'the client takes nothing')), edge.sendIdleMs);
    };
    const send = (chunk: Buffer) => {
      exchange.bytesOut += chunk.length;
      // More than was announced would be taken for the next answer.
      if (length !== undefined && exchange.bytesOut > length) return settle(wrongLength());
      if (response.write(chunk)) return;
      body.pause();
      watch();
    };
    const resume = () => {
      clearTimeout(stall);
      body.resume();
    };
    const end = () => {
      body.off('close', broken);
      if (length !== undefined && exchange.bytesOut !== length) {
        settle(wrongLength());
        return;
      }
      watch();
      response.end();
    };
    const wrongLength = () => new Error(`a package has ${exchange.bytesOut} bytes instead of ${length}`);
    const broken = () => settle(new Error('a package ended before its end'));
    const gone = () => settle(response.writableFinished ? undefined : new HttpError(499, 'the client went away'));
    // Stays: a body that is destroyed may still have something to say.
    body.on('error', settle);
    body.on('data', send).once('end', end).once('close', broken);
    response.on('drain', resume).once('close', gone);
    if (response.destroyed) gone();
  });
}
