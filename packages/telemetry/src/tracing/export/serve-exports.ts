import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import type { ExportNote } from './export-notes.js';
import { exported } from './exported.js';
import type { SpanMessage } from './span-message.js';

/** What a thread is asked: to export spans, or to be done with what it has. */
export interface ThreadRequest {
  readonly id: number;
  readonly spans: readonly SpanMessage[] | 'end';
}

/** How it went: without an error as it should. */
export interface ThreadAnswer {
  readonly id: number;
  readonly error?: string | undefined;
}

/** What the collector said beside: it comes before the answer to the export that it is about. */
export interface ThreadNote {
  readonly note: ExportNote;
}

/** The id of the answer to no request, which says that the thread has started. */
export const STARTED = 0;

/** The part of a `MessagePort` that is used here. */
export interface ThreadPort {
  on(event: 'message', listener: (request: ThreadRequest) => void): unknown;
  postMessage(answer: ThreadAnswer | ThreadNote): void;
}

/** Does what the other side of the port asks for. Each request has one answer, whatever the exporter does. */
export function serveExports(
  port: ThreadPort,
  exporter: SpanExporter,
  spanOf: (message: SpanMessage) => ReadableSpan,
): void {
  port.on('message', ({ id, spans }) => {
    const done = spans === 'end' ? exporter.shutdown() : exported(exporter, spans.map(spanOf));
    done.then(
      () => port.postMessage({ id }),
      (error: unknown) => port.postMessage({ id, error: reasonOf(error) }),
    );
  });
  port.postMessage({ id: STARTED });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : '';
}
