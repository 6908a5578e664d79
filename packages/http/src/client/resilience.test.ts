import { gzipSync } from 'node:zlib';
import { HttpCircuitBreaker, PerSourceLimiter, rollingWindow, SemaphoreThrottle } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { createLogger, type Logger, noopTracer, nullLogger } from '@granary/telemetry';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HttpError } from '../http-error.js';
import {
  type Answer,
  InstantTimers,
  read,
  rejection,
  serveHttp,
  serveRaw,
  type TestServer,
} from '../testing/test-server.js';
import { HttpClient } from './http-client.js';
import type { HttpClientOptions } from './options.js';

let server: TestServer;
let answer: Answer;
let calls: number;
let client: HttpClient;

const clientWith = (options: HttpClientOptions) => {
  client = new HttpClient({ proxy: false, ...options });
  return client;
};

beforeEach(async () => {
  calls = 0;
  answer = (_, res) => res.end('hello');
  server = await serveHttp((req, res) => {
    calls++;
    answer(req, res);
  });
});

afterEach(async () => {
  await client?.close({ graceMs: 0 });
  await server[Symbol.asyncDispose]();
});

const unavailable: Answer = (_, res) => res.writeHead(503, { 'retry-after': '0' }).end();
const reset: Answer = (req) => req.socket.destroy();
/** Every way in which a server can fail, one after another. */
const troubles: readonly Answer[] = [
  unavailable,
  reset,
  (_, res) => res.writeHead(429, { 'retry-after': new Date(0).toUTCString() }).end('slow down'),
  (req) => {
    req.socket.write('HTTP/1.1 200 OK\r\ncontent-le');
    req.socket.destroy();
  },
];

