import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Resource } from '@opentelemetry/resources';
import { type Logger, nullLogger } from '../logger.js';
import { noActiveSpans, OwnActiveSpans } from './active-spans.js';
import { EndedSpans } from './export/ended-spans.js';
import type { ExportPolicy } from './export/export-policy.js';
import { ExportThread } from './export/export-thread.js';
import type { OtlpTarget } from './export/otlp-exporter.js';
import { ReportingExporter } from './export/reporting-exporter.js';
import { ThreadExporter } from './export/thread-exporter.js';
import { ExportingTracer } from './exporting-tracer.js';
import { HeadSampler } from './head-sampler.js';
import {
  isPortKnownToGrpc,
  OTLP_ENDPOINT_ALLOWED,
  type OtlpProtocol,
  PORT_UNKNOWN_TO_GRPC,
  parseOtlpEndpoint,
  tracesUrl,
} from './otlp-endpoint.js';
import { b3Propagation } from './propagation/b3-propagation.js';
import { w3cPropagation } from './propagation/w3c-propagation.js';
import type { Tracer } from './tracer.js';

export interface OtlpTracingOptions {
  /** The collector: `HOST:PORT` or `http://…` for plain text, `https://…` for TLS. */
  readonly endpoint: string;
  /** Default `grpc`. By `http`, `/v1/traces` is added to the endpoint's path. */
  readonly protocol?: OtlpProtocol | undefined;
  /** Share of the traces that begin here which are recorded, 0 to 1; callers' decisions are followed. Default 1. */
  readonly sampleRatio?: number | undefined;
  /** Which headers carry the context between processes. Default `w3c`. */
  readonly propagation?: 'w3c' | 'b3' | undefined;
  /** Default: `OTEL_SERVICE_NAME`, else `granary`, and so is `granary` itself. */
  readonly serviceName?: string | undefined;
  readonly serviceVersion?: string | undefined;
  /** What else is said of this process; wins over `OTEL_RESOURCE_ATTRIBUTES`. */
  readonly resourceAttributes?: Readonly<Record<string, string>> | undefined;
  /**
   * Whether log records and HTTP clients within a span find it by themselves. Before Node 24 this costs every promise of
   * the process from the first recorded span on, a tenth of a busy server's time; without it only what is told its span
   * knows of it. Default true.
   */
  readonly followsActive?: boolean | undefined;
  /** Spans that wait for the collector; more are dropped. Default 2048. */
  readonly maxQueuedSpans?: number | undefined;
  /** How long spans are collected before they are sent. Default 1000. */
  readonly exportIntervalMs?: number | undefined;
  /** For one export. Default: `OTEL_EXPORTER_OTLP_TIMEOUT`, else 10,000. */
  readonly exportTimeoutMs?: number | undefined;
  /** What every export goes through, such as the `execute` of a circuit breaker. Default: nothing. */
  readonly exportPolicy?: ExportPolicy | undefined;
}

/** A tracer and what sends its spans. */
export interface OtlpTracing {
  readonly tracer: Tracer;
  /** Sends what waits and closes the exporter; takes no longer than exports take. Never rejects. */
  close(): Promise<void>;
  /** Gives up what {@link close} still waits for, without a word to the log. Never rejects. */
  abandon(): Promise<void>;
}

const DEFAULT_SERVICE_NAME = 'granary';
const MAX_BATCH = 512;

/**
 * Loads OpenTelemetry's SDK and sends spans to a collector, from a thread of their own. Nothing global is registered.
 * Batches wait in a bounded queue, so that a collector that is slow, broken or gone costs spans and no more; the log says
 * so once.
 *
 * @param logger hears once when the collector takes no spans, and once when it does again
 * @throws TypeError for an endpoint that is none, RangeError for a ratio that isn't 0 to 1
 */
