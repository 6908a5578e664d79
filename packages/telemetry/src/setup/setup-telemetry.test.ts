import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { nullLogger } from '../logger.js';
import { MetricRegistry } from '../metrics/registry.js';
import { OtlpCollector } from '../testing/otlp-collector.js';
import { noopTracer } from '../tracing/noop-tracer.js';
import type { Tracer } from '../tracing/tracer.js';
import { setupTelemetry, type TelemetryOptions, type TracingSetup } from './setup-telemetry.js';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

const owned = <T extends AsyncDisposable>(each: T): T => {
  opened.push(each);
  return each;
};

async function collector(protocol: 'grpc' | 'http' = 'grpc', port = 0) {
  return owned(await OtlpCollector.start(protocol, port));
}

/** Telemetry that logs to an array. */
async function telemetryWith(tracing: TracingSetup, options: TelemetryOptions = {}) {
  const lines: string[] = [];
  const logger = { level: 'information', format: 'json', destination: { write: (line: string) => lines.push(line) } };
  const telemetry = await setupTelemetry({ logger: logger as never, metrics: { process: false }, ...options, tracing });
  return Object.assign(owned(telemetry), { lines });
}

/** So many spans that are over. */
function work(tracer: Tracer, spans = 1, name = 'work') {
  for (let i = 0; i < spans; i++) tracer.startSpan(name, { attributes: { i } }).end();
}

const messages = (lines: readonly string[]) => lines.map((line) => JSON.parse(line).msg as string);

describe.each(['grpc', 'http'] as const)('a collector that is spoken to by %s', (protocol) => {
  it('gets whole traces, with what they say of the process', async () => {
    vi.stubEnv('OTEL_RESOURCE_ATTRIBUTES', 'site=eu,shard=1');
    vi.stubEnv('OTEL_EXPORTER_OTLP_HEADERS', 'x-team=build');
    const there = await collector(protocol);
    const telemetry = await telemetryWith({
      endpoint: there.endpoint,
      protocol,
      serviceName: 'cache-eu',
      serviceVersion: '1.2.3',
      resourceAttributes: { shard: '2' },
    });
    const { tracer } = telemetry;
    const parent = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true, traceState: 'vendor=1' };
    const server = tracer.startSpan('request', { kind: 'server', parent });
    const read = tracer.startSpan('read', {
      parent: server,
      attributes: { hit: true, bytes: 7, ratio: 0.5, at: [1, 2] },
    });
    read.addEvent('found', { tier: 'disk' });
    read.recordError(new RangeError('too large'));
    read.end();
    server.setStatus('ok');
    server.end();
    await telemetry.shutdown();
    expect([...there.traces().values()].map((spans) => spans.map(({ name }) => name))).toEqual([['request', 'read']]);
    const request = there.only('request');
    expect(request).toMatchObject({
      kind: 'server',
      parentSpanId: parent.spanId,
      traceState: 'vendor=1',
      status: 'ok',
    });
    expect(there.only('read')).toMatchObject({
      traceId: parent.traceId,
      parentSpanId: request.spanId,
      kind: 'internal',
      attributes: { hit: true, bytes: 7, ratio: 0.5, at: [1, 2], 'error.type': 'RangeError' },
      events: [
        { name: 'found', attributes: { tier: 'disk' } },
        { name: 'exception', attributes: { 'exception.type': 'RangeError', 'exception.message': 'too large' } },
      ],
      status: 'error',
      statusMessage: 'too large',
      scope: 'granary',
    });
    expect(request.endTimeUnixNano).toBeGreaterThanOrEqual(request.startTimeUnixNano);
    expect(request.resource).toMatchObject({
      'service.name': 'cache-eu',
      'service.version': '1.2.3',
      'service.instance.id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'process.pid': process.pid,
      'telemetry.sdk.language': 'nodejs',
      site: 'eu',
      shard: '2',
    });
    expect(there.requests[0]?.['x-team']).toBe('build');
    expect(telemetry.lines).toEqual([]);
  });

  it('gets spans compressed where the environment says so', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_COMPRESSION', 'gzip');
    const there = await collector(protocol);
    const telemetry = await telemetryWith({ endpoint: `http://${there.endpoint}`, protocol });
    work(telemetry.tracer, 20);
    await telemetry.shutdown();
    expect(there.spans).toHaveLength(20);
    const { 'grpc-encoding': grpc, 'content-encoding': http } = there.requests[0] ?? {};
    expect(grpc ?? http).toBe('gzip');
  });

  it('is heard of once when it takes nothing, and once when it does again', async () => {
    const there = await collector(protocol);
    const { tracer, lines } = await telemetryWith({
      endpoint: there.endpoint,
      protocol,
      exportIntervalMs: 1,
      exportTimeoutMs: 100,
    });
    there.behaviour = 'refuse';
    // Timeouts of the exporter are real time; what is waited for is what it says.
    await until(() => {
      work(tracer);
      return lines.length > 0 && there.requests.length > 2;
    });
    expect(messages(lines)).toEqual([expect.stringContaining(`Spans can not be exported to http://${there.endpoint}`)]);
    there.behaviour = 'accept';
    await until(() => {
      work(tracer);
      return lines.length > 1;
    });
    expect(messages(lines)[1]).toMatch(/are exported to .* again; \d+ were lost/);
    expect(lines).toHaveLength(2);
  });

  it('holds nobody up when it hangs: spans beyond the queue are dropped, and the end keeps to its deadline', async () => {
    const there = await collector(protocol);
    there.behaviour = 'hang';
    const telemetry = await telemetryWith({
      endpoint: there.endpoint,
      protocol,
      maxQueuedSpans: 10,
      exportIntervalMs: 1,
    });
    work(telemetry.tracer);
    await there.nextRequest();
    const begun = performance.now();
    work(telemetry.tracer, 10_000);
    await telemetry.shutdown(250);
    expect(performance.now() - begun).toBeLessThan(2000);
    expect(messages(telemetry.lines)).toEqual(['Spans that could not be exported within 200 ms were given up']);
    expect(there.spans).toEqual([]);
  });

  it('may be absent', async () => {
    const there = await collector(protocol);
    const { endpoint } = there;
    await there[Symbol.asyncDispose]();
    opened.splice(0);
    const telemetry = await telemetryWith({ endpoint, protocol, exportTimeoutMs: 100 });
    work(telemetry.tracer);
    await telemetry.shutdown(2000);
    expect(messages(telemetry.lines)).toHaveLength(1);
  });
});

