import { ManualTime } from '@granary/resilience/testing';
import { describe, expect, it, vi } from 'vitest';
import { InvalidValueError } from '../errors.js';
import type { InvalidationBus, InvalidationMessage } from '../invalidation/invalidation-bus.js';
import { LocalInvalidationBus } from '../invalidation/local-invalidation-bus.js';
import { LocalTagIndex } from '../invalidation/local-tag-index.js';
import type { TagIndex } from '../invalidation/tags.js';
import type { Entry, Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChaosLayer } from '../testing/chaos-layer.js';
import { createChain } from './chain.js';
import type { ChainOptions, LayerInChain } from './options/chain-options.js';

function setUp(
  count = 2,
  options: Omit<ChainOptions<string>, 'layers'> = {},
  inChain: Partial<LayerInChain<string>> = {},
) {
  const time = new ManualTime();
  const memories = Array.from({ length: count }, (_, i) => {
    return new MemoryLayer<string>({ name: `L${i + 1}`, clock: time.clock });
  });
  const layers = memories.map((memory) => new ChaosLayer(memory, { timers: time }));
  const chain = createChain<string>({
    layers: layers.map((layer, i) => (i === count - 1 ? { layer, ...inChain } : layer)),
    clock: time.clock,
    timers: time,
    ...options,
  });
  return { time, memories, layers, chain, values: () => memories.map((memory) => memory.get('key')) };
}

/** Lets what was begun by promises and immediates come to its end. */
const settle = (time: ManualTime) => time.advance(0).then(() => time.advance(0));

