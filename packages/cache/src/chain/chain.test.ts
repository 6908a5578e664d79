import { isCircuitOpen } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { MemoryCollector, type MetricsCollector, nullLogger } from '@granary/telemetry';
import { describe, expect, expectTypeOf, it, vi } from 'vitest';
import { isNotFound } from '../errors.js';
import type { InvalidationBus } from '../invalidation/invalidation-bus.js';
import type { Layer } from '../layer.js';
import { FunctionLayer } from '../layers/function-layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer, type ChaosOperation, type Fault } from '../testing/chaos-layer.js';
import { type Chain, createChain } from './chain.js';
import type { ChainOptions } from './options/chain-options.js';
import { decayingTtl, ttlPerLayer } from './options/ttl-strategy.js';
import { warmByAccessCount, warmBySize, warmNever } from './options/warming-strategy.js';

/** A chain of memory layers behind which a test can make trouble. */
function setUp<V = unknown>(count: number, options: Omit<ChainOptions<V>, 'layers'> = {}) {
  const time = new ManualTime();
  const memories = Array.from(
    { length: count },
    (_, i) => new MemoryLayer<V>({ name: `L${i + 1}`, clock: time.clock, graceMs: 0 }),
  );
  const layers = memories.map((memory) => new ChaosLayer<V>(memory, { timers: time }));
  const chain = createChain<V>({ layers, clock: time.clock, timers: time, ...options });
  return { time, memories, layers, chain };
}

const raise = (): never => {
  throw new Error('listener');
};

function plan<V>(layer: ChaosLayer<V>, operations: readonly ChaosOperation[], fault: Fault<V>, times = 1): void {
  for (const operation of operations) layer.plan(operation, fault, times);
}