/** Looks again in each turn of the event loop. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe('the name of the service', () => {
  it.each([
    [undefined, undefined, {}, 'granary'],
    [undefined, 'from-env', {}, 'from-env'],
    ['granary', 'from-env', {}, 'from-env'],
    ['cache-eu', 'from-env', {}, 'cache-eu'],
    ['granary', 'from-env', { 'service.name': 'from-attributes' }, 'from-attributes'],
    ['cache-eu', undefined, { 'service.name': 'from-attributes' }, 'cache-eu'],
  ])(
    'from option %s, environment %s and attributes %j is %s',
    async (serviceName, fromEnv, resourceAttributes, name) => {
      if (fromEnv) vi.stubEnv('OTEL_SERVICE_NAME', fromEnv);
      const there = await collector();
      const telemetry = await telemetryWith({ endpoint: there.endpoint, serviceName, resourceAttributes });
      work(telemetry.tracer);
      await telemetry.shutdown();
      expect(there.only('work').resource['service.name']).toBe(name);
    },
  );
});

describe('a record that is logged while a span is active', () => {
  it('carries its ids, recorded or not', async () => {
    const there = await collector();
    const { tracer, logger, lines } = await telemetryWith({ endpoint: there.endpoint });
    const dropped = tracer.startSpan('dropped', {
      parent: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: false },
    });
    const spans = [tracer.startSpan('kept'), dropped];
    for (const span of spans) tracer.runWith(span, () => logger.information('working'));
    logger.information('idle');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject(
      spans.map(({ traceId, spanId }) => ({ trace_id: traceId, span_id: spanId })).concat({} as never),
    );
    expect(JSON.parse(lines[2]!)).not.toHaveProperty('trace_id');
  });
});

describe('sampling and propagation', () => {
  it('are as they were asked for', async () => {
    const there = await collector();
    const telemetry = await telemetryWith({ endpoint: there.endpoint, sampleRatio: 0, propagation: 'b3' });
    const { tracer } = telemetry;
    work(tracer);
    const headers: Record<string, string> = { b3: `${'a'.repeat(32)}-${'b'.repeat(16)}-1` };
    const span = tracer.startSpan('asked for', { parent: tracer.extract((name) => headers[name]) });
    span.inject((name, value) => {
      headers[name] = value;
    });
    span.end();
    await telemetry.shutdown();
    expect(there.spans.map(({ name }) => name)).toEqual(['asked for']);
    expect(headers).toEqual({ b3: `${'a'.repeat(32)}-${span.spanId}-1` });
  });
});

describe('setupTelemetry', () => {
  it('gives a logger, a registry and the tracer that is off, by default', async () => {
    const telemetry = owned(await setupTelemetry());
    expect(telemetry.tracer).toBe(noopTracer);
    expect(telemetry.logger.level).toBe('information');
    expect(telemetry.metrics.namespace).toBe('granary');
    telemetry.metrics.counter('work_total', 'Work.').with().add();
    const text = await telemetry.metrics.expose();
    expect(text).toContain('granary_work_total 1');
    expect(text).toContain('granary_nodejs_');
  });

  it('closes what it made once, however often it is shut down', async () => {
    const telemetry = await telemetryWith({});
    const closed: string[] = [];
    vi.spyOn(telemetry.metrics, 'close').mockImplementation(() => closed.push('metrics'));
    vi.spyOn(telemetry.logger, 'close').mockImplementation(async () => void closed.push('logger'));
    await telemetry.shutdown();
    await telemetry.shutdown();
    expect(closed).toEqual(['metrics', 'logger']);
  });

  it('takes a logger and a registry that are there, and leaves them open', async () => {
    const metrics = new MetricRegistry({ namespace: 'app' });
    const telemetry = await setupTelemetry({ logger: nullLogger, metrics });
    expect([telemetry.logger, telemetry.metrics]).toEqual([nullLogger, metrics]);
    const [first, second] = [telemetry.shutdown(), telemetry.shutdown(0)];
    expect(first).toBe(second);
    await first;
  });

  it('ends in time with a logger that throws and a collector that hangs', async () => {
    const there = await collector();
    there.behaviour = 'hang';
    const throws = () => {
      throw new Error('broken logger');
    };
    const telemetry = await setupTelemetry({
      logger: { ...nullLogger, warning: throws },
      tracing: { endpoint: there.endpoint, exportIntervalMs: 1 },
    });
    work(telemetry.tracer);
    await there.nextRequest();
    await expect(telemetry.shutdown(50)).resolves.toBeUndefined();
  });

  it('closes what it made when a part of it can not be made', async () => {
    const adding = vi.spyOn(MetricRegistry.prototype, 'addProcessMetrics').mockImplementation(() => {
      throw new Error('no metrics');
    });
    const there = await collector();
    await expect(setupTelemetry({ tracing: { endpoint: there.endpoint } })).rejects.toThrow('no metrics');
    adding.mockRestore();
  });

  it.each([
    [{ endpoint: 'http://ann:s3cret@collector:4317' }, /without credentials/],
    [{ endpoint: 'collector:4317', sampleRatio: 2 }, /allowed: 0 to 1/],
    [{ endpoint: 'http://collector/v1/traces' }, /has a path/],
    [{ endpoint: 'http://collector' }, /has no port/],
    [{ endpoint: 'collector:80' }, /has no port, or 80/],
  ])('refuses %j, without showing secrets', async (tracing, message) => {
    const failure = telemetryWith(tracing);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.not.toThrow(/s3cret/);
  });
});

const BUILT = fileURLToPath(new URL('../../dist/index.js', import.meta.url));

describe.skipIf(!existsSync(BUILT))('tracing, in a process of its own', () => {
  it('loads nothing of OpenTelemetry when it is off', async () => {
    expect(await loadedBy({})).toEqual([]);
    expect(await loadedBy({ tracing: { endpoint: '127.0.0.1:9', sampleRatio: 0.01 } })).not.toEqual([]);
  });

  it('keeps nobody alive who forgets to shut it down', async () => {
    const there = await collector();
    await run(settingUp({ tracing: { endpoint: there.endpoint } }, '/* that is all */'));
  });

  it('keeps nobody alive when it is given up because the collector hangs', async () => {
    const there = await collector();
    there.behaviour = 'hang';
    const options = { tracing: { endpoint: there.endpoint, exportIntervalMs: 1, exportTimeoutMs: 600_000 } };
    const script = settingUp(options, 'for await (const _ of process.stdin); await telemetry.shutdown(50);');
    await run(script, { inputEnds: there.nextRequest() });
    expect(there.requests).toHaveLength(1);
  });

  it('works in one that was started with more than its own script', async () => {
    const there = await collector();
    const script = settingUp({ tracing: { endpoint: there.endpoint } }, 'await telemetry.shutdown();');
    const flags = ['--max-old-space-size=200', '--no-warnings'];
    await run(script, { flags, env: { NODE_OPTIONS: '--max-old-space-size=300' } });
    expect(there.spans).toHaveLength(1);
  });
});

