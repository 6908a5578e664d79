import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { OtlpProtocol } from '../otlp-endpoint.js';

/** Where spans go to, and how. */
export interface OtlpTarget {
  readonly protocol: OtlpProtocol;
  readonly url: string;
  /** For one export. Undefined: what the environment says, else the exporter's own. */
  readonly timeoutMs: number | undefined;
}

/** OpenTelemetry's exporter for a protocol, of which nothing is loaded before. */
export async function createOtlpExporter({ protocol, url, timeoutMs }: OtlpTarget): Promise<SpanExporter> {
  const { OTLPTraceExporter } =
    protocol === 'http'
      ? await import('@opentelemetry/exporter-trace-otlp-proto')
      : await import('@opentelemetry/exporter-trace-otlp-grpc');
  return new OTLPTraceExporter({ url, ...(timeoutMs !== undefined && { timeoutMillis: timeoutMs }) });
}
