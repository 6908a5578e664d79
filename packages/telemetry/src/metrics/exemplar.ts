/** A request that a number stands for: the way from a slow bucket to the trace of one that was slow. */
export interface Exemplar {
  readonly traceId: string;
  readonly spanId: string | undefined;
  /** What the request added. */
  readonly value: number;
  readonly timestampMs: number;
}

const TRACE_ID = /^[0-9a-f]{32}$/;
const SPAN_ID = /^[0-9a-f]{16}$/;

/** Undefined where the trace has no id that a backend would find. */
export function exemplarOf(value: number, traceId: string, spanId: string | undefined): Exemplar | undefined {
  if (!TRACE_ID.test(traceId)) return undefined;
  return {
    traceId,
    spanId: spanId !== undefined && SPAN_ID.test(spanId) ? spanId : undefined,
    value,
    timestampMs: Date.now(),
  };
}
