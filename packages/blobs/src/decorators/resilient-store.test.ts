import { CircuitBreaker, isCircuitOpen, TokenBucket } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { RecordingTracer } from '@granary/telemetry/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { BlobReader, BlobStore } from '../blob-store.js';
import { BufferReader } from '../buffer-reader.js';
import { actionResultStoreContract, blobStoreContract } from '../contract/index.js';
import { DigestMismatchError, TierUnavailableError } from '../errors.js';
import { MemoryActionResultStore } from '../memory/memory-action-result-store.js';
import { MemoryBlobStore } from '../memory/memory-blob-store.js';
import { RemoteStoreError } from '../remote/remote-store-error.js';
import { blobOf, bytesOf, inChunks } from '../testing/content.js';
import { ScriptedStore } from '../testing/scripted-store.js';
import { resilientTier } from '../tiered/resilience/resilient-tier.js';
import type { StoreResilienceOptions } from '../tiered/resilience/store-policies.js';
import { TierBreaker } from '../tiered/resilience/tier-breaker.js';
import { withResilientResults } from './resilient-results.js';
import { withResilience } from './resilient-store.js';

const MIB = 1024 * 1024;
const never = () => new Promise<never>(() => {});
const large = blobOf(3 * MIB);

let time: ManualTime;
let inner: ScriptedStore;
let breaker: TierBreaker;
beforeEach(() => {
  time = new ManualTime();
  inner = new ScriptedStore({ name: 'far', maxBytes: 64 * MIB });
  breaker = new TierBreaker({ maxFailures: 3, timeoutMs: 10_000, clock: time.clock });
});

const resilient = (options: StoreResilienceOptions = {}, store: BlobStore = inner) =>
  withResilience(store, {
    timeoutMs: 1000,
    attemptTimeoutMs: 400,
    idleTimeoutMs: 200,
    retry: { maxRetries: 0 },
    breaker,
    clock: time.clock,
    timers: time,
    ...options,
  });

/** What a promise came to within so many milliseconds of the test's time. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let outcome: { value: T } | { error: unknown } | undefined;
  promise.then(
    (value) => {
      outcome = { value };
    },
    (error: unknown) => {
      outcome = { error };
    },
  );
  await time.advance(ms);
  if (!outcome) throw new Error(`nothing happened within ${ms} ms`);
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

/** A reader of 10 bytes that is closed when it should be. */
class ShortReader implements BlobReader {
  readonly length = 10;
  closed = false;
  next: () => Promise<Buffer | undefined>;

