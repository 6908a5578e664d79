import { AsyncLocalStorage } from 'node:async_hooks';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import {
  HttpCircuitBreaker,
  isCircuitOpen,
  isQueueFull,
  isRateLimitExceeded,
  isTimeout,
  nullThrottle,
  PerSourceLimiter,
  SemaphoreThrottle,
  type Throttle,
} from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { Agent, type Dispatcher, errors, interceptors, request, upgrade } from 'undici';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HttpInterceptor } from '../dispatch.js';
import { NO_CONTROLLER } from '../handlers/waiting.js';
import { type Answer, closed, InstantTimers, rejection, serveHttp, type TestServer } from '../testing/test-server.js';
import { circuitBreaker } from './circuit-breaker.js';
import { deadline } from './deadline.js';
import { decompress } from './decompress.js';
import { limits } from './limits.js';
import { observe } from './observe.js';
import { rateLimit } from './rate-limit.js';
import { redirect } from './redirect.js';
import { type HttpRetryOptions, retry } from './retry.js';
import { throttle } from './throttle.js';
import { userAgent } from './user-agent.js';

let server: TestServer;
let answer: Answer;
let calls: number;
let time: ManualTime;
const dispatchers: Dispatcher[] = [];

beforeEach(async () => {
  calls = 0;
  time = new ManualTime();
  answer = (_, res) => res.end('hello');
  server = await serveHttp((req, res) => {
    calls++;
    answer(req, res);
  });
});

afterEach(async () => {
  for (const dispatcher of dispatchers.splice(0)) await dispatcher.destroy();
  await server[Symbol.asyncDispose]();
});

/** An agent of undici with this interceptor alone. */
function alone(...all: HttpInterceptor[]): Dispatcher {
  return overAgent(new Agent(), ...all);
}

function overAgent(agent: Agent, ...all: HttpInterceptor[]): Dispatcher {
  dispatchers.push(agent);
  return agent.compose(...all);
}

/** The same over one connection for all requests. */
const overOne = (...all: HttpInterceptor[]) => overAgent(new Agent({ connections: 1 }), ...all);

const get = (dispatcher: Dispatcher, options = {}) => request(server.url, { dispatcher, ...options });
const text = async (dispatcher: Dispatcher, options = {}) => (await get(dispatcher, options)).body.text();
const arrival = () =>
  new Promise<void>((resolve) => {
    answer = () => resolve();
  });

describe('user-agent', () => {
  it('is added where there is none', async () => {
    answer = (req, res) => res.end(req.headers['user-agent']);
    const dispatcher = alone(userAgent('tool/1'));
    expect(await text(dispatcher)).toBe('tool/1');
    expect(await text(dispatcher, { headers: ['User-Agent', 'mine'] })).toBe('mine');
    expect(() => userAgent('')).toThrow('userAgent');
  });
});

describe('observation', () => {
  it('knows source, method, status and duration of each request', async () => {
    const requestFinished = vi.fn();
    const dispatcher = alone(observe({ metrics: { requestFinished }, clock: time.clock }));
    answer = async (_, res) => {
      await time.advance(7);
      res.end('hello');
    };
    expect(await text(dispatcher)).toBe('hello');
    answer = (req) => req.socket.destroy();
    await rejection(get(dispatcher, { method: 'PUT', source: 'feed' }));
    expect(requestFinished.mock.calls).toEqual([
      [server.host, 'GET', 200, 7],
      ['feed', 'PUT', 'error', 0],
    ]);
  });

  it('tells of a request in its own async context, whoever made its connection', async () => {
    const caller = new AsyncLocalStorage<string>();
    const heard: unknown[] = [];
    const requestFinished = (source: string) => heard.push([source, caller.getStore()]);
    const dispatcher = overOne(observe({ metrics: { requestFinished } }));
    for (const name of ['a', 'b']) await caller.run(name, () => text(dispatcher, { source: name }));
    expect(server.connections).toBe(1);
    expect(heard).toEqual([
      ['a', 'a'],
      ['b', 'b'],
    ]);
  });

  it('costs a request nothing where nobody listens', async () => {
    const clock = vi.fn(() => 0);
    expect(await text(alone(observe({ metrics: {}, clock })))).toBe('hello');
    expect(clock).not.toHaveBeenCalled();
  });
});

