import { HttpCircuitBreaker } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { MetricRegistry } from '@granary/telemetry';
import { type ParsedFamily, parseExposition, RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HttpClient } from './client/http-client.js';
import type { HttpClientOptions } from './client/options.js';
import { registryHttpMetrics } from './registry-http-metrics.js';
import { type Answer, rejection, serveHttp, type TestServer } from './testing/test-server.js';

let server: TestServer;
let answer: Answer;
let registry: MetricRegistry;
let metrics: ReturnType<typeof registryHttpMetrics>;
const clients: HttpClient[] = [];

const clientWith = (options: HttpClientOptions = {}) => {
  const client = new HttpClient({ proxy: false, metrics, ...options });
  clients.push(client);
  return client;
};

beforeEach(async () => {
  answer = (_, res) => res.end('hello');
  server = await serveHttp((req, res) => answer(req, res));
  registry = new MetricRegistry();
  metrics = registryHttpMetrics(registry);
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close({ graceMs: 0 });
  await server[Symbol.asyncDispose]();
});

const families = async (): Promise<Map<string, ParsedFamily>> =>
  new Map(parseExposition(await registry.expose('openmetrics'), 'openmetrics').map((family) => [family.name, family]));

/** Lines of a family, as `label=value,… number`. */
const lines = async (family: string, suffix = '') =>
  ((await families()).get(`granary_${family}`)?.samples ?? [])
    .filter(({ name }) => name.endsWith(suffix))
    .map(
      ({ labels, value }) =>
        `${Object.entries(labels)
          .map((pair) => pair.join('='))
          .join()} ${value}`,
    );

const failing: Answer = (_, res) => res.writeHead(503).end();

describe('the metrics of HTTP clients', () => {
  it('count calls by source, method and status, and how long they took', async () => {
    let now = 0;
    const client = clientWith({ retry: false, clock: () => now });
    answer = (_, res) => {
      now += 250;
      res.end('hello');
    };
    await client.buffer(server.url, { source: 'feed' });
    answer = (_, res) => res.writeHead(404).end();
    await rejection(client.buffer(server.url, { source: 'feed', method: 'PUT' }));
    answer = (req) => req.socket.destroy();
    await rejection(client.buffer(server.url));
    answer = (_, res) => res.end();
    await client.buffer(server.url, { source: 'feed', method: 'PROPFIND' });
    expect(await lines('http_requests')).toEqual([
      'source=feed,method=GET,status_code=200 1',
      'source=feed,method=PUT,status_code=404 1',
      `source=${server.host},method=GET,status_code=error 1`,
      'source=feed,method=other,status_code=200 1',
    ]);
    expect((await lines('http_request_duration_seconds', '_sum'))[0]).toBe('source=feed,method=GET 0.25');
    expect((await lines('http_request_duration_seconds', '_count'))[0]).toBe('source=feed,method=GET 1');
  });

  it('count retries by their reason', async () => {
    const client = clientWith({ retry: { initialDelayMs: 0, maxRetries: 2 }, circuitBreaker: false });
    answer = failing;
    await rejection(client.buffer(server.url, { source: 'feed' }));
    answer = (req) => req.socket.destroy();
    await rejection(client.buffer(server.url, { source: 'feed' }));
    expect(await lines('http_retries')).toEqual(['source=feed,reason=503 2', 'source=feed,reason=NETWORK 2']);
  });

  it('show circuits as they are, also of hosts that never failed, and count failures', async () => {
    const time = new ManualTime();
    const client = clientWith({ retry: false, clock: time.clock, circuitBreaker: { maxFailures: 2, timeoutMs: 1000 } });
    await client.buffer(server.url);
    expect(await lines('circuit_breaker_state')).toEqual([`host=${server.host} 0`]);
    answer = failing;
    for (let i = 0; i < 3; i++) await rejection(client.buffer(server.url));
    expect(await lines('circuit_breaker_state')).toEqual([`host=${server.host} 1`]);
    expect(await lines('circuit_breaker_failures')).toEqual([`host=${server.host} 2`]);
    await time.advance(1000);
    let during: string[] = [];
    answer = async (_, res) => {
      during = await lines('circuit_breaker_state');
      res.end('hello');
    };
    await client.buffer(server.url);
    expect(during).toEqual([`host=${server.host} 2`]);
    expect(await lines('circuit_breaker_state')).toEqual([`host=${server.host} 0`]);
  });

  it('show the circuits of breakers that are shared with others, too', async () => {
    const circuitBreaker = new HttpCircuitBreaker({ maxFailures: 1 });
    clientWith({ circuitBreaker });
    clientWith({ circuitBreaker: new HttpCircuitBreaker() });
    circuitBreaker.forHost('api.example').recordFailure();
    expect(await lines('circuit_breaker_state')).toEqual(['host=api.example 1']);
  });

  it('show the tokens that are there at each scrape, and who had to wait', async () => {
    const time = new ManualTime();
    const rateLimiter = { capacity: 2, refillRate: 1 };
    const client = clientWith({ rateLimiter, clock: time.clock, timers: time, timeoutMs: 0, connectTimeoutMs: 10_000 });
    for (let i = 0; i < 2; i++) await client.buffer(server.url, { source: 'feed' });
    expect(await lines('rate_limiter_tokens')).toEqual(['source=feed 0']);
    const third = client.buffer(server.url, { source: 'feed' });
    await time.advance(1000);
    await third;
    await time.advance(500);
    expect(await lines('rate_limiter_tokens')).toEqual(['source=feed 0.5']);
    expect(await lines('rate_limit_requests')).toEqual(['source=feed,allowed=true 2', 'source=feed,allowed=false 1']);
  });

  it('show nothing of a client that is closed, or has no such policy', async () => {
    const client = clientWith({ rateLimiter: {} });
    clientWith({ circuitBreaker: false });
    await client.buffer(server.url);
    expect(await lines('rate_limiter_tokens')).toHaveLength(1);
    await client.close();
    expect(await lines('rate_limiter_tokens')).toEqual([]);
    expect(await lines('circuit_breaker_state')).toEqual([]);
  });

  it('show the trace of a slow call', async () => {
    const tracer = new RecordingTracer();
    const client = clientWith({ tracer });
    await client.buffer(server.url);
    const exemplars = (await families()).get('granary_http_request_duration_seconds')?.samples.flatMap((sample) => {
      return sample.exemplar ? [sample.exemplar.labels] : [];
    });
    const [span] = tracer.spans;
    expect(exemplars).toEqual([{ trace_id: span?.traceId, span_id: span?.spanId }]);
  });

  it('are there once for a registry', () => {
    expect(() => registryHttpMetrics(registry)).toThrow(/exists already/);
  });
});