describe('get', () => {
  for (const count of [1, 2, 3, 5]) {
    for (let at = 0; at < count; at++) {
      it(`finds a value in layer ${at + 1} of ${count} and warms those above`, async () => {
        const { memories, chain } = setUp<string>(count);
        memories[at]!.set('key', 'value');
        expect(await chain.get('key')).toBe('value');
        memories.forEach((memory, i) => {
          expect(memory.get('key')).toBe(i <= at ? 'value' : undefined);
        });
      });

      for (const fault of ['throws', 'rejects', 'hangs'] as const) {
        it(`does without layer ${at + 1} of ${count} when it ${fault}`, async () => {
          const { time, layers, chain } = setUp<string>(count, { resilience: { timeoutMs: 50 } });
          await chain.set('key', 'value');
          plan(layers[at]!, ['get', 'getEntry', 'set'], { kind: fault });
          const [value] = await Promise.all([chain.get('key'), time.advance(50)]);
          expect(value).toBe(count === 1 ? undefined : 'value');
        });
      }

      it(`answers what it can when layer ${at + 1} of ${count} is slow, lies or loses`, async () => {
        const { time, layers, chain } = setUp<string>(count);
        const reads = ['get', 'getEntry'] as const;
        await chain.set('key', 'value');
        plan(layers[at]!, reads, { kind: 'slow', ms: 20 });
        expect(await Promise.all([chain.get('key'), time.advance(40)])).toEqual(['value', undefined]);
        plan(layers[at]!, ['set'], { kind: 'loses' }, 3);
        plan(layers[at]!, reads, { kind: 'loses' });
        await chain.set('key', 'new');
        const found = await chain.get('key');
        expect(found).toBe(count === 1 ? undefined : 'new');
        plan(layers[at]!, reads, { kind: 'lies', value: 'lie' });
        const told = await chain.get('key');
        expect(told).toBe(at === 0 ? 'lie' : 'new');
      });
    }
  }

  it('answers what is in memory at once, without a promise', () => {
    const { chain, memories } = setUp<string>(2);
    memories[1]!.set('below', 'value');
    expect(chain.get('below')).toBe('value');
    expect(chain.get('below')).toBe('value');
    expect(chain.get('nowhere')).toBeUndefined();
  });

  it('tells null, 0, empty and false from absent', async () => {
    const { chain, memories } = setUp<unknown>(2);
    for (const value of [null, 0, '', false, Number.NaN]) {
      await chain.set('key', value);
      memories[0]!.delete('key');
      expect(await chain.get('key')).toBe(value);
      expect(memories[0]!.get('key')).toBe(value);
      expect(await chain.getOrLoad('key', () => 'loaded')).toBe(value);
    }
    expect(() => chain.set('key', undefined)).toThrow(/undefined/);
  });

  it.each(['at once', 'late'])(
    'takes null for nothing where a layer that no compiler has seen answers it %s',
    async (when) => {
      const answer = (value: unknown): never => (when === 'late' ? Promise.resolve(value) : value) as never;
      const untypedLayer = (): Layer<string> => ({
        name: 'untyped',
        get: () => answer(null),
        getEntry: () => answer(null),
        getMany: (keys) => answer(new Map(keys.map((key) => [key, null]))),
        set: () => {},
        delete: () => false,
        close: () => {},
      });
      const metrics = new MemoryCollector();
      for (const options of [{}, { metrics }]) {
        const untyped = untypedLayer();
        const chain = createChain<string>({ layers: [untyped, new MemoryLayer<string>()], ...options });
        await chain.set('key', 'value');
        expect(await chain.get('key')).toBe('value');
        expect(await chain.getOrLoad('other', () => 'loaded')).toBe('loaded');
        expect(await chain.getMany(['key', 'no'])).toEqual(new Map([['key', 'value']]));
        for (const nothing of [undefined, null, {}]) {
          untyped.getMany = () => answer(nothing);
          expect(await chain.getMany(['key', 'no'])).toEqual(new Map([['key', 'value']]));
        }
      }
      expect(metrics.snapshot().layerMetrics['untyped']?.errors).toBe(3);
    },
  );

  it('gives the layers above the remaining lifetime of the entry', async () => {
    const { time, chain, memories } = setUp<string>(3, { ttlMs: 99_000 });
    memories[2]!.set('key', 'value', { ttlMs: 10_000 });
    await time.advance(4000);
    await chain.get('key');
    expect(memories[0]!.getEntry('key')?.expiresAt).toBe(time.clock() + 6000);
    await time.advance(6000);
    expect(await chain.get('key')).toBeUndefined();
  });

  it('gives them the lifetime of new values where a layer knows none', async () => {
    const time = new ManualTime();
    const memory = new MemoryLayer<string>({ clock: time.clock });
    const source = new FunctionLayer<string>((key) => key.toUpperCase());
    const chain = createChain({ layers: [memory, source], ttlMs: 5000, clock: time.clock });
    expect(await chain.get('key')).toBe('KEY');
    expect(memory.getEntry('key')?.expiresAt).toBe(time.clock() + 5000);
  });

  it('asks a slow layer once for all who look for a key at the same time', async () => {
    const { time, chain, layers, memories } = setUp<string>(2);
    memories[1]!.set('key', 'value');
    layers[1]!.plan('getEntry', { kind: 'slow', ms: 10 });
    const all = Array.from({ length: 1000 }, () => chain.get('key'));
    await time.advance(10);
    expect(new Set(await Promise.all(all))).toEqual(new Set(['value']));
    expect(layers[1]!.calls.getEntry).toBe(1);
  });

  it('lets each caller go on its own, and stops the layer only when all have gone', async () => {
    const { chain, layers, time } = setUp<string>(1);
    layers[0]!.plan('getEntry', { kind: 'hangs' });
    const leave = [new AbortController(), new AbortController()];
    const both = leave.map(({ signal }) => Promise.resolve(chain.get('key', { signal })).catch((error) => error));
    leave[0]!.abort('first');
    expect(await both[0]).toBe('first');
    await time.advance(0);
    leave[1]!.abort('second');
    expect(await both[1]).toBe('second');
    expect(() => chain.get('key', { signal: AbortSignal.abort('early') })).toThrow('early');
  });

  it('asks anew for who comes when all have gone, though the layer goes on with what it was asked before', async () => {
    const answers: ((value: string) => void)[] = [];
    const deaf: Layer<string> = {
      name: 'deaf',
      get: () => new Promise((resolve) => answers.push(resolve)),
      set: () => {},
      delete: () => false,
      close: () => {},
    };
    const chain = createChain({ layers: [deaf] });
    const leave = new AbortController();
    const gone = Promise.resolve(chain.get('key', { signal: leave.signal })).catch((error) => error);
    leave.abort('gone');
    expect(await gone).toBe('gone');
    const others = [chain.get('key'), chain.get('key', { signal: new AbortController().signal })];
    expect(answers).toHaveLength(2);
    for (const [i, answer] of answers.entries()) answer(`answer ${i}`);
    expect(await Promise.all(others)).toEqual(['answer 1', 'answer 1']);
  });

  it('answers at once even to callers with a signal, where no layer is slow', () => {
    const { chain, memories } = setUp<string>(2);
    memories[1]!.set('key', 'value');
    const { signal } = new AbortController();
    expect(chain.get('key', { signal })).toBe('value');
    expect(chain.get('missing', { signal })).toBeUndefined();
  });

  it('leaves warm-ups of slow layers out when too much is under way', async () => {
    const recordWriteDropped = vi.fn();
    const metrics = new Proxy(
      {},
      { get: (_, name) => (name === 'recordWriteDropped' ? recordWriteDropped : () => {}) },
    );
    const { time, chain, layers, memories } = setUp<string>(2, { maxBackground: 1, metrics: metrics as never });
    for (const key of ['a', 'b', 'c']) memories[1]!.set(key, key);
    layers[0]!.plan('set', { kind: 'slow', ms: 10 });
    expect(await chain.get('a')).toBe('a');
    expect(await chain.get('b')).toBe('b');
    expect(chain.stats()).toMatchObject({ background: 1, droppedWarmUps: 1 });
    expect(recordWriteDropped).toHaveBeenCalledWith('L1');
    await time.advance(10);
    await chain.get('c');
    expect([memories[0]!.get('a'), memories[0]!.get('b'), memories[0]!.get('c')]).toEqual(['a', undefined, 'c']);
  });

  it('is ended by close while a layer hangs', async () => {
    const { chain, layers } = setUp<string>(1);
    layers[0]!.plan('getEntry', { kind: 'hangs' });
    const hanging = Promise.resolve(chain.get('key')).catch((error) => error);
    await chain.close();
    expect(await hanging).toMatchObject({ code: 'CACHE_CLOSED' });
  });

  it('throws for a key that must be there and is not', async () => {
    const { chain, layers } = setUp<string>(2);
    expect(() => chain.get('key', { required: true })).toThrow(/no value for key/);
    layers[1]!.plan('getEntry', { kind: 'rejects' });
    const missing = await Promise.resolve(chain.get('key', { required: true })).catch((error) => error);
    expect(isNotFound(missing)).toBe(true);
  });

  it('refuses keys that can not be', () => {
    const { chain } = setUp<string>(1);
    for (const key of ['', 'a\nb', 'a\u007fb', 'x'.repeat(251)]) {
      expect(() => chain.get(key)).toThrow(/key/);
      expect(() => chain.getOrLoad(key, () => 'v')).toThrow(/key/);
      expect(() => chain.set(key, 'v')).toThrow(/key/);
      expect(() => chain.delete(key)).toThrow(/key/);
    }
  });

  it('waits for a layer that hangs no longer than its time, and not at all once its circuit is open', async () => {
    const { time, chain, layers, memories } = setUp<string>(3, {
      resilience: { timeoutMs: 100, breaker: { maxFailures: 2 } },
    });
    memories[2]!.set('a', 'value');
    memories[2]!.set('b', 'value');
    memories[2]!.set('c', 'value');
    plan(layers[1]!, ['getEntry', 'set'], { kind: 'hangs' }, Number.POSITIVE_INFINITY);
    for (const key of ['a', 'b']) {
      const begun = time.clock();
      const answer = Promise.resolve(chain.get(key)).then((value) => [value, time.clock() - begun]);
      await time.advance(100);
      expect(await answer).toEqual(['value', 100]);
    }
    expect(chain.get('c')).toBe('value');
  });
});