describe('all interceptors', () => {
  it('work together as undici composes them', async () => {
    const requestFinished = vi.fn();
    const dispatcher = alone(
      circuitBreaker(new HttpCircuitBreaker()),
      throttle(new SemaphoreThrottle(1)),
      rateLimit(new PerSourceLimiter()),
      retry({ timers: new InstantTimers() }),
      redirect(),
      decompress(),
      limits({ maxBodyBytes: 5 }),
      deadline({ timers: time }),
      observe({ metrics: { requestFinished } }),
      userAgent('tool/1'),
    );
    answer = (req, res) => {
      if (calls === 1) res.writeHead(503).end();
      else if (req.url === '/') res.writeHead(302, { location: '/there' }).end();
      else res.setHeader('content-encoding', 'gzip').end(gzipSync('hello'));
    };
    expect(await text(dispatcher)).toBe('hello');
    expect(calls).toBe(3);
    expect(requestFinished).toHaveBeenCalledExactlyOnceWith(server.host, 'GET', 200, expect.any(Number));
    expect(time.pending).toBe(0);
  });
});

describe('the policies of interceptors', () => {
  it('are made of options where nobody else uses them', async () => {
    answer = (_, res) => res.writeHead(503).end();
    const broken = alone(circuitBreaker({ maxFailures: 1 }));
    await text(broken);
    expect(isCircuitOpen(await rejection(text(broken)))).toBe(true);
    const limited = alone(rateLimit({ capacity: 1, refillRate: 0.001, maxQueue: 0 }));
    await text(limited);
    expect(isQueueFull(await rejection(text(limited)))).toBe(true);
    const arrived = arrival();
    const throttled = alone(throttle({ max: 1, maxQueue: 0 }));
    const first = rejection(get(throttled));
    await arrived;
    expect(isQueueFull(await rejection(text(throttled)))).toBe(true);
    await throttled.destroy();
    await first;
  });

  it('are checked when they are made, and have defaults', () => {
    expect(() => circuitBreaker({ maxFailures: 0 })).toThrow('maxFailures');
    expect(() => rateLimit({ capacity: 0 })).toThrow('capacity');
    expect(() => throttle({ max: 0 })).toThrow('max');
    expect([circuitBreaker(), rateLimit()]).toEqual([expect.any(Function), expect.any(Function)]);
  });
});

describe('a dispatcher that throws', () => {
  /** What is no dispatcher of undici may throw instead of telling the handler. */
  const throwing = (...all: HttpInterceptor[]): Dispatcher => {
    const fails: Dispatcher.DispatcherComposeInterceptor = () => () => {
      throw new Error('from the dispatcher');
    };
    return alone(fails, ...all);
  };

  it('leaves neither a probe, nor a place, nor a timer behind', async () => {
    const breakers = new HttpCircuitBreaker({ maxFailures: 1, timeoutMs: 1000, clock: time.clock });
    const places = new SemaphoreThrottle(1);
    const dispatcher = throwing(circuitBreaker(breakers), throttle(places), deadline({ timers: time }));
    breakers.forHost(server.host).recordFailure();
    await time.advance(1000);
    expect((await rejection<Error>(get(dispatcher))).message).toBe('from the dispatcher');
    expect(breakers.getStats(server.host)).toMatchObject({ state: 'half-open', halfOpenActive: 0 });
    await vi.waitFor(() => expect(places.active).toBe(0));
    expect(time.pending).toBe(0);
  });

  it.each([
    ['retry', retry()],
    ['redirect', redirect()],
  ])('is heard through a %s', async (_, repeating) => {
    expect((await rejection<Error>(get(throwing(repeating)))).message).toBe('from the dispatcher');
  });
});

describe('a request that becomes a connection of its own', () => {
  it('is over for whoever counts, limits and measures requests', async () => {
    server.server.on('upgrade', (_, socket) => {
      socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n');
    });
    const breakers = new HttpCircuitBreaker({ maxFailures: 1, timeoutMs: 0, clock: time.clock });
    const breaker = breakers.forHost(server.host);
    breaker.recordFailure();
    const places = new SemaphoreThrottle(1);
    const requestFinished = vi.fn();
    const dispatcher = alone(
      circuitBreaker(breakers),
      throttle(places),
      retry(),
      redirect(),
      deadline({ timers: time }),
      observe({ metrics: { requestFinished } }),
    );
    const { socket } = await upgrade(server.url, { dispatcher, protocol: 'echo' });
    expect([places.active, time.pending, breaker.state]).toEqual([0, 0, 'closed']);
    expect(requestFinished.mock.calls).toMatchObject([[server.host, 'GET', 101, expect.any(Number)]]);
    socket.destroy();
  });
});

