import { describe, expect, it } from 'vitest';
import { ByteBudget } from './byte-budget.js';

const budget = (max: number, maxWaiting = 10) => new ByteBudget(max, maxWaiting, () => new Error('full'));

describe('a budget of bytes', () => {
  it('is given to whoever came first, and never more than there is', async () => {
    const memory = budget(10);
    const first = await memory.take(6, undefined);
    const order: string[] = [];
    const large = memory.take(8, undefined).then((release) => {
      order.push('large');
      return release;
    });
    const small = memory.take(1, undefined).then((release) => {
      order.push('small');
      return release;
    });
    expect(memory.taken).toBe(6);
    first();
    first();
    expect(memory.taken).toBe(9);
    (await large)();
    (await small)();
    expect(order).toEqual(['large', 'small']);
    expect(memory.taken).toBe(0);
  });

  it('is all given to one who wants more than there is', async () => {
    const memory = budget(10);
    (await memory.take(1000, undefined))();
    expect(memory.taken).toBe(0);
  });

  it('is not waited for after an abort, and the next gets it', async () => {
    const memory = budget(10);
    const release = await memory.take(4, undefined);
    const abort = new AbortController();
    const leaving = memory.take(10, abort.signal);
    const next = memory.take(2, undefined);
    abort.abort(new Error('gone'));
    await expect(leaving).rejects.toThrow('gone');
    (await next)();
    release();
    expect(memory.taken).toBe(0);
    await expect(memory.take(1, abort.signal)).rejects.toThrow('gone');
  });

  it('turns away whoever comes when too many wait', async () => {
    const memory = budget(1, 1);
    const release = await memory.take(1, undefined);
    const waiting = memory.take(1, undefined);
    await expect(memory.take(1, undefined)).rejects.toThrow('full');
    release();
    (await waiting)();
  });
});
