export type {
  CheckReport,
  HealthCheck,
  HealthCheckOptions,
  HealthDetail,
  HealthFinding,
  HealthReport,
  HealthStatus,
} from './health/health-check.js';
export { type HealthListener, HealthRegistry, type HealthRegistryOptions } from './health/health-registry.js';
export type { HealthTimers } from './health/registered-check.js';
export * from './logger.js';
export { createLogger, type LoggerOptions, type RootLogger } from './logging/create-logger.js';
export { LevelControl, type LevelTimers } from './logging/level-control.js';
export type { LogRecord, SpanIds } from './logging/log-record.js';
export type { LoggedError } from './logging/logged-error.js';
export { loggerFor, type SinkLoggerOptions } from './logging/logger-for.js';
export type { LineWriter, LogDestination } from './logging/output/destination.js';
export { redactText } from './logging/secrets/redaction.js';
export { type ConsoleLike, consoleSink } from './logging/sinks/console-sink.js';
export { type LogTapeLike, logtapeSink } from './logging/sinks/logtape-sink.js';
export { type PinoLike, pinoSink } from './logging/sinks/pino-sink.js';
export type { RecordSink } from './logging/sinks/record-sink.js';
export type { RecordOptions } from './logging/template-logger.js';
export { CHAIN_METRICS, type CollectedMetric } from './metrics/collectors/chain-metrics.js';
export { type CollectedCircuitState, type MetricsCollector, noopCollector } from './metrics/collectors/collector.js';
export { CollectorBase } from './metrics/collectors/collector-base.js';
export { CompositeCollector } from './metrics/collectors/composite-collector.js';
export type { LatencyStats } from './metrics/collectors/latency-histogram.js';
export {
  type ChainMetrics,
  type LayerMetrics,
  MemoryCollector,
  type MetricsSnapshot,
} from './metrics/collectors/memory-collector.js';
export { MemoryGets, type TakeGets } from './metrics/collectors/memory-gets.js';
export { PrometheusCollector } from './metrics/collectors/prometheus-collector.js';
export { Counter, CounterFamily } from './metrics/counter.js';
export type { FamilyType } from './metrics/exposition/exposition-writer.js';
export type { ExpositionFormat } from './metrics/exposition/format.js';
export {
  DEFAULT_MAX_SERIES,
  type FamilyDefinition,
  type Labels,
  type LineSink,
  OVERFLOW_LABEL,
} from './metrics/family.js';
export { Gauge, GaugeFamily, type GaugeReader } from './metrics/gauge.js';
export { DURATION_BUCKETS, Histogram, HistogramFamily, SIZE_BUCKETS } from './metrics/histogram.js';
export {
  type FamilyInfo,
  type GaugeOptions,
  MetricRegistry,
  type MetricRegistryOptions,
  type Scrape,
  type SeriesOptions,
} from './metrics/registry.js';
export {
  type MetricsSetup,
  setupTelemetry,
  type Telemetry,
  type TelemetryOptions,
  type TracingSetup,
} from './setup/setup-telemetry.js';
export type { ExportPolicy } from './tracing/export/export-policy.js';
export { HeadSampler } from './tracing/head-sampler.js';
export { noopSpan, noopTracer } from './tracing/noop-tracer.js';
export { type OpenTelemetryTracerOptions, openTelemetryTracer } from './tracing/open-telemetry-tracer.js';
export type { OpenTelemetryApi } from './tracing/otel-context.js';
export {
  isPortKnownToGrpc,
  OTLP_ENDPOINT_ALLOWED,
  type OtlpProtocol,
  PORT_UNKNOWN_TO_GRPC,
  parseOtlpEndpoint,
} from './tracing/otlp-endpoint.js';
export { type OtlpTracing, type OtlpTracingOptions, startOtlpTracing } from './tracing/otlp-tracing.js';
export { b3Propagation } from './tracing/propagation/b3-propagation.js';
export type { IncomingContext, IncomingDecision, TracePropagation } from './tracing/propagation/propagation.js';
export { w3cPropagation } from './tracing/propagation/w3c-propagation.js';
export type {
  AttributeSource,
  Attributes,
  AttributeValue,
  HeaderReader,
  HeaderWriter,
  ServerSpanDescription,
  Span,
  SpanContext,
  SpanKind,
  SpanOptions,
  Tracer,
} from './tracing/tracer.js';
export { withSpan } from './tracing/with-span.js';