describe('limits', () => {
  it('end headers that are longer than allowed', async () => {
    answer = (_, res) => res.setHeader('x-long', 'x'.repeat(1000)).end();
    expect(await rejection(get(alone(limits({ maxHeaderBytes: 999 }))))).toMatchObject({ code: 'HEADERS_TOO_LARGE' });
    expect(await text(alone(limits({ maxHeaderBytes: 2000 })))).toBe('');
    answer = (_, res) => res.setHeader('set-cookie', Array(10).fill('x'.repeat(100))).end();
    expect(await rejection(get(alone(limits({ maxHeaderBytes: 999 }))))).toMatchObject({ code: 'HEADERS_TOO_LARGE' });
  });

  it('end a body that is longer than allowed, in the middle if need be', async () => {
    const dispatcher = alone(limits({ maxBodyBytes: 4 }));
    expect(await rejection(get(dispatcher))).toMatchObject({ code: 'BODY_TOO_LARGE', host: server.host });
    answer = (_, res) => res.write('hel', () => res.end('lo'));
    expect(await rejection(text(dispatcher))).toMatchObject({ code: 'BODY_TOO_LARGE' });
    expect(await text(alone(limits()))).toBe('hello');
  });

  it.each([
    ['HEAD', 200],
    ['GET', 304],
  ])('do not count a length that is announced of a body which does not come: %s, %i', async (method, statusCode) => {
    answer = (_, res) => res.writeHead(statusCode, { 'content-length': 5000 }).end();
    const response = await get(alone(limits({ maxBodyBytes: 4 })), { method });
    expect(response.statusCode).toBe(statusCode);
    await response.body.dump();
  });
});

describe('a deadline', () => {
  it('ends a request wherever it is', async () => {
    const dispatcher = alone(deadline({ timeoutMs: 100, timers: time }));
    const arrived = arrival();
    const error = rejection(get(dispatcher));
    await arrived;
    await time.advance(100);
    expect(isTimeout(await error)).toBe(true);
    await server.idle();
  });

  it('is gone with the request', async () => {
    const dispatcher = alone(deadline({ timeoutMs: 100, timers: time }));
    expect(await text(dispatcher)).toBe('hello');
    expect(time.pending).toBe(0);
  });

  it('is told once to a request that has no connection yet, which is not sent any more', async () => {
    const agent = new Agent({ connections: 1 });
    dispatchers.push(agent);
    const arrived = arrival();
    const holder = rejection(request(server.url, { dispatcher: agent }));
    await arrived;
    const onResponseError = vi.fn();
    const late = { onRequestStart: vi.fn(), onResponseError };
    const hurried = agent.compose(deadline({ timeoutMs: 10, timers: time }));
    hurried.dispatch({ origin: server.url, path: '/', method: 'GET' }, late);
    await time.advance(10);
    expect(onResponseError.mock.lastCall).toEqual([expect.anything(), expect.objectContaining({ code: 'TIMEOUT' })]);
    for (const socket of server.sockets) socket.destroy();
    await holder;
    answer = (_, res) => res.end('next');
    expect(await text(agent)).toBe('next');
    expect(calls).toBe(2);
    expect(onResponseError).toHaveBeenCalledOnce();
  });

  it('is heard by a reader who has not taken all that was unpacked, though all of it has come', async () => {
    const headers = { 'content-encoding': 'gzip', connection: 'close' };
    answer = (_, res) => res.writeHead(200, headers).end(gzipSync(Buffer.alloc(8 * 1024 * 1024)));
    const { body } = await get(alone(decompress(), deadline({ timeoutMs: 100, timers: time })));
    await server.idle();
    await time.advance(100);
    expect(isTimeout(await rejection(body.bytes()))).toBe(true);
  });

  it('may be none', async () => {
    const pending: number[] = [];
    answer = (_, res) => {
      pending.push(time.pending);
      res.end('hello');
    };
    for (const timeoutMs of [0, Infinity]) {
      expect(await text(alone(deadline({ timers: time })), { timeoutMs })).toBe('hello');
      expect(await text(alone(deadline({ timeoutMs, timers: time })))).toBe('hello');
    }
    expect(pending).toEqual([0, 0, 0, 0]);
  });
});

