import type { Logger } from '../logger.js';
import { noopSpan } from '../tracing/noop-tracer.js';
import type { Span, SpanContext } from '../tracing/tracer.js';

/** Where a request has its place in a trace, for what is written down of it. */
export type TraceIds = Pick<SpanContext, 'traceId' | 'spanId' | 'sampled'>;

/**
 * Undefined for a request of no trace, and for one whose trace isn't recorded where nobody writes a line about it: its
 * ids would be made for nothing.
 *
 * @param isLogged whether somebody will write a line about the request
 */
export function traceOf(span: Span, isLogged: boolean): TraceIds | undefined {
  const { sampled } = span;
  if (span === noopSpan || !(sampled || isLogged) || span.traceId === noopSpan.traceId) return undefined;
  return { traceId: span.traceId, spanId: span.spanId, sampled };
}

/** A logger whose lines can be found from the trace, and the trace from them. */
export function tracedLogger(logger: Logger, span: Span): Logger {
  const trace = traceOf(span, true);
  return trace ? logger.with({ trace_id: trace.traceId, span_id: trace.spanId }) : logger;
}