describe('a write', () => {
  it('is done at once where all layers are in memory', () => {
    const { chain, values } = setUp(3);
    expect(chain.set('key', 'value')).toBeUndefined();
    expect(values()).toEqual(['value', 'value', 'value']);
    expect(chain.delete('key')).toBe(true);
    expect(chain.delete('key')).toBe(false);
  });

  it('is read back while a slow layer is still at it', async () => {
    const { time, chain, layers, memories, values } = setUp(2);
    await chain.set('key', 'old');
    layers[1]!.plan('set', { kind: 'slow', ms: 10 });
    layers[1]!.plan('delete', { kind: 'slow', ms: 10 });
    const set = chain.set('key', 'new');
    memories[0]!.delete('key');
    expect(await chain.get('key')).toBe('new');
    memories[0]!.delete('key');
    expect(await chain.getMany(['key', 'other'])).toEqual(new Map([['key', 'new']]));
    await time.advance(10);
    await set;
    const deleted = chain.delete('key');
    expect(await chain.get('key')).toBeUndefined();
    expect(await chain.getMany(['key', 'other'])).toEqual(new Map());
    await time.advance(10);
    expect(await deleted).toBe(true);
    expect(values()).toEqual([undefined, undefined]);
  });

  it('reaches a slow layer after those before it, and replaces the one that waits', async () => {
    const { time, chain, layers, values } = setUp(2);
    layers[1]!.plan('set', { kind: 'slow', ms: 20 });
    layers[1]!.plan('set', { kind: 'slow', ms: 1 }, 5);
    const all = ['1', '2', '3'].map((value) => chain.set('key', value));
    await time.advance(30);
    await Promise.all(all);
    expect(values()).toEqual(['3', '3']);
    expect(layers[1]!.calls.set).toBe(2);
  });

  it.each([
    ['whose caller leaves', new Error('left'), (caller: AbortController) => caller.abort(new Error('left'))],
    ['whose value isn’t right', new InvalidValueError('too large'), () => {}],
  ])('does not fail with a newer one that replaced it and %s', async (_, error, meanwhile) => {
    const { time, chain, layers } = setUp(1);
    layers[0]!.plan('set', { kind: 'slow', ms: 20 });
    layers[0]!.plan('set', { kind: 'rejects', error });
    const caller = new AbortController();
    const first = chain.set('key', 'first');
    const replaced = [chain.set('key', 'second'), chain.delete('key')];
    const newest = Promise.resolve(chain.set('key', 'third', { signal: caller.signal })).catch((reason) => reason);
    meanwhile(caller);
    await time.advance(20);
    expect(await Promise.all([first, ...replaced])).toEqual([undefined, undefined, false]);
    expect(await newest).toEqual(error);
    expect(await chain.get('key')).toBeUndefined();
  });

  it('that waits for its turn in a slow layer lives there no longer for it', async () => {
    const { time, chain, layers, memories } = setUp(1);
    layers[0]!.plan('set', { kind: 'slow', ms: 50 });
    const first = chain.set('key', 'first');
    const second = chain.set('key', 'second', { ttlMs: 30, graceMs: 100 });
    await time.advance(29);
    expect(await chain.get('key')).toBe('second');
    await time.advance(1);
    expect(await chain.get('key')).toBeUndefined();
    await time.advance(20);
    await Promise.all([first, second]);
    expect(await chain.get('key')).toBeUndefined();
    expect(memories[0]!.getEntry('key')).toEqual({ value: 'second', expiresAt: time.clock() - 20 });
  });

  it('does not fail with one layer, and that layer is not believed until a write to it succeeds', async () => {
    for (const kind of ['throws', 'rejects'] as const) {
      const { chain, layers, memories, values } = setUp(2);
      await chain.set('key', 'old');
      layers[1]!.plan('set', { kind }).plan('delete', { kind });
      await chain.set('key', 'new');
      expect(values()).toEqual(['new', 'old']);
      memories[0]!.delete('key');
      expect(await chain.get('key')).toBeUndefined();
      expect(await chain.getMany(['key'])).toEqual(new Map());
      await chain.delete('key');
      expect(await chain.get('key')).toBeUndefined();
      await chain.set('key', 'newest');
      memories[0]!.delete('key');
      expect(await chain.get('key')).toBe('newest');
    }
  });

  it('of many keys leaves a layer unbelieved that failed, too', async () => {
    for (const kind of ['throws', 'rejects'] as const) {
      const { chain, layers, memories } = setUp(2);
      await chain.setMany(Object.entries({ a: 'old', b: 'old', c: 'old' }));
      layers[1]!.plan('setMany', { kind }).plan('deleteMany', { kind });
      await chain.setMany(Object.entries({ a: 'new', b: 'new' }));
      memories[0]!.clear();
      expect(await chain.getMany(['a', 'b', 'c'])).toEqual(new Map([['c', 'old']]));
      await chain.deleteMany(['b', 'c']);
      expect(memories[1]!.get('c')).toBe('old');
      expect(await chain.getMany(['a', 'b', 'c'])).toEqual(new Map());
      await chain.setMany(Object.entries({ a: 'newest', b: 'newest' }));
      memories[0]!.clear();
      expect(await chain.getMany(['a', 'b', 'c'])).toEqual(new Map(Object.entries({ a: 'newest', b: 'newest' })));
    }
  });

  it('of many keys is read back while a slow layer is still at it, and done before what follows', async () => {
    const { time, chain, layers, memories } = setUp(2);
    memories[1]!.set('a', 'old');
    layers[1]!.plan('setMany', { kind: 'slow', ms: 20 });
    const many = chain.setMany(Object.entries({ a: 'new', b: 'new' }));
    memories[0]!.clear();
    expect([await chain.get('a'), await chain.get('b')]).toEqual(['new', 'new']);
    const one = chain.set('a', 'newest');
    await time.advance(20);
    await Promise.all([many, one]);
    expect([memories[1]!.get('a'), memories[1]!.get('b')]).toEqual(['newest', 'new']);

    layers[1]!.plan('deleteMany', { kind: 'slow', ms: 20 });
    const deleted = chain.deleteMany(['a', 'b']);
    memories[0]!.clear();
    expect([await chain.get('a'), await chain.get('b')]).toEqual([undefined, undefined]);
    const after = chain.set('a', 'after');
    await time.advance(20);
    await Promise.all([deleted, after]);
    expect([memories[1]!.get('a'), memories[1]!.get('b')]).toEqual(['after', undefined]);

    layers[1]!.plan('set', { kind: 'slow', ms: 20 });
    const slow = chain.set('b', 'slow');
    const both = chain.deleteMany(['a', 'b']);
    await time.advance(20);
    await Promise.all([slow, both]);
    expect([memories[1]!.get('a'), memories[1]!.get('b')]).toEqual([undefined, undefined]);
  });

  it('is waited for when the chain is closed', async () => {
    const { time, chain, layers, memories } = setUp(2);
    const close = vi.spyOn(layers[1]!, 'close');
    layers[1]!.plan('set', { kind: 'slow', ms: 20 });
    const set = chain.set('key', 'value');
    const closed = chain.close();
    await time.advance(19);
    expect(close).not.toHaveBeenCalled();
    const written = vi.spyOn(memories[1]!, 'set');
    await time.advance(1);
    await Promise.all([set, closed]);
    expect(written).toHaveBeenCalledBefore(close);
  });

  it('fails when every layer does', async () => {
    const { chain, layers } = setUp(2);
    for (const layer of layers) layer.plan('set', { kind: 'rejects' }).plan('delete', { kind: 'rejects' });
    await expect(chain.set('key', 'value')).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
    await expect(chain.delete('key')).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
  });

  it.each([
    ['the error of this package', new InvalidValueError('too large')],
    ['that of another copy of it', Object.assign(new Error('too large'), { code: 'INVALID_VALUE' })],
  ])('of a value that a layer refuses as invalid, by %s, fails, and the layer is not believed', async (_, error) => {
    const { chain, layers, memories } = setUp(2);
    await chain.set('key', 'old');
    layers[1]!.plan('set', { kind: 'rejects', error });
    await expect(chain.set('key', 'large')).rejects.toThrow('too large');
    memories[0]!.clear();
    expect(await chain.get('key')).toBeUndefined();
  });

  it('keeps its grace where layers have lifetimes of their own', async () => {
    const time = new ManualTime();
    const memory = new MemoryLayer<string>({ ttlMs: 100, clock: time.clock });
    const chain = createChain<string>({ layers: [memory], clock: time.clock });
    await chain.set('key', 'stale', { graceMs: 1000 });
    await time.advance(100);
    expect(await chain.getOrLoad('key', () => Promise.reject(new Error('down')))).toBe('stale');
  });

  it('wins over a warm-up that is under way', async () => {
    for (const write of ['set', 'delete'] as const) {
      const above = new MemoryLayer<string>({ name: 'above' });
      const answer = withResolvers<Entry<string>>();
      const below: Layer<string> = {
        name: 'below',
        get: () => expect.unreachable(),
        getEntry: () => answer.promise,
        set: () => {},
        delete: () => true,
        close: () => {},
      };
      const chain = createChain({ layers: [above, below] });
      const found = chain.get('key');
      await (write === 'set' ? chain.set('key', 'new') : chain.delete('key'));
      answer.resolve({ value: 'old', expiresAt: undefined });
      expect(await found).toBe('old');
      expect(above.get('key')).toBe(write === 'set' ? 'new' : undefined);
    }
  });

  it('ends with its signal', async () => {
    const { chain, layers } = setUp(1);
    layers[0]!.plan('set', { kind: 'hangs' });
    const caller = new AbortController();
    const set = chain.set('key', 'value', { signal: caller.signal });
    caller.abort(new Error('gone'));
    await expect(set).rejects.toThrow('gone');
    expect(() => chain.set('key', 'value', { signal: caller.signal })).toThrow('gone');
  });

  it('ends with its signal where the layer pays no heed to that, and goes on', async () => {
    const answer = withResolvers<undefined>();
    const memory = new MemoryLayer<string>();
    const deaf: Layer<string> = {
      name: 'deaf',
      get: (key) => memory.get(key),
      set: (key, value) => answer.promise.then(() => memory.set(key, value)),
      delete: () => answer.promise.then(() => true),
      clear: () => answer.promise,
      close: () => {},
    };
    const chain = createChain({ layers: [deaf] });
    const caller = new AbortController();
    const { signal } = caller;
    const writes = [
      chain.set('key', 'value', { signal }),
      chain.delete('other', { signal }),
      chain.setMany(Object.entries({ a: '1', b: '2' }), { signal }),
      chain.deleteMany(['c', 'd'], { signal }),
      chain.clear({ signal }),
    ];
    const last = chain.set('key', 'last');
    caller.abort(new Error('gone'));
    for (const write of writes) await expect(write).rejects.toThrow('gone');
    answer.resolve(undefined);
    await last;
    expect(memory.get('key')).toBe('last');
  });

  it('ends with its signal where that is aborted as it begins, and leaves no rejection behind', async () => {
    const caller = new AbortController();
    const memory = new MemoryLayer<string>();
    const slow: Layer<string> = {
      name: 'slow',
      get: (key) => memory.get(key),
      set: async () => caller.abort(new Error('gone')),
      delete: async () => true,
      close: () => {},
    };
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    try {
      const chain = createChain({ layers: [slow, new MemoryLayer<string>()] });
      const set = chain.setMany(Object.entries({ a: '1', b: '2' }), { signal: caller.signal });
      await expect(set).rejects.toThrow('gone');
      const left = new AbortController();
      const layer = { ...slow, delete: () => Promise.reject(left.abort(new Error('left'))) };
      await expect(createChain({ layers: [layer] }).delete('a', { signal: left.signal })).rejects.toThrow('left');
      await new Promise(setImmediate);
      expect(unhandled).not.toHaveBeenCalled();
    } finally {
      process.off('unhandledRejection', unhandled);
    }
  });

  it('of many keys goes to each layer as one', async () => {
    const { chain, layers, memories } = setUp(2);
    await chain.setMany(Object.entries({ a: '1', b: '2' }), { ttlMs: 1000 });
    expect(layers.map(({ calls }) => [calls.set, calls.setMany])).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(memories[1]!.get('b')).toBe('2');
    expect(await chain.deleteMany(['a', 'b', 'c'])).toBe(2);
    expect(layers.map(({ calls }) => [calls.delete, calls.deleteMany])).toEqual([
      [0, 1],
      [0, 1],
    ]);
  });

  it('of many keys keeps the order with writes of one', async () => {
    const { time, chain, layers, memories } = setUp(2);
    layers[1]!.plan('set', { kind: 'slow', ms: 20 });
    const one = chain.set('a', 'old');
    const many = chain.setMany(Object.entries({ a: 'new', b: 'new' }));
    const last = chain.set('b', 'last');
    expect(await chain.getMany(['a', 'b'])).toEqual(new Map(Object.entries({ a: 'new', b: 'last' })));
    await time.advance(20);
    await Promise.all([one, many, last]);
    expect([memories[1]!.get('a'), memories[1]!.get('b')]).toEqual(['new', 'last']);
  });
});

