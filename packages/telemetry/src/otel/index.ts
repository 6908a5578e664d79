export { OtelCollector, type OtelCollectorOptions } from './otel-collector.js';
