import type { ConnectionOptions } from 'node:tls';
import type {
  Clock,
  HttpCircuitBreaker,
  HttpCircuitBreakerOptions,
  PerSourceLimiter,
  PerSourceLimiterOptions,
  Throttle,
  Timers,
} from '@granary/resilience';
import type { Logger, SpanContext, Tracer } from '@granary/telemetry';
import type { HeaderRecord, RequestBody } from '../dispatch.js';
import type { HttpRetryOptions } from '../interceptors/retry.js';
import type { HttpMetrics } from '../metrics.js';
import type { AllowsAddress } from './connections/checked-connector.js';
import type { ProxyOptions } from './connections/proxies.js';

/** Calls that run at the same time, and how many may wait. */
export interface ThrottleOptions {
  readonly max: number;
  /** Default 10,000. */
  readonly maxQueue?: number | undefined;
}

/** Every policy takes its options, an instance that is shared with others, or `false` for none. */
export interface HttpClientOptions {
  /** Default `granary`. */
  readonly userAgent?: string | undefined;
  /** For a call as a whole: waiting, retries, redirects and body included. 0 is none. Default 100,000. */
  readonly timeoutMs?: number | undefined;
  /** For a connection, TLS included. Default 10,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** For the headers of an attempt's response, from when the request was sent. 0 is none. Default 30,000. */
  readonly headersTimeoutMs?: number | undefined;
  /** Between two pieces of a body, while somebody reads it. 0 is none. Default 30,000. */
  readonly bodyTimeoutMs?: number | undefined;
  /** How long an idle connection is kept; servers may ask for less. Default 30,000. */
  readonly keepAliveMs?: number | undefined;
  /** Connections to a host; more calls wait for one. Default 64. */
  readonly maxConnectionsPerHost?: number | undefined;
  /** Calls that wait, run, or have a body that still comes; more are turned away (`QUEUE_FULL`). Default 10,000. */
  readonly maxCalls?: number | undefined;
  /** Redirects that are followed; 0 hands them out. Default 5. */
  readonly maxRedirects?: number | undefined;
  /** Longest body, decompressed, that `json` and `buffer` take. Default 64 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Longest body, decompressed, that `request` hands out. Default: none. */
  readonly maxStreamBytes?: number | undefined;
  /** Response headers of at most so many bytes. Default 16 KiB. */
  readonly maxHeaderBytes?: number | undefined;
  /** Speaks HTTP/2 with servers that offer it over TLS. Default true. */
  readonly http2?: boolean | undefined;
  /** Certificates and keys, as `tls.connect` takes them. */
  readonly tls?: ConnectionOptions | undefined;
  /** Proxies; `true` takes them from the environment, `false` uses none. Default true. */
  readonly proxy?: ProxyOptions | boolean | undefined;
  /**
   * Asked with the address of each connection that goes through no proxy, and with the host of the URL, before a request is
   * sent over it; a no fails the call with `ADDRESS_REFUSED`. For clients that go where others lead them: redirects, and
   * URLs in documents. Default: every address.
   */
  readonly allowsAddress?: AllowsAddress | undefined;
  /** Default: 3 retries. */
  readonly retry?: Omit<HttpRetryOptions, 'circuitBreaker'> | false | undefined;
  /** Default: opens after 5 failures in a row, for 60 s. */
  readonly circuitBreaker?: HttpCircuitBreakerOptions | HttpCircuitBreaker | false | undefined;
  /**
   * Whether one connection that is refused, or not there in time, opens the circuit of its host: waiting for it is what
   * takes long. Default false: it counts as any failure.
   */
  readonly opensWhenUnreachable?: boolean | undefined;
  /** Default: none; `{}` is 50 requests a second for each source, and 100 at once. */
  readonly rateLimiter?: PerSourceLimiterOptions | PerSourceLimiter | false | undefined;
  /** Default: none. */
  readonly throttle?: ThrottleOptions | Throttle | false | undefined;
  readonly logger?: Logger | undefined;
  readonly metrics?: HttpMetrics | undefined;
  /** Starts a span for each call, whose context goes with every request. Default: none. */
  readonly tracer?: Tracer | undefined;
  readonly clock?: Clock | undefined;
  readonly timers?: Timers | undefined;
}

export interface HttpRequestOptions {
  /** In capitals or not; anything but CONNECT. Default GET. */
  readonly method?: string | undefined;
  readonly headers?: Readonly<HeaderRecord> | undefined;
  /**
   * A string, bytes, a stream, or a function that makes a new stream for every attempt. With a stream of its own a request
   * is never repeated. Streams are destroyed when the call is over, or could not be made; only what a server of Node has
   * received isn't.
   */
  readonly body?: RequestBody | undefined;
  /** Ends the call, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Instead of the client's. 0 is none. */
  readonly timeoutMs?: number | undefined;
  /** Instead of the client's, for a request that takes its server long. 0 is none. */
  readonly headersTimeoutMs?: number | undefined;
  /** Instead of the client's. */
  readonly maxBodyBytes?: number | undefined;
  /** Instead of the client's. */
  readonly maxRedirects?: number | undefined;
  /** Whether this request may be repeated. Default: as its method says. */
  readonly idempotent?: boolean | undefined;
  /** Whose tokens it takes, and its label in metrics: few and stable. Default: the host. */
  readonly source?: string | undefined;
  /** `false` hands the body out as the server sent it. Default true. */
  readonly decompress?: boolean | undefined;
  /**
   * Whether the connection is used again where the server agrees. Default true, but false after HEAD: to some servers that
   * is another GET, and their body would be taken for the next answer.
   */
  readonly keepConnection?: boolean | undefined;
  /** The span that the call is part of. Default: the active one. */
  readonly span?: SpanContext | undefined;
}