describe('strategies', () => {
  it('keep a value really shorter in upper layers when lifetimes decay', async () => {
    const { time, chain, memories } = setUp<string>(3, { ttlStrategy: decayingTtl(0.5), ttlMs: 8000 });
    await chain.set('key', 'value');
    const left = () => memories.map((memory) => (memory.getEntry('key')?.expiresAt ?? 0) - time.clock());
    expect(left()).toEqual([2000, 4000, 8000]);
    await time.advance(4000);
    expect(await chain.get('key')).toBe('value');
    expect(left()).toEqual([1000, 2000, 4000]);
  });

  it('limit lifetimes by layer, and never lengthen them', async () => {
    const { time, chain, memories } = setUp<string>(2, { ttlStrategy: ttlPerLayer({ L1: 1000 }) });
    await chain.set('key', 'value', { ttlMs: 5000 });
    await chain.set('short', 'value', { ttlMs: 500 });
    expect(memories[0]!.getEntry('key')?.expiresAt).toBe(time.clock() + 1000);
    expect(memories[1]!.getEntry('key')?.expiresAt).toBe(time.clock() + 5000);
    expect(memories[0]!.getEntry('short')?.expiresAt).toBe(time.clock() + 500);
    const longer = setUp<string>(1, { ttlStrategy: () => 1e9, ttlMs: 100 });
    await longer.chain.set('key', 'value');
    expect(longer.memories[0]!.getEntry('key')?.expiresAt).toBe(longer.time.clock() + 100);
  });

  it('shorten lifetimes by jitter, the same in every layer', async () => {
    const { time, chain, memories } = setUp<string>(2, { ttlMs: 1000, ttlJitter: 0.2, random: () => 0.5 });
    await chain.set('key', 'value');
    for (const memory of memories) expect(memory.getEntry('key')?.expiresAt).toBe(time.clock() + 900);
  });

  it('warm by size', async () => {
    const { chain, memories } = setUp<string>(2, { warming: warmBySize(3, (value) => value.length) });
    memories[1]!.set('short', 'abc');
    memories[1]!.set('long', 'abcd');
    await Promise.all([chain.get('short'), chain.get('long')]);
    expect([memories[0]!.get('short'), memories[0]!.get('long')]).toEqual(['abc', undefined]);
  });

  it('warm by access count, in bounded memory', async () => {
    const { chain, memories } = setUp<string>(2, { warming: warmByAccessCount(3, { maxKeys: 2 }) });
    for (const key of ['a', 'b', 'c']) memories[1]!.set(key, key);
    const ask = async (key: string, times: number) => {
      for (let i = 0; i < times; i++) await chain.get(key);
      return memories[0]!.get(key);
    };
    expect(await ask('a', 2)).toBeUndefined();
    expect(await ask('a', 1)).toBe('a');
    await ask('b', 2);
    await ask('c', 2);
    memories[0]!.clear();
    memories[1]!.set('d', 'd');
    await ask('d', 1);
    expect(await ask('b', 1), 'b was forgotten for d').toBeUndefined();
  });

  it('warm nothing, or nothing when they throw', async () => {
    for (const warming of [warmNever, () => expect.unreachable()]) {
      const { chain, memories } = setUp<string>(2, { warming });
      memories[1]!.set('key', 'value');
      expect(await chain.get('key')).toBe('value');
      expect(memories[0]!.get('key')).toBeUndefined();
    }
  });

  it('are refused when they make no sense', () => {
    expect(() => decayingTtl(1)).toThrow(/factor/);
    expect(() => ttlPerLayer({ L1: 0 })).toThrow(/L1/);
    expect(() => ttlPerLayer({ L1: '1000' as never })).toThrow(/^L1 must be .*'1000'$/);
    expect(() => warmBySize(-1, () => 0)).toThrow(/maxBytes/);
    expect(() => warmByAccessCount(0)).toThrow(/accesses/);
  });
});

