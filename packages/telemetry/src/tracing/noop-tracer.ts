import type { Span, Tracer } from './tracer.js';

const nothing = (): void => {};

/** A span that nobody sees, of no trace: its ids are all zeros, which other processes ignore. */
export const noopSpan: Span = {
  traceId: '0'.repeat(32),
  spanId: '0'.repeat(16),
  sampled: false,
  recording: false,
  setAttribute: nothing,
  setAttributes: nothing,
  addEvent: nothing,
  recordError: nothing,
  setStatus: nothing,
  inject: nothing,
  end: nothing,
};

/** Traces nothing, at no cost. */
export const noopTracer: Tracer = {
  enabled: false,
  startSpan: () => noopSpan,
  startServerSpan: () => noopSpan,
  extract: () => undefined,
  activeSpan: () => undefined,
  runWith: (_span, work) => work(),
};
