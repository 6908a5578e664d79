import { describe, expect, it, vi } from 'vitest';
import { createChain } from '../chain/chain.js';
import { FunctionLayer } from './function-layer.js';
import { MemoryLayer } from './memory-layer.js';

describe('a function layer', () => {
  it('asks its function at each look, and hands it key and signal', async () => {
    const load = vi.fn(async (key: string) => (key === 'one' ? 1 : undefined));
    const layer = new FunctionLayer(load, { name: 'database' });
    const { signal } = new AbortController();
    expect(layer.name).toBe('database');
    expect(await layer.get('one', { signal })).toBe(1);
    expect(await layer.get('one')).toBe(1);
    expect(load.mock.calls).toEqual([
      ['one', { signal }],
      ['one', {}],
    ]);
  });

  it('answers at once when its function does', () => {
    const layer = new FunctionLayer((key) => (key === 'zero' ? 0 : undefined));
    expect(layer.get('zero')).toBe(0);
    expect(layer.getEntry('zero')).toEqual({ value: 0, expiresAt: undefined });
    expect(layer.getEntry('nothing')).toBeUndefined();
  });

  it('waits for whatever has a then, also behind a layer that keeps what is found', async () => {
    const queries: string[] = [];
    // It runs when it is waited for, as those of query builders do, and what it gives isn't a promise of this language.
    class Query<T> {
      readonly text: T;
      constructor(text: T) {
        this.text = text;
      }
      // biome-ignore lint/suspicious/noThenProperty: that is what it is about
      then<R>(resolve: (value: T) => R): Query<R> {
        queries.push(String(this.text));
        return new Query(resolve(this.text));
      }
    }
    const load = (key: string) => new Query(`${key}!`) as unknown as PromiseLike<string>;
    const layer = new FunctionLayer<string>(load);
    expect(await layer.get('a')).toBe('a!');
    expect(await layer.getEntry('b')).toEqual({ value: 'b!', expiresAt: undefined });
    const chain = createChain({ layers: [new MemoryLayer<string>(), layer], resilience: {} });
    expect(await chain.get('c')).toBe('c!');
    expect(chain.get('c')).toBe('c!');
    expect(queries).toEqual(['a!', 'b!', 'c!']);
  });

  it('passes on what its function fails with', async () => {
    const failure = new Error('the database is away');
    const layer = new FunctionLayer(() => Promise.reject(failure));
    await expect(layer.get('key')).rejects.toBe(failure);
    await expect(layer.getEntry('key')).rejects.toBe(failure);
  });

  it('does not call its function for someone who left', () => {
    const load = vi.fn();
    const reason = new Error('left');
    expect(() => new FunctionLayer(load).get('key', { signal: AbortSignal.abort(reason) })).toThrow(reason);
    expect(load).not.toHaveBeenCalled();
  });

  it('gives what it loaded the lifetime that it was made with', async () => {
    const layer = new FunctionLayer(async () => 'value', { ttlMs: 100, clock: () => 1000 });
    expect(await layer.getEntry('key')).toEqual({ value: 'value', expiresAt: 1100 });
  });

  it('refuses what is no function', () => {
    const load = (key: string) => key;
    for (const given of [undefined, { name: 'db', load }])
      expect(() => new FunctionLayer(given as never)).toThrow(/^load must be a function, the first argument, but is /);
  });

  it('loads many at once when it was told how', async () => {
    const loadMany = vi.fn(async (keys: readonly string[]) => new Map([[keys[0] as string, 1]]));
    const layer = new FunctionLayer<number>(() => undefined, { loadMany });
    expect(await layer.getMany?.(['a', 'b'])).toEqual(new Map([['a', { value: 1, expiresAt: undefined }]]));
    expect(await layer.getMany?.([])).toEqual(new Map());
    expect(loadMany).toHaveBeenCalledTimes(1);
    expect(new FunctionLayer(() => 1).getMany).toBeUndefined();
  });
});