describe('retry, breaker and limiter together', () => {
  it('get an answer out of a server that fails in every way', async () => {
    answer = (req, res) => (troubles[calls - 1] ?? ((_, ok) => ok.end('at last')))(req, res);
    clientWith({
      retry: { maxRetries: troubles.length, timers: new InstantTimers() },
      rateLimiter: {},
      throttle: { max: 1 },
    });
    expect((await client.buffer(server.url)).toString()).toBe('at last');
    expect(calls).toBe(troubles.length + 1);
  });

  it('say how often they tried, and what came last', async () => {
    answer = unavailable;
    clientWith({ retry: { initialDelayMs: 0 } });
    const error = await rejection<HttpError>(client.buffer(server.url));
    expect(error).toMatchObject({ code: 'HTTP_STATUS', statusCode: 503, attempts: 4 });
    expect(error.message).toBe(`GET ${server.host}: the server answered 503 (4 attempts)`);
  });

  it('end the retries when the breaker opens, and hand out what opened it', async () => {
    answer = unavailable;
    const metrics = { circuitStateChanged: vi.fn(), retried: vi.fn() };
    const onStateChange = vi.fn();
    const circuitBreaker = { maxFailures: 2, onStateChange };
    clientWith({ circuitBreaker, metrics, retry: { initialDelayMs: 0, maxRetries: 9 } });
    expect(await rejection(client.buffer(server.url))).toMatchObject({
      code: 'HTTP_STATUS',
      statusCode: 503,
      attempts: 2,
    });
    expect(await rejection(client.buffer(server.url))).toMatchObject({ code: 'CIRCUIT_OPEN', attempts: 0 });
    expect(calls).toBe(2);
    expect(metrics.circuitStateChanged.mock.calls).toEqual([[server.host, 'open']]);
    expect(metrics.retried.mock.calls).toEqual([[server.host, '503']]);
    expect(onStateChange).toHaveBeenCalledOnce();
  });

  it('end retries that were waited for while others opened the breaker', async () => {
    answer = unavailable;
    const time = new ManualTime();
    const circuitBreaker = { maxFailures: 2, clock: time.clock };
    clientWith({ circuitBreaker, timers: time, clock: time.clock, retry: { initialDelayMs: 1000, jitter: 0 } });
    answer = (_, res) => res.writeHead(503).end();
    const first = rejection(client.buffer(server.url));
    await vi.waitFor(() => expect(time.pending).toBe(2));
    await rejection(client.buffer(server.url));
    await time.advance(1000);
    expect(await first).toMatchObject({ code: 'CIRCUIT_OPEN', attempts: 1 });
    expect(calls).toBe(2);
  });

  it('take a token for every attempt', async () => {
    answer = unavailable;
    const limiter = new PerSourceLimiter({ capacity: 10, refillRate: 0 });
    clientWith({ rateLimiter: limiter, circuitBreaker: false, retry: { initialDelayMs: 0, maxRetries: 2 } });
    await rejection(client.buffer(server.url, { source: 'feed' }));
    expect(limiter.getStats('feed')).toMatchObject({ tokens: 7 });
    await rejection(client.buffer(server.url, { source: 'feed' }));
    await rejection(client.buffer(server.url, { source: 'feed' }));
    const error = await rejection(client.buffer(server.url, { source: 'feed' }));
    expect(error).toMatchObject({ code: 'RATE_LIMITED', attempts: 1 });
  });

  it('turn away whom the throttle has no place for', async () => {
    const throttle = new SemaphoreThrottle(1, { maxQueue: 0 });
    const arrived = new Promise<void>((resolve) => {
      answer = () => resolve();
    });
    clientWith({ throttle });
    const holder = rejection(client.buffer(server.url));
    await arrived;
    expect(await rejection(client.buffer(server.url))).toMatchObject({ code: 'QUEUE_FULL', attempts: 0 });
    await client.close({ graceMs: 0 });
    await holder;
  });

  it('count no aborted call, and 4xx as an answer', async () => {
    const breakers = new HttpCircuitBreaker({ maxFailures: 1 });
    clientWith({ circuitBreaker: breakers, retry: false });
    answer = (_, res) => res.writeHead(404).end();
    await rejection(client.buffer(server.url));
    const abort = new AbortController();
    answer = () => abort.abort();
    await rejection(client.buffer(server.url, { signal: abort.signal }));
    expect(breakers.getStats(server.host)).toMatchObject({ state: 'closed', failures: 0 });
  });

  it('count each host of a redirect for itself', async () => {
    await using broken = await serveHttp((_, res) => res.writeHead(500).end());
    answer = (_, res) => res.writeHead(302, { location: broken.url }).end();
    const breakers = new HttpCircuitBreaker({ strategy: rollingWindow({ minimumThroughput: 1 }) });
    clientWith({ circuitBreaker: breakers, retry: false });
    await rejection(client.buffer(server.url));
    expect(breakers.getState(server.host)).toBe('closed');
    expect(breakers.getState(broken.host)).toBe('open');
  });

  it('recover when the host does', async () => {
    const time = new ManualTime();
    clientWith({ circuitBreaker: { maxFailures: 1, timeoutMs: 5000, clock: time.clock }, retry: false });
    answer = reset;
    await rejection(client.buffer(server.url));
    answer = (_, res) => res.end('back');
    expect(await rejection(client.buffer(server.url))).toMatchObject({ code: 'CIRCUIT_OPEN' });
    await time.advance(5000);
    expect((await client.buffer(server.url)).toString()).toBe('back');
  });

  it('ask a host that refuses connections once, where that is decisive', async () => {
    const time = new ManualTime();
    const metrics = { hostFailed: vi.fn(), retried: vi.fn() };
    const circuitBreaker = { timeoutMs: 5000, clock: time.clock };
    clientWith({ circuitBreaker, opensWhenUnreachable: true, metrics, retry: { initialDelayMs: 0 } });
    const { url } = server;
    await server[Symbol.asyncDispose]();
    expect(await rejection(client.buffer(url))).toMatchObject({ code: 'NETWORK' });
    for (let i = 0; i < 3; i++) expect(await rejection(client.buffer(url))).toMatchObject({ code: 'CIRCUIT_OPEN' });
    await time.advance(5000);
    expect(await rejection(client.buffer(url))).toMatchObject({ code: 'NETWORK' });
    expect(metrics.hostFailed).toHaveBeenCalledTimes(2);
    expect(metrics.retried).not.toHaveBeenCalled();
  });

  it('try a host that refuses connections again sooner, where that is wanted', async () => {
    const time = new ManualTime();
    const circuitBreaker = { timeoutMs: 5000, quickTimeoutMs: 1000, clock: time.clock };
    clientWith({ circuitBreaker, opensWhenUnreachable: true, retry: false });
    const { url } = server;
    await server[Symbol.asyncDispose]();
    for (const restMs of [1000, 2000, 4000, 5000]) {
      expect(await rejection(client.buffer(url))).toMatchObject({ code: 'NETWORK' });
      await time.advance(restMs - 1);
      expect(await rejection(client.buffer(url))).toMatchObject({ code: 'CIRCUIT_OPEN' });
      await time.advance(1);
    }
  });

  it('go on after what a host that can be reached fails with, however decisive connections are', async () => {
    answer = (req, res) => (calls === 1 ? reset(req, res) : res.end('hello'));
    clientWith({ opensWhenUnreachable: true, retry: { initialDelayMs: 0 } });
    expect(String(await client.buffer(server.url))).toBe('hello');
  });

  it('end a wait for a retry when the call is aborted, or its time is over', async () => {
    answer = (_, res) => res.writeHead(503, { 'retry-after': '20' }).end();
    const time = new ManualTime();
    clientWith({ timers: time, clock: time.clock, timeoutMs: 5000 });
    const abort = new AbortController();
    const aborted = rejection(client.buffer(server.url, { signal: abort.signal }));
    await vi.waitFor(() => expect(time.pending).toBe(2));
    abort.abort();
    expect(await aborted).toMatchObject({ name: 'AbortError' });
    expect(time.pending).toBe(0);
    const late = rejection(client.buffer(server.url));
    await vi.waitFor(() => expect(time.pending).toBe(2));
    await time.advance(5000);
    expect(await late).toMatchObject({ code: 'TIMEOUT', attempts: 1 });
    expect(time.pending).toBe(0);
  });

  it('are all off where they are switched off', async () => {
    answer = unavailable;
    clientWith({ retry: false, circuitBreaker: false, rateLimiter: false, throttle: false });
    for (let i = 0; i < 10; i++) await rejection(client.buffer(server.url));
    expect(calls).toBe(10);
  });

  it.each([
    ['as it is', false],
    ['compressed', true],
  ])('repeat a body that broke off before anyone saw it, %s', async (_, compressed) => {
    const text = JSON.stringify({ items: Array.from({ length: 5000 }, () => Math.random()) });
    const whole = compressed ? gzipSync(text) : Buffer.from(text);
    answer = (_, res) => {
      const encoding = compressed ? { 'content-encoding': 'gzip' } : {};
      res.writeHead(200, { 'content-length': whole.length, ...encoding });
      if (calls === 1) res.write(whole.subarray(0, whole.length / 2), () => res.destroy());
      else res.end(whole);
    };
    const retried = vi.fn();
    clientWith({ retry: { initialDelayMs: 0 }, metrics: { retried }, maxBodyBytes: text.length });
    expect(JSON.stringify(await client.json(server.url))).toBe(text);
    expect(retried.mock.calls).toEqual([[server.host, 'NETWORK']]);
    expect(calls).toBe(2);
  });

  it('take the answer of the second attempt for what it is, whatever the first began with', async () => {
    answer = (_, res) => {
      if (calls === 1) res.writeHead(200, { 'content-length': 10 }).write('half', () => res.destroy());
      else res.writeHead(404).end();
    };
    clientWith({ retry: { initialDelayMs: 0 } });
    expect(await rejection(client.buffer(server.url))).toMatchObject({
      code: 'HTTP_STATUS',
      statusCode: 404,
      attempts: 2,
    });
  });

  it('do not repeat a refusal whose body breaks off: it was told already', async () => {
    answer = (_, res) => {
      res.writeHead(404, { 'content-length': 10 }).write('half', () => res.destroy());
    };
    const finished = new Promise<unknown>((resolve) => {
      clientWith({
        retry: { initialDelayMs: 0 },
        metrics: { requestFinished: (_source, _method, status) => resolve(status) },
      });
    });
    expect(await rejection(client.buffer(server.url))).toMatchObject({ code: 'HTTP_STATUS', statusCode: 404 });
    expect(await finished).toBe('error');
    expect(calls).toBe(1);
  });

  it('do not repeat what breaks off in a stream', async () => {
    await using raw = await serveRaw((socket) => {
      calls++;
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf');
    });
    clientWith({ retry: { initialDelayMs: 0 } });
    const { body } = await client.request(raw.url);
    expect(await rejection(read(body))).toMatchObject({ code: 'NETWORK', attempts: 1 });
    expect(calls).toBe(1);
  });

  it('share breakers and limiters that another copy of their package has made', async () => {
    vi.resetModules();
    const other = await import('@granary/resilience');
    expect(other.HttpCircuitBreaker).not.toBe(HttpCircuitBreaker);
    const breakers = new other.HttpCircuitBreaker({ maxFailures: 1 });
    const limiter = new other.PerSourceLimiter({ capacity: 1, refillRate: 0 });
    answer = unavailable;
    clientWith({ circuitBreaker: breakers, rateLimiter: limiter, retry: false });
    expect(await rejection<HttpError>(client.buffer(server.url))).toMatchObject({ code: 'HTTP_STATUS' });
    expect(breakers.getState(server.host)).toBe('open');
    expect(limiter.getStats(server.host)?.tokens).toBe(0);
    breakers.reset(server.host);
    expect(await rejection<HttpError>(client.buffer(server.url))).toMatchObject({ code: 'RATE_LIMITED' });
  });
});