  constructor(next: () => Promise<Buffer | undefined>) {
    this.next = next;
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  [Symbol.asyncIterator](): never {
    throw new Error('not used');
  }
}

const runner = { describe, it, expect };
blobStoreContract(runner, 'a resilient store', async () => ({ store: withResilience(new MemoryBlobStore()) }));
blobStoreContract(runner, 'a resilient store with a breaker and a limit', async () => ({
  store: withResilience(new MemoryBlobStore(), { breaker: new TierBreaker(), rateLimit: new TokenBucket() }),
}));
actionResultStoreContract(runner, 'resilient results', async () => ({
  store: withResilientResults(new MemoryActionResultStore(), { breaker: new TierBreaker() }),
}));

describe('no call takes longer than its time, wherever it hangs', () => {
  const operations: [string, (store: BlobStore) => Promise<unknown>][] = [
    ['findMissing', async (store) => store.findMissing([large.digest])],
    ['get', async (store) => store.get(large.digest)],
    ['read', (store) => store.read(large.digest)],
    ['write of bytes', (store) => store.write(blobOf(10).digest, blobOf(10).bytes)],
    ['write of many bytes', (store) => store.write(large.digest, large.bytes)],
    ['write of a stream', (store) => store.write(large.digest, inChunks(large.bytes, 65_536))],
  ];

  it.each(operations)('%s hangs', async (_, operate) => {
    inner.before = never;
    await expect(within(410, operate(resilient()))).rejects.toMatchObject({
      kind: 'timeout',
      code: 'TIER_UNAVAILABLE',
    });
    expect(breaker.stats().failures).toBe(1);
    expect(time.pending).toBe(0);
  });

  it.each(operations.slice(0, 5))('%s hangs again and again', async (name, operate) => {
    inner.before = never;
    // Four attempts and the waits between them, which chance makes longer.
    const budget = name === 'write of many bytes' ? 4 * 400 + 2 * 350 : 1010;
    const store = resilient({ retry: { maxRetries: 3, initialDelayMs: 50 }, breaker: undefined });
    await expect(within(budget, operate(store))).rejects.toMatchObject({ kind: 'timeout' });
    expect(inner.calls.length).toBeGreaterThan(1);
    expect(time.pending).toBe(0);
  });

  it.each(operations)('%s: the caller leaves, which is no failure', async (_, operate) => {
    inner.before = never;
    const controller = new AbortController();
    const leaving = new Proxy(resilient(), {
      get: (store, name: 'get') =>
        typeof store[name] === 'function'
          ? (...args: unknown[]) =>
              (store[name] as (...all: unknown[]) => unknown)(...args.slice(0, name.startsWith('w') ? 2 : 1), {
                signal: controller.signal,
              })
          : store[name],
    });
    const call = operate(leaving);
    controller.abort(new Error('left'));
    await expect(within(1, call)).rejects.toThrow('left');
    expect(breaker.stats().failures).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('a stream that stops in the middle', async () => {
    await inner.write(large.digest, large.bytes);
    inner.delivery = (position) => (position >= MIB ? never() : undefined);
    const reading = resilient().read(large.digest).then(bytesOf);
    await expect(within(210, reading)).rejects.toMatchObject({ kind: 'timeout' });
    expect(breaker.stats().failures).toBe(1);
    expect(inner.openReaders).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('a stream whose first byte does not come', async () => {
    await inner.write(large.digest, large.bytes);
    inner.delivery = never;
    await expect(within(410, resilient().read(large.digest))).rejects.toMatchObject({ kind: 'timeout' });
    expect(inner.openReaders).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('a stream that sends nothing without an end', async () => {
    const reader = new ShortReader(() => new Promise((resolve) => time.setTimeout(() => resolve(Buffer.alloc(0)), 50)));
    inner.read = async () => reader;
    await expect(within(500, resilient().read(large.digest))).rejects.toMatchObject({ kind: 'timeout' });
    expect(reader.closed).toBe(true);
  });

  it('a stream that cannot be closed', async () => {
    await inner.write(large.digest, large.bytes);
    const store = resilient();
    const reader = (await store.read(large.digest))!;
    await reader.next();
    inner.read = async () => Object.assign(new ShortReader(never), { close: never, next: async () => Buffer.alloc(5) });
    const stubborn = (await store.read(large.digest))!;
    await within(210, stubborn.close());
    await within(1, reader.close());
    expect(await stubborn.next()).toBeUndefined();
    expect(breaker.stats().failures).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('a store that cannot be closed', async () => {
    inner.close = never;
    await expect(within(210, resilient().close())).rejects.toMatchObject({ kind: 'timeout' });
  });

  it('an upload whose chunks are not taken, or that is not answered', async () => {
    let closed = 0;
    async function* content() {
      try {
        yield* inChunks(large.bytes, 65_536);
      } finally {
        closed++;
      }
    }
    const taking = (chunks: number) => {
      inner.write = async (_, source) => {
        const iterator = (source as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
        for (let i = 0; i < chunks; i++) await iterator.next();
        await never();
      };
    };
    taking(3);
    await expect(within(210, resilient().write(large.digest, content()))).rejects.toMatchObject({ kind: 'timeout' });
    taking(1000);
    await expect(within(410, resilient().write(large.digest, content()))).rejects.toMatchObject({ kind: 'timeout' });
    expect(breaker.stats().failures).toBe(2);
    expect(closed).toBe(2);
    expect(time.pending).toBe(0);
  });

  it('a wait for a token', async () => {
    const rateLimit = new TokenBucket({
      capacity: 1,
      refillRate: 0.0001,
      initialTokens: 0,
      clock: time.clock,
      timers: time,
    });
    const store = resilient({ rateLimit });
    await expect(within(1010, store.read(large.digest))).rejects.toMatchObject({ kind: 'timeout' });
    const upload = store.write(large.digest, inChunks(large.bytes, 65_536));
    await expect(within(1010, upload)).rejects.toMatchObject({ kind: 'timeout' });
    expect(inner.calls).toEqual([]);
    expect(breaker.stats().failures).toBe(0);
    const full = resilient({ rateLimit: new TokenBucket({ capacity: 1, refillRate: 0, initialTokens: 0 }) });
    await expect(full.get(large.digest)).rejects.toMatchObject({ kind: 'exhausted' });
  });
});

describe('a stream that gets on', () => {
  it('may take as long as it likes, in both directions', async () => {
    inner.write = async (_, source) => {
      for await (const _chunk of source as AsyncIterable<Uint8Array>) {
        await new Promise<void>((resolve) => time.setTimeout(resolve, 150));
      }
    };
    await within(60 * 200, resilient().write(large.digest, inChunks(large.bytes, 65_536)));
    const slow = new ScriptedStore();
    await slow.write(large.digest, large.bytes);
    slow.delivery = () => new Promise<void>((resolve) => time.setTimeout(resolve, 150));
    const reading = resilient({}, slow).read(large.digest).then(bytesOf);
    expect((await within(60 * 200, reading))?.equals(large.bytes)).toBe(true);
    expect(breaker.stats().failures).toBe(0);
  });

  it('is not held against the tier when our own content is slow, or fails', async () => {
    async function* slow() {
      for await (const chunk of inChunks(large.bytes, MIB)) {
        await new Promise<void>((resolve) => time.setTimeout(resolve, 5000));
        yield chunk;
      }
    }
    await within(20_000, resilient().write(large.digest, slow()));
    // biome-ignore lint/correctness/useYield: it fails before it has anything
    async function* failing(): AsyncGenerator<Uint8Array, void> {
      throw new Error('the disk failed');
    }
    const other = blobOf(2 * MIB);
    await expect(resilient().write(other.digest, failing())).rejects.toThrow('the disk failed');
    expect(breaker.stats()).toMatchObject({ failures: 0, state: 'closed' });
  });

  it('is a success when it is read to the end, and says nothing when it is not', async () => {
    await inner.write(large.digest, large.bytes);
    const succeeded = vi.spyOn(breaker, 'succeeded');
    const released = vi.spyOn(breaker, 'released');
    const store = resilient();
    expect((await bytesOf(await store.read(large.digest))).equals(large.bytes)).toBe(true);
    expect([succeeded.mock.calls.length, released.mock.calls.length]).toEqual([1, 0]);
    const reader = (await store.read(large.digest))!;
    await reader.next();
    await reader.close();
    await reader.close();
    expect([succeeded.mock.calls.length, released.mock.calls.length]).toEqual([1, 1]);
    const exact = (await store.read(large.digest, { limit: 1000 }))!;
    expect((await exact.next())?.length).toBe(1000);
    await exact.close();
    expect([succeeded.mock.calls.length, released.mock.calls.length]).toEqual([2, 1]);
    expect(inner.openReaders).toBe(0);
  });

  it('ends when the caller aborts, and that is no failure', async () => {
    await inner.write(large.digest, large.bytes);
    inner.delivery = (position) => (position > 0 ? never() : undefined);
    const controller = new AbortController();
    const reader = (await resilient().read(large.digest, { signal: controller.signal }))!;
    await reader.next();
    const pending = reader.next();
    controller.abort(new Error('left'));
    await expect(pending).rejects.toThrow('left');
    const inside = inner.calls.at(-1)?.options as { signal: AbortSignal };
    expect(inside.signal.aborted).toBe(true);
    await reader.close();
    expect(breaker.stats().failures).toBe(0);
  });

  it('is an error when it is shorter or longer than it said', async () => {
    await inner.write(large.digest, large.bytes);
    const store = resilient();
    inner.tamper = (bytes) => bytes.subarray(0, 2 * MIB);
    await expect(store.read(large.digest).then(bytesOf)).rejects.toThrow('ended after 2097152 of 3145728 bytes');
    inner.tamper = (bytes) => Buffer.concat([bytes, Buffer.of(1)]);
    await expect(store.read(large.digest).then(bytesOf)).rejects.toThrow('more than 3145728 bytes came');
    expect(breaker.stats().failures).toBe(2);
  });

  it('is closed when it comes after its time, or after the caller has gone', async () => {
    const late = new ShortReader(async () => Buffer.alloc(10));
    inner.read = () => new Promise((resolve) => time.setTimeout(() => resolve(late), 500));
    await expect(within(410, resilient().read(large.digest))).rejects.toMatchObject({ kind: 'timeout' });
    await time.advance(200);
    expect(late.closed).toBe(true);
    const inTheSameMoment = new ShortReader(async () => Buffer.alloc(10));
    const controller = new AbortController();
    inner.read = async () => {
      queueMicrotask(() => queueMicrotask(() => queueMicrotask(() => controller.abort(new Error('left')))));
      return inTheSameMoment;
    };
    await expect(resilient().read(large.digest, { signal: controller.signal })).rejects.toThrow('left');
    await time.advance(1);
    expect(inTheSameMoment.closed).toBe(true);
  });
});

describe('what failed', () => {
  const failing = (times: number, error: () => unknown) => {
    let left = times;
    inner.before = () => {
      if (left-- > 0) throw error();
    };
  };
  const retrying = () => resilient({ retry: { maxRetries: 2, initialDelayMs: 10, jitter: 0 } });

  it('is tried again where it may succeed later', async () => {
    const { bytes, digest } = blobOf(1000);
    failing(2, () => inner.gone());
    await within(100, retrying().write(digest, bytes));
    failing(2, () => inner.gone());
    expect((await within(100, retrying().read(digest).then(bytesOf)))?.equals(bytes)).toBe(true);
    failing(1, () => inner.gone());
    await within(100, retrying().write(large.digest, large.bytes));
    expect(inner.findMissing([digest, large.digest])).toEqual([]);
  });

  it('is tried again when a stream breaks before its first byte', async () => {
    await inner.write(large.digest, large.bytes);
    let broken = 1;
    inner.delivery = () => {
      if (broken-- > 0) throw inner.gone('reset');
    };
    expect((await within(100, retrying().read(large.digest).then(bytesOf)))?.equals(large.bytes)).toBe(true);
    expect(inner.openReaders).toBe(0);
  });

  it.each(['refused', 'invalid'] as const)('is not tried again when it was %s', async (kind) => {
    failing(1, () => new RemoteStoreError('far', kind, 'no'));
    await expect(retrying().get(large.digest)).rejects.toMatchObject({ kind });
    expect(inner.count('get')).toBe(1);
    expect(breaker.stats().failures).toBe(kind === 'refused' ? 0 : 1);
  });

  it('is not tried again when it was a stream, or our own content', async () => {
    failing(1, () => inner.gone());
    await expect(retrying().write(large.digest, inChunks(large.bytes, MIB))).rejects.toThrow('nobody listens');
    const { digest } = blobOf(10);
    await expect(retrying().write(digest, Buffer.alloc(10, 'x'))).rejects.toThrow(DigestMismatchError);
    expect(inner.count('write')).toBe(2);
    expect(breaker.stats().failures).toBe(0);
  });

  it('is tried again when the other side said so', async () => {
    failing(1, () => new RemoteStoreError('far', 'exhausted', 'slowly', { retryAfterMs: 700 }));
    const call = Promise.resolve(retrying().get(large.digest));
    await expect(within(690, call)).rejects.toThrow('nothing happened');
    expect(inner.count('get')).toBe(1);
    await time.advance(20);
    await call;
    expect(inner.count('get')).toBe(2);
  });

  it('is not tried again when the other side asked for more time than anybody waits', async () => {
    failing(1, () => new RemoteStoreError('far', 'exhausted', 'tomorrow', { retryAfterMs: 100_000 }));
    await expect(retrying().get(large.digest)).rejects.toThrow('tomorrow');
    expect(inner.count('get')).toBe(1);
  });
});

describe('an open breaker', () => {
  const open = async (store: BlobStore) => {
    inner.before = () => {
      throw inner.gone();
    };
    for (let i = 0; i < 3; i++) await expect(store.get(large.digest)).rejects.toThrow('nobody listens');
    expect(breaker.state).toBe('open');
    inner.calls.length = 0;
  };

  it('refuses everything at once, with one error for many, and lets a probe through later', async () => {
    const store = resilient({ retry: { maxRetries: 5 } });
    await open(resilient());
    const errors = await Promise.all(
      [store.read(large.digest), store.get(large.digest), store.write(large.digest, large.bytes)].map((call) =>
        Promise.resolve(call).catch((error: unknown) => error),
      ),
    );
    for (const error of errors) {
      expect(error).toBeInstanceOf(TierUnavailableError);
      expect(isCircuitOpen((error as Error).cause)).toBe(true);
    }
    await expect(store.get(large.digest)).rejects.toBe(errors[0]);
    expect(inner.calls).toEqual([]);
    inner.before = () => {};
    await time.advance(10_001);
    expect(await store.get(large.digest)).toBeUndefined();
    expect(breaker.state).toBe('closed');
  });

  it('is half-open until a stream has come to its end', async () => {
    await inner.write(large.digest, large.bytes);
    const store = resilient();
    await open(store);
    inner.before = () => {};
    await time.advance(10_001);
    const reader = (await store.read(large.digest))!;
    expect(breaker.state).toBe('half-open');
    await expect(store.get(large.digest)).rejects.toThrow(TierUnavailableError);
    expect((await bytesOf(reader)).equals(large.bytes)).toBe(true);
    expect(breaker.state).toBe('closed');
  });

  it('is opened again by a probe that broke off', async () => {
    await inner.write(large.digest, large.bytes);
    const store = resilient();
    await open(store);
    inner.before = () => {};
    await time.advance(10_001);
    inner.delivery = (position) => {
      if (position > 0) throw inner.gone('reset');
    };
    await expect(store.read(large.digest).then(bytesOf)).rejects.toThrow('reset');
    expect(breaker.state).toBe('open');
  });

  it('does not come of what the other side will not have, or does not give to us', async () => {
    const store = resilient();
    for (const [kind, rejected] of [
      ['invalid', true],
      ['refused', false],
    ] as const) {
      inner.before = () => {
        throw new RemoteStoreError('far', kind, 'not this one', { rejected });
      };
      for (let i = 0; i < 10; i++) await expect(store.write(large.digest, large.bytes)).rejects.toMatchObject({ kind });
      expect(breaker.state).toBe('closed');
    }
    inner.before = () => {
      throw new RemoteStoreError('far', 'invalid', 'nonsense');
    };
    for (let i = 0; i < 3; i++) await expect(store.write(large.digest, large.bytes)).rejects.toThrow('nonsense');
    expect(breaker.state).toBe('open');
  });

  it('is opened by damaged deliveries, however many good ones lie between', async () => {
    const tier = resilientTier(
      {
        name: 'far',
        mode: 'read-through',
        required: false,
        blobs: inner,
        sizes: inner,
        actionResults: new MemoryActionResultStore(),
        check: async () => {},
        close: () => inner.close(),
      },
      { breaker, timers: time, clock: time.clock },
    );
    for (let i = 0; i < 5; i++) {
      expect(breaker.state).toBe('closed');
      await tier.blobs?.get(large.digest);
      tier.onDamaged?.(large.digest, 'another hash');
    }
    expect(breaker.state).toBe('open');
    await expect(tier.actionResults?.get('key')).rejects.toThrow(TierUnavailableError);
    await expect(tier.sizes?.sizeOf('sha256', large.digest.bytes)).rejects.toThrow(TierUnavailableError);
    await tier.check(new AbortController().signal);
    await time.advance(10_001);
    await tier.blobs?.get(large.digest);
    expect(breaker.state).toBe('closed');
    for (let i = 0; i < 4; i++) tier.onDamaged?.(large.digest, 'another hash');
    await tier.close();
  });
});

describe('a tier with policies', () => {
  it('does not wait for one that hangs in its check or its close', async () => {
    const told: string[] = [];
    const plain = new CircuitBreaker({ maxFailures: 1, clock: time.clock });
    const tier = resilientTier(
      {
        name: 'far',
        mode: 'read-only',
        required: true,
        blobs: undefined,
        actionResults: undefined,
        onDamaged: (_, reason) => told.push(reason),
        check: never,
        close: never,
      },
      { breaker: plain, attemptTimeoutMs: 100, idleTimeoutMs: 200, timers: time },
    );
    expect([tier.blobs, tier.sizes, tier.actionResults]).toEqual([undefined, undefined, undefined]);
    await expect(within(110, tier.check(new AbortController().signal))).rejects.toMatchObject({ kind: 'timeout' });
    await expect(within(210, tier.close())).rejects.toMatchObject({ kind: 'timeout' });
    tier.onDamaged?.(large.digest, 'wrong');
    expect(told).toEqual(['wrong']);
    expect(plain.state).toBe('open');
  });

  it('has action results that are tried again, and not waited for', async () => {
    const inside = new MemoryActionResultStore();
    const results = withResilientResults(inside, {
      timeoutMs: 300,
      attemptTimeoutMs: 100,
      timers: time,
      retry: { initialDelayMs: 10 },
    });
    let failures = 1;
    const set = inside.set.bind(inside);
    inside.set = async (key, value) => {
      if (failures-- > 0) throw new RemoteStoreError('far', 'unavailable', 'gone');
      return set(key, value);
    };
    await within(50, results.set('key', Buffer.from('value')));
    expect(String(await results.get('key'))).toBe('value');
    inside.delete = never;
    await expect(within(310, results.delete('key'))).rejects.toMatchObject({ kind: 'timeout' });
    inside.close = never;
    await expect(within(15_010, Promise.resolve(results.close()))).rejects.toMatchObject({ kind: 'timeout' });
  });

  it('says which option is wrong', () => {
    expect(() => resilient({ idleTimeoutMs: 0 })).toThrow('idleTimeoutMs must be');
    expect(() => resilient({ timeoutMs: Number.NaN })).toThrow('timeoutMs must be');
  });
});

it('readers of memory are handed on as they are', async () => {
  inner.read = async () => BufferReader.copyOf(Buffer.from('0123456789'));
  expect(String(await bytesOf(await resilient().read(blobOf(10).digest)))).toBe('0123456789');
});

describe('the span of a call', () => {
  const call = () => {
    const tracer = new RecordingTracer();
    const span = tracer.startSpan('call');
    return { span, events: () => tracer.only('call').events };
  };
  const retry = { maxRetries: 2, initialDelayMs: 10, jitter: 0 };

  it('has an event for each attempt that was repeated, with what became of the one before', async () => {
    const { bytes, digest } = blobOf(1000);
    await inner.write(digest, bytes);
    const failures = [() => Promise.reject(inner.gone()), never, () => {}];
    inner.before = () => failures.shift()?.();
    const { span, events } = call();
    const got = Promise.resolve(resilient({ retry, timeoutMs: 5000 }).get(digest, { span }));
    expect(await within(1000, got)).toEqual(bytes);
    expect(events()).toEqual([
      { name: 'retry', attributes: { 'retry.reason': 'unavailable', 'retry.attempt': 1 } },
      { name: 'retry', attributes: { 'retry.reason': 'timeout', 'retry.attempt': 2 } },
    ]);
  });

  it('has one for uploads, streams and action results, too', async () => {
    const failOnce = () => {
      let failed = false;
      return () => {
        if (failed) return;
        failed = true;
        throw inner.gone();
      };
    };
    const store = resilient({ retry });
    const names = async (work: (options: { span: ReturnType<typeof call>['span'] }) => Promise<unknown>) => {
      inner.before = failOnce();
      const { span, events } = call();
      await within(100, work({ span }));
      return events().map(({ name }) => name);
    };
    expect(await names((options) => store.write(large.digest, large.bytes, options))).toEqual(['retry']);
    expect(await names((options) => store.read(large.digest, options).then(bytesOf))).toEqual(['retry']);
    expect(await names((options) => Promise.resolve(store.findMissing([large.digest], options)))).toEqual(['retry']);
    const results = new MemoryActionResultStore();
    const get = results.get.bind(results);
    const failing = failOnce();
    results.get = (key) => {
      failing();
      return get(key);
    };
    const resilientResults = withResilientResults(results, { retry, timers: time, clock: time.clock });
    expect(await names((options) => Promise.resolve(resilientResults.get('key', options)))).toEqual(['retry']);
  });

  it('says that a breaker let nothing through, each time', async () => {
    for (let i = 0; i < 3; i++) breaker.recordFailure();
    const store = resilient({ retry });
    for (let i = 0; i < 2; i++) {
      const { span, events } = call();
      await expect(store.get(large.digest, { span })).rejects.toThrow(TierUnavailableError);
      expect(events()).toEqual([{ name: 'circuit_breaker.rejected', attributes: { 'cache.tier': 'far' } }]);
    }
  });

  it('has none where all went well, and needs none', async () => {
    const { span, events } = call();
    expect(await resilient({ retry }).get(large.digest, { span })).toBeUndefined();
    expect(events()).toEqual([]);
    expect(await resilient({ retry }).get(large.digest)).toBeUndefined();
  });
});
