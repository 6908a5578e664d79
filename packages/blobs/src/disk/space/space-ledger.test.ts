import { describe, expect, it } from 'vitest';
import { NoSpaceError } from '../../errors.js';
import { SpaceLedger } from './space-ledger.js';

function ledgerOf(options: { maxBytes?: number; minFreeBytes?: number; waitMs?: number } = {}) {
  let pressure = 0;
  const ledger = new SpaceLedger({
    maxBytes: 1000,
    minFreeBytes: 0,
    waitMs: 60_000,
    onPressure: () => {
      pressure++;
    },
    ...options,
  });
  return { ledger, pressure: () => pressure };
}

describe('SpaceLedger', () => {
  it('answers at once while there is room, and asks for more before there is none', () => {
    const { ledger, pressure } = ledgerOf();
    const first = ledger.reserve(900);
    expect(first).not.toBeInstanceOf(Promise);
    expect(pressure()).toBe(0);
    ledger.reserve(60);
    expect(pressure()).toBe(1);
    expect(ledger.reserved).toBe(960);
    expect(ledger.excess()).toBe(60);
  });

  it('ends a reservation once', async () => {
    const { ledger } = ledgerOf();
    const space = await ledger.reserve(500);
    space.commit();
    space.release();
    space.commit();
    expect([ledger.used, ledger.reserved]).toEqual([500, 0]);
    const retired = ledger.retire(500);
    expect([ledger.used, ledger.reserved]).toEqual([0, 500]);
    retired.release();
    expect([ledger.used, ledger.reserved]).toEqual([0, 0]);
  });

  it('lets uploads in in the order in which they came', async () => {
    const { ledger } = ledgerOf();
    const space = await ledger.reserve(1000);
    const order: string[] = [];
    const large = Promise.resolve(ledger.reserve(800)).then((one) => {
      order.push('large');
      return one;
    });
    const small = Promise.resolve(ledger.reserve(300)).then(() => order.push('small'));
    expect(ledger.hasWaiters).toBe(true);
    space.release();
    (await large).release();
    await small;
    expect(order).toEqual(['large', 'small']);
    expect(ledger.hasWaiters).toBe(false);
  });

  it('refuses what waits too long, what can never fit, and too many at once', async () => {
    const { ledger } = ledgerOf({ waitMs: 5 });
    await ledger.reserve(1000);
    await expect(ledger.reserve(1)).rejects.toThrow('within 5 ms');
    expect(() => ledger.reserve(1001)).toThrow(NoSpaceError);
    const waiting = Array.from({ length: 4096 }, () => Promise.resolve(ledger.reserve(1)).catch(() => {}));
    expect(() => ledger.reserve(1)).toThrow('too many');
    await Promise.all(waiting);
  });

  it('counts what may have been written since it saw the free space', async () => {
    const { ledger } = ledgerOf({ maxBytes: 1_000_000, minFreeBytes: 100 });
    ledger.sawFree(1000);
    const space = await ledger.reserve(800);
    space.commit();
    expect(ledger.reserve(200)).toBeInstanceOf(Promise);
    expect(ledger.freeShortage()).toBeGreaterThan(0);
    ledger.sawFree(5000);
    expect(ledger.hasWaiters).toBe(false);
    expect(ledger.freeShortage()).toBe(0);
  });
});
