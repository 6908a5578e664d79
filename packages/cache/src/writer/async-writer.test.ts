import { nodeTimers } from '@granary/resilience';
import { ManualTime } from '@granary/resilience/testing';
import { noopCollector } from '@granary/telemetry';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createChain } from '../chain/chain.js';
import type { Layer, SetOptions } from '../layer.js';
import { AsyncWriter } from './async-writer.js';
import type { AsyncWriterOptions, WriteFailure } from './async-writer-options.js';

type Settle = { resolve: () => void; reject: (error: unknown) => void };

/** A layer whose writes end when the test says so. */
class HeldLayer implements Layer<string> {
  readonly name = 'slow';
  readonly calls: string[] = [];
  readonly options: (SetOptions | undefined)[] = [];
  readonly held: Settle[] = [];

  get(): undefined {}

  set(key: string, value: string, options?: SetOptions): Promise<void> {
    this.options.push(options);
    return this.#hold(`${key}=${value}`);
  }

  async delete(key: string, options?: SetOptions): Promise<boolean> {
    this.options.push(options);
    await this.#hold(`-${key}`);
    return true;
  }

  close(): void {}

  #hold(call: string): Promise<void> {
    this.calls.push(call);
    return new Promise((resolve, reject) => this.held.push({ resolve, reject }));
  }

  /** Ends the oldest write. */
  async end(error?: unknown): Promise<void> {
    const next = this.held.shift()!;
    if (error === undefined) next.resolve();
    else next.reject(error);
    await turn();
  }

  async endAll(): Promise<void> {
    await turn();
    while (this.held.length > 0) await this.end();
  }
}

