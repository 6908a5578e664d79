import { fieldName } from '../json-text.js';
import { LogRecord } from '../log-record.js';

/** Everything about a record but its message and its error, for loggers that take an object beside the message. */
export function recordFields(record: LogRecord): Record<string, unknown> {
  const { context, template, values, extra, span } = LogRecord.partsOf(record);
  const fields: Record<string, unknown> = { template: template.text };
  for (const name in context.properties) fields[fieldName(name)] = context.properties[name];
  for (let i = 0; i < template.holes.length; i++) {
    if (values[i] !== undefined) fields[template.holes[i]?.field ?? ''] = values[i];
  }
  if (extra !== undefined) fields['extra'] = extra;
  if (span !== undefined) {
    fields['trace_id'] = span.traceId;
    fields['span_id'] = span.spanId;
  }
  return fields;
}
