import { HealthRegistry, type HealthStatus } from '@granary/telemetry';
import {
  type Client,
  type ClientReadableStream,
  credentials,
  makeClientConstructor,
  type ServiceDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Health, STORAGE_SERVICES } from './health.js';
import { type LoopbackCache, startLoopbackCache } from './testing/loopback-cache.js';

const CAPABILITIES = 'build.bazel.remote.execution.v2.Capabilities';
const ALL = ['', ...STORAGE_SERVICES, CAPABILITIES];

interface Answer {
  readonly status: string;
}
type Unary<Request, Response> = (
  request: Request,
  callback: (error: ServiceError | null, response: Response) => void,
) => void;

/** The client that `grpc-health-check` describes, as anyone would make it. */
interface HealthClient extends Client {
  readonly check: Unary<{ service: string }, Answer>;
  readonly list: Unary<object, { statuses: Readonly<Record<string, Answer>> }>;
  watch(request: { service: string }): ClientReadableStream<Answer>;
}

let loopback: LoopbackCache;
let client: HealthClient;
let registry: HealthRegistry;
/** What the store's check finds. */
let store: HealthStatus;
let looks: number;
/** Timers that are set in the registry: they ring when a test says so. */
let timers: Set<() => void>;

beforeEach(async () => {
  store = 'healthy';
  looks = 0;
  timers = new Set();
  registry = new HealthRegistry({
    timers: {
      setTimeout(callback) {
        timers.add(callback);
        return callback;
      },
      clearTimeout: (handle) => void timers.delete(handle as () => void),
    },
  });
  const look = () => {
    looks++;
    return { status: store };
  };
  registry.register('store', look, { freshMs: 0, neededBy: STORAGE_SERVICES });
  loopback = await startLoopbackCache();
  loopback.cache.health.follow(registry);
  const HealthClient = makeClientConstructor(healthService as ServiceDefinition, 'Health');
  client = new HealthClient(`127.0.0.1:${loopback.port}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  }) as unknown as HealthClient;
});
afterEach(async () => {
  client.close();
  registry.close();
  await loopback[Symbol.asyncDispose]();
});

const check = (service: string): Promise<string> =>
  new Promise((resolve, reject) => {
    client.check({ service }, (error, answer) => (error ? reject(error) : resolve(answer.status)));
  });
const list = (): Promise<Record<string, string>> =>
  new Promise((resolve, reject) => {
    client.list({}, (error, answer) =>
      error
        ? reject(error)
        : resolve(Object.fromEntries(Object.entries(answer.statuses).map(([name, is]) => [name, is.status]))),
    );
  });

interface Watching {
  readonly seen: string[];
  readonly ended: Promise<number>;
  cancel(): void;
}
const watching: Watching[] = [];
afterEach(() => {
  for (const each of watching.splice(0)) each.cancel();
});
function watch(service: string): Watching {
  const stream = client.watch({ service });
  const seen: string[] = [];
  stream.on('data', (answer: Answer) => seen.push(answer.status));
  stream.on('error', () => {});
  const ended = new Promise<number>((resolve) => stream.on('status', ({ code }) => resolve(code)));
  const watched = { seen, ended, cancel: () => stream.cancel() };
  watching.push(watched);
  return watched;
}
const ring = () => {
  for (const callback of [...timers]) {
    timers.delete(callback);
    callback();
  }
};

describe("grpc-health-check's client", () => {
  it('is told of the server and each service, in step with the registry', async () => {
    for (const service of ALL) expect(await check(service)).toBe('SERVING');
    store = 'unhealthy';
    for (const service of ALL) expect(await check(service)).toBe(service === CAPABILITIES ? 'SERVING' : 'NOT_SERVING');
    store = 'degraded';
    for (const service of ALL) expect(await check(service)).toBe('SERVING');
    await expect(check('some.Other')).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('gets a list of all', async () => {
    expect(await list()).toEqual(Object.fromEntries(ALL.map((service) => [service, 'SERVING'])));
    store = 'unhealthy';
    const statuses = await list();
    expect(statuses['']).toBe('NOT_SERVING');
    expect(statuses[CAPABILITIES]).toBe('SERVING');
  });

  it('is told of changes while it watches, which are looked for as long as somebody does', async () => {
    const server = watch('');
    const capabilities = watch(CAPABILITIES);
    const cas = watch(STORAGE_SERVICES[0] as string);
    await vi.waitFor(() => expect([server.seen, capabilities.seen, cas.seen].flat()).toEqual(Array(3).fill('SERVING')));
    expect(registry.watched).toBe(true);
    const sequence: HealthStatus[] = ['unhealthy', 'healthy', 'degraded', 'unhealthy', 'unhealthy', 'healthy'];
    for (const next of sequence) {
      const before = looks;
      store = next;
      await vi.waitFor(() => {
        ring();
        expect(looks).toBeGreaterThan(before);
      });
      await vi.waitFor(() => expect(registry.last().status).toBe(next));
      const now = next === 'unhealthy' ? 'NOT_SERVING' : 'SERVING';
      await vi.waitFor(() => expect([server.seen.at(-1), cas.seen.at(-1)]).toEqual([now, now]));
    }
    expect(server.seen).toEqual(['SERVING', 'NOT_SERVING', 'SERVING', 'NOT_SERVING', 'SERVING']);
    expect(cas.seen).toEqual(server.seen);
    expect(capabilities.seen).toEqual(['SERVING']);

    for (const each of [server, capabilities, cas]) each.cancel();
    await vi.waitFor(() => expect(registry.watched).toBe(false));
    expect(timers.size).toBe(0);
  });

  it('is told first what is so now, not what was known before', async () => {
    await check('');
    store = 'unhealthy';
    const { seen } = watch('');
    await vi.waitFor(() => expect(seen).toEqual(['NOT_SERVING']));
  });

  it('is told NOT_SERVING and let go when the server ends, even while a check hangs', async () => {
    const { seen, ended } = watch('');
    await vi.waitFor(() => expect(seen).toEqual(['SERVING']));
    registry.register('hangs', () => new Promise(() => {}));
    const late = watch('');
    await vi.waitFor(() => expect(timers.size).toBeGreaterThan(0));
    loopback.cache.health.end();
    expect(await ended).toBe(0);
    expect(await late.ended).toBe(0);
    expect(seen).toEqual(['SERVING', 'NOT_SERVING']);
    expect(await check('')).toBe('NOT_SERVING');
    expect(await check(CAPABILITIES)).toBe('NOT_SERVING');
    expect(registry.watched).toBe(false);
  });

  it('is told of a service that somebody switched off, however well everything is', async () => {
    loopback.cache.health.set('NOT_SERVING', CAPABILITIES);
    expect(await check(CAPABILITIES)).toBe('NOT_SERVING');
    expect(await check('')).toBe('SERVING');
    loopback.cache.health.set('SERVING', CAPABILITIES);
    expect(await check(CAPABILITIES)).toBe('SERVING');
  });

  it('gets the answer of one look when many ask at a time', async () => {
    const settle: (() => void)[] = [];
    registry.unregister('store');
    registry.register('store', () => {
      looks++;
      return new Promise((resolve) => settle.push(() => resolve(undefined)));
    });
    const answers = Promise.all(Array.from({ length: 20 }, () => check('')));
    await vi.waitFor(() => expect(settle).toHaveLength(1));
    const all = await Promise.race([answers, new Promise((resolve) => setImmediate(resolve, 'waiting'))]);
    expect(all).toBe('waiting');
    for (const each of settle) each();
    expect(await answers).toEqual(Array(20).fill('SERVING'));
    expect(looks).toBe(1);
  });
});

describe('Health', () => {
  it('follows another registry instead of the one before it, with those who watch already', async () => {
    const health = new Health(['a']);
    const controller = new AbortController();
    const changed = vi.fn();
    health.watch(changed, controller.signal);
    health.follow(registry);
    expect(registry.watched).toBe(true);
    using other = new HealthRegistry();
    other.register('bad', () => ({ status: 'unhealthy' }));
    health.follow(other);
    expect([registry.watched, other.watched]).toEqual([false, true]);
    await vi.waitFor(() => expect(health.get('a')).toBe('NOT_SERVING'));
    expect(changed).toHaveBeenCalled();
    controller.abort();
    expect(other.watched).toBe(false);
    expect(await health.check('b')).toBeUndefined();
  });

  it('that ended follows nothing', () => {
    const health = new Health([]);
    health.end();
    health.follow(registry);
    health.watch(() => {}, new AbortController().signal);
    expect(registry.watched).toBe(false);
    expect(health.check('')).toBe('NOT_SERVING');
  });
});
