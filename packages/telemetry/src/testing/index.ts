export { type RecordedEvent, type RecordedSpan, RecordingTracer } from './recording-tracer.js';
