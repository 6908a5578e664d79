import type { Socket } from 'node:net';
import type { MaybePromise } from '@granary/blobs';

export type Right = 'read' | 'write' | 'admin';

/** What a request shows of who sends it, alike for every protocol. */
export interface Credentials {
  /** The `Authorization` header or metadata, as sent. */
  readonly authorization: string | undefined;
  /** HTTP/2's `:authority` or HTTP/1's `Host`; may hold `user:password@` in front of the host. */
  readonly authority: string | undefined;
  /** The connection, for its address and the client's certificate; undefined where the transport hides it. */
  readonly socket: Socket | undefined;
}

/** A request was refused for who sends it. */
export class AccessDeniedError extends Error {
  readonly code: 'UNAUTHENTICATED' | 'PERMISSION_DENIED' | 'RATE_LIMITED';

  constructor(code: AccessDeniedError['code'], message: string) {
    super(message);
    this.name = 'AccessDeniedError';
    this.code = code;
  }
}

/** One finished request, for metrics and the access log. */
export interface RequestRecord {
  readonly protocol: 'grpc' | 'http';
  /** gRPC: the service's full name, or `other` for one that isn't here. HTTP: `cas`, `ac` or `status`. */
  readonly service: string;
  /** gRPC: the method's name, or `other` for one that isn't here. HTTP: the verb. */
  readonly method: string;
  /** gRPC: the code's name, such as `NOT_FOUND`. HTTP: the status, such as `404`. */
  readonly code: string;
  readonly durationMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Address and port of the peer. Like `subject` only where {@link EdgeHooks.wantsDetails}. */
  readonly peer?: string | undefined;
  /** What was asked for: a resource name, an action digest, a count of digests. */
  readonly subject?: string | undefined;
  /** The error behind a failure that is ours, for the log. */
  readonly error?: unknown;
  /**
   * The request's trace and its span in it, in hexadecimal digits. Undefined where there is none, and of a trace that isn't
   * recorded unless {@link EdgeHooks.wantsDetails}.
   */
  readonly traceId?: string | undefined;
  readonly spanId?: string | undefined;
  /** Whether the trace is recorded, so that its id leads somewhere. */
  readonly sampled?: boolean | undefined;
}

/** What the server around the protocols adds to every request. */
export interface EdgeHooks {
  /**
   * Lets a request go on or throws {@link AccessDeniedError}; the value names the identity for the log.
   * Answers without a promise wherever it can.
   */
  readonly authorize?: (credentials: Credentials, right: Right) => MaybePromise<string>;
  /**
   * Whether a client has a right, for answers that depend on it: nothing is refused, so nothing is to be counted as
   * that. May throw {@link AccessDeniedError}, which is a no. Default: what {@link authorize} says.
   */
  readonly allows?: (credentials: Credentials, right: Right) => MaybePromise<boolean>;
  /** Told of every finished request; what it throws is dropped. */
  readonly onRequest?: (record: RequestRecord) => void;
  /** Whether records are wanted with all that a log shows, their `peer` and `subject`; asked for each request, so that it can follow the log level. */
  readonly wantsDetails?: () => boolean;
}
