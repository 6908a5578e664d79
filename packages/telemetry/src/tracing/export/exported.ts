import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';

const SUCCESS = 0;

/** What an exporter says when it is done, as a promise, which rejects with its error or with what it throws. */
export function exported(exporter: SpanExporter, spans: ReadableSpan[]): Promise<void> {
  return new Promise((resolve, reject) => {
    exporter.export(spans, ({ code, error }) => (code === SUCCESS ? resolve() : reject(error)));
  });
}