describe('clear', () => {
  it('empties all layers, after what is being written and before what follows', async () => {
    const { time, chain, layers, memories, values } = setUp(2);
    layers[1]!.plan('set', { kind: 'slow', ms: 20 });
    const before = chain.set('key', 'before');
    const cleared = chain.clear();
    const after = chain.set('other', 'after');
    memories[0]!.clear();
    expect(await chain.get('key')).toBeUndefined();
    expect(await chain.get('other')).toBe('after');
    await time.advance(20);
    await Promise.all([before, cleared, after]);
    expect(values()).toEqual([undefined, undefined]);
    expect(memories[1]!.get('other')).toBe('after');
  });

  it.each([0, 20])('is done before what follows another clear, %i ms after', async (ms) => {
    const { time, chain, layers, memories, values } = setUp(2);
    memories[1]!.set('key', 'before');
    layers[1]!.plan('clear', { kind: 'slow', ms: 20 }).plan('clear', { kind: 'slow', ms: 1 });
    const cleared = [chain.clear(), chain.clear()];
    expect(await chain.get('key')).toBeUndefined();
    await time.advance(ms);
    const after = chain.set('key', 'after');
    for (let rounds = 0; rounds < 3; rounds++) await time.advance(20);
    await Promise.all([...cleared, after]);
    expect(values()).toEqual(['after', 'after']);
  });

  it('takes back what waits to be written behind', async () => {
    const { time, chain, layers, memories } = setUp(2, {}, { writeBehind: { workers: 1 } });
    layers[1]!.plan('set', { kind: 'slow', ms: 20 });
    await chain.set('under way', 'value');
    await chain.set('waiting', 'value');
    const cleared = chain.clear();
    await time.advance(20);
    await cleared;
    const flushed = chain.flush(1000);
    await settle(time);
    expect(await flushed).toBe(true);
    expect([memories[1]!.get('under way'), memories[1]!.get('waiting')]).toEqual([undefined, undefined]);
  });

  it('leaves alone what can not be cleared', async () => {
    const memory = new MemoryLayer<string>({ name: 'L1' });
    const kept = new MemoryLayer<string>({ name: 'L2' });
    const { get, set, delete: remove } = kept;
    const uncleared = { name: 'L2', get: get.bind(kept), set: set.bind(kept), delete: remove.bind(kept), close() {} };
    const chain = createChain<string>({ layers: [memory, uncleared] });
    await chain.set('key', 'value');
    await chain.clear();
    expect([memory.get('key'), kept.get('key'), await chain.get('key')]).toEqual([undefined, 'value', 'value']);
  });

  it.each(['throws', 'rejects'] as const)(
    'fails when a layer %s, which is then believed only what is written since',
    async (kind) => {
      const { chain, layers, memories } = setUp(2);
      await chain.setMany(Object.entries({ a: 'old', b: 'old' }));
      layers[1]!.plan('clear', { kind });
      await expect(chain.clear()).rejects.toThrow();
      expect(await chain.get('a')).toBeUndefined();
      await chain.set('b', 'new');
      memories[0]!.clear();
      expect(await chain.getMany(['a', 'b'])).toEqual(new Map([['b', 'new']]));
      await chain.clear();
      expect(memories[1]!.get('a')).toBeUndefined();
    },
  );
});

