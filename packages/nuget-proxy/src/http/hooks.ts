import type { Socket } from 'node:net';
import type { CacheState } from '../feed/feed-content.js';

/** What a request is about to do: `push` stands for delete and relist, too. */
export type FeedRight = 'read' | 'push';

/** What a request shows of who sends it. */
export interface FeedCredentials {
  /** The `Authorization` header, as sent. */
  readonly authorization: string | undefined;
  /** The `X-NuGet-ApiKey` header, as sent. */
  readonly apiKey: string | undefined;
  /** The `Host` header, as sent. */
  readonly authority: string | undefined;
  /** The connection, for its address and the client's certificate. */
  readonly socket: Socket | undefined;
}

/** Why a request is refused for who sends it. */
export type AccessDenial = 'UNAUTHENTICATED' | 'PERMISSION_DENIED' | 'RATE_LIMITED';

/** A request was refused for who sends it. Any error with one of these codes is taken as that. */
export class FeedAccessError extends Error {
  readonly code: AccessDenial;

  constructor(code: AccessDenial, message: string) {
    super(message);
    this.name = 'FeedAccessError';
    this.code = code;
  }
}

/** One finished request, for metrics and the access log. */
export interface FeedRequestRecord {
  readonly protocol: 'nuget';
  /** What was asked for, of a small set: `versions`, `package`, `nuspec`, `icon`, `readme`, `registration`, `search`, `v2`, `other`, … */
  readonly service: string;
  readonly method: string;
  /** The status, such as `404`, or why the answer broke off: `499` when the client went away. */
  readonly code: string;
  readonly durationMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** The feed that was asked, `all` for all as one; undefined when there is none of that name. */
  readonly feed: string | undefined;
  /** Where the answer came from; undefined for what no feed was asked for. */
  readonly state: CacheState | undefined;
  /** Address and port of the peer. Like `subject` only where {@link FeedHooks.wantsDetails}. */
  readonly peer?: string;
  /** The path that was asked for. */
  readonly subject?: string;
  /** The error behind a failure that is ours, for the log. */
  readonly error?: unknown;
  /** The request's trace and its span in it; left out where there is none. */
  readonly traceId?: string;
  readonly spanId?: string;
  /** Whether the trace is recorded, so that its id leads somewhere. */
  readonly sampled?: boolean;
}

/** What the server around the feeds adds to every request. */
export interface FeedHooks {
  /**
   * Lets a request go on, or throws an error with a code of {@link AccessDenial}; the value names who it is.
   * Answers without a promise wherever it can. Default: everybody may do everything.
   */
  readonly authorize?: (credentials: FeedCredentials, right: FeedRight) => string | Promise<string>;
  /** Told of every finished request; what it throws is dropped. */
  readonly onRequest?: (record: FeedRequestRecord) => void;
  /** Whether records are wanted with their `peer` and `subject`; asked for each request, so that it can follow the log level. */
  readonly wantsDetails?: () => boolean;
}
