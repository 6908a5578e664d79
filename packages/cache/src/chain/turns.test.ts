import { describe, expect, it, vi } from 'vitest';
import { LocalTagIndex } from '../invalidation/local-tag-index.js';
import type { TagIndex } from '../invalidation/tags.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { createChain } from './chain.js';
import { Turns } from './turns.js';

/** A chain over memory whose tags are elsewhere, and take until `answer` for each write with tags. */
function setUp() {
  const local = new LocalTagIndex();
  const waiting: (() => void)[] = [];
  const tags: TagIndex = {
    shared: true,
    add: async (...args) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return local.add(...args);
    },
    keysOf: (tag) => local.keysOf(tag),
    clear: () => local.clear(),
    close: () => local.close(),
  };
  const memory = new MemoryLayer<string>();
  const chain = createChain<string>({ layers: [memory], tags });
  /** The oldest of those that wait, or the one with this index. */
  const answer = (index = 0) => waiting.splice(index, 1)[0]?.();
  return { chain, memory, answer };
}

describe('a write that waits for its tags', () => {
  const later = {
    set: (chain: ReturnType<typeof setUp>['chain']) => chain.set('key', 'new'),
    setMany: (chain: ReturnType<typeof setUp>['chain']) => chain.setMany([['key', 'new']]),
    delete: (chain: ReturnType<typeof setUp>['chain']) => chain.delete('key'),
    deleteMany: (chain: ReturnType<typeof setUp>['chain']) => chain.deleteMany(['key']),
    clear: (chain: ReturnType<typeof setUp>['chain']) => chain.clear(),
  };
  for (const name of Object.keys(later) as (keyof typeof later)[]) {
    it(`does not overwrite what a ${name} did that was called after it`, async () => {
      const { chain, answer, memory } = setUp();
      const first = chain.set('key', 'old', { tags: ['x'] });
      const many = chain.setMany(Object.entries({ key: 'old', other: 'value' }), { tags: ['x'] });
      await later[name](chain);
      answer();
      answer();
      await Promise.all([first, many]);
      expect(memory.get('key')).toBe(name.startsWith('set') ? 'new' : undefined);
      expect(memory.get('other')).toBe(name === 'clear' ? undefined : 'value');
    });
  }

  it('is waited for when the chain is closed', async () => {
    const { chain, answer, memory } = setUp();
    const set = vi.spyOn(memory, 'set');
    const close = vi.spyOn(memory, 'close');
    const written = chain.set('key', 'value', { tags: ['x'] });
    const closed = chain.close();
    await new Promise((resolve) => setImmediate(resolve));
    answer();
    await Promise.all([written, closed]);
    expect(set.mock.invocationCallOrder[0]).toBeLessThan(close.mock.invocationCallOrder[0]!);
  });

  it('is made where a later one waits longer, and is then overwritten by that', async () => {
    const { chain, answer, memory } = setUp();
    const first = chain.set('key', 'old', { tags: ['x'] });
    const second = chain.set('key', 'new', { tags: ['x'] });
    answer();
    await first;
    expect(memory.get('key')).toBe('old');
    answer();
    await second;
    expect(memory.get('key')).toBe('new');
  });

  it('is not made when a later one waited for less', async () => {
    const { chain, answer, memory } = setUp();
    const first = chain.set('key', 'old', { tags: ['x'] });
    const second = chain.set('key', 'new', { tags: ['y'] });
    answer(1);
    await second;
    answer();
    await first;
    expect(memory.get('key')).toBe('new');
  });

  it('overwrites what was loaded meanwhile', async () => {
    const { chain, answer, memory } = setUp();
    const set = chain.set('key', 'new', { tags: ['x'] });
    expect(chain.getOrLoad('key', () => 'loaded')).toBe('loaded');
    answer();
    await set;
    expect(memory.get('key')).toBe('new');
  });

  it('is made although a loader found nothing meanwhile', async () => {
    const { chain, answer, memory } = setUp();
    memory.set('key', 'stale', { ttlMs: 0, graceMs: 1000 });
    const set = chain.set('key', 'new', { tags: ['x'] });
    expect(chain.getOrLoad('key', () => undefined)).toBeUndefined();
    answer();
    await set;
    expect(memory.get('key')).toBe('new');
  });
});

describe('turns', () => {
  it('are remembered only for keys whose writes wait', () => {
    const turns = new Turns();
    turns.made('key');
    const turn = turns.wait(['key', 'other']);
    turns.wait(['key']);
    turns.giveBack(['key', 'other']);
    expect([turns.size, turns.take('key', turn), turns.take('other', turn)]).toEqual([1, true, true]);
    turns.madeAll();
    expect(turns.take('key', turn)).toBe(false);
    turns.giveBack(['key']);
    expect(turns.size).toBe(0);
  });
});
