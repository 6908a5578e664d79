import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RequestMetadataSchema } from '../packages/reapi/src/gen/build/bazel/remote/execution/v2/remote_execution_pb.js';
import { type CollectedSpan, OtlpCollector } from '../packages/telemetry/src/testing/index.js';
import { isInstalled } from './command.js';
import { CacheClient } from './grpc-client.js';
import { eventually, Prometheus } from './prometheus/prometheus.js';
import { type RunningServer, startServer } from './server.js';

const CAS = 'build.bazel.remote.execution.v2.ContentAddressableStorage';
const READ = 'google.bytestream.ByteStream/Read';
const METADATA_KEY = 'build.bazel.remote.execution.v2.requestmetadata-bin';
const OPENMETRICS = { accept: 'application/openmetrics-text; version=1.0.0' };

const noPrometheus = (await isInstalled('prometheus')) ? undefined : 'prometheus is not installed';
if (noPrometheus) console.log(`Skipped: exemplars in a real Prometheus, because ${noPrometheus}.`);

/** A caller's span, as each of the two kinds of headers names it. */
function caller() {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  return {
    traceId,
    spanId,
    w3c: { traceparent: `00-${traceId}-${spanId}-01`, tracestate: 'shop=1' },
    b3: { b3: `${traceId}-${spanId}-1` },
  };
}

function blob(size: number) {
  const data = randomBytes(size);
  return { data, hash: createHash('sha256').update(data).digest('hex') };
}

/** Each span by its place in its trace: the server's name and the names of its parents before its own. */
function paths(collector: OtlpCollector, traceId: string): string[] {
  const spans = collector.traces().get(traceId) ?? [];
  const pathOf = (span: CollectedSpan): string => {
    const parent = spans.find(({ spanId }) => spanId === span.parentSpanId);
    const name = `${span.resource['service.name']}: ${span.name}`;
    return parent ? `${pathOf(parent)} > ${name}` : name;
  };
  return spans.map(pathOf);
}