const turn = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe('an async writer', () => {
  let time: ManualTime;
  let layer: HeldLayer;
  const unhandled = vi.fn();

  const writerTo = (options: AsyncWriterOptions<string> = {}, to: Layer<string> = layer) =>
    new AsyncWriter<string>(to, { clock: time.clock, timers: time, ...options });

  beforeEach(() => {
    time = new ManualTime();
    layer = new HeldLayer();
    unhandled.mockReset();
    process.on('unhandledRejection', unhandled);
  });

  afterEach(async () => {
    await turn();
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(time.pending).toBe(0);
  });

  it('answers at once that a write is accepted, and writes after the caller has gone on', async () => {
    const writer = writerTo();
    expect(writer.set('a', '1')).toBe(true);
    expect(writer.delete('b')).toBe(true);
    expect(layer.calls).toEqual([]);
    await turn();
    expect(layer.calls).toEqual(['a=1', '-b']);
    await layer.endAll();
    expect(writer.stats()).toMatchObject({ queueDepth: 0, totalWrites: 2, failedWrites: 0, droppedWrites: 0 });
  });

  it('makes at most as many writes at the same time as it has workers', async () => {
    const writer = writerTo({ workers: 2 });
    for (const key of ['a', 'b', 'c', 'd']) writer.set(key, '1');
    await turn();
    expect(layer.calls).toEqual(['a=1', 'b=1']);
    await layer.end();
    expect(layer.calls).toEqual(['a=1', 'b=1', 'c=1']);
    await layer.endAll();
  });

  it('keeps the changes of one key in order however many workers there are', async () => {
    const writer = writerTo({ workers: 8 });
    writer.set('a', '1');
    await turn();
    writer.delete('a');
    await turn();
    expect(layer.calls).toEqual(['a=1']);
    await layer.end();
    writer.set('a', '2');
    expect(layer.calls).toEqual(['a=1', '-a']);
    await layer.endAll();
    expect(layer.calls).toEqual(['a=1', '-a', 'a=2']);
  });

  it('writes only the newest of the changes of a key that haven’t started', async () => {
    const writer = writerTo({ workers: 1 });
    writer.set('other', '1');
    await turn();
    for (const value of ['1', '2', '3']) expect(writer.set('a', value)).toBe(true);
    writer.set('b', '1');
    writer.delete('a');
    writer.set('a', '4');
    await layer.endAll();
    expect(layer.calls).toEqual(['other=1', 'a=4', 'b=1']);
    expect(writer.stats()).toMatchObject({ totalWrites: 3, supersededWrites: 4, queueDepth: 0 });
  });

  it('lets a caller wait for room, and drops the write when none comes in time', async () => {
    const writer = writerTo({ maxEntries: 1, maxWaitMs: 50 });
    writer.set('a', '1');
    const [b, c] = [writer.set('b', '1'), writer.set('c', '1')];
    expect(writer.stats()).toMatchObject({ queueDepth: 1, waiting: 2 });
    await time.advance(49);
    await layer.end();
    expect(await b).toBe(true);
    await time.advance(1);
    expect(await c).toBe(false);
    expect(writer.stats()).toMatchObject({ queueDepth: 1, waiting: 0, droppedWrites: 1 });
    await layer.endAll();
    expect(layer.calls).toEqual(['a=1', 'b=1']);
  });

  it('drops at once where nobody may wait, and when as many wait as may', async () => {
    const impatient = writerTo({ maxEntries: 1, maxWaitMs: 0 });
    impatient.set('a', '1');
    expect(impatient.set('b', '1')).toBe(false);
    const writer = writerTo({ maxEntries: 1, maxWaiting: 1 });
    writer.set('a', '1');
    const waiting = writer.set('b', '1');
    expect(writer.set('c', '1')).toBe(false);
    await time.advance(100);
    expect(await waiting).toBe(false);
    expect(writer.stats().droppedWrites).toBe(2);
    await layer.endAll();
  });

  it('replaces the write of who waits with a newer one of the same key, so that none can overtake it', async () => {
    const writer = writerTo({ maxEntries: 1, maxWaitMs: 50 });
    writer.set('a', '1');
    const old = writer.set('b', 'old');
    await time.advance(40);
    const fresh = writer.set('b', 'new');
    expect(await old).toBe(true);
    await time.advance(40);
    await layer.end();
    expect(await fresh).toBe(true);
    await layer.endAll();
    expect(layer.calls).toEqual(['a=1', 'b=new']);
    expect(writer.stats()).toMatchObject({ supersededWrites: 1, totalWrites: 2, droppedWrites: 0 });
  });

  it('bounds the bytes of all that it holds, those under way among them', async () => {
    const writer = writerTo({ maxBytes: 10, sizeOf: (value) => value.length, maxWaitMs: 50 });
    expect(writer.set('huge', 'x'.repeat(11))).toBe(false);
    expect(writer.set('a', '12345678')).toBe(true);
    await turn();
    expect(writer.stats().queuedBytes).toBe(8);
    const waiting = writer.set('b', '123');
    expect(waiting).toBeInstanceOf(Promise);
    await layer.end();
    expect(await waiting).toBe(true);
    expect(writer.stats().queuedBytes).toBe(3);
    await layer.endAll();
    expect(writer.stats()).toMatchObject({ queuedBytes: 0, totalWrites: 2, droppedWrites: 1 });
  });

  it('lets a newer value that is larger wait for room, and then take the older one’s place', async () => {
    const writer = writerTo({ maxBytes: 10, sizeOf: (value) => value.length, workers: 1 });
    writer.set('first', '12345');
    await turn();
    writer.set('a', '123');
    const larger = writer.set('a', '1234567');
    expect(writer.stats()).toMatchObject({ waiting: 1, queuedBytes: 8 });
    await layer.end();
    expect(await larger).toBe(true);
    await layer.endAll();
    expect(layer.calls).toEqual(['first=12345', 'a=1234567']);
    expect(writer.stats()).toMatchObject({ supersededWrites: 1, totalWrites: 2 });
  });

  it('writes the newest value of a key, also where a larger one before it waits for room', async () => {
    const writer = writerTo({ maxBytes: 10, sizeOf: (value) => value.length, workers: 1 });
    writer.set('first', '12345');
    await turn();
    writer.set('a', '123');
    expect(writer.set('a', '12345')).toBe(true);
    const larger = writer.set('a', '1234567');
    expect([await writer.set('a', '12'), await larger]).toEqual([true, true]);
    await layer.endAll();
    expect(layer.calls).toEqual(['first=12345', 'a=12']);
  });

  it('lets nobody who finds room pass those who wait for more', async () => {
    const writer = writerTo({ maxBytes: 10, sizeOf: (value) => value.length });
    writer.set('first', '12345');
    await turn();
    const accepted = [writer.set('large', '1234567'), writer.set('small', '12')];
    expect(writer.stats().waiting).toBe(2);
    await layer.end();
    expect(await Promise.all(accepted)).toEqual([true, true]);
    await layer.endAll();
    expect(layer.calls).toEqual(['first=12345', 'large=1234567', 'small=12']);
  });

  it('drops what can’t be measured', () => {
    for (const sizeOf of [() => Number.NaN, () => -1, () => Number.POSITIVE_INFINITY]) {
      expect(writerTo({ sizeOf }).set('a', '1')).toBe(sizeOf() === Number.POSITIVE_INFINITY);
    }
    const throwing = writerTo({
      sizeOf: () => {
        throw new Error('from sizeOf');
      },
    });
    expect(throwing.set('a', '1')).toBe(false);
    expect(throwing.stats().droppedWrites).toBe(1);
  });

  it('lets an abort end the wait for room, and only that', async () => {
    const writer = writerTo({ maxEntries: 1 });
    const caller = new AbortController();
    expect(writer.set('a', '1', { signal: caller.signal })).toBe(true);
    const waiting = writer.set('b', '1', { signal: caller.signal }) as Promise<boolean>;
    caller.abort('gone');
    await expect(waiting).rejects.toBe('gone');
    await expect(writer.set('c', '1', { signal: caller.signal })).rejects.toBe('gone');
    await turn();
    expect(layer.calls).toEqual(['a=1']);
    expect(layer.options[0]?.signal?.aborted).toBe(false);
    expect(writer.stats()).toMatchObject({ waiting: 0, droppedWrites: 0, queueDepth: 1 });
    await layer.endAll();
  });

  it('counts a lifetime from when the value was given, be it over by its turn', async () => {
    const writer = writerTo({ workers: 1 });
    writer.set('first', '1');
    await turn();
    writer.set('long', '1', { ttlMs: 1000, graceMs: 5 });
    writer.set('short', '1', { ttlMs: 10 });
    await time.advance(300);
    await layer.endAll();
    expect(layer.options).toMatchObject([{ ttlMs: undefined }, { ttlMs: 700, graceMs: 5 }, { ttlMs: -290 }]);
  });

  it('counts and tells what the layer refuses, thrown or rejected, and goes on', async () => {
    const failures: WriteFailure[] = [];
    const writer = writerTo({
      onFailure: (failure) => {
        failures.push(failure);
        throw new Error('from a listener');
      },
    });
    const error = new Error('refused');
    writer.set('a', '1');
    writer.delete('b');
    await turn();
    await layer.end(error);
    await layer.end(error);
    expect(failures).toEqual([
      { layer: 'slow', key: 'a', operation: 'set', error },
      { layer: 'slow', key: 'b', operation: 'delete', error },
    ]);
    vi.spyOn(layer, 'set').mockImplementationOnce(() => {
      throw error;
    });
    writer.set('c', '1');
    await turn();
    expect(writer.stats()).toMatchObject({ totalWrites: 3, failedWrites: 3, queueDepth: 0 });
  });

  it('lets others have their turn while it writes to a layer that answers at once', async () => {
    const written: string[] = [];
    const instant: Layer<string> = {
      name: 'instant',
      get: () => undefined,
      set: (key) => void written.push(key),
      delete: () => false,
      close: () => {},
    };
    const writer = writerTo({ workers: 1 }, instant);
    for (let i = 0; i < 200; i++) writer.set(`k${i}`, '1');
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toHaveLength(64);
    expect(await writer.flush(1000)).toBe(true);
    expect(written).toEqual(Array.from({ length: 200 }, (_, i) => `k${i}`));
  });

  describe('asked to flush', () => {
    it('answers when all that was given before is written, whatever comes after', async () => {
      const writer = writerTo({ maxEntries: 2 });
      writer.set('a', '1');
      writer.set('b', '1');
      const waiting = writer.set('c', '1');
      const answered = vi.fn();
      writer.flush(1000).then(answered);
      await turn();
      await layer.end();
      await layer.end();
      expect(await waiting).toBe(true);
      writer.set('d', '1');
      expect(answered).not.toHaveBeenCalled();
      await layer.end();
      expect(answered).toHaveBeenCalledWith(true);
      await layer.endAll();
    });

    it.each([Number.POSITIVE_INFINITY, 2 ** 31])('waits as long as it takes when it is given %d ms', async (ms) => {
      const writer = writerTo({ timers: nodeTimers });
      writer.set('a', '1');
      const flushed = writer.flush(ms);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await layer.endAll();
      expect(await flushed).toBe(true);
      const chain = createChain<string>({ layers: [{ layer, writeBehind: true }], timers: nodeTimers });
      chain.set('a', '2');
      const all = chain.flush(ms);
      await layer.endAll();
      expect(await all).toBe(true);
    });

    it('is not answered by what was given later and is done before', async () => {
      const writer = writerTo({ workers: 2 });
      writer.set('a', '1');
      const answered = vi.fn();
      writer.flush(1000).then(answered);
      writer.set('b', '1');
      await turn();
      layer.held.pop()?.resolve();
      await turn();
      expect(answered).not.toHaveBeenCalled();
      await layer.end();
      expect(answered).toHaveBeenCalledWith(true);
    });

    it.each([
      ['waits for its turn', 2],
      ['waits for room', 1],
    ])('answers false when a write is discarded that %s', async (_, maxEntries) => {
      const writer = writerTo({ workers: 1, maxEntries });
      writer.set('a', '1');
      await turn();
      writer.set('b', '1');
      const flushed = writer.flush(1000);
      const discarded = writer.discard();
      await layer.end();
      await discarded;
      expect(await flushed).toBe(false);
    });

    it('answers false when a write failed, was dropped, or takes too long', async () => {
      const writer = writerTo({ maxEntries: 1, maxWaitMs: 20 });
      writer.set('a', '1');
      const failed = writer.flush(1000);
      await turn();
      await layer.end(new Error('refused'));
      expect(await failed).toBe(false);
      writer.set('a', '1');
      const waiting = writer.set('b', '1');
      const dropped = writer.flush(1000);
      const late = writer.flush(10);
      await time.advance(30);
      expect(await late).toBe(false);
      expect(await waiting).toBe(false);
      await layer.end();
      expect(await dropped).toBe(false);
    });

    it('answers true at once when there is nothing to write', async () => {
      expect(await writerTo().flush(1)).toBe(true);
    });

    it('refuses a time that makes no sense', async () => {
      const writer = writerTo();
      writer.set('a', '1');
      await expect(writer.flush(-1)).rejects.toThrow(/must be/);
      await layer.endAll();
    });
  });

  describe('asked to discard', () => {
    it('forgets what hasn’t started and waits for what has', async () => {
      const writer = writerTo({ workers: 1, maxEntries: 2 });
      writer.set('a', '1');
      await turn();
      writer.set('b', '1');
      const waiting = writer.set('c', '1');
      const discarded = vi.fn();
      writer.discard().then(discarded);
      expect(await waiting).toBe(true);
      expect(discarded).not.toHaveBeenCalled();
      await layer.end();
      expect(discarded).toHaveBeenCalled();
      expect(layer.calls).toEqual(['a=1']);
      expect(writer.stats()).toMatchObject({ supersededWrites: 2, totalWrites: 1, queueDepth: 0, waiting: 0 });
    });
  });

  describe('asked to close', () => {
    it('writes what it has accepted, and drops what comes after', async () => {
      const writer = writerTo({ workers: 1, maxEntries: 2 });
      for (const key of ['a', 'b']) writer.set(key, '1');
      const waiting = writer.set('c', '1');
      const closed = writer.close();
      expect(writer.close()).toBe(closed);
      expect(writer.set('d', '1')).toBe(false);
      await layer.endAll();
      expect(await waiting).toBe(true);
      await closed;
      expect(layer.calls).toEqual(['a=1', 'b=1', 'c=1']);
      expect(writer.stats()).toMatchObject({ totalWrites: 3, droppedWrites: 1 });
    });

    it.each(['set', 'delete'])(
      'gives up what a hung layer keeps it from writing, and aborts a %s under way',
      async (how) => {
        const writer = writerTo({ workers: 1, maxEntries: 2, maxWaitMs: 10_000, closeTimeoutMs: 500 });
        if (how === 'set') writer.set('a', '1');
        else writer.delete('a');
        writer.set('b', '1');
        const waiting = writer.set('c', '1');
        await turn();
        const closed = writer.close();
        await time.advance(500);
        await closed;
        expect(await waiting).toBe(false);
        expect(layer.options[0]?.signal?.aborted).toBe(true);
        expect(writer.stats()).toMatchObject({ droppedWrites: 2, queueDepth: 1, waiting: 0 });
        await layer.end(new Error('aborted'));
        expect(writer.stats()).toMatchObject({ failedWrites: 1, totalWrites: 1, queueDepth: 0 });
        expect(layer.calls).toEqual([how === 'set' ? 'a=1' : '-a']);
      },
    );

    it('is what `await using` does', async () => {
      const writer = writerTo();
      writer.set('a', '1');
      const disposed = writer[Symbol.asyncDispose]();
      await layer.endAll();
      await disposed;
      expect(writer.set('b', '1')).toBe(false);
    });
  });

  it('tells the newest change of a key that is on its way', async () => {
    const writer = writerTo({ workers: 1 });
    writer.set('a', '1', { ttlMs: 5 });
    await turn();
    expect(writer.pending('a')).toMatchObject({ kind: 'set', value: '1', expiresAt: time.clock() + 5 });
    writer.delete('a');
    expect(writer.pending('a')).toEqual({ kind: 'delete' });
    await layer.endAll();
    expect(writer.pending('a')).toBeUndefined();
  });

  it('tells metrics its depth, its drops and its writes, and lives with a collector that throws', async () => {
    const told: unknown[][] = [];
    const tell =
      (what: string) =>
      (...args: unknown[]) => {
        told.push([what, ...args]);
        throw new Error('from a collector');
      };
    const metrics = {
      ...noopCollector,
      enabled: true,
      recordQueueDepth: tell('depth'),
      recordWriteDropped: tell('dropped'),
      recordAsyncWrite: tell('write'),
    };
    const writer = writerTo({ metrics, maxEntries: 1, maxWaitMs: 0 });
    writer.set('a', '1');
    writer.set('b', '1');
    await turn();
    await layer.end(new Error('refused'));
    expect(told).toEqual([
      ['depth', 'slow', 1],
      ['dropped', 'slow'],
      ['write', 'slow', false, expect.any(Number)],
      ['depth', 'slow', 0],
    ]);
  });

  it.each([
    ['maxEntries', { maxEntries: 0 }],
    ['maxBytes', { maxBytes: -1, sizeOf: () => 1 }],
    ['sizeOf', { maxBytes: 10 }],
    ['workers', { workers: 1.5 }],
    ['maxWaitMs', { maxWaitMs: -1 }],
    ['maxWaitMs', { maxWaitMs: '5' as never }],
    ['maxWaiting', { maxWaiting: -1 }],
    ['closeTimeoutMs', { closeTimeoutMs: Number.POSITIVE_INFINITY }],
  ])('refuses a %s that makes no sense', (option, options) => {
    expect(() => writerTo(options as AsyncWriterOptions<string>)).toThrow(new RegExp(`^${option} must be`));
  });
});