describe('a retry', () => {
  const timers = () => new InstantTimers();
  const failing =
    (times: number, refuse: Answer): Answer =>
    (req, res) => {
      if (calls <= times) refuse(req, res);
      else res.end('hello');
    };
  const status =
    (code: number, headers = {}): Answer =>
    (_, res) =>
      res.writeHead(code, headers).end('refused');
  const reset: Answer = (req) => req.socket.destroy();

  it.each([408, 429, 500, 502, 503, 504])('follows status %i', async (code) => {
    answer = failing(2, status(code));
    expect(await text(alone(retry({ timers: timers() })))).toBe('hello');
    expect(calls).toBe(3);
  });

  it.each([400, 401, 403, 404, 410, 501])('does not follow status %i', async (code) => {
    answer = failing(2, status(code));
    expect((await get(alone(retry({ timers: timers() })))).statusCode).toBe(code);
    expect(calls).toBe(1);
  });

  it('follows a connection that breaks, with waits that grow', async () => {
    answer = failing(3, reset);
    const waits = timers();
    const dispatcher = alone(retry({ timers: waits, initialDelayMs: 100, jitter: 0 }));
    expect(await text(dispatcher)).toBe('hello');
    expect(waits.delays).toEqual([100, 200, 400]);
  });

  it('follows an attempt that had no answer in time', async () => {
    const late: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
      if (calls++ > 0) return dispatch(options, handler);
      handler.onResponseError?.(NO_CONTROLLER, new errors.HeadersTimeoutError());
      return true;
    };
    expect(await text(alone(late, retry({ timers: timers() })))).toBe('hello');
  });

  it('follows a connection that breaks after no more than what goes before an answer', async () => {
    answer = failing(1, (req, res) => res.writeEarlyHints({ link: '</style.css>' }, () => req.socket.destroy()));
    expect(await text(alone(retry({ timers: timers() })))).toBe('hello');
    expect(calls).toBe(2);
  });

  it('hands the last answer on, whatever it is', async () => {
    answer = status(503);
    const response = await get(alone(retry({ timers: timers(), maxRetries: 2 })));
    expect(response.statusCode).toBe(503);
    expect(await response.body.text()).toBe('refused');
    expect(calls).toBe(3);
    answer = reset;
    expect(await rejection(get(alone(retry({ timers: timers(), maxRetries: 1 }))))).toMatchObject({
      code: 'UND_ERR_SOCKET',
    });
    expect(calls).toBe(5);
  });

  it.each<[string, HttpRetryOptions, string, number]>([
    ['seconds', {}, '7', 7000],
    ['seconds, up to a cap', {}, '3600', 30_000],
    ['a date', {}, new Date(1_005_000).toUTCString(), 5000],
    ['a date that is over', {}, new Date(0).toUTCString(), 0],
    ['nonsense, which counts as nothing', { initialDelayMs: 10, jitter: 0 }, 'soon', 10],
    ['a number below 0, which counts as nothing', { initialDelayMs: 10, jitter: 0 }, '-5', 10],
  ])('waits as Retry-After asks: %s', async (_, options, value, waited) => {
    answer = failing(1, status(503, { 'retry-after': value }));
    const waits = timers();
    expect(await text(alone(retry({ timers: waits, clock: time.clock, ...options })))).toBe('hello');
    expect(waits.delays).toEqual([waited]);
  });

  it('waits until a date by the clock that servers have, even when that was set', async () => {
    vi.setSystemTime(2_000_000_000_000);
    answer = failing(1, status(503, { 'retry-after': new Date(2_000_000_005_000).toUTCString() }));
    const waits = timers();
    await text(alone(retry({ timers: waits })));
    vi.useRealTimers();
    expect(waits.delays).toEqual([5000]);
  });

  it.each(['HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])('repeats %s', async (method) => {
    answer = failing(1, status(503));
    await (await get(alone(retry({ timers: timers() })), { method })).body.dump();
    expect(calls).toBe(2);
  });

  it('repeats POST and PATCH only where the request says that it may', async () => {
    for (const method of ['POST', 'PATCH']) {
      calls = 0;
      answer = failing(1, status(503));
      const dispatcher = alone(retry({ timers: timers() }));
      expect((await get(dispatcher, { method, body: 'x' })).statusCode).toBe(503);
      calls = 0;
      expect((await get(dispatcher, { method, body: 'x', idempotent: true })).statusCode).toBe(200);
      expect(calls).toBe(2);
    }
  });

  it('repeats no GET that says that it may not', async () => {
    answer = failing(1, reset);
    await rejection(get(alone(retry({ timers: timers() })), { idempotent: false }));
    expect(calls).toBe(1);
  });

  it.each([
    ['a string', 'data'],
    ['bytes', Buffer.from('data')],
    ['a function that makes a stream', () => Readable.from([Buffer.from('data')])],
  ])('sends a body again that is %s', async (_, body) => {
    const bodies: string[] = [];
    answer = async (req, res) => {
      let sent = '';
      for await (const chunk of req) sent += chunk;
      bodies.push(sent);
      failing(1, status(503))(req, res);
    };
    await text(alone(retry({ timers: timers() })), { method: 'PUT', body });
    expect(bodies).toEqual(['data', 'data']);
  });

  it('never sends a stream again', async () => {
    answer = failing(1, status(503));
    const body = Readable.from([Buffer.from('data')]);
    expect((await get(alone(retry({ timers: timers() })), { method: 'PUT', body })).statusCode).toBe(503);
    expect(calls).toBe(1);
  });

  it('reports a body function that fails at the second attempt', async () => {
    answer = failing(1, status(503));
    let made = 0;
    const body = () => {
      if (++made === 2) throw new Error('no such file');
      return Readable.from([Buffer.from('data')]);
    };
    const error = await rejection(get(alone(retry({ timers: timers() })), { method: 'PUT', body }));
    expect(error.message).toBe('no such file');
  });

  it('does not repeat what broke off after its headers were handed on', async () => {
    answer = (_, res) => res.writeHead(200, { 'content-length': 10 }).write('half', () => res.destroy());
    const { body } = await get(alone(retry({ timers: timers() })));
    await rejection(body.text());
    expect(calls).toBe(1);
  });

  it.each([
    ['an answer', status(503)],
    ['a connection that broke', reset],
  ])('ends with an abort during the wait after %s', async (_, refuse) => {
    answer = refuse;
    const abort = new AbortController();
    const dispatcher = alone(retry({ timers: time, onRetry: () => setImmediate(() => abort.abort()) }));
    expect(await rejection(get(dispatcher, { signal: abort.signal }))).toMatchObject({ name: 'AbortError' });
    expect(time.pending).toBe(0);
    expect(calls).toBe(1);
  });

  it('ends with an abort during the second attempt', async () => {
    const abort = new AbortController();
    answer = (_, res) => {
      // Not to be waited for below, as a connection that is kept would be.
      if (calls === 1) res.writeHead(503, { connection: 'close' }).end();
      else abort.abort();
    };
    const dispatcher = alone(retry({ timers: timers() }));
    expect(await rejection(get(dispatcher, { signal: abort.signal }))).toMatchObject({ name: 'AbortError' });
    await server.idle();
    expect(calls).toBe(2);
  });

  it('sends no second attempt that was aborted while it waited for a connection', async () => {
    const agent = new Agent({ connections: 1 });
    dispatchers.push(agent);
    answer = reset;
    const abort = new AbortController();
    const onRetry = vi.fn();
    const repeating = agent.compose(retry({ timers: time, initialDelayMs: 10, onRetry }));
    const aborted = rejection(get(repeating, { signal: abort.signal }));
    await vi.waitFor(() => expect(onRetry).toHaveBeenCalled());
    const arrived = arrival();
    const holder = rejection(get(agent));
    await arrived;
    await time.advance(10);
    abort.abort();
    expect(await aborted).toMatchObject({ name: 'AbortError' });
    for (const socket of server.sockets) socket.destroy();
    await holder;
    answer = (_, res) => res.end('next');
    expect(await text(agent)).toBe('next');
    expect(calls).toBe(3);
  });

  it('waits no longer for a refusal that trickles in than for the next attempt', async () => {
    answer = failing(1, (_, res) => res.writeHead(503).write('a piece'));
    const events: unknown[] = [];
    const dispatcher = alone(retry({ timers: time, initialDelayMs: 100, jitter: 0, onRetry: (e) => events.push(e) }));
    const answered = text(dispatcher);
    await vi.waitFor(() => expect(events).toHaveLength(1));
    await time.advance(100);
    expect(await answered).toBe('hello');
    expect(events).toMatchObject([{ attempt: 1, delayMs: 100, reason: '503' }]);
  });

  it('is told in the async context of its request, whoever made its connection', async () => {
    const caller = new AsyncLocalStorage<string>();
    const heard: unknown[] = [];
    const dispatcher = overOne(retry({ timers: timers(), onRetry: () => heard.push(caller.getStore()) }));
    for (const name of ['a', 'b']) {
      calls = 0;
      answer = failing(1, status(503));
      expect(await caller.run(name, () => text(dispatcher))).toBe('hello');
    }
    expect(server.connections).toBe(1);
    expect(heard).toEqual(['a', 'b']);
  });

  it('survives a listener that throws', async () => {
    answer = failing(1, status(503));
    const onRetry = () => {
      throw new Error('broken listener');
    };
    expect(await text(alone(retry({ timers: timers(), onRetry })))).toBe('hello');
  });

  it('works with an interceptor of undici inside of it', async () => {
    answer = failing(1, status(503));
    expect(await text(alone(interceptors.dump(), retry({ timers: timers() })))).toBe('');
    expect(calls).toBe(2);
  });
});

