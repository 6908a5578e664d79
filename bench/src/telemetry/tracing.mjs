// What tracing costs a request: its caller's context read, a server span, a span of the store, a client span whose context
// is written, all ended. With tracing off, with a trace that isn't recorded, and with one that is.
import { HeadSampler, noopTracer, openTelemetryTracer, w3cPropagation } from '@granary/telemetry';
import * as api from '@opentelemetry/api';
import { NoopSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { do_not_optimize } from 'mitata';
import { OwnActiveSpans } from '../../../packages/telemetry/dist/tracing/active-spans.js';
import { ExportingTracer } from '../../../packages/telemetry/dist/tracing/exporting-tracer.js';
import { costs } from '../contest.mjs';

const IDS = '4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7';
const SERVER = { 'rpc.system.name': 'grpc', 'rpc.method': 'google.bytestream.ByteStream/Read' };

export const CONTENDERS = {
  'request, off': () => request(noopTracer, undefined),
  'request, 0 % sampled, no caller': () => request(tracerOf(0), undefined),
  'request, 1 % sampled, no caller': () => request(tracerOf(0.01), undefined),
  'request, the caller is not sampled': () => request(tracerOf(1), `00-${IDS}-00`),
  'request, the caller is not sampled, ids for a log line': () => request(tracerOf(1), `00-${IDS}-00`, true),
  'request, recorded': () => request(tracerOf(1), `00-${IDS}-01`),
  "request, recorded in an SDK's spans": () => request(sdkTracer(), `00-${IDS}-01`),
  extract: () => {
    const tracer = tracerOf(1);
    const read = (name) => (name === 'traceparent' ? `00-${IDS}-01` : undefined);
    return () => do_not_optimize(tracer.extract(read));
  },
};

export const ROWS = [
  { row: 'request without tracing', ...costs('request, off', 50) },
  { row: 'request of which 1 % are recorded', ...costs('request, 1 % sampled, no caller', 1000) },
  { row: 'request whose caller is not sampled', ...costs('request, the caller is not sampled', 1000) },
];

/** As servers have it. */
function tracerOf(ratio) {
  const processor = new NoopSpanProcessor();
  return new ExportingTracer({
    sampler: new HeadSampler(ratio),
    propagation: w3cPropagation,
    activeSpans: new OwnActiveSpans(),
    sink: {
      api,
      resource: undefined,
      instrumentationScope: { name: 'bench' },
      onEnd: (span) => processor.onEnd(span),
    },
  });
}

function sdkTracer() {
  const provider = new TracerProvider({ spanProcessors: [new NoopSpanProcessor()] });
  return openTelemetryTracer({
    api,
    tracer: provider.getTracer('bench'),
    sampler: new HeadSampler(1),
    propagation: w3cPropagation,
    activeSpans: 'own',
  });
}

function request(tracer, traceparent, wantsIds = false) {
  const headers = {};
  const read = (name) => (name === 'traceparent' ? traceparent : undefined);
  const write = (name, value) => {
    headers[name] = value;
  };
  return () => {
    const server = tracer.startSpan('Read', { kind: 'server', parent: tracer.extract(read) ?? null });
    if (server.recording) server.setAttributes(SERVER);
    const store = tracer.startSpan('store', { parent: server });
    const client = tracer.startSpan('GET', { kind: 'client', parent: store });
    if (traceparent !== undefined) client.inject(write);
    client.end();
    store.end();
    if (wantsIds) do_not_optimize(server.traceId + server.spanId);
    server.end();
    do_not_optimize(headers);
  };
}
