import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { isCircuitOpen } from '../errors.js';
import { ManualTime } from '../testing/index.js';
import { HttpCircuitBreaker, type HttpCircuitBreakerOptions, isServerError } from './http-circuit-breaker.js';
import { rollingWindow } from './rolling-window.js';

const HOST = 'api.example.com';
const refused = () => Promise.reject(new Error('connection refused'));

function setup(options: HttpCircuitBreakerOptions = {}) {
  const time = new ManualTime();
  return { time, http: new HttpCircuitBreaker({ maxFailures: 2, timeoutMs: 100, clock: time.clock, ...options }) };
}

async function fail(http: HttpCircuitBreaker, host: string, times = 2): Promise<void> {
  for (let i = 0; i < times; i++) await http.execute(host, refused).catch(() => {});
}

describe('a breaker for each host', () => {
  it('passes answers through and stays closed', async () => {
    const { http } = setup();
    await expect(http.execute(HOST, async () => ({ status: 200 }))).resolves.toEqual({ status: 200 });
    expect(http.getState(HOST)).toBe('closed');
  });

  it('opens after errors, and refuses without calling, with the host in the error', async () => {
    const { http } = setup();
    await fail(http, HOST);
    expect(http.getState(HOST)).toBe('open');
    const fn = vi.fn(async () => ({ status: 200 }));
    const error = await http.execute(HOST, fn).catch((error: unknown) => error);
    expect(fn).not.toHaveBeenCalled();
    expect(isCircuitOpen(error)).toBe(true);
    expect(error).toMatchObject({ target: HOST, retryAfterMs: 100 });
  });

  it.each([
    ['status, as fetch has it', (code: number) => new Response(null, { status: code })],
    ['statusCode, as undici has it', (code: number) => ({ statusCode: code, headers: {} })],
  ])('counts 500 and more as failures (%s), and passes them through', async (_, respond) => {
    const { http } = setup();
    for (const code of [500, 200, 503, 404, 599, 429, 504]) {
      const response = respond(code);
      await expect(http.execute(HOST, async () => response)).resolves.toBe(response);
    }
    expect(http.getStats(HOST)).toMatchObject({ state: 'closed', failures: 1 });
    await http.execute(HOST, () => respond(500));
    expect(http.getState(HOST)).toBe('open');
  });

  it('lets the failures of one host be no matter to another', async () => {
    const { http } = setup();
    await fail(http, 'failing.example.com');
    expect(http.getState('failing.example.com')).toBe('open');
    expect(http.getState(HOST)).toBe('closed');
    await expect(http.execute(HOST, async () => ({ status: 200 }))).resolves.toEqual({ status: 200 });
  });

  it('counts a caller who went away as neither', async () => {
    const { http } = setup({ maxFailures: 1 });
    const controller = new AbortController();
    const answer = http.execute(HOST, () => new Promise(() => {}), { signal: controller.signal });
    controller.abort('gone');
    await expect(answer).rejects.toBe('gone');
    expect(http.getStats(HOST)).toMatchObject({ state: 'closed', failures: 0 });
  });

  it('recovers through a probe', async () => {
    const { http, time } = setup();
    await fail(http, HOST);
    await time.advance(100);
    await http.execute(HOST, () => ({ status: 200 }));
    expect(http.getState(HOST)).toBe('closed');
  });

  it('resets one host, or all', async () => {
    const { http } = setup();
    for (const host of ['a', 'b', 'c']) await fail(http, host);
    http.reset('a');
    http.reset('unknown');
    expect(['a', 'b', 'c'].map((host) => http.getState(host))).toEqual(['closed', 'open', 'open']);
    await expect(http.execute('a', () => ({ status: 200 }))).resolves.toEqual({ status: 200 });
    http.resetAll();
    expect(['a', 'b', 'c'].map((host) => http.getState(host))).toEqual(['closed', 'closed', 'closed']);
  });

  it('tells the statistics of each host that was called, and makes nothing for others', async () => {
    const { http } = setup();
    for (const host of ['a', 'b', 'c']) await http.execute(host, () => ({ status: 200 }));
    expect(http.getState('unknown')).toBe('closed');
    expect(http.getStats('unknown')).toBeUndefined();
    expect([...http.getAllStats().keys()]).toEqual(['a', 'b', 'c']);
    expect(http.getAllStats().get('b')).toEqual(http.getStats('b'));
  });

  it('gives the breaker itself, with the host as its name', () => {
    const { http } = setup();
    const breaker = http.forHost(HOST);
    expect(breaker.name).toBe(HOST);
    breaker.recordFailure();
    expect(http.getStats(HOST)?.failures).toBe(1);
    expect(http.forHost(HOST)).toBe(breaker);
  });

  it('counts each host by a strategy of its own', () => {
    const { http } = setup({ strategy: rollingWindow({ minimumThroughput: 2 }) });
    http.forHost('a').recordFailure();
    http.forHost('b').recordFailure();
    expect([http.getState('a'), http.getState('b')]).toEqual(['closed', 'closed']);
    http.forHost('a').recordFailure();
    expect([http.getState('a'), http.getState('b')]).toEqual(['open', 'closed']);
  });

  it('may judge results differently', async () => {
    const { http } = setup({ maxFailures: 1, isFailureResult: (result) => result === 'bad' });
    await http.execute(HOST, () => ({ status: 500 }));
    expect(http.getState(HOST)).toBe('closed');
    await http.execute(HOST, () => 'bad');
    expect(http.getState(HOST)).toBe('open');
    expect([{ status: 500 }, 'bad'].map((result) => http.isFailure(result))).toEqual([false, true]);
  });

  it('keeps no more than maxHosts of 100 000 hosts, and those that are open longest', async () => {
    const { http } = setup({ maxHosts: 100 });
    await fail(http, 'open.example.com');
    const forgotten = new WeakRef(http.forHost('host0.example.com'));
    for (let i = 0; i < 100_000; i++) http.forHost(`host${i}.example.com`);
    expect(http.size).toBe(100);
    expect(http.getAllStats().size).toBe(100);
    expect(http.getState('open.example.com')).toBe('open');
    await collectGarbage();
    expect(forgotten.deref()).toBeUndefined();
  });

  it('tells the listener that an open breaker is closed when it has to make room', async () => {
    const changes: unknown[] = [];
    const { http } = setup({ maxHosts: 2, onStateChange: (change) => changes.push(change) });
    for (const host of ['a', 'b', 'c']) await fail(http, host);
    expect(changes).toEqual([
      { name: 'a', from: 'closed', to: 'open' },
      { name: 'b', from: 'closed', to: 'open' },
      { name: 'a', from: 'open', to: 'closed' },
      { name: 'c', from: 'closed', to: 'open' },
    ]);
    expect(http.getState('a')).toBe('closed');
  });

  it.each([
    ['maxHosts', 0],
    ['maxFailures', -1],
    ['timeoutMs', Number.NaN],
  ])('refuses an option that makes no sense before any host is called: %s %d', (option, value) => {
    expect(() => new HttpCircuitBreaker({ [option]: value })).toThrow(option);
  });
});

describe('the status of a response', () => {
  it.each([
    [{ status: 500 }, true],
    [{ status: 499 }, false],
    [{ statusCode: 502 }, true],
    [{ statusCode: 404 }, false],
    [{ status: 'ok', statusCode: 500 }, true],
    [{ status: 'error' }, false],
    [null, false],
    [undefined, false],
    [503, false],
    ['503', false],
  ])('of %j is a server error: %s', (response, expected) => {
    expect(isServerError(response)).toBe(expected);
  });
});

async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  // A weak reference that was looked at stays strong until the current job is over.
  await new Promise((resolve) => setImmediate(resolve));
  runInNewContext('gc')();
}