describe('what a slow layer is still at when its lifetime ends', () => {
  it.each([
    ['', {}],
    [', behind', { writeBehind: true }],
  ] as const)('is not read back any more%s', async (_, inChain) => {
    const { time, chain, layers, memories } = setUp(2, {}, inChain);
    layers[1]!.plan('set', { kind: 'slow', ms: 200 });
    const set = chain.set('key', 'value', { ttlMs: 100 });
    memories[0]!.clear();
    await time.advance(99);
    expect(await chain.get('key')).toBe('value');
    memories[0]!.clear();
    await time.advance(1);
    expect(await chain.get('key')).toBeUndefined();
    expect(await chain.getMany(['key'])).toEqual(new Map());
    const failing = chain.getOrLoad('key', () => Promise.reject(new Error('down')));
    await expect(failing).rejects.toThrow('down');
    await time.advance(100);
    await set;
  });
});

describe('a layer that is written behind', () => {
  it('holds up nobody, and is read through what it has still to write', async () => {
    const { time, chain, layers, memories, values } = setUp(2, {}, { writeBehind: true });
    layers[1]!.plan('set', { kind: 'slow', ms: 50 });
    expect(chain.set('key', 'value')).toBeUndefined();
    memories[0]!.delete('key');
    expect(await chain.get('key')).toBe('value');
    expect(chain.stats().writers).toMatchObject({ L2: { queueDepth: 1 } });
    const flushed = chain.flush(1000);
    await settle(time);
    await time.advance(50);
    expect(await flushed).toBe(true);
    expect(values()).toEqual(['value', 'value']);
    expect(chain.delete('key')).toBe(true);
    expect(await chain.get('key')).toBeUndefined();
    expect(chain.delete('key')).toBe(false);
    await chain.close();
  });

  it('is not believed for what it failed to write, or what was dropped', async () => {
    const warning = vi.fn();
    const onFailure = vi.fn();
    const logger = { warning, debug: vi.fn() } as never;
    const options = { logger, writers: { maxWaitMs: 0, onFailure } };
    const { time, chain, layers, memories } = setUp(2, options, { writeBehind: { maxEntries: 1 } });
    memories[1]!.set('key', 'old');
    memories[1]!.set('other', 'old');
    layers[1]!.plan('set', { kind: 'rejects' });
    await chain.set('key', 'new');
    await chain.set('other', 'new');
    await settle(time);
    memories[0]!.clear();
    expect(await chain.get('key')).toBeUndefined();
    expect(await chain.get('other')).toBeUndefined();
    expect(warning).toHaveBeenCalledTimes(1);
    expect(onFailure).toHaveBeenCalledTimes(1);
    expect(chain.stats().writers['L2']).toMatchObject({ failedWrites: 1, droppedWrites: 1 });
  });

  it.each(['set', 'delete'] as const)(
    'does not answer what it has still to write where a newer %s was dropped',
    async (how) => {
      const { time, chain, layers, memories } = setUp(
        2,
        { writers: { maxWaitMs: 0 } },
        { writeBehind: { maxEntries: 1 } },
      );
      layers[1]!.plan('set', { kind: 'slow', ms: 50 });
      await chain.set('key', 'older');
      await settle(time);
      if (how === 'set') await chain.set('key', 'newer');
      else await chain.delete('key');
      expect(chain.stats().writers['L2']).toMatchObject({ droppedWrites: 1, queueDepth: 1 });
      memories[0]!.clear();
      expect(await chain.get('key')).toBeUndefined();
      expect(await chain.getMany(['key'])).toEqual(new Map());
      await time.advance(50);
      expect(memories[1]!.get('key')).toBe('older');
      expect(await chain.get('key')).toBeUndefined();
    },
  );

  it('is read through what waits for room in the place of what it has accepted', async () => {
    const { time, chain, layers, memories, values } = setUp(2, {}, { writeBehind: { maxEntries: 1 } });
    layers[1]!.plan('set', { kind: 'slow', ms: 50 });
    await chain.set('key', 'oldest');
    await settle(time);
    const older = chain.set('key', 'older');
    const newer = chain.set('other', 'value');
    const deleted = chain.delete('key');
    await older;
    memories[0]!.clear();
    expect(await chain.get('key')).toBeUndefined();
    await time.advance(50);
    await Promise.all([newer, deleted, chain.flush()]);
    expect(values()).toEqual([undefined, undefined]);
    await chain.close();
  });

  it('is believed for what it wrote, although it had failed to write what was there before', async () => {
    const { time, chain, layers, memories } = setUp(2, {}, { writeBehind: true });
    const layer = layers[1]!;
    const first = withResolvers<void>();
    const set = layer.set.bind(layer);
    layer.set = () => {
      layer.set = set;
      return first.promise.then(() => Promise.reject(new Error('down')));
    };
    await chain.set('key', 'older');
    await settle(time);
    await chain.set('key', 'newer');
    first.resolve();
    await settle(time);
    expect(memories[1]!.get('key')).toBe('newer');
    memories[0]!.clear();
    expect(await chain.get('key')).toBe('newer');
  });
});

