import { isServerError, lastingFailures } from '@granary/resilience';
import { NOT_IMPLEMENTED } from '../feed/upstream-failures.js';

/** What can be set of how a source is tried and left alone. */
export interface UpstreamPatience {
  /** How often a request that failed is repeated. Default 3. */
  readonly retries?: number | undefined;
  /** Failures in a row after which a host is left alone, if they go on for two seconds. Default 5. */
  readonly failures?: number | undefined;
  /** How long a host is left alone until one request tries it again, in milliseconds. Default 30,000. */
  readonly restMs?: number | undefined;
  /**
   * How long a host that refuses connections is left alone at first, in milliseconds; twice as long each time that it still
   * does, up to `restMs`. Default 1000.
   */
  readonly firstRestMs?: number | undefined;
}

/** A burst of requests that fail together is one failure, which the retries outlast; a host that is down fails longer. */
const FAILING_MS = 2000;
/** Answers that may be another one in a moment. What asks for patience (429, 503) is the feed's to obey, for all at once. */
const PASSING = [408, 500, 502, 504] as const;

/**
 * What the `HttpClient` of a source must be made with, beside the timeouts and limits of its configuration: the feed
 * relies on it.
 *
 * - Requests that fail for a moment are repeated by the client, after 250 ms and then later and later; 429 and 503 come
 *   through to the feed, which leaves the source alone for as long as it asks, and doesn't let its clients feel it.
 * - A host to which there is no connection in time isn't waited for again until `restMs` are over: a dead source costs
 *   one connect timeout in that time, however many packages are asked for. `connectTimeoutMs` (5000 is plenty) says how
 *   long that is. A connection that is refused costs nothing, so that such a host is tried again sooner: most that refuse
 *   them only start again.
 * - `headersTimeoutMs` must be less than half of the feed's `maxWaitMs`, or a host that takes connections and then says
 *   nothing never counts as failing: whoever waits gives up first.
 */
export function upstreamHttpOptions(patience: UpstreamPatience = {}) {
  const { retries = 3, failures = 5, restMs = 30_000, firstRestMs = 1000 } = patience;
  return {
    opensWhenUnreachable: true,
    retry: { maxRetries: retries, initialDelayMs: 250, maxDelayMs: 5000, statusCodes: PASSING },
    circuitBreaker: {
      strategy: lastingFailures(failures, FAILING_MS),
      isFailureResult,
      timeoutMs: restMs,
      quickTimeoutMs: firstRestMs,
    },
  } as const;
}

/** A source that says that it has no such service is well. */
function isFailureResult(response: unknown): boolean {
  return isServerError(response) && (response as { readonly statusCode?: unknown }).statusCode !== NOT_IMPLEMENTED;
}
