import { ManualTime } from '@granary/resilience/testing';
import { noopSpan, noopTracer } from '@granary/telemetry';
import { RecordingTracer } from '@granary/telemetry/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Answer, rejection, serveHttp, type TestServer } from '../testing/test-server.js';
import { HttpClient } from './http-client.js';
import type { HttpClientOptions } from './options.js';

let server: TestServer;
let answer: Answer;
/** `traceparent` of each request that came. */
let contexts: (string | string[] | undefined)[];
let tracer: RecordingTracer;
let client: HttpClient;

const clientWith = (options: HttpClientOptions = {}) => {
  client = new HttpClient({ proxy: false, tracer, retry: { initialDelayMs: 0 }, ...options });
  return client;
};

beforeEach(async () => {
  contexts = [];
  tracer = new RecordingTracer();
  answer = (_, res) => res.end('hello');
  server = await serveHttp((req, res) => {
    contexts.push(req.headers['traceparent']);
    answer(req, res);
  });
});

afterEach(async () => {
  await client?.close({ graceMs: 0 });
  await server[Symbol.asyncDispose]();
});

const contextOf = ({ traceId, spanId }: { traceId: string; spanId: string }) => `00-${traceId}-${spanId}-01`;

describe('the span of a call', () => {
  it('is a client span, named and attributed by the conventions, without path and query', async () => {
    await clientWith().buffer(`${server.url}/secret/path?key=s3cret`);
    const span = tracer.only('GET');
    expect(span).toMatchObject({ kind: 'client', status: 'unset', ended: true, parentId: undefined });
    expect(span.attributes).toEqual({
      'http.request.method': 'GET',
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(server.url).port),
      'url.scheme': 'http',
      'http.response.status_code': 200,
    });
    expect(contexts).toEqual([contextOf(span)]);
  });

  it('is part of the active span, or of the one that the request names', async () => {
    clientWith();
    const active = tracer.startSpan('active');
    const named = tracer.startSpan('named', { parent: null });
    await tracer.runWith(active, () => client.buffer(server.url));
    await tracer.runWith(active, () => client.buffer(server.url, { span: named }));
    expect(tracer.paths()).toEqual(['active', 'named', 'active > GET', 'named > GET']);
  });

  it('is in error from status 400 on', async () => {
    answer = (_, res) => res.writeHead(404).end();
    await (await clientWith().request(server.url)).body.resume();
    await rejection(client.buffer(server.url));
    for (const span of tracer.spans) {
      expect(span).toMatchObject({ status: 'error', errors: [], attributes: { 'error.type': '404' } });
      expect(span.attributes['http.response.status_code']).toBe(404);
    }
  });

  it('tells of a connection that fails, with the code that the caller sees', async () => {
    answer = (req) => req.socket.destroy();
    await rejection(clientWith({ retry: false }).buffer(server.url));
    const span = tracer.only('GET');
    expect(span).toMatchObject({ status: 'error', ended: true, attributes: { 'error.type': 'NETWORK' } });
    expect(span.errors).toHaveLength(1);
    expect(span.attributes).not.toHaveProperty('http.response.status_code');
  });

  it('ends when the caller aborts', async () => {
    answer = () => {};
    const abort = new AbortController();
    const call = clientWith().buffer(server.url, { signal: abort.signal });
    abort.abort(new DOMException('enough', 'AbortError'));
    await expect(call).rejects.toThrow('enough');
    await client.close({ graceMs: 0 });
    expect(tracer.only('GET')).toMatchObject({ status: 'error', ended: true });
  });

  it('gives methods that nobody knows one name', async () => {
    await (await clientWith().request(server.url, { method: 'PURGE' })).body.resume();
    expect(tracer.only('HTTP').attributes).toMatchObject({
      'http.request.method': '_OTHER',
      'http.request.method_original': 'PURGE',
    });
  });
});

