import type { Answer } from '../../feed/feed-content.js';
import type { Exchange, HeaderList } from '../exchange.js';
import { HttpError, noSuchPackage } from '../http-error.js';
import { type Coding, preferredCoding } from './negotiation.js';
import type { RenderedDocument } from './rendered-documents.js';
import { isAnother, isUnmodified } from './validators.js';

/** Feeds keep metadata for minutes themselves; whoever stands between keeps it just long enough to help in a rush. */
const METADATA = 'max-age=10, must-revalidate';
/** Of what never changes. */
export const IMMUTABLE = 'max-age=31536000, immutable';
const JSON_TYPE = 'application/json; charset=utf-8';

export interface DocumentInit<T extends object> {
  /** The whole URL of the document, with all of its query that matters. */
  readonly url: string;
  /** What the feed said; undefined when there is no such thing. */
  readonly answer: Answer<T> | undefined;
  /** Undefined when nothing of what was asked for is in the answer. Not called when the answer is the same as before. */
  readonly render: (value: T) => object | string | Buffer | undefined;
  /** Default JSON. */
  readonly type?: string | undefined;
  /** Whether it gets shorter by that, as images don't. Default true. */
  readonly isCompressible?: boolean | undefined;
  /** Default: for ten seconds. */
  readonly cacheControl?: string | undefined;
  readonly headers?: HeaderList | undefined;
}

/**
 * Answers with a document that is made of what a feed said, in the coding that the client likes best.
 *
 * @throws HttpError 404 when there is no such document, 412
 */
export function sendDocument<T extends object>(
  exchange: Exchange,
  { url, answer, render, ...init }: DocumentInit<T>,
): void | Promise<void> {
  if (answer === undefined) throw noSuchPackage();
  const { value } = answer;
  const document = exchange.edge.documents.take(url, value, () => asBytes(render(value)));
  if (document === undefined) {
    exchange.heardNothing(answer.state);
    throw noSuchPackage();
  }
  return sendRendered(exchange, document, {
    ...init,
    headers: [...exchange.cacheHeaders(answer), ...(init.headers ?? [])],
  });
}

/** Answers with a document that no feed is asked for. */
export function sendPlain(exchange: Exchange, url: string, body: object): void | Promise<void> {
  const document = exchange.edge.documents.take(url, body, () => asBytes(body));
  // What is this server's own is always at hand.
  return document && sendRendered(exchange, document, { headers: exchange.cacheHeaders({ state: 'hit', asOf: 0 }) });
}

function sendRendered(
  exchange: Exchange,
  document: RenderedDocument,
  { type = JSON_TYPE, isCompressible = true, cacheControl = METADATA, headers = [] }: Partial<DocumentInit<never>>,
): void | Promise<void> {
  const accepted = exchange.request.headers['accept-encoding']?.toString();
  const coding = isCompressible ? preferredCoding(accepted) : 'identity';
  const vary = isCompressible ? ['Vary', 'Accept-Encoding'] : [];
  const common = ['Cache-Control', exchange.cacheControl(cacheControl), ...vary, ...headers];
  const etag = document.etag(coding);
  const { headers: conditions } = exchange.request;
  if (isAnother(conditions, { etag })) throw new HttpError(412, 'the document is another one now');
  if (isUnmodified(conditions, { etag })) return exchange.answer(304, ['ETag', etag, ...common]);
  const bytes = document.bytes(coding);
  const send = (body: Buffer) => {
    const described = ['Content-Type', type, 'ETag', etag, ...codingHeader(coding), ...common];
    exchange.answer(200, described, body);
  };
  return bytes instanceof Promise ? bytes.then(send) : send(bytes);
}

function codingHeader(coding: Coding): HeaderList {
  return coding === 'identity' ? [] : ['Content-Encoding', coding];
}

function asBytes(document: object | string | Buffer | undefined): Buffer | undefined {
  if (document === undefined || Buffer.isBuffer(document)) return document;
  return Buffer.from(typeof document === 'string' ? document : JSON.stringify(document));
}
