import { isId } from '../tracing/trace-ids.js';

/** A request that a number stands for: the way from a slow bucket to the trace of one that was slow. */
export interface Exemplar {
  readonly traceId: string;
  readonly spanId: string | undefined;
  /** What the request added. */
  readonly value: number;
  readonly timestampMs: number;
}

const TRACE_ID_DIGITS = 32;
const SPAN_ID_DIGITS = 16;

/** Undefined where the trace has no id that a backend would find: there is none of another length, or none at all. */
export function exemplarOf(value: number, traceId: string, spanId: string | undefined): Exemplar | undefined {
  return traceId?.length === TRACE_ID_DIGITS ? { traceId, spanId, value, timestampMs: Date.now() } : undefined;
}

/** The labels that name a trace, for whoever reads it: ids are looked at here, and not with each request. */
export function exemplarLabels({ traceId, spanId }: Exemplar): string | undefined {
  if (!isId(traceId, TRACE_ID_DIGITS)) return undefined;
  const span = spanId !== undefined && isId(spanId, SPAN_ID_DIGITS) ? `,span_id="${spanId}"` : '';
  return `trace_id="${traceId}"${span}`;
}
