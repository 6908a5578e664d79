import { createHash, randomBytes } from 'node:crypto';
import { createLogger, MetricRegistry, setupTelemetry } from '@granary/telemetry';
import { OtlpCollector, RecordingTracer } from '@granary/telemetry/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { call, findMissingRequest, GRPC_CALLS, grpcClient } from '../testing/grpc-calls.js';
import { startTestServer, type TestServer } from '../testing/test-server.js';

const TRACE = 'ab'.repeat(16);
const SAMPLED = { traceparent: `00-${TRACE}-${'cd'.repeat(8)}-01` };
const UNSAMPLED = { traceparent: `00-${TRACE}-${'cd'.repeat(8)}-00` };
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

let tracer: RecordingTracer;
let lines: string[];
beforeEach(() => {
  tracer = new RecordingTracer();
  lines = [];
});

const start = (values: Record<string, unknown> = {}) => {
  const destination = { write: (line: string) => lines.push(line) };
  const logger = createLogger({
    destination,
    format: 'json',
    level: 'debug',
    activeSpan: () => tracer.activeSpan(),
  });
  return startTestServer(values, { logger, tracer, metrics: new MetricRegistry() });
};
const accessLines = () => lines.map((line) => JSON.parse(line)).filter(({ component }) => component === 'access');

/** An upload and a download by HTTP, and a question by gRPC. */
async function use(running: TestServer, headers: Record<string, string>): Promise<void> {
  const bytes = randomBytes(100_000);
  const url = `http://${running.address('listen.http')}/cas/${sha256(bytes)}`;
  expect((await fetch(url, { method: 'PUT', body: bytes, headers })).status).toBe(200);
  expect((await (await fetch(url, { headers })).arrayBuffer()).byteLength).toBe(bytes.length);
  const client = grpcClient(running.address('listen.grpc'));
  expect((await call(client, GRPC_CALLS.read, headers, findMissingRequest(sha256(bytes), bytes.length))).code).toBe(
    'OK',
  );
  client.close();
  await vi.waitFor(() => expect(accessLines()).toHaveLength(3));
}

