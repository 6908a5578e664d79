import { describe, expect, it } from 'vitest';
import { KeyedLock } from './keyed-lock.js';

describe('KeyedLock', () => {
  it('lets one change of an entry at a time, in order, and others beside it', async () => {
    const locks = new KeyedLock();
    const order: string[] = [];
    const change = (key: string, name: string) =>
      locks.run(key, async () => {
        order.push(`${name} begins`);
        await new Promise(setImmediate);
        order.push(`${name} ends`);
      });
    const failing = locks.run('a', () => Promise.reject(new Error('failed')));
    const all = [change('a', 'first'), change('a', 'second'), change('b', 'other')];
    expect(locks.isHeld('a')).toBe(true);
    await expect(failing).rejects.toThrow('failed');
    await locks.idle();
    await Promise.all(all);
    expect(order.filter((entry) => !entry.startsWith('other'))).toEqual([
      'first begins',
      'first ends',
      'second begins',
      'second ends',
    ]);
    expect(order.indexOf('other begins')).toBeLessThan(order.indexOf('first ends'));
    expect(locks.isHeld('a')).toBe(false);
  });
});
