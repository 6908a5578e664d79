import { describe, expect, it } from 'vitest';
import { Slots } from './slots.js';

const full = () => new Error('full');

describe('slots', () => {
  it('are given in order, and only as many wait as may', async () => {
    const slots = new Slots(1, 2, full);
    expect(slots.acquire(undefined)).toBeUndefined();
    const order: number[] = [];
    const waiting = [1, 2].map(async (i) => {
      await slots.acquire(undefined);
      order.push(i);
    });
    await expect(slots.acquire(undefined)).rejects.toThrow('full');
    slots.release();
    await waiting[0];
    expect(order).toEqual([1]);
    slots.release();
    await waiting[1];
    slots.release();
    expect(slots.acquire(undefined)).toBeUndefined();
  });

  it('are not given to one who has left', async () => {
    const slots = new Slots(1, 2, full);
    slots.acquire(undefined);
    const abort = new AbortController();
    const left = slots.acquire(abort.signal);
    const stayed = slots.acquire(undefined);
    abort.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    slots.release();
    await stayed;
  });

  it('can be denied to everyone who waits', async () => {
    const slots = new Slots(1, 2, full);
    slots.acquire(undefined);
    const waiting = [slots.acquire(undefined), slots.acquire(undefined)];
    slots.rejectAll(new Error('closed'));
    for (const one of waiting) await expect(one).rejects.toThrow('closed');
  });
});