describe('a server with a tracer', () => {
  it('makes one trace of what a client began, from the edge to the disk', async () => {
    await using running = await start();
    await use(running, SAMPLED);
    const ofClient = tracer.spans.filter(({ traceId }) => traceId === TRACE);
    expect(tracer.paths()).toEqual([
      'PUT /cas/{hash}',
      'PUT /cas/{hash} > proxy.Put',
      'PUT /cas/{hash} > proxy.Put > store.Write',
      'PUT /cas/{hash} > proxy.Put > store.Write > store.Sync',
      'PUT /cas/{hash} > proxy.Put > store.Commit',
      'GET /cas/{hash}',
      'GET /cas/{hash} > proxy.Get',
      'GET /cas/{hash} > proxy.Get > store.Read',
      'build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs',
      'build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs > proxy.FindMissing',
    ]);
    expect(ofClient).toHaveLength(tracer.spans.length);
    expect(tracer.spans.every(({ ended }) => ended)).toBe(true);
    expect(tracer.only('proxy.Get').attributes['cache.tier']).toBe('disk');
  });

  it('names the same trace in the span, in the line of the access log and in the exemplar', async () => {
    await using running = await start();
    await use(running, SAMPLED);
    const spans = tracer.spans.filter(({ kind }) => kind === 'server');
    expect(accessLines().map(({ trace_id, span_id }) => [trace_id, span_id])).toEqual(
      spans.map(({ traceId, spanId }) => [traceId, spanId]),
    );
    for (const line of lines) expect(line.match(/"trace_id"/g)?.length ?? 0).toBeLessThan(2);
    const metrics = await fetch(`http://${running.address('listen.admin')}/metrics`, {
      headers: { accept: 'application/openmetrics-text; version=1.0.0' },
    });
    const exemplars = [...(await metrics.text()).matchAll(/^(\w+)_bucket\{.*# \{trace_id="(\w+)",span_id="(\w+)"\}/gm)];
    expect(exemplars.map(([, name, trace]) => [name, trace])).toEqual(
      expect.arrayContaining([
        ['granary_http_server_request_duration_seconds', TRACE],
        ['granary_grpc_request_duration_seconds', TRACE],
      ]),
    );
    for (const [, , , span] of exemplars) expect(spans.map(({ spanId }) => spanId)).toContain(span);
  });

  it('follows a client that does not sample: no span and no exemplar, but lines that name its trace', async () => {
    await using running = await start();
    await use(running, UNSAMPLED);
    expect(tracer.spans).toEqual([]);
    expect(accessLines().map(({ trace_id }) => trace_id)).toEqual([TRACE, TRACE, TRACE]);
    const metrics = await fetch(`http://${running.address('listen.admin')}/metrics`, {
      headers: { accept: 'application/openmetrics-text; version=1.0.0' },
    });
    expect(await metrics.text()).not.toContain('trace_id');
  });

  it('shows each run of the janitor', async () => {
    await using running = await start({ 'storage.max_size': '2MiB', 'storage.min_age': '0' });
    for (let i = 0; i < 5; i++) {
      const bytes = randomBytes(500_000);
      const url = `http://${running.address('listen.http')}/cas/${sha256(bytes)}`;
      expect((await fetch(url, { method: 'PUT', body: bytes })).status).toBe(200);
    }
    const { evictions } = running.server.stats().storage;
    expect(evictions).toBeGreaterThan(0);
    const runs = tracer.named('janitor.Run').map(({ attributes }) => Number(attributes['janitor.evicted'] ?? 0));
    expect(runs.reduce((sum, evicted) => sum + evicted, 0)).toBe(evictions);
  });
});

describe('a server that reads B3, whose clients only say whether they want a trace', () => {
  const FIND_MISSING = 'build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs';

  /** A question by gRPC and one by HTTP with these headers, and one of each with ids, which are always recorded. */
  async function spansOf(sampleRatio: number, headers: Record<string, string>) {
    await using collector = await OtlpCollector.start();
    await using telemetry = await setupTelemetry({
      tracing: { endpoint: collector.endpoint, sampleRatio, propagation: 'b3', followsActive: false },
      logger: { level: 'none' },
      metrics: { process: false },
    });
    await using running = await startTestServer({}, { tracer: telemetry.tracer });
    const hash = sha256(Buffer.from('nothing'));
    const client = grpcClient(running.address('listen.grpc'));
    for (const each of [headers, { b3: `${TRACE}-${'cd'.repeat(8)}-1` }]) {
      await call(client, GRPC_CALLS.read, each, findMissingRequest(hash, 7));
      await fetch(`http://${running.address('listen.http')}/cas/${hash}`, { headers: each });
    }
    client.close();
    await running.server.stop();
    await telemetry.shutdown();
    expect(collector.spans.filter(({ traceId, kind }) => traceId === TRACE && kind === 'server')).toHaveLength(2);
    return collector.spans.filter(({ traceId }) => traceId !== TRACE);
  }

  it.each<Record<string, string>>([{ b3: '1' }, { b3: 'd' }, { 'X-B3-Sampled': '1' }, { 'X-B3-Flags': '1' }])(
    'begins a trace for each of their requests: %j',
    async (headers) => {
      const spans = await spansOf(0, headers);
      expect(spans.filter(({ parentSpanId }) => parentSpanId === undefined).map(({ name }) => name)).toEqual([
        FIND_MISSING,
        'GET /cas/{hash}',
      ]);
      expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(2);
    },
  );

  it.each<Record<string, string>>([{ b3: '0' }, { 'X-B3-Sampled': '0' }])(
    'records nothing of their requests: %j',
    async (headers) => expect(await spansOf(1, headers)).toEqual([]),
  );
});