describe('a circuit breaker', () => {
  const breakers = () => new HttpCircuitBreaker({ maxFailures: 2, timeoutMs: 1000, clock: time.clock });

  it('counts 5xx and broken connections, and asks the host no more', async () => {
    const all = breakers();
    const dispatcher = alone(circuitBreaker(all));
    answer = (_, res) => res.writeHead(503).end();
    await text(dispatcher);
    answer = (req) => req.socket.destroy();
    await rejection(get(dispatcher));
    expect(all.getState(server.host)).toBe('open');
    const error = await rejection(get(dispatcher));
    expect(isCircuitOpen(error) && error.target).toBe(server.host);
    expect(calls).toBe(2);
  });

  it('counts a body that breaks off', async () => {
    const all = breakers();
    const dispatcher = alone(circuitBreaker(all));
    answer = (_, res) => res.writeHead(200, { 'content-length': 10 }).write('half', () => res.destroy());
    for (let i = 0; i < 2; i++) await rejection(text(dispatcher));
    expect(all.getState(server.host)).toBe('open');
  });

  it.each([400, 404, 408, 429])('takes %i for an answer', async (status) => {
    const all = breakers();
    const dispatcher = alone(circuitBreaker(all));
    const codes = [500, status, 500];
    answer = (_, res) => res.writeHead(codes[calls - 1] as number).end();
    for (let i = 0; i < 3; i++) await text(dispatcher);
    expect(all.getStats(server.host)).toMatchObject({ state: 'closed', failures: 1 });
  });

  it('counts the answers that its breakers are told to', async () => {
    const isFailureResult = (response: unknown) => (response as { statusCode: number }).statusCode === 429;
    const all = new HttpCircuitBreaker({ maxFailures: 2, isFailureResult });
    const dispatcher = alone(circuitBreaker(all));
    const codes = [429, 503, 429, 429];
    answer = (_, res) => res.writeHead(codes[calls - 1] as number).end();
    for (let i = 0; i < 3; i++) await text(dispatcher);
    expect(all.getStats(server.host)).toMatchObject({ state: 'closed', failures: 1 });
    await text(dispatcher);
    expect(all.getState(server.host)).toBe('open');
  });

  it('counts neither what the caller aborts, nor a body that its reader drops', async () => {
    const all = breakers();
    const dispatcher = alone(circuitBreaker(all));
    answer = (_, res) => res.writeHead(500).end();
    await text(dispatcher);
    const abort = new AbortController();
    answer = () => abort.abort();
    await rejection(get(dispatcher, { signal: abort.signal }));
    answer = (_, res) => res.write('a piece');
    const { body } = await get(dispatcher);
    body.on('error', () => {}).destroy();
    await closed(body);
    expect(all.getStats(server.host)).toMatchObject({ state: 'closed', failures: 1 });
  });

  it('counts a deadline that passes while the host says nothing', async () => {
    const all = breakers();
    const dispatcher = alone(circuitBreaker(all), deadline({ timeoutMs: 100, timers: time }));
    for (let i = 0; i < 2; i++) {
      const arrived = arrival();
      const error = rejection(get(dispatcher));
      await arrived;
      await time.advance(100);
      await error;
    }
    expect(all.getState(server.host)).toBe('open');
  });

  it('counts no deadline that passes while the host waits for a reader who reads nothing', async () => {
    const all = breakers();
    const dispatcher = alone(circuitBreaker(all), deadline({ timeoutMs: 100, timers: time }));
    answer = (_, res) => res.end(Buffer.alloc(16 * 1024 * 1024));
    const { body } = await get(dispatcher);
    await vi.waitFor(() => expect(body.readableLength).toBeGreaterThanOrEqual(body.readableHighWaterMark));
    await time.advance(100);
    expect(isTimeout(await rejection(body.bytes()))).toBe(true);
    expect(all.getStats(server.host)).toMatchObject({ state: 'closed', failures: 0 });
  });

  it('counts a host that refuses connections as one that fails otherwise, unless it is told more', async () => {
    const all = breakers();
    const { url, host } = server;
    await server[Symbol.asyncDispose]();
    await rejection(request(url, { dispatcher: alone(circuitBreaker(all)) }));
    expect(all.getStats(host)).toMatchObject({ state: 'closed', failures: 1 });
    await rejection(request(url, { dispatcher: alone(circuitBreaker(all, { opensWhenUnreachable: true })) }));
    expect(all.getState(host)).toBe('open');
  });

  it('probes when its time is over, and a probe that is aborted leaves its place to the next', async () => {
    const all = breakers();
    const dispatcher = alone(circuitBreaker(all));
    answer = (_, res) => res.writeHead(500).end();
    for (let i = 0; i < 2; i++) await text(dispatcher);
    await time.advance(1000);
    const abort = new AbortController();
    const arrived = arrival();
    const probe = rejection(get(dispatcher, { signal: abort.signal }));
    await arrived;
    expect(isCircuitOpen(await rejection(get(dispatcher)))).toBe(true);
    abort.abort();
    await probe;
    answer = (_, res) => res.end('hello');
    expect(await text(dispatcher)).toBe('hello');
    expect(all.getState(server.host)).toBe('closed');
  });

  it('keeps hosts apart', async () => {
    const all = breakers();
    const dispatcher = alone(circuitBreaker(all));
    answer = (_, res) => res.writeHead(500).end();
    for (let i = 0; i < 2; i++) await text(dispatcher);
    await using healthy = await serveHttp((_, res) => res.end('fine'));
    const response = await request(healthy.url, { dispatcher });
    expect(await response.body.text()).toBe('fine');
  });
});

