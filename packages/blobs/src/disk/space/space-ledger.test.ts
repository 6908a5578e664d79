import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { NoSpaceError } from '../../errors.js';
import { type Reservation, SpaceLedger } from './space-ledger.js';

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
    const retired = ledger.retire(500, false);
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

  it('lets nobody pass who came first and needs more than has become free', async () => {
    const { ledger } = ledgerOf();
    const [some, most] = [await ledger.reserve(300), await ledger.reserve(700)];
    const order: number[] = [];
    const waiting = [800, 100, 100].map(async (bytes) => {
      const space = await ledger.reserve(bytes);
      order.push(bytes);
      space.release();
    });
    some.release();
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual([]);
    most.release();
    await Promise.all(waiting);
    expect(order).toEqual([800, 100, 100]);
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

  it('listens once to a signal under which many wait, and lets all of them go with it', async () => {
    const { ledger } = ledgerOf();
    await ledger.reserve(1000);
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = Array.from({ length: 20 }, () => Promise.resolve(ledger.reserve(1, { signal })));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    controller.abort(new RangeError('gone'));
    for (const one of waiting) await expect(one).rejects.toThrow(RangeError);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    expect(ledger.hasWaiters).toBe(false);
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

  describe('for entries in the database, whose file never shrinks', () => {
    const inDatabase = { inDatabase: true };

    it('has room where others were, however little the file system has', async () => {
      const { ledger } = ledgerOf({ maxBytes: 1_000_000, minFreeBytes: 100 });
      ledger.recount(800, 500);
      ledger.sawFree(100);
      const waiting = Promise.resolve(ledger.reserve(40, inDatabase));
      // And a twentieth of what lies there, ahead of those that come.
      expect(ledger.databaseShortage()).toBe(65);
      ledger.retire(70, true).release();
      (await waiting).commit();
      expect([ledger.used, ledger.reserved, ledger.databaseShortage()]).toEqual([770, 0, 0]);
      expect(ledger.reserve(31, inDatabase)).toBeInstanceOf(Promise);
      expect(ledger.reserve(1)).toBeInstanceOf(Promise);
    });

    it('wants to go what is lacking while the file system is short of space, and as much ahead', () => {
      const { ledger } = ledgerOf({ maxBytes: 1_000_000, minFreeBytes: 1000 });
      ledger.recount(5000, 4000);
      ledger.sawFree(2000);
      ledger.reserve(300, inDatabase);
      expect(ledger.databaseShortage()).toBe(0);
      ledger.sawFree(1240);
      expect(ledger.databaseShortage()).toBe(0);
      ledger.reserve(150, inDatabase);
      expect(ledger.databaseShortage()).toBe(300);
      ledger.retire(600, true).release();
      expect(ledger.databaseShortage()).toBe(0);
      ledger.sawFree(5000);
      ledger.reserve(1000, inDatabase);
      expect(ledger.databaseShortage()).toBe(0);
    });

    it('takes no more of a file system that is short of space, once some have gone, until none can', async () => {
      const { ledger } = ledgerOf({ maxBytes: 1_000_000, minFreeBytes: 1000 });
      ledger.recount(5000, 4000);
      ledger.sawFree(1200);
      expect(ledger.reserve(10, inDatabase)).not.toBeInstanceOf(Promise);
      ledger.triedDatabase(true);
      const waiting = Promise.resolve(ledger.reserve(10, inDatabase));
      expect(ledger.databaseShortage()).toBe(30);
      expect(ledger.hasWaiters).toBe(true);
      ledger.triedDatabase(false);
      ledger.admitWaiters();
      await waiting;
      ledger.triedDatabase(true);
      ledger.sawFree(5000);
      expect(ledger.reserve(10, inDatabase)).not.toBeInstanceOf(Promise);
    });

    it('waits for nobody who waits for the file system alone', async () => {
      const { ledger } = ledgerOf({ maxBytes: 1000, minFreeBytes: 100 });
      ledger.recount(500, 500);
      ledger.sawFree(100);
      const file = Promise.resolve(ledger.reserve(300));
      const waiting = Promise.resolve(ledger.reserve(40, inDatabase));
      ledger.retire(100, true).release();
      (await waiting).release();
      expect(ledger.reserve(60, inDatabase)).not.toBeInstanceOf(Promise);
      expect(ledger.reserve(41, inDatabase)).toBeInstanceOf(Promise);
      ledger.sawFree(1000);
      await file;
    });

    it('takes nothing for free that came to nothing', () => {
      const { ledger } = ledgerOf({ maxBytes: 1_000_000, minFreeBytes: 100 });
      ledger.recount(500, 500);
      ledger.sawFree(10_000);
      (ledger.reserve(300, inDatabase) as Reservation).release();
      ledger.sawFree(100);
      expect(ledger.reserve(10, inDatabase)).toBeInstanceOf(Promise);
    });
  });
});
