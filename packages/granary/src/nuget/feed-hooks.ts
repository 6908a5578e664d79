import type { FeedHooks } from '@granary/nuget-proxy';
import type { Logger } from '@granary/telemetry';
import type { AccessPolicy } from '../access/policy.js';
import type { RequestMetrics } from '../metrics/request-metrics.js';

/** What the server adds to each request for a feed: who may, what is counted, and a line in the access log. */
export function feedHooks(policy: AccessPolicy, metrics: RequestMetrics, logger: Logger): FeedHooks {
  const log = logger.forContext('component', 'access');
  const wantsDetails = () => log.isEnabled('debug');
  return {
    authorize: (credentials, right) => policy.authorizeFeed(credentials, right === 'push' ? 'write' : 'read'),
    onRequest(record) {
      metrics.record(record);
      if (!wantsDetails()) return;
      const { traceId, spanId } = record;
      const line = traceId === undefined ? log : log.with({ trace_id: traceId, span_id: spanId });
      line.debug(
        '{Protocol} {Service} {Method} {Subject} {Code} ({Cache}) in {Elapsed:F1} ms, {BytesIn} B in, {BytesOut} B out, from {Peer}',
        record.protocol,
        record.service,
        record.method,
        record.subject ?? '-',
        record.code,
        record.state ?? '-',
        record.durationMs,
        record.bytesIn,
        record.bytesOut,
        record.peer,
      );
    },
    wantsDetails,
  };
}