/** Sets up, ends a span, and does the rest. */
function settingUp(options: TelemetryOptions, rest: string): string {
  return `
    const { setupTelemetry } = await import(${JSON.stringify(BUILT)});
    const options = ${JSON.stringify({ logger: { level: 'none' }, metrics: { process: false }, ...options })};
    const telemetry = await setupTelemetry(options);
    telemetry.tracer.startSpan('work').end();
    ${rest}`;
}

interface Run {
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Its standard input ends then. */
  readonly inputEnds?: Promise<void>;
}

/** What a process that runs this script says until it ends by itself. */
async function run(script: string, { flags = [], env = {}, inputEnds = Promise.resolve() }: Run = {}): Promise<string> {
  const args = [...flags, '--input-type=module', '-e', script];
  const running = promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env } });
  void inputEnds.then(() => running.child.stdin?.end());
  return (await running).stdout;
}

/** Modules of OpenTelemetry that a process loads when it sets telemetry up. */
async function loadedBy(options: TelemetryOptions): Promise<string[]> {
  const hooks = `
    import { writeSync } from 'node:fs';
    export async function resolve(specifier, context, next) {
      if (specifier.startsWith('@opentelemetry/')) writeSync(1, specifier + '\\n');
      return next(specifier, context);
    }`;
  const script = `
    import { register } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hooks)}));
    ${settingUp(options, 'await telemetry.shutdown();')}`;
  return (await run(script)).split('\n').filter((line) => line !== '');
}