describe('tags', () => {
  it('delete what was written with them, from every layer', async () => {
    const { chain, memories } = setUp(2);
    await chain.set('a', '1', { tags: ['x', 'y'] });
    await chain.setMany(Object.entries({ b: '2', c: '3' }), { tags: ['x'] });
    await chain.set('d', '4', { tags: ['y'] });
    expect(await chain.deleteByTag('x')).toBe(3);
    expect(memories.map((memory) => memory.stats().entries)).toEqual([1, 1]);
    expect(await chain.get('d')).toBe('4');
    expect(await chain.deleteByTag('x')).toBe(0);
    expect(() => chain.set('a', '1', { tags: [''] })).toThrow(/tag/);
    await expect(chain.deleteByTag('')).rejects.toThrow(/tag/);
  });

  it('take what was loaded with them while they were deleted', async () => {
    const { time, chain, values } = setUp(2);
    const loader = () => new Promise<string>((resolve) => void time.setTimeout(() => resolve('old'), 10));
    const loading = chain.getOrLoad('key', loader, { tags: ['x'] });
    await chain.deleteByTag('x');
    await time.advance(10);
    await loading;
    expect(values()).toEqual([undefined, undefined]);
  });

  it('take what was being written with them while they were deleted', async () => {
    const { time, chain, layers, values } = setUp(2);
    layers[1]!.plan('set', { kind: 'slow', ms: 10 });
    const set = chain.set('key', 'value', { tags: ['x'] });
    const deleted = chain.deleteByTag('x');
    await time.advance(10);
    await Promise.all([set, deleted]);
    expect(values()).toEqual([undefined, undefined]);
  });

  it('are found again as long as a layer has failed to delete what had them', async () => {
    const { chain, layers, values } = setUp(2);
    await chain.set('key', 'value', { tags: ['x'] });
    layers[1]!.plan('delete', { kind: 'rejects' });
    expect(await chain.deleteByTag('x')).toBe(1);
    expect(values()).toEqual([undefined, 'value']);
    expect(await chain.deleteByTag('x')).toBe(1);
    expect(values()).toEqual([undefined, undefined]);
    expect(await chain.deleteByTag('x')).toBe(0);
  });

  it('are kept where a layer failed to be cleared', async () => {
    const { chain, layers, values } = setUp(2);
    await chain.set('key', 'value', { tags: ['x'] });
    layers[1]!.plan('clear', { kind: 'rejects' });
    await expect(chain.clear()).rejects.toMatchObject({ code: 'LAYER_UNAVAILABLE' });
    expect(values()).toEqual([undefined, 'value']);
    expect(await chain.deleteByTag('x')).toBe(1);
    expect(values()).toEqual([undefined, undefined]);
    await chain.set('key', 'value', { tags: ['x'] });
    await chain.clear();
    expect(await chain.deleteByTag('x')).toBe(0);
  });

  it('delete the keys that their index has no room for', async () => {
    const { chain, memories } = setUp(2, { tags: new LocalTagIndex({ maxPairs: 2 }) });
    for (const key of ['a', 'b', 'c']) await chain.set(key, key, { tags: ['x'] });
    expect(memories[1]!.get('a')).toBeUndefined();
    expect(await chain.deleteByTag('x')).toBe(2);
  });

  it('may be known by a slow index; what they fail to be written to is not stored', async () => {
    const local = new LocalTagIndex();
    let failing = false;
    const tags: TagIndex = {
      shared: true,
      add: async (...args) => {
        if (failing) throw new Error('index');
        return local.add(...args);
      },
      keysOf: (tag) => local.keysOf(tag),
      clear: () => local.clear(),
      close: () => expect.unreachable(),
    };
    const { chain, values } = setUp(2, { tags });
    const set = chain.set('key', 'value', { tags: ['x'] });
    await set;
    expect(values()).toEqual(['value', 'value']);
    await chain.deleteByTag('x');
    failing = true;
    await expect(chain.set('key', 'value', { tags: ['x'] })).rejects.toThrow('index');
    expect(await chain.getOrLoad('key', () => 'value', { tags: ['x'] })).toBe('value');
    await chain.flush();
    expect(values()).toEqual([undefined, undefined]);
    await chain.close();
  });
});

