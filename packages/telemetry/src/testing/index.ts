export { type CollectorBehaviour, OtlpCollector } from './otlp-collector.js';
export type { CollectedEvent, CollectedSpan } from './otlp-spans.js';
export { type RecordedEvent, type RecordedSpan, RecordingTracer } from './recording-tracer.js';