describe('many keys', () => {
  it('are asked of each layer once, for what is still missing, and brought up', async () => {
    const { chain, layers, memories } = setUp<string>(3);
    memories[0]!.set('a', '1');
    memories[1]!.set('b', '2');
    memories[2]!.set('c', '3');
    const found = await chain.getMany(['c', 'x', 'b', 'a', 'a']);
    expect(found).toEqual(new Map(Object.entries({ a: '1', b: '2', c: '3' })));
    expect(layers.map(({ calls }) => [calls.getMany, calls.getEntry])).toEqual([
      [1, 0],
      [1, 0],
      [1, 0],
    ]);
    expect([memories[0]!.get('b'), memories[0]!.get('c'), memories[1]!.get('c')]).toEqual(['2', '3', '3']);
    expect(memories[1]!.get('a')).toBeUndefined();
    expect(chain.stats()).toMatchObject({ hits: 3, misses: 1, hitsByLayer: { L1: 1, L2: 1, L3: 1 } });
  });

  it('are counted once where they are repeated', async () => {
    const asked: string[] = [];
    const loader = new FunctionLayer<string>((key) => {
      asked.push(key);
      return key === 'none' ? undefined : key;
    });
    const memory = new MemoryLayer<string>();
    memory.set('a', 'a');
    const metrics = new MemoryCollector();
    for (const chain of [
      createChain({ layers: [loader] }),
      createChain({ layers: [memory, loader] }),
      createChain({ layers: [memory, loader], metrics }),
    ]) {
      asked.length = 0;
      expect([...(await chain.getMany(['a', 'b', 'none', 'b', 'a', 'none']))].sort()).toEqual([
        ['a', 'a'],
        ['b', 'b'],
      ]);
      expect(asked.length).toBe(new Set(asked).size);
      expect((await chain.getMany(['a', 'a'])).size).toBe(1);
      expect(chain.stats()).toMatchObject({ hits: 3, misses: 1 });
    }
    expect(metrics.snapshot().chainMetrics).toMatchObject({ totalHits: 3, totalMisses: 1 });
  });

  it('are found below a layer that fails, and in layers that know no batches', async () => {
    const bare = new Map<string, string>();
    const layer: Layer<string> = {
      name: 'bare',
      get: async (key) => bare.get(key),
      set: (key, value) => void bare.set(key, value),
      delete: async (key) => bare.delete(key),
      close: () => {},
    };
    const broken = new ChaosLayer(new MemoryLayer<string>({ name: 'L1' }));
    const chain = createChain({ layers: [broken, layer] });
    await chain.setMany([
      ['a', '1'],
      ['b', '2'],
    ]);
    broken.plan('getMany', { kind: 'rejects' });
    expect(await chain.getMany(['a', 'b', 'c'])).toEqual(new Map(Object.entries({ a: '1', b: '2' })));
    expect(await chain.deleteMany(['a', 'b', 'c'])).toBe(2);
    expect(await chain.getMany(['a', 'b'])).toEqual(new Map());
    expect(await chain.deleteMany([])).toBe(0);
    await chain.setMany([]);
  });

  it('are not warmed with what was written meanwhile', async () => {
    const { time, chain, layers, memories } = setUp<string>(2);
    memories[1]!.set('a', 'old');
    memories[1]!.set('b', 'old');
    layers[1]!.plan('getMany', { kind: 'slow', ms: 10 });
    const found = chain.getMany(['a', 'b']);
    await chain.delete('a');
    await time.advance(10);
    await found;
    expect([memories[0]!.get('a'), memories[0]!.get('b')]).toEqual([undefined, 'old']);
  });
});

