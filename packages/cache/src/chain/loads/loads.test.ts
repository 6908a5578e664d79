import { AsyncLocalStorage } from 'node:async_hooks';
import { CoarseTimers, nodeTimers } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { nullLogger } from '@granary/telemetry';
import { describe, expect, it, vi } from 'vitest';
import { isNotFound, isTimeout } from '../../errors.js';
import { LocalTagIndex } from '../../invalidation/local-tag-index.js';
import type { TagIndex } from '../../invalidation/tags.js';
import { MemoryLayer } from '../../layers/memory-layer.js';
import { ChaosLayer } from '../../testing/chaos-layer.js';
import { createChain } from '../chain.js';
import type { ChainOptions } from '../options/chain-options.js';
import type { LoadContext } from '../options/load-options.js';

function setUp(options: Omit<ChainOptions<string>, 'layers'> = {}, count = 2) {
  const time = new ManualTime();
  const memories = Array.from({ length: count }, (_, i) => {
    return new MemoryLayer<string>({ name: `L${i + 1}`, clock: time.clock });
  });
  const layers = memories.map((memory) => new ChaosLayer(memory, { timers: time }));
  const chain = createChain<string>({ layers, ttlMs: 1000, clock: time.clock, timers: time, ...options });
  const after = <T>(ms: number, value: T) =>
    new Promise<T>((resolve) => void time.setTimeout(() => resolve(value), ms));
  return { time, memories, layers, chain, after };
}

const rejection = (promise: unknown) =>
  Promise.resolve(promise).then(
    () => undefined,
    (error: unknown) => error,
  );

