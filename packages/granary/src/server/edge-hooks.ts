import type { EdgeHooks, RequestRecord } from '@granary/reapi';
import { type Logger, OVERFLOW_LABEL } from '@granary/telemetry';
import type { AccessPolicy } from '../access/policy.js';
import type { RequestMetrics } from '../metrics/request-metrics.js';
import type { RefusedRequest } from './listening/http-listener.js';

/** What the server adds to each request for the cache: who may, what is counted, and a line in the access log. */
export function edgeHooks(policy: AccessPolicy, metrics: RequestMetrics, logger: Logger) {
  const log = logger.forContext('component', 'access');
  return {
    authorize: policy.authorize.bind(policy),
    allows: policy.allows.bind(policy),
    onRequest(record: RequestRecord) {
      metrics.record(record);
      // It has no peer when nobody was going to log it.
      if (record.peer !== undefined)
        lineOf(log, record).debug(
          '{Protocol} {Service} {Method} {Subject} {Code} in {Elapsed:F1} ms, {BytesIn} B in, {BytesOut} B out, from {Peer}',
          record.protocol,
          record.service,
          record.method,
          record.subject ?? '-',
          record.code,
          record.durationMs,
          record.bytesIn,
          record.bytesOut,
          record.peer,
        );
    },
    wantsDetails: () => log.isEnabled('debug'),
  } satisfies EdgeHooks;
}

/** A request that no handler saw, as one of a route of its own: whatever it was for, nothing was looked up. */
export function recordOfRefused({ method = OVERFLOW_LABEL, status, socket }: RefusedRequest): RequestRecord {
  const peer = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`;
  return {
    protocol: 'http',
    service: 'refused',
    method,
    code: String(status),
    durationMs: 0,
    bytesIn: 0,
    bytesOut: 0,
    peer,
  };
}

/** The request has ended, and with it the span that lines find by themselves. */
function lineOf(log: Logger, { traceId, spanId }: RequestRecord): Logger {
  return traceId === undefined ? log : log.with({ trace_id: traceId, span_id: spanId });
}