describe('a bus', () => {
  /** Two processes with memory of their own over one shared layer. */
  const two = (options: Omit<ChainOptions<string>, 'layers'> = {}) => {
    const bus = new LocalInvalidationBus();
    const store = new MemoryLayer<string>({ name: 'shared' });
    const make = () => {
      const memory = new MemoryLayer<string>({ name: 'memory' });
      const slow = new ChaosLayer(store);
      return {
        memory,
        slow,
        chain: createChain<string>({ layers: [memory, { layer: slow, shared: true }], bus, ...options }),
      };
    };
    return { bus, store, here: make(), there: make() };
  };

  it('drops from the memory of others what was changed, and nothing from what they share', async () => {
    const { store, here, there } = two();
    for (const change of [
      () => here.chain.set('key', 'new'),
      () => here.chain.setMany([['key', 'new']]),
      () => here.chain.delete('key'),
      () => here.chain.deleteMany(['key']),
      () => here.chain.clear(),
    ]) {
      await there.chain.set('key', 'old');
      expect(here.memory.get('key')).toBeUndefined();
      await change();
      expect(there.memory.get('key')).toBeUndefined();
      expect(await there.chain.get('key')).toBe(store.get('key'));
    }
  });

  it('makes others not keep what they began to load before', async () => {
    for (const change of ['set', 'deleteByTag', 'clear'] as const) {
      const { here, there } = two();
      const { promise, resolve } = withResolvers<string>();
      const loading = there.chain.getOrLoad('key', () => promise, { tags: ['x'] });
      const loader = vi.fn(() => 'own');
      if (change === 'set') await here.chain.set('key', 'new');
      else if (change === 'clear') await here.chain.clear();
      else await here.chain.deleteByTag('x');
      const asked = there.chain.getOrLoad('key', loader);
      resolve('old');
      expect(await loading).toBe('old');
      await there.chain.flush();
      expect(await asked).toBe(change === 'set' ? 'new' : 'own');
      expect(there.memory.get('key')).toBe(await asked);
    }
  });

  it('drops what others tagged, and everything when messages were lost', async () => {
    const { bus, here, there } = two();
    await there.chain.set('tagged', 'value', { tags: ['x'] });
    await there.chain.set('other', 'value');
    await here.chain.deleteByTag('x');
    await there.chain.flush();
    expect(there.memory.get('tagged')).toBeUndefined();
    expect(there.memory.get('other')).toBe('value');
    bus.publish({ type: 'lost' });
    expect(there.memory.get('other')).toBeUndefined();
    expect(await there.chain.get('other')).toBe('value');
  });

  it('that fails breaks no write, and is left when the chain is closed', async () => {
    const debug = vi.fn();
    const listeners = new Set<(message: InvalidationMessage) => void>();
    const bus: InvalidationBus = {
      publish: vi
        .fn()
        .mockRejectedValueOnce(new Error('late'))
        .mockImplementation(() => {
          throw new Error('now');
        }),
      subscribe: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      close: () => {},
    };
    const { chain } = setUp(1, { bus, logger: { debug, warning: vi.fn() } as never });
    await chain.set('key', 'value');
    await chain.set('key', 'value');
    expect(debug.mock.calls.map((call) => call.at(-1))).toEqual([new Error('late'), new Error('now')]);
    expect(listeners.size).toBe(1);
    await chain.close();
    expect(listeners.size).toBe(0);
  });
});

function withResolvers<T>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