describe('metrics', () => {
  const collector = () =>
    ({
      recordGet: vi.fn(),
      recordSet: vi.fn(),
      recordDelete: vi.fn(),
      recordError: vi.fn(),
      recordCircuitState: vi.fn(),
      recordQueueDepth: vi.fn(),
      recordWriteDropped: vi.fn(),
      recordAsyncWrite: vi.fn(),
      recordChainGet: vi.fn(),
    }) satisfies MetricsCollector;

  it('tell of each layer that was asked, and of the chain', async () => {
    const metrics = collector();
    const { chain, memories, layers } = setUp<string>(3, { metrics });
    memories[1]!.set('key', 'value');
    await chain.get('key');
    await chain.get('key');
    await chain.get('missing');
    layers[2]!.plan('getEntry', { kind: 'throws', error: new TypeError('broken') });
    await chain.get('gone');
    const ms = expect.any(Number);
    expect(metrics.recordGet.mock.calls).toEqual([
      ['L1', false, ms],
      ['L2', true, ms],
      ['L1', true, ms],
      ['L1', false, ms],
      ['L2', false, ms],
      ['L3', false, ms],
      ['L1', false, ms],
      ['L2', false, ms],
    ]);
    expect(metrics.recordChainGet.mock.calls).toEqual([
      [true, 1, ms],
      [true, 0, ms],
      [false, -1, ms],
      [false, -1, ms],
    ]);
    expect(metrics.recordSet.mock.calls).toEqual([['L1', true, ms]]);
    expect(metrics.recordError.mock.calls).toEqual([['L3', 'get', 'error']]);
    await chain.getMany(['key', 'missing']);
    expect(metrics.recordChainGet.mock.calls.slice(4)).toEqual([
      [true, 0, ms],
      [false, -1, ms],
    ]);
    expect(metrics.recordGet.mock.calls.slice(8)).toEqual([
      ['L1', true, ms],
      ['L1', false, ms],
      ['L2', false, ms],
      ['L3', false, ms],
    ]);
    layers[2]!.plan('getEntry', { kind: 'rejects', error: Object.assign(new Error('broken'), { code: 'EIO' }) });
    await chain.get('gone');
    expect(metrics.recordError.mock.lastCall).toEqual(['L3', 'get', 'EIO']);
  });

  it('tell of writes that fail, by the code of the error', async () => {
    const metrics = collector();
    const { time, chain, layers } = setUp<string>(2, { metrics, resilience: { timeoutMs: 10 } });
    plan(layers[1]!, ['set', 'delete'], { kind: 'hangs' });
    await Promise.all([chain.set('key', 'value'), time.advance(10)]);
    expect(metrics.recordSet.mock.calls.map(([layer, success]) => [layer, success])).toEqual([
      ['L1', true],
      ['L2', false],
    ]);
    expect(metrics.recordError.mock.calls).toEqual([['L2', 'set', 'CACHE_TIMEOUT']]);
    layers[1]!.plan('set', { kind: 'slow', ms: 5 });
    await Promise.all([chain.set('key', 'value'), time.advance(5)]);
    expect(metrics.recordSet.mock.lastCall).toEqual(['L2', true, expect.any(Number)]);
    await Promise.all([chain.delete('key'), time.advance(10)]);
    expect(metrics.recordDelete.mock.calls.map(([layer, success]) => [layer, success])).toEqual([
      ['L1', true],
      ['L2', false],
    ]);
    expect(metrics.recordError.mock.lastCall).toEqual(['L2', 'delete', 'CACHE_TIMEOUT']);
    metrics.recordDelete.mockClear();
    await Promise.all([chain.deleteMany(['key', 'other']), time.advance(10)]);
    expect(metrics.recordDelete).toHaveBeenCalledTimes(4);
  });

  it('tell of each key of writes of many, whether they are done', async () => {
    const metrics = collector();
    const { time, chain, layers } = setUp<string>(2, { metrics });
    const values = Object.entries({ a: '1', b: '2' });
    layers[1]!.plan('setMany', { kind: 'slow', ms: 5 }).plan('setMany', { kind: 'throws' });
    layers[1]!.plan('deleteMany', { kind: 'slow', ms: 5 }).plan('deleteMany', { kind: 'rejects' });
    for (let i = 0; i < 2; i++) await Promise.all([chain.setMany(values), time.advance(5)]);
    for (let i = 0; i < 2; i++) await Promise.all([chain.deleteMany(['a', 'b']), time.advance(5)]);
    for (const { calls } of [metrics.recordSet.mock, metrics.recordDelete.mock]) {
      const ofLayer = (name: string) => calls.filter(([layer]) => layer === name).map(([, success]) => success);
      expect(ofLayer('L1')).toEqual([true, true, true, true]);
      expect(ofLayer('L2')).toEqual([true, true, false, false]);
    }
    expect(metrics.recordError.mock.calls).toEqual([
      ['L2', 'set', 'error'],
      ['L2', 'delete', 'error'],
    ]);
  });

  it.each([
    ['throws', () => raise()],
    ['rejects', async () => raise()],
  ])('break nothing when the collector %s', async (_, broken) => {
    const metrics = Object.fromEntries(Object.keys(collector()).map((name) => [name, broken])) as never;
    const { chain } = setUp<string>(2, { metrics });
    await chain.set('key', 'value');
    expect(await chain.get('key')).toBe('value');
    expect(await chain.getOrLoad('other', () => 'loaded')).toBe('loaded');
    expect(await chain.delete('key')).toBe(true);
  });

  it('break nothing when the collector is a mock that answers whatever is called', async () => {
    const told: string[] = [];
    const metrics = new Proxy({}, { get: (_, name) => () => told.push(String(name)) }) as never;
    const { chain } = setUp<string>(2, { metrics });
    await chain.set('key', 'value');
    expect(await chain.get('key')).toBe('value');
    expect(told).toEqual(expect.arrayContaining(['recordGet', 'recordChainGet']));
  });

  it.each([false, true])('take time only when somebody listens: %s', async (enabled) => {
    // Then durations are read where they can be watched.
    vi.useFakeTimers({ toFake: ['Date'] });
    const clocks = [vi.spyOn(performance, 'now'), vi.spyOn(process, 'hrtime')];
    try {
      const { chain } = setUp<string>(2, { metrics: { ...collector(), enabled } });
      await chain.set('key', 'value');
      await chain.get('key');
      await chain.getMany(['key', 'other']);
      await chain.delete('key');
      expect(clocks.some((clock) => clock.mock.calls.length > 0)).toBe(enabled);
    } finally {
      vi.restoreAllMocks();
      vi.useRealTimers();
    }
  });
});