export async function startOtlpTracing(options: OtlpTracingOptions, logger: Logger = nullLogger): Promise<OtlpTracing> {
  const endpoint = endpointOf(options);
  const { serviceVersion } = options;
  const sampler = new HeadSampler(options.sampleRatio ?? 1);
  const instrumentationScope = {
    name: 'granary',
    ...(serviceVersion !== undefined && { version: serviceVersion }),
  };
  const [api, sdk, resource] = await Promise.all([
    import('@opentelemetry/api').catch(notLoaded),
    import('@opentelemetry/sdk-trace').catch(notLoaded),
    describeProcess(options),
  ]);
  const target = targetOf(endpoint, options);
  const exporter = await ThreadExporter.start(
    { target, resource, instrumentationScope },
    (setup) => new ExportThread(setup, (note) => reporting.noted(note)),
  );
  const maxQueueSize = options.maxQueuedSpans ?? 2048;
  const reporting = new ReportingExporter(exporter, endpoint.origin, logger, options.exportPolicy);
  const processor = new sdk.BatchSpanProcessor({
    exporter: reporting,
    maxQueueSize,
    maxExportBatchSize: Math.min(MAX_BATCH, maxQueueSize),
    scheduledDelayMillis: options.exportIntervalMs ?? 1000,
  });
  const ended = new EndedSpans((span) => processor.onEnd(span));
  const tracer = new ExportingTracer({
    sampler,
    propagation: options.propagation === 'b3' ? b3Propagation : w3cPropagation,
    activeSpans: (options.followsActive ?? true) ? new OwnActiveSpans() : noActiveSpans,
    sink: {
      api,
      resource,
      instrumentationScope,
      onEnd: (span) => ended.add(span),
    },
  });
  const close = () => {
    ended.flush();
    return processor.shutdown().catch(() => {});
  };
  const abandon = () => {
    reporting.silence();
    return exporter.abandon();
  };
  return { tracer, close, abandon };
}

/** Where the failure is looked at like this, bundlers leave out what a program without tracing doesn't have. */
function notLoaded(cause: unknown): never {
  throw new Error("tracing needs OpenTelemetry's SDK, which can't be loaded: are its packages installed?", { cause });
}

function endpointOf(options: OtlpTracingOptions): URL {
  const endpoint = parseOtlpEndpoint(options.endpoint);
  if (endpoint === undefined) throw new TypeError(`the tracing endpoint is not one; allowed: ${OTLP_ENDPOINT_ALLOWED}`);
  if (options.protocol !== 'http' && endpoint.pathname !== '/') {
    throw new TypeError('the tracing endpoint has a path, which means something only with the protocol http');
  }
  if (options.protocol !== 'http' && !isPortKnownToGrpc(endpoint)) {
    throw new TypeError(`the tracing endpoint ${PORT_UNKNOWN_TO_GRPC}`);
  }
  return endpoint;
}

function targetOf(endpoint: URL, { protocol = 'grpc', exportTimeoutMs: timeoutMs }: OtlpTracingOptions): OtlpTarget {
  return { protocol, url: protocol === 'http' ? tracesUrl(endpoint) : endpoint.origin, timeoutMs };
}

/** What every span says of the process: what was asked for, before what the environment says, before what is known. */
async function describeProcess(options: OtlpTracingOptions): Promise<Resource> {
  const resources = await import('@opentelemetry/resources').catch(notLoaded);
  const { defaultResource, detectResources, envDetector, resourceFromAttributes } = resources;
  const { serviceName = DEFAULT_SERVICE_NAME, serviceVersion, resourceAttributes } = options;
  const known = resourceFromAttributes({
    'service.name': DEFAULT_SERVICE_NAME,
    'service.instance.id': randomUUID(),
    'host.name': hostname(),
    'process.pid': process.pid,
    ...(serviceVersion && { 'service.version': serviceVersion }),
  });
  const asked = resourceFromAttributes({
    ...resourceAttributes,
    ...(serviceName !== DEFAULT_SERVICE_NAME && { 'service.name': serviceName }),
  });
  return defaultResource()
    .merge(known)
    .merge(detectResources({ detectors: [envDetector] }))
    .merge(asked);
}