describe('getOrLoad', () => {
  it('loads what no layer has, and writes it to all', async () => {
    const { chain, memories } = setUp();
    expect(await chain.getOrLoad('key', async ({ key }) => `${key}!`)).toBe('key!');
    expect(memories.map((memory) => memory.get('key'))).toEqual(['key!', 'key!']);
    expect(chain.getOrLoad('key', () => expect.unreachable())).toBe('key!');
    expect(chain.stats()).toMatchObject({ loads: 1, hits: 1, misses: 1, loading: 0 });
  });

  it('waits for its loader as long as it takes where its timeouts are longer than timers can measure', async () => {
    const longest = { softTimeoutMs: 2 ** 31, hardTimeoutMs: Number.POSITIVE_INFINITY };
    const { time, chain, after } = setUp({ graceMs: 1000, ...longest, timers: nodeTimers });
    await chain.set('key', 'old');
    await time.advance(1500);
    const answer = chain.getOrLoad('key', () => after(100, 'value'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await time.advance(100);
    expect(await answer).toBe('value');
    const loading = chain.getOrLoad('other', () => after(100, 'value'), { signal: new AbortController().signal });
    expect(await Promise.all([loading, time.advance(100)])).toEqual(['value', undefined]);
  });

  it('fails with what looking at the loader’s answer throws, and loads anew then', () => {
    const { chain } = setUp();
    const fails = () => {
      throw new Error('no such field');
    };
    const odd = () => Object.defineProperty({}, 'then', { get: fails }) as never;
    const failed = rejection(chain.getOrLoad('key', odd));
    expect(chain.stats().loading).toBe(0);
    expect(chain.getOrLoad('key', () => 'value')).toBe('value');
    return expect(failed).resolves.toMatchObject({ message: 'no such field' });
  });

  it('fails with what a TTL strategy throws, as often as it does, and waits for nothing', async () => {
    const ttlStrategy = vi.fn((ttlMs: number) => ttlMs);
    const { chain, memories } = setUp({ ttlStrategy });
    memories[1]?.set('key', 'below');
    const error = new Error('no strategy');
    ttlStrategy.mockImplementation(() => {
      throw error;
    });
    for (let i = 0; i < 2; i++) {
      expect(await rejection(chain.getOrLoad('key', () => expect.unreachable()))).toBe(error);
      expect(chain.stats().loading).toBe(0);
    }
    ttlStrategy.mockImplementation((ttlMs) => ttlMs);
    expect(await chain.getOrLoad('key', () => expect.unreachable())).toBe('below');
  });

  it('answers at once where neither layers nor loader give a promise', () => {
    const { chain } = setUp();
    expect(chain.getOrLoad('key', () => 'value')).toBe('value');
  });

  it('loads once for 10,000 callers who ask at the same time', async () => {
    for (const slow of [false, true]) {
      const { time, chain, layers, after } = setUp();
      if (slow) layers[1]!.plan('getEntry', { kind: 'slow', ms: 5 }, 10_000);
      const loader = vi.fn(() => after(10, 'value'));
      const all = Array.from({ length: 10_000 }, () => chain.getOrLoad('key', loader));
      await time.advance(20);
      expect(new Set(await Promise.all(all))).toEqual(new Set(['value']));
      expect(loader).toHaveBeenCalledTimes(1);
      expect(layers[1]!.calls.getEntry).toBe(1);
    }
  });

  it('refuses options that make no sense, and a lifetime that the loader makes none', async () => {
    const warning = vi.fn();
    const { chain } = setUp({ logger: { ...nullLogger, warning } });
    for (const options of [
      { ttlMs: Number.NaN },
      { graceMs: Number.NaN },
      { softTimeoutMs: -1 },
      { hardTimeoutMs: 0 },
      { errorTtlMs: Number.NaN },
      { earlyRefresh: 2 },
    ]) {
      const [name] = Object.keys(options);
      expect(() => chain.getOrLoad('key', () => 'value', options)).toThrow(`${name} must be`);
    }
    expect(chain.stats().loading).toBe(0);
    const loader = (context: LoadContext<string>) => {
      context.ttlMs = Number('max-age');
      return 'value';
    };
    expect(await chain.getOrLoad('key', loader)).toBe('value');
    expect(warning.mock.calls[0]?.at(-1)).toMatchObject({ code: 'INVALID_OPTION' });
    expect(chain.get('key')).toBeUndefined();
  });

  it('takes what is given as undefined for not given', async () => {
    const { time, chain, after } = setUp({ hardTimeoutMs: 100, earlyRefresh: 0.5 });
    const undecided = { hardTimeoutMs: undefined, earlyRefresh: undefined, ttlMs: undefined };
    const late = rejection(chain.getOrLoad('slow', () => after(200, 'value'), undecided));
    await time.advance(100);
    expect(isTimeout(await late)).toBe(true);
    chain.set('key', 'old');
    await time.advance(600);
    expect(await chain.getOrLoad('key', () => 'new', undecided)).toBe('old');
    expect(await chain.get('key')).toBe('new');
  });

  it('keeps a value as long as its loader says', async () => {
    const { time, chain } = setUp();
    const seen: (number | undefined)[] = [];
    const loader = vi.fn((context: LoadContext<string>) => {
      seen.push(context.ttlMs);
      context.ttlMs = 10;
      return 'short';
    });
    expect(chain.getOrLoad('key', loader, { ttlMs: 500 })).toBe('short');
    await time.advance(9);
    expect(chain.get('key')).toBe('short');
    await time.advance(1);
    expect(chain.get('key')).toBeUndefined();
    chain.getOrLoad('key', loader);
    expect(seen).toEqual([500, undefined]);
  });

  it("lets nobody be hurt by another caller's abort, and ends the load when the last has gone", async () => {
    const { time, chain, after } = setUp();
    let signal: AbortSignal | undefined;
    const loader = async (context: LoadContext<string>) => {
      ({ signal } = context);
      return after(10, 'value');
    };
    const first = new AbortController();
    const left = rejection(chain.getOrLoad('a', loader, { signal: first.signal }));
    const stays = chain.getOrLoad('a', loader, { signal: new AbortController().signal });
    first.abort('gone');
    expect(await left).toBe('gone');
    expect(signal!.aborted).toBe(false);
    await time.advance(10);
    expect(await stays).toBe('value');

    const second = new AbortController();
    const alone = rejection(chain.getOrLoad('b', loader, { signal: second.signal }));
    second.abort('gone');
    expect(await alone).toBe('gone');
    expect(signal!.aborted).toBe(true);
    expect(chain.stats().loading).toBe(0);
    await time.advance(10);
    expect(await chain.get('b')).toBeUndefined();
  });

  it("passes a loader's error to all who wait, and keeps nothing", async () => {
    const { chain } = setUp();
    const error = new Error('down');
    const loader = vi.fn(async (): Promise<string> => {
      throw error;
    });
    const errors = await Promise.all([1, 2, 3].map(() => rejection(chain.getOrLoad('key', loader))));
    expect(errors).toEqual([error, error, error]);
    expect(await rejection(chain.getOrLoad('key', loader))).toBe(error);
    expect(loader).toHaveBeenCalledTimes(2);
    const thrown = () => {
      throw error;
    };
    expect(await rejection(chain.getOrLoad('key', thrown))).toBe(error);
    expect(chain.stats()).toMatchObject({ misses: 5, loads: 3, loadFailures: 3 });
    expect(await chain.get('key')).toBeUndefined();
  });

  it('remembers an error only for as long as it was asked to, and until the key is written', async () => {
    const { time, chain } = setUp({ errorTtlMs: 100 });
    const loader = vi.fn(async (): Promise<string> => {
      throw new Error('down');
    });
    await rejection(chain.getOrLoad('key', loader));
    expect(await rejection(chain.getOrLoad('key', loader))).toEqual(new Error('down'));
    expect(loader).toHaveBeenCalledTimes(1);
    await time.advance(100);
    await rejection(chain.getOrLoad('key', loader));
    expect(loader).toHaveBeenCalledTimes(2);
    await chain.delete('key');
    expect(await chain.getOrLoad('key', () => 'value')).toBe('value');
    for (let i = 0; i < 1001; i++) await rejection(chain.getOrLoad(`key${i}`, loader));
    loader.mockClear();
    await rejection(chain.getOrLoad('key1000', loader));
    expect(loader).toHaveBeenCalledTimes(0);
    await rejection(chain.getOrLoad('key0', loader));
    expect(loader).toHaveBeenCalledTimes(1);
  });

  it('does not remember an error for longer when its clock is set back', async () => {
    let now = 1_800_000_000_000;
    const { chain } = setUp({ errorTtlMs: 100, clock: () => now });
    const loader = vi.fn(() => Promise.reject(new Error('down')));
    await rejection(chain.getOrLoad('key', loader));
    now -= 3_600_000;
    await rejection(chain.getOrLoad('key', loader));
    await rejection(chain.getOrLoad('key', loader));
    expect(loader).toHaveBeenCalledTimes(2);
  });

  it('takes undefined for an answer, stores nothing, and forgets what was there', async () => {
    const { time, chain, memories } = setUp({ graceMs: 1000 });
    await chain.set('key', 'value');
    await time.advance(1000);
    expect(await chain.getOrLoad('key', async () => undefined)).toBeUndefined();
    expect(memories[1]!.getEntry('key')).toBeUndefined();
    const missing = await rejection(chain.getOrLoad('key', async () => undefined, { required: true }));
    expect(isNotFound(missing)).toBe(true);
  });

  it('waits for values of layers that are slow, before it loads', async () => {
    const { time, chain, layers, memories } = setUp();
    memories[1]!.set('key', 'value');
    layers[1]!.plan('getEntry', { kind: 'slow', ms: 5 });
    const found = chain.getOrLoad('key', () => expect.unreachable());
    await time.advance(5);
    expect(await found).toBe('value');
    expect(memories[0]!.get('key')).toBe('value');
  });

  it('uses the lifetime and the tags of the load', async () => {
    const { time, chain, memories } = setUp();
    await chain.getOrLoad('key', () => 'value', { ttlMs: 50, tags: ['tag'] });
    expect(memories[0]!.getEntry('key')?.expiresAt).toBe(time.clock() + 50);
    expect(await chain.deleteByTag('tag')).toBe(1);
    expect(await chain.get('key')).toBeUndefined();
  });
});

describe('over plain memory', () => {
  const make = (options: Omit<ChainOptions<string>, 'layers'> = {}) => {
    const time = new ManualTime();
    const memory = new MemoryLayer<string>({ name: 'L1', clock: time.clock });
    const below = new MemoryLayer<string>({ name: 'L2', clock: time.clock });
    const layers = [memory, new ChaosLayer(below, { timers: time })];
    const chain = createChain<string>({ layers, ttlMs: 1000, clock: time.clock, timers: time, ...options });
    return { time, memory, below, chain };
  };

  it('answers hits, with options and without', async () => {
    const { chain, below } = make();
    below.set('key', 'value');
    expect(chain.get('key')).toBe('value');
    expect(chain.get('key', { required: true })).toBe('value');
    expect(chain.getOrLoad('key', () => expect.unreachable())).toBe('value');
    expect(chain.getOrLoad('key', () => expect.unreachable(), { ttlMs: 5 })).toBe('value');
    expect(() => chain.get('missing', { required: true })).toThrow(/no value/);
    expect(() => chain.get('')).toThrow(/empty/);
    expect(() => chain.getOrLoad('', () => 'value')).toThrow(/empty/);
    expect(chain.stats().hitsByLayer).toEqual({ L1: 3, L2: 1 });
    await chain.close();
    expect(() => chain.get('key')).toThrow(/closed/);
  });

  it('finds what is stale there', async () => {
    const { time, chain, below } = make({ graceMs: 1000 });
    await chain.set('key', 'stale');
    below.delete('key');
    await time.advance(1000);
    expect(await chain.getOrLoad('key', () => Promise.reject(new Error('down')))).toBe('stale');
  });

  it('tells metrics of every hit and miss once', async () => {
    const calls: unknown[][] = [];
    const recordGet = (...call: unknown[]) => calls.push(call);
    const metrics = new Proxy({}, { get: (_, name) => (name === 'recordGet' ? recordGet : () => {}) }) as never;
    const { chain } = make({ metrics });
    await chain.set('key', 'value');
    for (let i = 0; i < 70; i++) await chain.get('key');
    await chain.get('missing');
    await chain.getOrLoad('missing', () => 'loaded');
    expect(calls.map(([layer, hit]) => `${layer} ${hit}`)).toEqual([
      ...Array(70).fill('L1 true'),
      ...['L1 false', 'L2 false', 'L1 false', 'L2 false'],
    ]);
    expect(calls.every(([, , ms]) => (ms as number) >= 0)).toBe(true);
  });
});

describe('a load that a write overtakes', () => {
  const writes = {
    set: { run: (c: ReturnType<typeof setUp>) => c.chain.set('key', 'new'), left: 'new' },
    delete: { run: (c: ReturnType<typeof setUp>) => c.chain.delete('key'), left: undefined },
    setMany: { run: (c: ReturnType<typeof setUp>) => c.chain.setMany([['key', 'new']]), left: 'new' },
    deleteMany: { run: (c: ReturnType<typeof setUp>) => c.chain.deleteMany(['key']), left: undefined },
    clear: { run: (c: ReturnType<typeof setUp>) => c.chain.clear(), left: undefined },
    deleteByTag: { run: (c: ReturnType<typeof setUp>) => c.chain.deleteByTag('tag'), left: undefined },
  };
  for (const [name, { run, left }] of Object.entries(writes)) {
    it(`is not written over a ${name}, in any layer`, async () => {
      const set = setUp();
      const loaded = set.chain.getOrLoad('key', () => set.after(10, 'old'), { tags: ['tag'] });
      await run(set);
      await set.time.advance(10);
      expect(await loaded).toBe('old');
      expect(set.memories.map((memory) => memory.get('key'))).toEqual([left, left]);
    });
  }

  for (const name of ['delete', 'clear', 'deleteByTag'] as const) {
    it(`is not joined by those who come after a ${name}`, async () => {
      const set = setUp();
      const { time, chain, after } = set;
      const old = chain.getOrLoad('key', () => after(10, 'old'), { tags: ['tag'] });
      const other = chain.getOrLoad('other', () => after(10, 'kept'), { tags: ['another'] });
      await writes[name].run(set);
      const young = chain.getOrLoad('key', () => after(10, 'young'), { tags: ['tag'] });
      await time.advance(10);
      expect([await old, await young, await chain.get('key')]).toEqual(['old', 'young', 'young']);
      expect(await other).toBe('kept');
    });
  }

  it('leaves nothing behind', async () => {
    const { time, chain, after } = setUp();
    for (let i = 0; i < 100; i++) {
      chain.getOrLoad(`key${i}`, () => after(10, 'old'));
      await chain.set(`key${i}`, 'new');
    }
    await time.advance(10);
    expect(chain.stats()).toMatchObject({ loading: 0, background: 0 });
    expect(time.pending).toBe(0);
  });
});

describe('within the grace', () => {
  const stale = async (options: Omit<ChainOptions<string>, 'layers'> = {}) => {
    const set = setUp({ graceMs: 5000, ...options });
    await set.chain.set('key', 'stale');
    await set.time.advance(1000);
    return set;
  };

  it('a loader that fails gives what is stale', async () => {
    const { time, chain } = await stale();
    expect(await chain.get('key')).toBeUndefined();
    expect(await chain.getOrLoad('key', () => Promise.reject(new Error('down')))).toBe('stale');
    expect(chain.stats()).toMatchObject({ staleAnswers: 1, loadFailures: 1 });
    await time.advance(5000);
    expect(await rejection(chain.getOrLoad('key', () => Promise.reject(new Error('down'))))).toEqual(new Error('down'));
  });

  it('a loader that was deleted under gives its error', async () => {
    const { time, chain, after } = await stale();
    const failing = rejection(
      chain.getOrLoad('key', async () => {
        await after(10, '');
        throw new Error('down');
      }),
    );
    await chain.delete('key');
    await time.advance(10);
    expect(await failing).toEqual(new Error('down'));
  });

  it('the loader is told what is stale', async () => {
    const { chain } = await stale();
    expect(await chain.getOrLoad('key', ({ stale }) => `${stale?.value} again`)).toBe('stale again');
  });

  it('stale-while-revalidate answers at once and loads in the background', async () => {
    const { time, chain, after } = await stale({ staleWhileRevalidate: true });
    const loader = vi.fn(() => after(100, 'fresh'));
    expect(chain.getOrLoad('key', loader)).toBe('stale');
    expect(chain.getOrLoad('key', loader)).toBe('stale');
    expect(chain.stats().background).toBe(1);
    const flushed = chain.flush();
    await time.advance(100);
    expect(await flushed).toBe(true);
    expect(chain.get('key')).toBe('fresh');
    expect(loader).toHaveBeenCalledTimes(1);
  });

  it.each(['of the chain', 'of the write'])(
    'what is stale is answered for its grace %s only, although its loader never ends',
    async (whose) => {
      const { time, chain, after } = setUp({
        staleWhileRevalidate: true,
        graceMs: whose === 'of the chain' ? 5000 : undefined,
      });
      await chain.set('key', 'stale', { graceMs: 5000 });
      await time.advance(1000);
      expect(await chain.getOrLoad('key', () => new Promise<string>(() => {}))).toBe('stale');
      await time.advance(4999);
      expect(await chain.getOrLoad('key', () => expect.unreachable())).toBe('stale');
      await time.advance(1);
      const loader = vi.fn(() => after(10, 'fresh'));
      const answers = Promise.all([chain.getOrLoad('key', loader), chain.getOrLoad('key', loader)]);
      await time.advance(10);
      expect(await answers).toEqual(['fresh', 'fresh']);
      expect(loader).toHaveBeenCalledTimes(1);
      expect(chain.get('key')).toBe('fresh');
      await chain.close();
      expect(chain.stats().loading).toBe(0);
    },
  );

  it('what was refreshed early is answered for its grace only, although that never ends', async () => {
    const { time, chain } = setUp({ staleWhileRevalidate: true, earlyRefresh: 0.5, graceMs: 5000 });
    await chain.set('key', 'value');
    await time.advance(900);
    const never = () => new Promise<string>(() => {});
    expect(await chain.getOrLoad('key', never)).toBe('value');
    await time.advance(5099);
    expect(await chain.getOrLoad('key', never)).toBe('value');
    await time.advance(1);
    expect(await chain.getOrLoad('key', () => 'fresh')).toBe('fresh');
  });

  it.each(['set', 'getOrLoad'] as const)(
    'what %s gave a grace of its own goes with its tag, although it is stale',
    async (how) => {
      const { time, chain } = setUp();
      const options = { graceMs: 5000, tags: ['tag'] };
      if (how === 'set') await chain.set('key', 'stale', options);
      else await chain.getOrLoad('key', () => 'stale', options);
      await time.advance(5999);
      expect(await chain.deleteByTag('tag')).toBe(1);
      expect(await rejection(chain.getOrLoad('key', () => Promise.reject(new Error('down'))))).toEqual(
        new Error('down'),
      );
    },
  );

  it('what is stale too long is loaded once more for those who look for it in a slow layer together', async () => {
    const { time, chain, layers, memories } = setUp({ staleWhileRevalidate: true, graceMs: 5000 });
    await chain.set('key', 'stale');
    await time.advance(1000);
    expect(await chain.getOrLoad('key', () => new Promise<string>(() => {}))).toBe('stale');
    await time.advance(5000);
    layers[1]!.always({ kind: 'slow', ms: 10 });
    const loader = vi.fn(async () => 'fresh');
    const answers = Promise.all([chain.getOrLoad('key', loader), chain.getOrLoad('key', loader)]);
    await time.advance(30);
    expect(await answers).toEqual(['fresh', 'fresh']);
    expect(loader).toHaveBeenCalledTimes(1);
    expect(memories[0]!.get('key')).toBe('fresh');
  });

  it('what fails in the background is logged and hurts nobody', async () => {
    const warning = vi.fn();
    const logger = { warning, debug: vi.fn() } as never;
    const { time, chain } = await stale({ staleWhileRevalidate: true, logger });
    expect(chain.getOrLoad('key', () => Promise.reject(new Error('down')))).toBe('stale');
    await time.advance(0);
    expect(warning).toHaveBeenCalledWith(expect.any(String), 'load', new Error('down'));
  });

  it('a soft timeout answers what is stale and goes on loading', async () => {
    const { time, chain, after } = await stale({ softTimeoutMs: 50 });
    const answer = Promise.resolve(chain.getOrLoad('key', () => after(100, 'fresh')));
    await time.advance(50);
    expect(await answer).toBe('stale');
    expect(chain.getOrLoad('key', () => expect.unreachable())).toBe('stale');
    await time.advance(50);
    expect(chain.get('key')).toBe('fresh');
  });

  it('a soft timeout waits on when nothing is stale, or too much is under way', async () => {
    const { time, chain, after } = await stale({ softTimeoutMs: 50, maxBackground: 1 });
    const nothing = chain.getOrLoad('other', () => after(100, 'fresh'));
    await chain.set('key2', 'stale', { ttlMs: 1 });
    await time.advance(1);
    const answers = [chain.getOrLoad('key', () => after(100, 'a')), chain.getOrLoad('key2', () => after(100, 'b'))];
    await time.advance(200);
    expect(await nothing).toBe('fresh');
    expect(await Promise.all(answers)).toEqual(['stale', 'b']);
  });

  it('a hard timeout is told to its loader and logged in the async context of its load', async () => {
    const caller = new AsyncLocalStorage<string>();
    const heard: unknown[] = [];
    const warning = (_: string, operation: unknown) => heard.push([operation, caller.getStore()]);
    const { time, layers } = setUp();
    const timers = new CoarseTimers({ clock: time.clock, timers: time });
    const lifetimes = { ttlMs: 1000, graceMs: 5000, hardTimeoutMs: 100 };
    const chain = createChain<string>({
      layers,
      ...lifetimes,
      clock: time.clock,
      timers,
      logger: { ...nullLogger, warning },
    });
    for (const key of ['a', 'b']) await chain.set(key, 'old');
    await time.advance(1500);
    const never = ({ key, signal }: LoadContext<string>) => {
      signal.addEventListener('abort', () => heard.push([key, caller.getStore()]));
      return new Promise<never>(() => {});
    };
    const loads = ['a', 'b'].map((key) => caller.run(key, () => chain.getOrLoad(key, never)));
    await time.advance(200);
    expect(await Promise.all(loads)).toEqual(['old', 'old']);
    expect(heard).toEqual([
      ['load', 'a'],
      ['a', 'a'],
      ['load', 'b'],
      ['b', 'b'],
    ]);
  });

  it('a hard timeout gives what is stale, or a CacheTimeoutError, and tells the loader to stop', async () => {
    const { time, chain } = await stale({ hardTimeoutMs: 100 });
    const signals: AbortSignal[] = [];
    const hangs = ({ signal }: LoadContext<string>) => {
      signals.push(signal);
      return new Promise<string>(() => {});
    };
    const answers = [chain.getOrLoad('key', hangs), rejection(chain.getOrLoad('other', hangs))];
    await time.advance(99);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
    await time.advance(1);
    const [first, second] = await Promise.all(answers);
    expect(first).toBe('stale');
    expect(isTimeout(second)).toBe(true);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    expect(chain.stats().loading).toBe(0);
  });

  it('errors that are remembered spare the loader', async () => {
    const { chain } = await stale({ errorTtlMs: 1000 });
    const loader = vi.fn(() => Promise.reject(new Error('down')));
    for (let i = 0; i < 3; i++) expect(await chain.getOrLoad('key', loader)).toBe('stale');
    expect(loader).toHaveBeenCalledTimes(1);
  });
});

describe('early refresh', () => {
  it('loads in the background what has little of its lifetime left', async () => {
    const { time, chain, after } = setUp({ earlyRefresh: 0.2 });
    const loader = vi.fn(() => after(10, 'fresh'));
    await chain.set('key', 'value');
    await time.advance(799);
    expect(await chain.getOrLoad('key', loader)).toBe('value');
    expect(loader).not.toHaveBeenCalled();
    await time.advance(2);
    for (let i = 0; i < 3; i++) expect(await chain.getOrLoad('key', loader)).toBe('value');
    expect(loader).toHaveBeenCalledTimes(1);
    await time.advance(10);
    expect(chain.get('key')).toBe('fresh');
    expect(chain.stats()).toMatchObject({ staleAnswers: 0, loads: 1 });
  });

  it('is what callers wait for once the value is not fresh any more', async () => {
    const { time, chain, after, layers } = setUp({ earlyRefresh: 0.5 });
    await chain.set('key', 'value');
    await time.advance(900);
    expect(await chain.getOrLoad('key', () => after(200, 'fresh'))).toBe('value');
    await time.advance(100);
    layers[1]!.plan('getEntry', { kind: 'slow', ms: 5 });
    const late = chain.getOrLoad('key', () => expect.unreachable());
    await time.advance(100);
    expect(await late).toBe('fresh');
  });

  it('keeps what is there when the loader fails', async () => {
    const { time, chain } = setUp({ earlyRefresh: 0.5 });
    await chain.set('key', 'value');
    await time.advance(900);
    expect(await chain.getOrLoad('key', () => Promise.reject(new Error('down')))).toBe('value');
    await time.advance(0);
    expect(chain.get('key')).toBe('value');
  });
});

describe('a loaded value that waits for its tags', () => {
  /** Tags in another process, which answers when it is let. */
  const setUpTags = (options: Omit<ChainOptions<string>, 'layers'>) => {
    const local = new LocalTagIndex();
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const tags: TagIndex = {
      shared: false,
      add: (...args) => answered.then(() => local.add(...args)),
      keysOf: (tag) => local.keysOf(tag),
      clear: () => local.clear(),
      close: () => {},
    };
    return { ...setUp({ ...options, tags }), answer };
  };

  it('is not written over what was deleted meanwhile, though its loader’s time is up', async () => {
    const { time, chain, memories, answer } = setUpTags({ hardTimeoutMs: 25, errorTtlMs: 1000 });
    expect(await chain.getOrLoad('key', () => Promise.resolve('old'), { tags: ['x'] })).toBe('old');
    await time.advance(50);
    expect(chain.delete('key')).toBe(false);
    answer();
    await chain.flush();
    expect(memories.map((memory) => memory.get('key'))).toEqual([undefined, undefined]);
    expect(chain.stats()).toMatchObject({ loadFailures: 0, loading: 0 });
    expect(await chain.getOrLoad('key', () => 'new')).toBe('new');
  });

  it('is not written over what was deleted meanwhile, though all who waited have gone', async () => {
    const { time, chain, memories, answer } = setUpTags({ maxBackground: 1 });
    await chain.getOrLoad('other', () => 'value', { tags: ['x'] });
    const caller = new AbortController();
    const left = rejection(chain.getOrLoad('key', () => 'old', { tags: ['x'], signal: caller.signal }));
    await time.advance(0);
    caller.abort(new Error('left'));
    expect(await left).toMatchObject({ message: 'left' });
    chain.delete('key');
    answer();
    await chain.flush();
    expect(memories.map((memory) => memory.get('key'))).toEqual([undefined, undefined]);
    expect(chain.stats()).toMatchObject({ loading: 0, background: 0 });
  });
});

describe('close', () => {
  it('ends the loads under way, in front and behind, and stops their loaders', async () => {
    const { time, chain, after } = setUp({ graceMs: 5000, staleWhileRevalidate: true });
    await chain.set('key', 'stale');
    await time.advance(1000);
    const signals: AbortSignal[] = [];
    const loader = ({ signal }: LoadContext<string>) => {
      signals.push(signal);
      return after(10_000, 'value');
    };
    expect(chain.getOrLoad('key', loader)).toBe('stale');
    const waiting = rejection(chain.getOrLoad('other', loader));
    await chain.close();
    expect(await waiting).toMatchObject({ code: 'CACHE_CLOSED' });
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    await time.advance(10_000);
  });

  it('waits for the writes of what was loaded, and no longer than it may', async () => {
    const { time, chain, layers, memories } = setUp();
    layers[1]!.plan('set', { kind: 'slow', ms: 50 });
    expect(await chain.getOrLoad('key', () => 'value')).toBe('value');
    expect(await Promise.all([chain.flush(20), time.advance(20)])).toEqual([false, undefined]);
    const set = vi.spyOn(memories[1]!, 'set');
    await Promise.all([chain.close(), time.advance(40)]);
    expect(set).toHaveBeenCalledTimes(1);

    const hung = setUp({ closeTimeoutMs: 100 });
    hung.layers[1]!.plan('set', { kind: 'hangs' });
    await hung.chain.getOrLoad('key', () => 'value');
    await Promise.all([hung.chain.close(), hung.time.advance(100)]);
  });

  it('makes loads wait for their writes when too much is under way', async () => {
    const { time, chain, layers } = setUp({ maxBackground: 1 });
    layers[1]!.plan('set', { kind: 'slow', ms: 50 }, 2);
    expect(await chain.getOrLoad('a', () => 'value')).toBe('value');
    const answered = vi.fn();
    const second = Promise.resolve(chain.getOrLoad('b', () => 'value')).then(answered);
    await time.advance(49);
    expect(answered).not.toHaveBeenCalled();
    await time.advance(1);
    await second;
  });
});