describe('a rate limit', () => {
  const limiter = (options = {}) =>
    new PerSourceLimiter({ capacity: 2, refillRate: 1, clock: time.clock, timers: time, ...options });

  it('lets requests wait for their tokens', async () => {
    const decisions: unknown[] = [];
    const dispatcher = alone(rateLimit(limiter(), { onDecision: (...decision) => decisions.push(decision) }));
    await text(dispatcher);
    await text(dispatcher);
    const third = text(dispatcher);
    await time.advance(999);
    expect(calls).toBe(2);
    await time.advance(1);
    expect(await third).toBe('hello');
    expect(decisions).toEqual([true, true, false].map((allowed) => [server.host, allowed]));
  });

  it('keeps sources apart', async () => {
    const dispatcher = alone(rateLimit(limiter({ capacity: 1 })));
    await text(dispatcher, { source: 'one feed' });
    await text(dispatcher, { source: 'another' });
    await text(dispatcher);
    expect(calls).toBe(3);
  });

  it('lets go of a caller who is gone', async () => {
    const all = limiter({ capacity: 1 });
    const dispatcher = alone(rateLimit(all));
    await text(dispatcher);
    const abort = new AbortController();
    const waiting = rejection(get(dispatcher, { signal: abort.signal }));
    await time.advance(1);
    abort.abort();
    expect(await waiting).toMatchObject({ name: 'AbortError' });
    expect(all.getStats(server.host)).toMatchObject({ waiting: 0 });
    expect(time.pending).toBe(0);
  });

  it('fails where the wait would be too long, also with a listener that throws', async () => {
    const onDecision = () => {
      throw new Error('broken listener');
    };
    const dispatcher = alone(rateLimit(limiter({ capacity: 1, maxWaitMs: 10 }), { onDecision }));
    await text(dispatcher);
    expect(isRateLimitExceeded(await rejection(get(dispatcher)))).toBe(true);
  });
});