describe.each([
  ['grpc', 'w3c'],
  ['http', 'b3'],
] as const)('servers that send traces by OTLP over %s and pass %s headers on', (protocol, propagation) => {
  let scratch: string;
  let collector: OtlpCollector;
  let back: RunningServer;
  let front: RunningServer;

  const start = (name: string, ...flags: string[]) =>
    startServer(
      join(scratch, name),
      ...['--telemetry.tracing_protocol', protocol, '--telemetry.tracing_propagation', propagation],
      // The ratio is for traces that begin here: a caller's are recorded because it says so.
      ...['--telemetry.tracing_sample_ratio', '0', '--telemetry.service_name', name],
      ...['--telemetry.tracing_endpoint', protocol === 'http' ? `http://${collector.endpoint}` : collector.endpoint],
      ...['--telemetry.log_level', 'debug', '--telemetry.log_format', 'json', ...flags],
    );

  /** Waits until the collector has this many spans of the trace. */
  const spansOf = async (traceId: string, count: number) => {
    const of = () => collector.spans.filter((span) => span.traceId === traceId);
    await collector.until(() => of().length >= count);
    return of();
  };

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'granary-telemetry-'));
    collector = await OtlpCollector.start(protocol);
    back = await start('back');
    front = await start('front', '--backing_cache.target', `127.0.0.1:${back.grpcPort}`);
  });

  afterAll(async () => {
    await front?.stop();
    await back?.stop();
    await collector?.[Symbol.asyncDispose]();
    if (scratch) rmSync(scratch, { recursive: true, force: true });
  });

  it('make one trace of a call: the edge, the store, the fetch from the other server, and that one', async () => {
    const { hash, data } = blob(100_000);
    const uploader = new CacheClient(back.grpcPort);
    await uploader.write({ hash, data }, randomUUID());
    uploader.close();
    const { traceId, spanId, [propagation]: headers } = caller();
    const said = create(RequestMetadataSchema, {
      toolDetails: { toolName: 'bazel', toolVersion: '8.4.2' },
      toolInvocationId: 'invocation',
      correlatedInvocationsId: 'all of them',
      actionId: hash,
      actionMnemonic: 'CppCompile',
      targetId: '//shop:cart',
      configurationId: 'k8-opt',
    });
    const client = new CacheClient(front.grpcPort, {
      ...headers,
      [METADATA_KEY]: Buffer.from(toBinary(RequestMetadataSchema, said)),
    });
    expect(await client.read(hash, data.length)).toEqual(data);
    client.close();

    await collector.until((spans) => {
      const isHere = (name: string) => spans.filter((span) => span.traceId === traceId && span.name === name).length;
      return isHere(READ) === 2 && isHere('proxy.Get') === 2 && isHere('proxy.Get.RemoteFetch') === 1;
    });
    const found = paths(collector, traceId);
    expect(new Set(collector.traces().keys())).toEqual(new Set([traceId]));
    const edge = `front: ${READ}`;
    const fetch = `${edge} > front: proxy.Get > front: proxy.Get.RemoteFetch`;
    expect(found).toEqual([
      edge,
      `${edge} > front: proxy.Get`,
      fetch,
      `${fetch} > back: ${READ}`,
      `${fetch} > back: ${READ} > back: proxy.Get`,
      `${fetch} > back: ${READ} > back: proxy.Get > back: store.Read`,
    ]);

    const spans = await spansOf(traceId, found.length);
    const [first, second] = ['front', 'back'].map((name) =>
      spans.find((span) => span.name === READ && span.resource['service.name'] === name),
    );
    expect(first).toMatchObject({ parentSpanId: spanId, kind: 'server', status: 'unset' });
    expect(first?.traceState).toBe(propagation === 'w3c' ? 'shop=1' : undefined);
    expect(first?.attributes).toMatchObject({
      'rpc.system.name': 'grpc',
      'rpc.method': READ,
      'rpc.response.status_code': 'OK',
      'server.address': '127.0.0.1',
      'server.port': front.grpcPort,
      'client.address': '127.0.0.1',
      'request_metadata.tool_details.tool_name': 'bazel',
      'request_metadata.tool_details.tool_version': '8.4.2',
      'request_metadata.tool_invocation_id': 'invocation',
      'request_metadata.correlated_invocations_id': 'all of them',
      'request_metadata.action_id': hash,
      'request_metadata.action_mnemonic': 'CppCompile',
      'request_metadata.target_id': '//shop:cart',
      'request_metadata.configuration_id': 'k8-opt',
    });
    expect(second).toMatchObject({ kind: 'server', status: 'unset' });
    expect(second?.attributes['server.port']).toBe(back.grpcPort);
    const remote = spans.find(({ name }) => name === 'proxy.Get.RemoteFetch');
    expect(remote?.attributes).toMatchObject({
      'cache.digest': `${hash}/${data.length}`,
      'cache.size': data.length,
      'cache.hit': true,
    });
    const gets = spans.filter(({ name }) => name === 'proxy.Get');
    expect(gets.map(({ attributes }) => [attributes['cache.hit'], attributes['cache.bytes_read']])).toEqual([
      [true, data.length],
      [true, data.length],
    ]);
    for (const span of spans) {
      expect(span.endTimeUnixNano).toBeGreaterThanOrEqual(span.startTimeUnixNano);
      expect(span.status, span.name).toBe('unset');
    }
  });

  it('name the trace of a request in its span, in its line of the log and in its exemplar', async () => {
    const { traceId, spanId, [propagation]: headers } = caller();
    const { hash, data } = blob(2000);
    const url = `http://127.0.0.1:${back.httpPort}/cas/${hash}`;
    expect((await fetch(url, { method: 'PUT', body: data, headers })).status).toBe(200);
    const spans = await spansOf(traceId, 2);
    const edge = spans.find(({ name }) => name === 'PUT /cas/{hash}');
    expect(edge).toMatchObject({ parentSpanId: spanId, kind: 'server', status: 'unset' });
    expect(edge?.attributes).toMatchObject({
      'http.request.method': 'PUT',
      'http.route': '/cas/{hash}',
      'http.response.status_code': 200,
    });
    const line = await eventually('the request is in the log', async () =>
      back
        .said()
        .split('\n')
        .find((each) => each.includes(hash) && each.includes('"component":"access"')),
    );
    expect(JSON.parse(line)).toMatchObject({
      trace_id: traceId,
      span_id: edge?.spanId,
      Protocol: 'http',
      Code: '200',
    });
    const scrape = await fetch(`http://127.0.0.1:${back.adminPort}/metrics`, { headers: OPENMETRICS });
    expect(await scrape.text()).toMatch(
      new RegExp(
        `^granary_http_server_request_duration_seconds_bucket\\{.*method="PUT".*# \\{trace_id="${traceId}",span_id="${edge?.spanId}"\\} `,
        'm',
      ),
    );
  });

  it('say in a trace what went wrong, and let the caller decide that nothing is recorded', async () => {
    const { traceId, [propagation]: headers } = caller();
    const unsampled = caller();
    const notRecorded =
      propagation === 'w3c'
        ? { traceparent: `00-${unsampled.traceId}-${unsampled.spanId}-00` }
        : { b3: `${unsampled.traceId}-${unsampled.spanId}-0` };
    for (const each of [notRecorded, headers]) {
      const client = new CacheClient(front.grpcPort, each);
      await expect(client.findMissing([{ hash: 'no hash', size: 1 }])).rejects.toThrow('INVALID_ARGUMENT');
      client.close();
    }
    const [span] = await spansOf(traceId, 1);
    expect(span).toMatchObject({ name: `${CAS}/FindMissingBlobs`, kind: 'server' });
    // By the conventions that is the caller's mistake, and no error of the server.
    expect(span?.attributes['rpc.response.status_code']).toBe('INVALID_ARGUMENT');
    expect(span?.status).toBe('unset');
    expect(collector.spans.filter((each) => each.traceId === unsampled.traceId)).toEqual([]);
  });

  it.skipIf(noPrometheus)('are asked by a Prometheus that keeps exemplars, and answers with the trace', async () => {
    const { traceId, [propagation]: headers } = caller();
    const flag = '--enable-feature=exemplar-storage';
    const prometheus = await Prometheus.start(scratch, [front.adminPort], [], flag);
    try {
      const client = new CacheClient(front.grpcPort, headers);
      await client.findMissing([{ hash: blob(1).hash, size: 1 }]);
      client.close();
      const family = 'granary_grpc_request_duration_seconds_bucket';
      const exemplar = await eventually('Prometheus has the exemplar', async () =>
        (await prometheus.queryExemplars(`${family}{method="FindMissingBlobs"}`)).find(
          ({ labels }) => labels['trace_id'] === traceId,
        ),
      );
      const isOurs = (span: CollectedSpan) => span.traceId === traceId && span.spanId === exemplar.labels['span_id'];
      await collector.until((spans) => spans.some(isOurs));
      expect(collector.spans.find(isOurs)).toMatchObject({ kind: 'server', resource: { 'service.name': 'front' } });
      expect(Number(exemplar.value)).toBeGreaterThan(0);
    } finally {
      await prometheus.stop();
    }
  });
});