describe('what happens to a call on its way', () => {
  it('is one span with an event for each retry, and its context goes with every attempt', async () => {
    answer = (_, res) => (contexts.length < 3 ? res.writeHead(503).end() : res.end('hello'));
    await clientWith().buffer(server.url);
    const span = tracer.only('GET');
    expect(contexts).toEqual([contextOf(span), contextOf(span), contextOf(span)]);
    expect(span.attributes).toMatchObject({ 'http.request.resend_count': 2, 'http.response.status_code': 200 });
    expect(span.status).toBe('unset');
    expect(span.events).toMatchObject([
      { name: 'retry', attributes: { 'retry.reason': '503', 'retry.attempt': 1 } },
      { name: 'retry', attributes: { 'retry.reason': '503', 'retry.attempt': 2 } },
    ]);
  });

  it('says which redirects were followed, and the context goes with each', async () => {
    answer = (req, res) => (req.url === '/' ? res.writeHead(302, { location: '/there' }).end() : res.end('hello'));
    await clientWith().buffer(server.url);
    const span = tracer.only('GET');
    expect(contexts).toEqual([contextOf(span), contextOf(span)]);
    expect(span.events).toEqual([
      { name: 'redirect', attributes: { 'http.response.status_code': 302, 'server.address': '127.0.0.1' } },
    ]);
  });

  it('says that a breaker let nothing through', async () => {
    answer = (_, res) => res.writeHead(500).end();
    clientWith({ retry: false, circuitBreaker: { maxFailures: 1 } });
    await rejection(client.buffer(server.url));
    await rejection(client.buffer(server.url));
    expect(contexts).toHaveLength(1);
    expect(tracer.spans[1]).toMatchObject({
      status: 'error',
      attributes: { 'error.type': 'CIRCUIT_OPEN' },
      events: [{ name: 'circuit_breaker.rejected', attributes: { 'circuit_breaker.host': server.host } }],
    });
  });

  it('says when it waited for the rate limit', async () => {
    const time = new ManualTime();
    clientWith({ rateLimiter: { capacity: 1, refillRate: 1, clock: time.clock, timers: time } });
    await client.buffer(server.url);
    const waits = client.buffer(server.url);
    expect(tracer.spans[1]?.events).toEqual([{ name: 'rate_limit.waiting', attributes: {} }]);
    await time.advance(1000);
    await waits;
    expect(tracer.spans[1]?.events.map(({ name }) => name)).toEqual(['rate_limit.waiting', 'rate_limit.admitted']);
    expect(tracer.spans[0]?.events).toEqual([]);
  });

  it('says when it waited for a place', async () => {
    const held: (() => void)[] = [];
    let came: () => void = () => {};
    const arrived = new Promise<void>((resolve) => {
      came = resolve;
    });
    answer = (_, res) => {
      held.push(() => res.end('hello'));
      came();
    };
    clientWith({ throttle: { max: 1 } });
    const first = client.buffer(server.url);
    const second = client.buffer(server.url);
    await arrived;
    expect(tracer.spans[1]?.events).toEqual([{ name: 'throttle.waiting', attributes: {} }]);
    answer = (_, res) => res.end('hello');
    held[0]?.();
    await Promise.all([first, second]);
    expect(tracer.spans[1]?.events.map(({ name }) => name)).toEqual(['throttle.waiting', 'throttle.admitted']);
  });
});

describe('a trace that is not recorded', () => {
  it('is passed on as such, whether or not anybody else listens', async () => {
    tracer.sampled = false;
    await clientWith().buffer(server.url);
    await client.close();
    let finished = 0;
    await clientWith({ metrics: { requestFinished: () => finished++ } }).buffer(server.url);
    expect(contexts).toEqual([expect.stringMatching(/^00-.*-00$/), expect.stringMatching(/^00-.*-00$/)]);
    expect(finished).toBe(1);
    expect(tracer.spans).toEqual([]);
  });
});

describe('a tracer that is off', () => {
  it('is never asked', async () => {
    const off = { ...noopTracer, startSpan: () => expect.fail('asked for a span') };
    expect(await clientWith({ tracer: off }).buffer(server.url)).toHaveLength(5);
    expect(contexts).toEqual([undefined]);
  });
});

describe('a span that throws', () => {
  it('breaks no call', async () => {
    const broken = () => {
      throw new Error('broken span');
    };
    const span = { ...noopSpan, recording: true, addEvent: broken, setAttribute: broken, end: broken, inject: broken };
    answer = (_, res) => (contexts.length < 2 ? res.writeHead(503).end() : res.end('hello'));
    clientWith({ tracer: { ...noopTracer, enabled: true, startSpan: () => span } });
    expect((await client.buffer(server.url)).toString()).toBe('hello');
  });
});
