import { HeadSamplingTracer, type HeadSamplingTracerParts } from './head-sampling-tracer.js';
import { RecordedSpan, type SpanSink } from './spans/recorded-span.js';
import type { Span, SpanContext, SpanOptions } from './tracer.js';

export interface ExportingTracerParts extends HeadSamplingTracerParts {
  readonly sink: Omit<SpanSink, 'propagation'>;
}

/** Makes its spans itself, and gives those that have ended to a processor of OpenTelemetry's SDK. */
export class ExportingTracer extends HeadSamplingTracer {
  readonly #sink: SpanSink;

  constructor(parts: ExportingTracerParts) {
    super(parts);
    this.#sink = { ...parts.sink, propagation: parts.propagation };
  }

  protected override record(name: string, options: SpanOptions | undefined, parent: SpanContext | undefined): Span {
    return new RecordedSpan(this.#sink, name, options, parent);
  }
}