describe('what is observed', () => {
  it('is every call with its status and duration', async () => {
    let now = 0;
    const requestFinished = vi.fn();
    clientWith({ metrics: { requestFinished }, clock: () => now, retry: false, circuitBreaker: false });
    answer = (_, res) => {
      now += 25;
      res.writeHead(201).end();
    };
    await client.buffer(server.url, { source: 'feed', method: 'PUT' });
    answer = reset;
    await rejection(client.buffer(server.url));
    answer = (_, res) => res.writeHead(404).end();
    await rejection(client.buffer(server.url));
    expect(requestFinished.mock.calls).toEqual([
      ['feed', 'PUT', 201, 25],
      [server.host, 'GET', 'error', 0],
      [server.host, 'GET', 404, 0],
    ]);
  });

  it('is who was given up: that is no failure of whom was asked, but a time limit is', async () => {
    const requestFinished = vi.fn();
    clientWith({ metrics: { requestFinished }, retry: false, circuitBreaker: false });
    let reached = () => {};
    answer = () => reached();
    const giveUp = async (reason?: unknown) => {
      const caller = new AbortController();
      const asked = new Promise<void>((resolve) => {
        reached = resolve;
      });
      const call = rejection(client.buffer(server.url, { signal: caller.signal }));
      await asked;
      caller.abort(reason);
      await call;
    };
    await giveUp();
    await giveUp(new Error('another one has answered'));
    await giveUp(new DOMException('too late', 'TimeoutError'));
    await giveUp(Object.assign(new Error('it is silent'), { code: 'SOURCE_UNAVAILABLE' }));
    expect(requestFinished.mock.calls.map(([, , status]) => status)).toEqual([
      'cancelled',
      'cancelled',
      'error',
      'error',
    ]);

    requestFinished.mockClear();
    const caller = new AbortController();
    answer = (_, res) => res.writeHead(200, { 'content-length': 10 }).write('half');
    const { body } = await client.request(server.url, { signal: caller.signal });
    caller.abort();
    await rejection(body.toArray());
    await vi.waitFor(() => expect(requestFinished.mock.calls.map(([, , status]) => status)).toEqual(['cancelled']));
  });

  it('is whether tokens were there', async () => {
    const rateLimited = vi.fn();
    clientWith({ metrics: { rateLimited }, rateLimiter: {} });
    await client.buffer(server.url);
    expect(rateLimited.mock.calls).toEqual([[server.host, true]]);
  });

  it('is logged without path, query and credentials, and only where someone reads it', async () => {
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    const logger = loggerTo(write, 'debug');
    clientWith({ logger, retry: false });
    await client.buffer(`${server.url}/private?token=hunter2`, { headers: { authorization: 'hunter2' } });
    answer = reset;
    await rejection(client.buffer(`${server.url}/private?token=hunter2`));
    expect(lines).toHaveLength(2);
    expect(JSON.parse(lines[0] as string).msg).toMatch(new RegExp(`^GET ${server.host} 200 in \\d+\\.\\d ms$`));
    expect(lines[1]).toContain('NETWORK');
    expect(lines.join()).not.toMatch(/hunter2|private/);
    await client.close();
    clientWith({ logger: loggerTo(write, 'information'), retry: false });
    await rejection(client.buffer(server.url));
    expect(lines).toHaveLength(2);
  });

  const throws = () => {
    throw new Error('broken listener');
  };

  it.each([
    ['at once', throws],
    ['later', () => Promise.reject(new Error('broken listener')) as never],
  ])('breaks no call, however it fails: %s', async (_, broken) => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const metrics = {
      requestFinished: broken,
      retried: broken,
      rateLimited: broken,
      hostFailed: broken,
      circuitStateChanged: broken,
      clientStarted: broken,
    };
    const logger = { ...nullLogger, isEnabled: () => true, debug: broken };
    clientWith({
      metrics,
      logger,
      tracer: { ...noopTracer, enabled: true, startSpan: throws },
      rateLimiter: {},
      retry: { initialDelayMs: 0, onRetry: broken },
      circuitBreaker: { onStateChange: broken, maxFailures: 2 },
    });
    answer = (req, res) => (calls === 2 ? res.end('hello') : reset(req, res));
    expect((await client.buffer(server.url)).toString()).toBe('hello');
    expect(await rejection(client.buffer(server.url))).toMatchObject({ code: 'NETWORK' });
    expect(await rejection(client.buffer(server.url))).toMatchObject({ code: 'CIRCUIT_OPEN' });
    await client.close();
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it.each([
    ['throws when it is asked for its level', { ...nullLogger, isEnabled: throws }],
    ['has no levels, as a console', { debug: () => {} } as never],
  ])('breaks no call where the logger %s', async (_, logger: Logger) => {
    clientWith({ logger });
    answer = (_req, res) => res.end('hello');
    expect((await client.buffer(server.url)).toString()).toBe('hello');
    clientWith({ logger, metrics: { requestFinished: () => {} } });
    expect((await client.buffer(server.url)).toString()).toBe('hello');
  });
});

function loggerTo(write: (line: string) => void, level: 'debug' | 'information'): Logger {
  return createLogger({ level, destination: { write } as never });
}
