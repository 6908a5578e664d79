import type { CircuitState } from '@granary/resilience';
import { DURATION_BUCKETS, type MetricRegistry, type SpanContext } from '@granary/telemetry';
import type { HttpCallStatus, HttpClientState, HttpMetrics } from './metrics.js';

/** Methods that are told apart; any other is `other`. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const CIRCUIT_STATES: Readonly<Record<CircuitState, number>> = { closed: 0, open: 1, 'half-open': 2 };
/** Where several clients call a host, the state that hurts most is shown: open before half-open before closed. */
const SEVERITY: Readonly<Record<CircuitState, number>> = { closed: 0, 'half-open': 1, open: 2 };

/**
 * Counts what HTTP clients do for Prometheus. Make it once for a registry and give it to every client as `metrics`.
 *
 * | family | labels | |
 * | --- | --- | --- |
 * | `http_requests_total` | `source`, `method`, `status_code` | calls; `error` when there was no response, `cancelled` when the caller gave up |
 * | `http_request_duration_seconds` | `source`, `method` | histogram: retries and the body included |
 * | `http_retries_total` | `source`, `reason` | attempts that were repeated, by status or error code |
 * | `circuit_breaker_state` | `host` | 0 closed, 1 open, 2 half-open |
 * | `circuit_breaker_failures_total` | `host` | failures that the breakers counted |
 * | `rate_limiter_tokens` | `source` | tokens at the time of the scrape |
 * | `rate_limit_requests_total` | `source`, `allowed` | whether a token was there at once |
 *
 * Calls that are traced are exemplars of their duration. A call costs some 200 ns.
 *
 * @throws when the registry has these already
 */
export function registryHttpMetrics(registry: MetricRegistry): HttpMetrics {
  return new RegistryHttpMetrics(registry);
}

class RegistryHttpMetrics implements HttpMetrics {
  readonly #requests;
  readonly #durations;
  readonly #retries;
  readonly #failures;
  readonly #rateLimits;
  readonly #clients = new Set<HttpClientState>();

  constructor(registry: MetricRegistry) {
    const options = { values: { method: METHODS } };
    this.#requests = registry.counter(
      'http_requests_total',
      'Calls of the HTTP client by their status; error where there was no response, cancelled where the caller gave up.',
      ['source', 'method', 'status_code'],
      { ...options, maxSeries: 1000 },
    );
    this.#durations = registry.histogram(
      'http_request_duration_seconds',
      'Time of a call of the HTTP client, with retries and the body.',
      ['source', 'method'],
      DURATION_BUCKETS,
      options,
    );
    this.#retries = registry.counter('http_retries_total', 'Attempts of the HTTP client that were repeated.', [
      'source',
      'reason',
    ]);
    registry.gauge('circuit_breaker_state', 'Circuit of a host: 0 closed, 1 open, 2 half-open.', ['host'], {
      read: () => this.#circuits(),
    });
    this.#failures = registry.counter(
      'circuit_breaker_failures_total',
      'Failures of a host that its circuit breaker counted.',
      ['host'],
    );
    registry.gauge('rate_limiter_tokens', 'Requests that a source may get at once.', ['source'], {
      read: () => this.#tokens(),
    });
    this.#rateLimits = registry.counter(
      'rate_limit_requests_total',
      'Requests by whether the rate limit let them go at once.',
      ['source', 'allowed'],
      { values: { allowed: ['true', 'false'] } },
    );
  }

  requestFinished(
    source: string,
    method: string,
    status: HttpCallStatus,
    durationMs: number,
    trace?: SpanContext,
  ): void {
    this.#requests.with(source, method, String(status)).add();
    const durations = this.#durations.with(source, method);
    if (trace === undefined) durations.observe(durationMs / 1000);
    else durations.observeWithExemplar(durationMs / 1000, trace.traceId, trace.spanId);
  }

  retried(source: string, reason: string): void {
    this.#retries.with(source, reason).add();
  }

  rateLimited(source: string, allowed: boolean): void {
    this.#rateLimits.with(source, String(allowed)).add();
  }

  hostFailed(host: string): void {
    this.#failures.with(host).add();
  }

  clientStarted(state: HttpClientState): () => void {
    this.#clients.add(state);
    return () => this.#clients.delete(state);
  }

  #circuits(): Iterable<readonly [string[], number]> {
    const states = new Map<string, CircuitState>();
    for (const client of this.#clients) {
      for (const [host, state] of client.circuits()) {
        if (SEVERITY[state] >= SEVERITY[states.get(host) ?? 'closed']) states.set(host, state);
      }
    }
    return Array.from(states, ([host, state]) => [[host], CIRCUIT_STATES[state]]);
  }

  #tokens(): Iterable<readonly [string[], number]> {
    const tokens = new Map<string, number>();
    for (const client of this.#clients) {
      for (const [source, there] of client.tokens())
        tokens.set(source, Math.min(there, tokens.get(source) ?? Infinity));
    }
    return Array.from(tokens, ([source, there]) => [[source], there]);
  }
}
