import type { Readable } from 'node:stream';
import type { Span, SpanContext } from '@granary/telemetry';
import type { Dispatcher } from 'undici';

/** A request's body: bytes, or a function that makes a new stream for every attempt, can be repeated; a stream can't. */
export type RequestBody = string | Uint8Array | Readable | (() => Readable) | null;

/** Values by name; several values of a name are an array. */
export type HeaderRecord = Record<string, string | string[] | undefined>;

/** What is known about a call while it goes on; whoever starts it may hand it in and read it afterwards. */
export interface CallProgress {
  /** Requests sent or tried. */
  attempts: number;
  /** Where the request goes at the moment: after a redirect, not where it went first. */
  url: URL;
}

/**
 * What undici dispatches, and what a single request may set of its own for the interceptors of this package, beside
 * their defaults.
 */
export interface HttpDispatchOptions extends Omit<Dispatcher.DispatchOptions, 'body' | 'idempotent' | 'reset'> {
  body?: RequestBody | Dispatcher.DispatchOptions['body'];
  /** Whether the request may be repeated. Default: as its method says. */
  idempotent?: boolean | undefined;
  /** Whether the connection is closed after it. Default: after HEAD. */
  reset?: boolean | undefined;
  /** Whose tokens the rate limiter takes, and the label in metrics. Default: the host. */
  source?: string | undefined;
  /** See `deadline()`. */
  timeoutMs?: number | undefined;
  /** See `limits()` and `decompress()`. */
  maxBodyBytes?: number | undefined;
  /** See `redirect()`. */
  maxRedirects?: number | undefined;
  /** `false` hands the body out as it came. */
  decompress?: boolean | undefined;
  /** The handler takes a response that begins anew when its body broke off, so that `retry()` may repeat it even then. */
  restartable?: boolean | undefined;
  progress?: CallProgress | undefined;
  /** The span that the call is part of. Default: the active one. */
  parentSpan?: SpanContext | undefined;
  /** The call's own span, from `observe()`: what happens to the call on its way becomes an event of it. */
  span?: Span | undefined;
}

export type Handler = Dispatcher.DispatchHandler;
export type Controller = Dispatcher.DispatchController;
export type ResponseHeaders = Parameters<NonNullable<Handler['onResponseStart']>>[2];
export type Trailers = Parameters<NonNullable<Handler['onResponseEnd']>>[1];

/** Sends one request; whether it did so without queueing. */
export type Dispatch = (options: HttpDispatchOptions, handler: Handler) => boolean;

/** One concern of a call, as `new Agent().compose(interceptor)` takes it. */
export type HttpInterceptor = Dispatcher.DispatcherComposeInterceptor;

const AFTER_SCHEME = '://';
const NOT_ONLY_HOST = /[/@]/;

/** Host and port of where a request goes. */
export function hostOf({ origin }: HttpDispatchOptions): string {
  if (typeof origin !== 'string') return origin?.host ?? '';
  const start = origin.indexOf(AFTER_SCHEME);
  const host = start < 0 ? origin : origin.slice(start + AFTER_SCHEME.length);
  // Only what a caller wrote by hand has more than the host in it.
  return NOT_ONLY_HOST.test(host) ? new URL(origin).host : host;
}

/** Whose tokens a request takes, and its label. */
export const sourceOf = (options: HttpDispatchOptions): string => options.source ?? hostOf(options);
