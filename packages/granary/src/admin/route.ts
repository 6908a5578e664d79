import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { MaybePromise } from '@granary/blobs';

/** A request as routes see it. */
export interface AdminRequest {
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Aborts when the client goes away or the listener is closed. */
  readonly signal: AbortSignal;
  /**
   * The whole body.
   *
   * @throws AnswerError 413 when it is longer than `maxBytes`, by default 4 KiB
   */
  body(maxBytes?: number): Promise<Buffer>;
}

/** What a route answers. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  /** A stream is sent as it comes and destroyed when the client goes away. */
  readonly body: string | Buffer | Readable;
  readonly headers?: Readonly<Record<string, string>>;
}

export type AnswerTo = (request: AdminRequest) => MaybePromise<Answer>;

/** What a path answers, by method. HEAD is answered wherever GET is. */
export interface Route {
  /** What it gives, in a few words for the index page. */
  readonly summary: string;
  /** Whether everybody may ask. Default: only who may administer. */
  readonly open?: boolean;
  readonly get?: AnswerTo;
  readonly put?: AnswerTo;
  readonly post?: AnswerTo;
  /**
   * The content type of what GET makes where that takes time or memory: HEAD then only says so, and a page of another
   * site can't have it made.
   */
  readonly onDemand?: string;
}

/** Something that a request did wrong or that can't be done now, as the answer that says so. */
export class AnswerError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'AnswerError';
    this.status = status;
    this.headers = headers;
  }
}

/** An answer of one line for people. */
export function text(status: number, body: string, headers?: Answer['headers']): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${body}\n`, ...(headers && { headers }) };
}

export function json(value: unknown, status = 200): Answer {
  return { status, contentType: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}
