import { CircuitBreaker, type Clock } from '@granary/resilience';
import type { ExportPolicy } from '@granary/telemetry';

const MAX_FAILURES = 2;
const REST_MS = 15_000;

/**
 * Leaves a collector alone that takes no spans: after two exports that failed, 15 seconds pass before the next is tried.
 * Timeouts and retries of one export are the exporter's own.
 */
export function exportBreaker(clock?: Clock): ExportPolicy {
  const breaker = new CircuitBreaker({ name: 'collector', maxFailures: MAX_FAILURES, timeoutMs: REST_MS, clock });
  return (send) => breaker.execute(send);
}
