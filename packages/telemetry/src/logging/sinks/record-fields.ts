import { fieldName } from '../json-text.js';
import type { LogRecord } from '../log-record.js';

/** Everything about a record but its message and its error, for loggers that take an object beside the message. */
export function recordFields({ properties, template, span }: LogRecord): Record<string, unknown> {
  const named = Object.entries(properties).map(([name, value]) => [name === 'extra' ? name : fieldName(name), value]);
  return {
    template,
    ...Object.fromEntries(named),
    ...(span && { trace_id: span.traceId, span_id: span.spanId }),
  };
}
