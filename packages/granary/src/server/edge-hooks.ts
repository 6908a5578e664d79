import type { EdgeHooks, RequestRecord } from '@granary/reapi';
import { type Logger, OVERFLOW_LABEL } from '@granary/telemetry';
import type { AccessPolicy } from '../access/policy.js';
import type { RequestMetrics } from '../metrics/request-metrics.js';
import type { HttpListenerOptions, RefusedRequest } from './listening/http-listener.js';

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
    onRefused({ method = OVERFLOW_LABEL, status, socket }: RefusedRequest) {
      metrics.countRefused(method, String(status));
      const { remoteAddress, remotePort } = socket;
      log.debug(
        'http refused {Method} {Code}, from {Peer}',
        method,
        status,
        `${remoteAddress ?? ''}:${remotePort ?? ''}`,
      );
    },
  } satisfies EdgeHooks & Pick<HttpListenerOptions, 'onRefused'>;
}

/** The request has ended, and with it the span that lines find by themselves. */
function lineOf(log: Logger, { traceId, spanId }: RequestRecord): Logger {
  return traceId === undefined ? log : log.with({ trace_id: traceId, span_id: spanId });
}
