import type { HeaderWriter, SpanContext } from '../tracer.js';

/** A span of another process. */
export const REMOTE: SpanContext = {
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  sampled: true,
  traceState: 'vendor=1',
};

/** What a span writes into the headers of a request. */
export function headersOf(span: { inject(write: HeaderWriter): void }): Record<string, string> {
  const headers: Record<string, string> = {};
  span.inject((name, value) => {
    headers[name] = value;
  });
  return headers;
}
