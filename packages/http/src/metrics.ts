import type { CircuitState } from '@granary/resilience';
import type { SpanContext } from '@granary/telemetry';

/** What can be read of a client while it is there. */
export interface HttpClientState {
  /** Tokens of each source that was asked lately; none without a rate limiter. */
  tokens(): Iterable<readonly [source: string, tokens: number]>;
  /** Circuit of each host that was called lately; none without circuit breakers. */
  circuits(): Iterable<readonly [host: string, state: CircuitState]>;
}

/** How a call ended: with the status of its response, or without one. */
export type HttpCallStatus = number | 'error' | 'cancelled';

/**
 * What is counted about calls. Sources, hosts, methods and reasons are few: fit for labels. What these methods throw is
 * ignored. `registryHttpMetrics` counts all of it for Prometheus.
 */
export interface HttpMetrics {
  /**
   * A call is over, its body included; retries and redirects are parts of it.
   *
   * @param status `error` where there was no whole response, `cancelled` where the caller gave the call up before there was
   * @param trace of a call that is traced, its place in the trace
   */
  requestFinished?(
    source: string,
    method: string,
    status: HttpCallStatus,
    durationMs: number,
    trace?: SpanContext,
  ): void;
  /** An attempt failed and will be repeated; the reason is a status or an error's code. */
  retried?(source: string, reason: string): void;
  /** Whether a token was there at once. */
  rateLimited?(source: string, allowed: boolean): void;
  /** The host's circuit breaker counted a failure. */
  hostFailed?(host: string): void;
  circuitStateChanged?(host: string, state: CircuitState): void;
  /**
   * A client is there, whose state may be read until what this returns is called: when the client is closed.
   */
  clientStarted?(state: HttpClientState): () => void;
}