describe('a throttle', () => {
  it('lets few requests run at the same time, until their bodies have come', async () => {
    const limit = new SemaphoreThrottle(2);
    const dispatcher = alone(throttle(limit));
    const pending: (() => void)[] = [];
    let most = 0;
    answer = (_, res) => {
      res.write('a piece');
      most = Math.max(
        most,
        pending.push(() => res.end()),
      );
    };
    const all = Array.from({ length: 5 }, () => text(dispatcher));
    for (let done = 0; done < 5; done++) {
      await vi.waitFor(() => expect(pending.length).toBeGreaterThan(0));
      expect(limit.active).toBeLessThanOrEqual(2);
      pending.shift()?.();
    }
    expect(await Promise.all(all)).toEqual(Array(5).fill('a piece'));
    expect(most).toBeLessThanOrEqual(2);
    await vi.waitFor(() => expect(limit).toMatchObject({ active: 0, queued: 0 }));
  });

  it('gives the place back when a request fails', async () => {
    const limit = new SemaphoreThrottle(1);
    const dispatcher = alone(throttle(limit));
    answer = (req) => req.socket.destroy();
    for (let i = 0; i < 3; i++) expect(await rejection(get(dispatcher))).toMatchObject({ code: 'UND_ERR_SOCKET' });
  });

  it('lets go of a caller who is gone, and turns away who is too many', async () => {
    const limit = new SemaphoreThrottle(1, { maxQueue: 1 });
    const dispatcher = alone(throttle(limit));
    const arrived = arrival();
    const abortAll = new AbortController();
    const running = rejection(get(dispatcher, { signal: abortAll.signal }));
    await arrived;
    const abort = new AbortController();
    const waiting = rejection(get(dispatcher, { signal: abort.signal }));
    expect(isQueueFull(await rejection(get(dispatcher)))).toBe(true);
    abort.abort();
    expect(await waiting).toMatchObject({ name: 'AbortError' });
    expect(limit.queued).toBe(0);
    abortAll.abort();
    await running;
    await vi.waitFor(() => expect(limit.active).toBe(0));
  });

  it('can be any other', async () => {
    expect(await text(alone(throttle(nullThrottle)))).toBe('hello');
  });

  it('sends nobody who is gone, also where it pays no heed to that itself', async () => {
    const heedless: Throttle = { run: (fn) => new Promise<void>((resolve) => setImmediate(resolve)).then(fn) };
    const abort = new AbortController();
    const gone = rejection(get(alone(throttle(heedless)), { signal: abort.signal }));
    abort.abort();
    expect(await gone).toMatchObject({ name: 'AbortError' });
    expect(await text(alone())).toBe('hello');
    expect(calls).toBe(1);
  });

  it('tells a request that is aborted before it has a connection so at once and once, and does not send it', async () => {
    const agent = new Agent({ connections: 1 });
    dispatchers.push(agent);
    const arrived = arrival();
    const holder = rejection(request(server.url, { dispatcher: agent }));
    await arrived;
    const onResponseError = vi.fn();
    const onRequestStart = vi.fn((_: Dispatcher.DispatchController) => {});
    agent
      .compose(throttle(nullThrottle))
      .dispatch({ origin: server.url, path: '/', method: 'GET' }, { onRequestStart, onResponseError });
    const [controller] = onRequestStart.mock.lastCall!;
    controller.abort(new Error('gone'));
    controller.abort(new Error('gone twice'));
    expect(onResponseError.mock.calls).toEqual([[controller, new Error('gone')]]);
    for (const socket of server.sockets) socket.destroy();
    await holder;
    answer = (_, res) => res.end('next');
    expect(await text(agent)).toBe('next');
    expect(calls).toBe(2);
    expect(onResponseError).toHaveBeenCalledOnce();
  });
});