describe('a chain', () => {
  it('counts hits by layer', async () => {
    const { chain, memories } = setUp<string>(2);
    memories[1]!.set('key', 'value');
    for (const key of ['key', 'key', 'key', 'missing']) await chain.get(key);
    const counted = { hits: 3, misses: 1, hitsByLayer: { L1: 2, L2: 1 }, background: 0 };
    expect(chain.stats()).toMatchObject(counted);
    await chain.close();
    expect(chain.stats()).toMatchObject(counted);
  });

  it('lets whoever looks for many keys go, though a layer gives no answer', async () => {
    const getMany = vi.fn(() => new Promise<never>(() => {}));
    const hung: Layer<string> = {
      name: 'hung',
      get: () => undefined,
      getMany,
      set() {},
      delete: () => true,
      close() {},
    };
    const chain = createChain({ layers: [new MemoryLayer<string>({ name: 'L1' }), hung] });
    const caller = new AbortController();
    const aborted = chain.getMany(['a'], { signal: caller.signal });
    caller.abort(new Error('gone'));
    await expect(aborted).rejects.toThrow('gone');
    const cut = chain.getMany(['a', 'b']);
    cut.catch(() => {});
    await chain.close();
    await expect(cut).rejects.toThrow(/closed/);
    expect(getMany).toHaveBeenCalledTimes(2);
  });

  it('closes its layers once, and refuses everything afterwards', async () => {
    const { chain, memories } = setUp<string>(2);
    const closes = memories.map((memory) => vi.spyOn(memory, 'close'));
    {
      await using scoped = chain;
      await scoped.set('key', 'value');
    }
    await chain.close();
    for (const close of closes) expect(close).toHaveBeenCalledTimes(1);
    expect(() => chain.get('key')).toThrow(/closed/);
    expect(() => chain.set('key', 'value')).toThrow(/closed/);
    expect(() => chain.getOrLoad('key', () => 'value')).toThrow(/closed/);
    for (const call of [() => chain.getMany(['a']), () => chain.clear(), () => chain.deleteByTag('a')]) {
      await expect(call()).rejects.toThrow(/closed/);
    }
  });

  it('refuses a lifetime that is no number, and keeps what there was', async () => {
    const chain = createChain({ layers: [new MemoryLayer<string>({ name: 'L1' })] });
    chain.set('key', 'before');
    for (const options of [{ ttlMs: Number.NaN }, { ttlMs: '60000' as never }, { graceMs: Number.NaN }]) {
      expect(() => chain.set('key', 'value', options)).toThrow(/^(ttl|grace)Ms must be a number/);
      await expect(chain.setMany([['key', 'value']], options)).rejects.toThrow(/^(ttl|grace)Ms must be a number/);
    }
    expect(chain.get('key')).toBe('before');
  });

  it('goes on when its logger throws or its bus does not let go', async () => {
    const logger = { ...nullLogger, debug: raise, warning: raise };
    const onFailure = vi.fn();
    const time = new ManualTime();
    const broken = new ChaosLayer(new MemoryLayer<string>({ name: 'L1' }));
    const behind = new ChaosLayer(new MemoryLayer<string>({ name: 'L2' }));
    const last = new MemoryLayer<string>({ name: 'L3' });
    const close = vi.spyOn(last, 'close');
    const bus: InvalidationBus = { publish: () => {}, subscribe: () => raise, close: () => {} };
    const layers = [broken, { layer: behind, writeBehind: { onFailure } }, last];
    const chain = createChain<string>({ layers, logger, bus, timers: time, staleWhileRevalidate: true });
    for (const layer of [broken, behind]) plan(layer, ['getEntry', 'getMany', 'set', 'delete'], { kind: 'throws' }, 9);
    await chain.set('key', 'value', { ttlMs: 1000 });
    expect(await chain.get('key')).toBe('value');
    expect((await chain.getMany(['key', 'other'])).size).toBe(1);
    await expect(chain.getOrLoad('other', raise)).rejects.toThrow('listener');
    await chain.delete('key');
    await chain.flush();
    expect(onFailure).toHaveBeenCalled();
    await chain.close();
    expect(close).toHaveBeenCalled();
  });

  it('names the option that makes no sense', () => {
    const layer = new MemoryLayer<string>({ name: 'L1' });
    const wrong: [RegExp, Partial<ChainOptions<string>>][] = [
      [/layers .* but is empty$/, { layers: [] }],
      [
        /layers must be of different names, .* but is memory twice$/,
        { layers: [new MemoryLayer(), new MemoryLayer()] },
      ],
      ...[null, undefined, 'redis', {}, { layer: null }, { layer: {} }].map(
        (wrong): [RegExp, Partial<ChainOptions<string>>] => [/^layers must be/, { layers: [wrong as never] }],
      ),
      [/ttlMs/, { ttlMs: 0 }],
      [/ttlMs/, { ttlMs: '60000' as never }],
      [/earlyRefresh/, { earlyRefresh: '0.2' as never }],
      [/graceMs/, { graceMs: -1 }],
      [/ttlJitter/, { ttlJitter: 1 }],
      [/ttlStrategy must be a function, such as uniformTtl/, { ttlStrategy: 'uniform' as never }],
      [/warming must be a function, such as warmAlways/, { warming: 'always' as never }],
      [/softTimeoutMs/, { softTimeoutMs: -1 }],
      [/hardTimeoutMs/, { hardTimeoutMs: 0 }],
      [/earlyRefresh/, { earlyRefresh: 2 }],
      [/errorTtlMs/, { errorTtlMs: Number.NaN }],
      [/maxBackground/, { maxBackground: 0 }],
      [/closeTimeoutMs/, { closeTimeoutMs: -1 }],
    ];
    for (const [name, options] of wrong) expect(() => createChain({ layers: [layer], ...options })).toThrow(name);
  });

  it('tells which circuit is open when no layer takes a write', async () => {
    const { chain, layers } = setUp<string>(1, { resilience: { breaker: { maxFailures: 1 } } });
    layers[0]!.plan('set', { kind: 'throws', error: new Error('down') });
    expect(() => chain.set('key', 'value')).toThrow('down');
    let refused: unknown;
    try {
      await chain.set('key', 'value');
    } catch (error) {
      refused = error;
    }
    expect(isCircuitOpen((refused as Error).cause)).toBe(true);
  });

  it('infers the types of values and keys', () => {
    const memory = new MemoryLayer<{ id: number }>();
    const chain = createChain({ layers: [memory] });
    void chain.set('key', { id: 1 });
    expectTypeOf(chain).toEqualTypeOf<Chain<{ id: number }>>();
    expectTypeOf(chain.get('key')).toEqualTypeOf<{ id: number } | undefined | Promise<{ id: number } | undefined>>();
    expectTypeOf(chain.get('key', { required: true })).toEqualTypeOf<{ id: number } | Promise<{ id: number }>>();
    const sure = chain.getOrLoad('key', async () => ({ id: 1 }));
    expectTypeOf(sure).toEqualTypeOf<{ id: number } | Promise<{ id: number }>>();
    const maybe = chain.getOrLoad('key2', () => (Math.random() > 2 ? { id: 1 } : undefined));
    expectTypeOf(maybe).toEqualTypeOf<{ id: number } | undefined | Promise<{ id: number } | undefined>>();
    // @ts-expect-error: not the chain's values
    void chain.set('key', 'text');
    const users = createChain<string, `user:${number}`>({ layers: [new MemoryLayer<string>()] });
    expectTypeOf(users.getMany).returns.resolves.toEqualTypeOf<Map<`user:${number}`, string>>();
    // @ts-expect-error: not one of the chain's keys
    void users.get('team:1');
    const named = createChain<string>({ layers: [new MemoryLayer({ maxEntries: 10 })] });
    expectTypeOf(named.get('key')).toEqualTypeOf<string | undefined | Promise<string | undefined>>();
    const untold = createChain({ layers: [new MemoryLayer({ maxEntries: 10 })] });
    void untold.set('key', { anything: 1 });
    expectTypeOf(untold.get('key')).toEqualTypeOf<unknown>();
  });
});
