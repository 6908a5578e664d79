import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { gzipSync } from 'node:zlib';
import { distort, type FeedFault } from './faults.js';
import type { FeedRequest } from './request-log.js';
import type { FeedSettings } from './settings.js';

/** An answer, before it is compressed, shortened or spoilt. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Buffer | string | undefined;
  readonly contentType?: string | undefined;
  readonly modified?: Date | undefined;
  /** Compressed whatever the client accepts, as some documents of nuget.org are. */
  readonly alwaysGzip?: boolean | undefined;
}

export function json(value: unknown, modified?: Date): Reply {
  return { status: 200, body: JSON.stringify(value), contentType: 'application/json', modified };
}

export function problem(status: number, message: string): Reply {
  return { status, body: `${message}\n`, contentType: 'text/plain; charset=utf-8' };
}

const BLANKS = Buffer.alloc(64 * 1024, ' ');

/** Sends an answer as the settings have it, with everything that goes wrong with it. */
export async function sendReply(
  request: FeedRequest,
  response: ServerResponse,
  reply: Reply,
  settings: FeedSettings,
  faults: readonly FeedFault[],
): Promise<void> {
  const { status, headers, body } = encode(request, faults.reduce(distort, reply), settings);
  request.status = status;
  const cut = faults.find((fault) => fault.kind === 'truncate' || fault.kind === 'reset' || fault.kind === 'hang');
  const huge = faults.find((fault) => fault.kind === 'huge');
  if (cut !== undefined) await sendPart(response, status, headers, body, cut);
  else if (huge !== undefined) await sendHuge(response, status, headers, body, huge.bytes);
  else {
    response.writeHead(status, { ...headers, 'content-length': String(body.length) });
    response.end(request.method === 'HEAD' ? undefined : body);
  }
}

interface Encoded {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

function encode(request: FeedRequest, reply: Reply, settings: FeedSettings): Encoded {
  const headers: Record<string, string> = { ...reply.headers };
  let body = Buffer.isBuffer(reply.body) ? reply.body : Buffer.from(reply.body ?? '');
  if (reply.contentType !== undefined) headers['content-type'] = reply.contentType;
  if (reply.status !== 200) return { status: reply.status, headers, body };

  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  const date = reply.modified;
  const { validators } = settings;
  if (validators === 'etag' || validators === 'both') headers['etag'] = etag;
  if (date !== undefined && (validators === 'date' || validators === 'both')) {
    headers['last-modified'] = date.toUTCString();
  }
  if (isUnchanged(request, headers['etag'], headers['last-modified'])) {
    return { status: 304, headers, body: Buffer.alloc(0) };
  }

  const accepts = /\bgzip\b/i.test(String(request.headers['accept-encoding'] ?? ''));
  const isDocument = reply.contentType !== 'application/octet-stream';
  if (reply.alwaysGzip || (settings.gzip && accepts && isDocument)) {
    headers['content-encoding'] = 'gzip';
    headers['vary'] = 'Accept-Encoding';
    body = gzipSync(body, { level: 1 });
    return { status: 200, headers, body };
  }
  return isDocument ? { status: 200, headers, body } : ranged(request, headers, body);
}

function isUnchanged(request: FeedRequest, etag: string | undefined, modified: string | undefined): boolean {
  const tags = request.headers['if-none-match'];
  if (tags !== undefined) return etag !== undefined && (tags.includes(etag) || tags.trim() === '*');
  const since = request.headers['if-modified-since'];
  return since !== undefined && modified !== undefined && Date.parse(since) >= Date.parse(modified);
}

/** One range of a package, as those ask for who go on where a download broke off. */
function ranged(request: FeedRequest, headers: Record<string, string>, body: Buffer): Encoded {
  headers['accept-ranges'] = 'bytes';
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const condition = request.headers['if-range'];
  const holds = condition === undefined || condition === headers['etag'] || condition === headers['last-modified'];
  if (range === null || !holds) return { status: 200, headers, body };
  const start = Number(range[1]);
  const end = range[2] ? Math.min(Number(range[2]), body.length - 1) : body.length - 1;
  if (start > end) {
    headers['content-range'] = `bytes */${body.length}`;
    return { status: 416, headers, body: Buffer.alloc(0) };
  }
  headers['content-range'] = `bytes ${start}-${end}/${body.length}`;
  return { status: 206, headers, body: body.subarray(start, end + 1) };
}

async function sendPart(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: Buffer,
  fault: FeedFault & { readonly kind: 'truncate' | 'reset' | 'hang' },
): Promise<void> {
  const { kind, afterBytes } = fault;
  const socket = response.socket;
  if (afterBytes === undefined && kind === 'hang') return;
  if (afterBytes === undefined && kind === 'reset') return void socket?.resetAndDestroy();
  const part = body.subarray(0, afterBytes ?? Math.floor(body.length / 2));
  const silent = kind === 'truncate' && fault.silent === true;
  response.writeHead(status, { ...headers, 'content-length': String(silent ? part.length : body.length) });
  if (silent) return void response.end(part);
  response.flushHeaders();
  await new Promise<void>((resolve) => response.write(part, () => resolve()));
  if (kind === 'truncate') socket?.end();
  else if (kind === 'reset') socket?.resetAndDestroy();
}

async function sendHuge(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: Buffer,
  bytes: number,
): Promise<void> {
  response.writeHead(status, headers);
  // Who has enough goes away, which is what the fault is for.
  await pipeline(padded(body, bytes), response).catch(() => {});
}

function* padded(body: Buffer, bytes: number): Generator<Buffer> {
  yield body;
  for (let left = bytes - body.length; left > 0; left -= BLANKS.length) yield BLANKS.subarray(0, left);
}
