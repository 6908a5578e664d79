export {
  type CollectorContractOptions,
  type CollectorTestRunner,
  type CollectorUnderTest,
  collectorContract,
  type ToldSeries,
} from '../metrics/testing/collector-contract.js';
export { type ParsedFamily, type ParsedSample, parseExposition } from '../metrics/testing/parse-exposition.js';
export { type CollectorBehaviour, OtlpCollector } from './otlp-collector.js';
export type { CollectedEvent, CollectedSpan } from './otlp-spans.js';
export { type RecordedEvent, type RecordedSpan, RecordingTracer } from './recording-tracer.js';
