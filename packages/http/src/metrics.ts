import type { CircuitState } from '@granary/resilience';

/**
 * What is counted about calls. Sources, hosts, methods and reasons are few: fit for labels. What these methods throw is
 * ignored.
 */
export interface HttpMetrics {
  /** A call is over, its body included; retries and redirects are parts of it. */
  requestFinished?(source: string, method: string, status: number | 'error', durationMs: number): void;
  /** An attempt failed and will be repeated; the reason is a status or an error's code. */
  retried?(source: string, reason: string): void;
  /** Whether a token was there at once. */
  rateLimited?(source: string, allowed: boolean): void;
  circuitStateChanged?(host: string, state: CircuitState): void;
}
